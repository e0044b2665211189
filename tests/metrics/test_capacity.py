"""Explicitness of DCI-ES against closed forms and a plain implementation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from sparsedis.metrics import (
    DisentanglementScorer,
    _capacity,
    chance_level,
    dci_explicitness,
    disentanglement_report,
)

TREES = [(depth, DecisionTreeRegressor(max_depth=depth)) for depth in (1, 2, 4, 7)]


class Part(RegressorMixin, BaseEstimator):
    """Least squares on one code; predicts a part; the loss is (1 - part)^2."""

    def __init__(self, part):
        self.part = part

    def fit(self, X, y):
        self.coef_ = X[:, 0] @ y / (X[:, 0] @ X[:, 0])
        return self

    def predict(self, X):
        return self.part * self.coef_ * X[:, 0]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def explicitness_of(losses, capacities):
    """Of the losses of a single code that equals the factor."""
    z = np.random.default_rng(0).standard_normal((100, 1))
    probes = [
        (c, Part(1 - loss**0.5)) for c, loss in zip(capacities, losses, strict=True)
    ]
    return dci_explicitness(
        z, 3 - 2 * z, probes=probes, test_factors=z, test_codes=3 - 2 * z
    )


@pytest.mark.parametrize(
    ("losses", "capacities", "expected"),
    [
        ([0.0, 0.0], [1, 5], 1.0),  # the first probe is perfect
        ([0.7, 0.7], [1, 5], 1.0),  # or as good as any
        ([1.0, 0.0], [1, 5], 0.0),  # a straight line
        ([1.0, 0.5, 0.0], [0, 1, 2], 0.0),
        ([1.0, 0.5], [1, 5], 0.5),
        ([1.0, 0.25, 0.0], [0, 1, 2], 0.25),
        ([1.0, 0.25, 0.81], [0, 1, 2], 0.625),  # the least loss so far counts
        ([1.0, 1.0, 0.0], [0, 9, 10], -0.9),  # only the last one helps
        ([4.0, 1.0, 0.0], [0, 9, 10], -0.9),  # none is worse than the mean
        ([1.0, 0.0, 0.0], [0, 1, 10], 0.9),
    ],
)
def test_closed_forms(losses, capacities, expected):
    assert_allclose(explicitness_of(losses, capacities), expected, atol=1e-12)


def test_agrees_with_a_plain_implementation(rng):
    factors = rng.standard_normal((200, 3))
    codes = np.sin(factors @ rng.standard_normal((3, 4)))
    neighbors = [(1, 60), (2, 20), (4, 1), (7, 8)]
    details = dci_explicitness(
        factors[:150],
        codes[:150],
        probes=[(c, KNeighborsRegressor(k)) for c, k in neighbors],
        test_factors=factors[150:],
        test_codes=codes[150:],
        return_details=True,
    )
    scaler = StandardScaler().fit(codes[:150])
    train, test = scaler.transform(codes[:150]), scaler.transform(codes[150:])
    for i in range(3):
        curve = []
        for _, k in neighbors:
            model = KNeighborsRegressor(k).fit(train, factors[:150, i])
            loss = 1 - r2_score(factors[150:, i], model.predict(test))
            curve.append(min([1.0, *curve, loss]))
        assert_allclose(details.losses[:, i], curve)
        area = sum(
            (right - left) * ((curve[p] + curve[p + 1]) / 2 - curve[-1])
            for p, (left, right) in enumerate([(1, 2), (2, 4), (4, 7)])
        )
        assert_allclose(details.per_factor[i], 1 - area / (0.5 * 6))
    assert_allclose(details.score, details.per_factor.mean())
    assert_array_equal(details.capacities, [1, 2, 4, 7])


def test_rotated_codes_need_more_capacity_of_trees(rng):
    factors = rng.standard_normal((600, 2))
    turned = factors @ [[0.6, 0.8], [-0.8, 0.6]]
    options = {"probes": TREES, "random_state": 0}
    easy = dci_explicitness(factors, factors[:, ::-1], **options)
    assert easy > dci_explicitness(factors, turned, **options) + 0.1
    # A linear probe sees no difference between rotations.
    options = {"probes": [(0, LinearRegression()), *TREES], "random_state": 0}
    assert_allclose(dci_explicitness(factors, turned, **options), 1)


def test_codes_without_information_need_no_capacity(rng):
    factors, codes = rng.standard_normal((2, 300, 2))
    options = {"probes": TREES, "random_state": 0}
    score = dci_explicitness(factors, codes, **options)
    assert score > 0.9
    # So is chance, above codes that predict.
    chance = chance_level(
        factors, factors, "dci_explicitness", n_resamples=5, **options
    )
    assert chance.low > chance.score


def test_random_state_decides_the_parts_of_pipelines(rng):
    factors = rng.standard_normal((60, 2))
    codes = factors @ rng.standard_normal((2, 3))
    trees = [DecisionTreeRegressor(max_depth=d, max_features=1) for d in (1, 4)]
    probes = [
        (c, make_pipeline(StandardScaler(), tree)) for c, tree in enumerate(trees)
    ]
    one, same, other = (
        dci_explicitness(factors, codes, probes=probes, random_state=seed)
        for seed in (0, 0, 1)
    )
    assert one == same != other


@pytest.mark.parametrize("part", [np.nan, np.inf])
def test_predictions_that_are_not_finite_raise(rng, part):
    factors = rng.standard_normal((50, 2))
    probes = [(1, Part(0.5)), (2, Part(part))]
    with pytest.raises(ValueError, match=r"Part\(part=.* predicts NaN or infinity"):
        dci_explicitness(factors, factors, probes=probes)


def test_default_probes_are_the_published_forests():
    capacities, forests = _capacity._check_probes(None)
    published = [1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32]
    assert_array_equal(capacities, published)
    for depth, forest in zip(published, forests, strict=True):
        expected = RandomForestRegressor(n_estimators=100, max_depth=depth)
        assert forest.get_params() == expected.get_params()


def test_each_factor_counts_on_its_own_rows(rng):
    factors = rng.standard_normal((200, 2))
    codes = factors @ rng.standard_normal((2, 3))
    factors[:60, 0] = factors[180:, 1] = np.nan
    options = {"probes": TREES, "random_state": 0, "return_details": True}
    both = dci_explicitness(
        factors[:100],
        codes[:100],
        test_factors=factors[100:],
        test_codes=codes[100:],
        **options,
    )
    alone = dci_explicitness(
        factors[60:100, :1],
        codes[60:100],
        test_factors=factors[100:, :1],
        test_codes=codes[100:],
        **options,
    )
    assert_allclose(both.losses[:, 0], alone.losses[:, 0])
    assert_allclose(both.per_factor[0], alone.score)


def test_dead_codes_and_constant_factors(rng):
    factors = rng.standard_normal((200, 3))
    factors[:, 1] = 0.1
    options = {"probes": TREES, "random_state": 0}
    with pytest.warns(UserWarning, match=r"Constant column\(s\) \[1\] of factors"):
        details = dci_explicitness(
            factors, factors[:, :1], **options, return_details=True
        )
    assert_array_equal(details.factor_mask, [True, False, True])
    assert details.per_factor[1] == 0
    assert_allclose(details.losses[:, 1], 1)
    with pytest.warns(UserWarning, match="Dead"):
        assert dci_explicitness(factors[:, 2:], np.full((200, 2), 0.1), **options) == 1
    factors[:, 1] = np.arange(200) == 0
    tests = {"test_factors": factors[100:], "test_codes": factors[100:, :1]}
    with pytest.warns(UserWarning, match=r"\[1\] .*left out of explicitness"):
        dci_explicitness(factors[:100], factors[:100, :1], **tests, **options)


def test_scorer_and_report_know_it(rng):
    factors = rng.standard_normal((100, 2))
    params = {"probes": TREES, "random_state": 0}
    scorer = DisentanglementScorer("dci_explicitness", metric_params=params)
    scorer.fit(factors, factors)
    assert scorer.dci_explicitness_ == dci_explicitness(factors, factors, **params)
    quick = {"n_resamples": 2, "random_state": 0, "probes": TREES}
    report = disentanglement_report(factors, factors, ["dci_explicitness"], **quick)
    assert "No better than random codes: dci_explicitness." in report.doubts


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        (
            TREES[:1],
            r"at least two capacities, finite numbers that increase; got \[1\]",
        ),
        ([(1, TREES[0][1]), (np.inf, TREES[1][1])], r"finite .*; got \[1, inf\]"),
        ([(1, TREES[0][1]), (np.nan, TREES[1][1])], r"finite .*; got \[1, nan\]"),
        (((c, t) for c, t in TREES[1::-1]), r"increase; got \[2, 1\]"),
        (TREES[::-1], r"numbers that increase; got \[7, 4, 2, 1\]"),
        ([("a", TREES[0][1]), ("b", TREES[1][1])], r"numbers that .*got \['a', 'b'\]"),
        ([TREES[0][1], TREES[1][1]], "pairs of a capacity and a regressor; got"),
        ([], "pairs of a capacity"),
        ([(1, "tree"), (2, "tree")], "regressors with fit and predict; got 'tree'"),
    ],
)
def test_bad_probes_raise(rng, probes, message):
    factors = rng.standard_normal((50, 2))
    with pytest.raises(ValueError, match=message):
        dci_explicitness(factors, factors, probes=probes)


def test_other_bad_arguments_raise(rng):
    factors = rng.standard_normal((50, 2))
    with pytest.raises(ValueError, match="test_factors is None"):
        dci_explicitness(factors, factors, probes=TREES, test_codes=factors)
    with pytest.raises(ValueError, match="codes contains NaN"):
        dci_explicitness(factors, factors * np.nan, probes=TREES)
    constant = {"test_factors": 0 * factors, "test_codes": factors}
    with (
        pytest.warns(UserWarning, match="left out of explicitness"),
        pytest.raises(ValueError, match="No column of factors varies in both"),
    ):
        dci_explicitness(factors, factors, probes=TREES, **constant)
