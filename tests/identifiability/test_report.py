"""The report on all assumptions."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_array_equal

from sparsedis.identifiability import (
    check_identifiability,
    check_intra_support_variability,
    check_representation_variability,
    check_support_variability,
    check_task_variability,
    find_mixing,
    n_supports_needed,
)
from sparsedis.metrics import mean_correlation_coefficient


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw_heads(rng, n_tasks=400, n_features=3):
    supports = rng.random((n_tasks, n_features)) < 0.5
    return supports * rng.standard_normal((n_tasks, n_features))


def tied_heads(rng):
    """Heads that use feature 0 only together with feature 1."""
    heads = draw_heads(rng)
    heads[:, 1] += (heads[:, 1] == 0) * heads[:, 0] * rng.standard_normal(400)
    return heads


def test_tasks_that_identify_the_features(rng):
    heads, features = draw_heads(rng), rng.standard_normal((50, 3))
    report = check_identifiability(heads, features)
    assert report.verdict == "holds"
    assert {check.verdict for check in report.checks.values()} == {"holds"}
    assert report.mixing is None
    assert report.groups == []
    assert report.n_further_tasks() == 0
    assert_array_equal(report.supports, heads != 0)
    lines = repr(report).splitlines()
    assert lines[0] == "IdentifiabilityReport: holds"
    assert [line.split()[0] for line in lines[2:]] == ["3.3", "3.4", "3.5", "3.6"]


def test_report_holds_the_single_checks(rng):
    for heads in (draw_heads(rng), tied_heads(rng), draw_heads(rng, 5)):
        features = rng.standard_normal((2, 3))
        report = check_identifiability(heads, features, random_state=0)
        single = [
            check_representation_variability(features),
            check_task_variability(heads),
            check_intra_support_variability(heads, random_state=0),
            check_support_variability(heads),
        ]
        for check in single:
            found = report.checks[check.assumption]
            assert (found.verdict, found.reason) == (check.verdict, check.reason)
            assert check.reason in repr(report)
        L = find_mixing(heads)
        assert (report.mixing is None) == (L is None)
        if L is not None:
            assert_array_equal(report.mixing, L)


def test_features_that_no_task_separates(rng):
    report = check_identifiability(tied_heads(rng))
    assert report.verdict == "fails"
    assert report.checks["3.3"].verdict == "not checked"
    assert report.unseparated_pairs.tolist() == [[0, 1]]
    assert [group.tolist() for group in report.groups] == [[0, 1]]
    assert report.mixing is not None
    text = repr(report)
    assert "groups of features that can stay mixed: {0, 1}" in text
    assert f"{report.n_further_tasks()} further random tasks" in text
    assert "a mixture of features that makes no head denser" in text
    # The groups are what the score by blocks takes.
    factors = rng.standard_normal((100, 3))
    codes = factors @ [[1.0, 2, 0], [-1, 1, 0], [0, 0, 1]]
    assert mean_correlation_coefficient(factors, codes) < 0.95
    by_blocks = mean_correlation_coefficient(factors, codes, blocks=report.groups)
    assert by_blocks == pytest.approx(1)


def test_number_of_further_tasks(rng):
    report = check_identifiability(tied_heads(rng))
    assert report.density == np.mean(report.supports)
    expected = n_supports_needed(3, report.density, 0.05, n_pairs=1)
    assert report.n_further_tasks() == expected
    assert report.n_further_tasks(1e-3, p=0.2) == n_supports_needed(
        3, 0.2, 1e-3, n_pairs=1
    )
    dense = check_identifiability(rng.standard_normal((20, 3)))
    assert dense.n_further_tasks() == math.inf
    assert dense.n_further_tasks(p=0.5) == n_supports_needed(3, 0.5)
    assert "no number of tasks like these" in repr(dense)
    single = check_identifiability(rng.standard_normal((20, 1)))
    assert single.verdict == "holds"
    assert single.n_further_tasks() == 0


def test_further_tasks_do_settle_it(rng):
    heads = tied_heads(rng)
    n_further = check_identifiability(heads).n_further_tasks(0.1, p=0.5)
    settled = sum(
        check_support_variability(
            np.vstack([heads, draw_heads(rng, n_further)])
        ).verdict
        == "holds"
        for _ in range(300)
    )
    # One pair is left, for which the bound is exact: 1 - .75 ** n_further, .9 or more.
    rate = 1 - 0.75**n_further
    assert rate >= 0.9
    assert abs(settled - 300 * rate) < 4 * math.sqrt(300 * rate * (1 - rate))


def test_finite_distribution_is_found_out():
    heads = [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    report = check_identifiability(heads)
    assert report.checks["3.5"].verdict == "undecidable"
    assert report.verdict == "fails"  # by the mixture
    report = check_identifiability(heads, exhaustive=True)
    assert report.checks["3.5"].verdict == "fails"
    assert report.checks["3.6"].verdict == "holds"


def test_heads_without_labels_are_left_out(rng):
    heads = draw_heads(rng)
    heads[3, 1] = np.nan
    with pytest.warns(UserWarning, match="1 of 400 heads") as caught:
        report = check_identifiability(heads)
    assert caught[0].filename == __file__
    assert len(report.supports) == 399


@pytest.mark.parametrize("n_features", [3, 20])
def test_plot(rng, n_features):
    heads = draw_heads(rng, 30, n_features)
    heads[:, 1] = np.where(heads[:, 0] != 0, 1.0, heads[:, 1])
    report = check_identifiability(heads)
    given = Figure().subplots()
    ax = report.plot(ax=given)
    assert ax is given
    (image,) = ax.images
    counts = report.checks["3.6"].details.n_separating
    assert_array_equal(image.get_array().filled(0), counts)
    assert len(ax.patches) == len(report.unseparated_pairs) > 0
    frame = ax.patches[0]
    i, j = report.unseparated_pairs[0]
    assert (frame.get_x(), frame.get_y()) == (j - 0.5, i - 0.5)
    n_numbers = 6 if n_features == 3 else 0
    assert len(ax.texts) == n_numbers
    n_pairs = n_features * (n_features - 1)
    assert ax.get_title().endswith(f"{len(ax.patches)} of {n_pairs}")


def test_plot_makes_its_own_figure(rng):
    from matplotlib import pyplot as plt

    plt.switch_backend("agg")
    ax = check_identifiability(draw_heads(rng)).plot()
    assert ax.figure.number in plt.get_fignums()
    plt.close(ax.figure)


def test_bad_arguments_raise(rng):
    heads = draw_heads(rng)
    with pytest.raises(ValueError, match="features must have the columns of coef, 3"):
        check_identifiability(heads, rng.standard_normal((9, 4)))
    with pytest.raises(ValueError, match="max_subsets == 0, must be >= 1"):
        check_identifiability(heads, max_subsets=0)
    with pytest.raises(ValueError, match="rank_tol == -1, must be >= 0"):
        check_identifiability(heads, rank_tol=-1)
    with pytest.raises(ValueError, match="coef contains infinity"):
        check_identifiability(np.where(heads != 0, np.inf, 0.0))


def test_report_says_how_many_tasks_make_halves_as_large(rng):
    report = check_identifiability(draw_heads(rng), stability=[0.99, 0.9, 0.99])
    assert "halves of the tasks disagree on: 1 (0.90); 400 more tasks" in repr(report)
