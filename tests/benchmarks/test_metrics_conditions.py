"""Conditions for the metrics are what they say, and scores are marked right."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression

from benchmarks.metrics import __main__ as command
from benchmarks.metrics._conditions import BY_NAME, CONDITIONS, PROPERTIES
from sparsedis.metrics import mean_correlation_coefficient

# Where noise hides what is true without it.
NOISY = {"noisy": 0.08, "duplicated": 0.001}


def best_pairs(correlation):
    """Least correlation of the factors with codes of their own; 0 if codes are few."""
    d, k = correlation.shape
    rows, columns = linear_sum_assignment(correlation, maximize=True)
    return correlation[rows, columns].min() if k >= d else 0.0


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("seed", [0, 1])
def test_linear_relations_are_true_where_said_alone(name, seed):
    factors, codes = BY_NAME[name](np.random.default_rng(seed))
    again = BY_NAME[name](np.random.default_rng(seed))
    assert np.array_equal(codes, again[1])
    true, d = CONDITIONS[BY_NAME[name]], factors.shape[1]
    tolerance = NOISY.get(name, 1e-9)
    pearson = np.abs(np.corrcoef(factors.T, codes.T)[:d, d:])
    assert (best_pairs(pearson) > 1 - tolerance) == ("scale" in true)
    rank = np.abs(spearmanr(factors, codes).statistic[:d, d:])
    assert (best_pairs(rank) > 1 - tolerance) == ("order" in true)
    half = len(factors) // 2
    model = LinearRegression().fit(codes[:half], factors[:half])
    residual = (model.predict(codes[half:]) - factors[half:]).var(0)
    linear = residual < 2 * tolerance * factors.var(0)
    assert linear.all() == ("linear" in true)


@pytest.mark.parametrize("name", ["reordered", "categories"])
def test_maps_that_are_not_monotone_are_invertible(name):
    factors, codes = BY_NAME[name](np.random.default_rng(0))
    for z, c in zip(factors.T, codes.T, strict=True):
        assert (
            len(np.unique(z)) == len(np.unique(c)) == len(np.unique([z, c], axis=1).T)
        )
    if name == "reordered":  # pieces of the identity, in the same range
        steps = np.unique(np.round(codes - factors, 9))
        assert_allclose(steps * 2, np.round(steps * 2), atol=1e-6)
        assert np.abs(codes).max() < 3


def test_waves_give_the_angle_in_two_codes():
    factors, codes = BY_NAME["waves"](np.random.default_rng(0))
    assert_allclose(np.arctan2(codes[:, :5], codes[:, 5:]), factors)


def test_correlated_factors():
    rng = np.random.default_rng(0)
    for name, rho in [("correlated", 0.8), ("correlated_mixed", 0.9)]:
        factors = BY_NAME[name](rng)[0]
        pairs = np.corrcoef(factors.T)[np.triu_indices(5, 1)]
        assert_allclose(pairs, rho, atol=0.05)


def test_claims_are_known_and_marks_compare_with_the_truth():
    assert set(command.claims().values()) == set(PROPERTIES)
    assert set().union(*CONDITIONS.values()) == set(PROPERTIES)
    assert command.mark("mcc", "scaled", 0.8) == ""
    assert command.mark("mcc", "scaled", 0.79) == "-"
    assert command.mark("mcc", "rotated", 0.8) == "+"
    assert command.mark("mcc", "rotated", 0.79) == ""
    assert command.mark("r", "rotated", 0.8) == ""


def test_command_prints_means_and_keeps_them(tmp_path, capsys, monkeypatch):
    names = {"mcc", "r"}
    few = [entry for entry in command.METRICS if entry[2].keys() <= names]
    monkeypatch.setattr(command, "METRICS", few)
    path = tmp_path / "scores.json"
    command.main(
        ["--only", "rotated", "few_random", "--seeds", "2", "--json", str(path)]
    )
    scores = json.loads(path.read_text())
    assert list(scores) == ["rotated", "few_random"]
    data = [BY_NAME["rotated"](np.random.default_rng(seed)) for seed in (0, 1)]
    expected = np.mean([mean_correlation_coefficient(*pair) for pair in data])
    assert scores["rotated"]["mcc"] == expected
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["mcc", "r"]
    assert lines[1].split() == ["rotated", f"{expected:.2f}", "1.00"]
    assert lines[2].endswith("+")
    assert "linear (r): each factor is a linear function of the codes" in lines
