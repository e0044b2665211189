"""Fits that raise change nothing, and those that do not start afresh."""

import numpy as np
import pandas as pd
import pytest

from sparsedis.metrics import DisentanglementScorer
from sparsedis.svm import GroupLassoSVC

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
LABELS = np.array(["lo", "mid", "hi"])[np.digitize(X[:, 0], [-0.4, 0.4])]
DATES = pd.date_range("2020", periods=40).to_numpy()


@pytest.mark.parametrize(
    ("bad_X", "bad_y", "message"),
    [
        (1e200 * X, np.repeat(["A", "B"], 20), "X has values up to"),
        (X[:, :2], np.repeat("A", 40), "at least 2 classes"),
        (X, LABELS[:-1], "inconsistent numbers"),
        (np.ma.masked_greater(X, 1), LABELS, "X holds .* masked"),
        (pd.DataFrame(X, columns=list("aab")), LABELS, "X has several columns"),
        (pd.DataFrame(X[:, :2], columns=list("ab")), np.repeat("A", 40), "2 classes"),
    ],
)
def test_a_refused_fit_of_the_svm_leaves_the_earlier_one(bad_X, bad_y, message):
    svc = GroupLassoSVC().fit(X, LABELS)
    before = vars(svc).copy()
    with pytest.raises(ValueError, match=message):
        svc.fit(bad_X, bad_y)
    assert vars(svc).keys() == before.keys()
    assert all(vars(svc)[name] is value for name, value in before.items())


@pytest.mark.parametrize(
    ("params", "codes", "factors", "message"),
    [
        ({"blocks": [[0, 0]]}, X, X, "blocks"),
        ({"metric": lambda factors, codes: "high"}, X[:, :2], X, "return a number"),
        ({"method": "rank"}, X, X, "method"),
        ({}, X[:, :2], np.ma.masked_greater(X, 1), "y holds .* masked"),
        ({}, X[:, :2], X[:-1], "inconsistent numbers"),
        ({}, np.repeat(DATES[:, None], 2, 1), X, "X must hold real numbers"),
    ],
)
def test_a_refused_fit_of_the_scorer_leaves_the_earlier_one(
    params, codes, factors, message
):
    scorer = DisentanglementScorer("irs").fit(X, X)
    kept = {name: v for name, v in vars(scorer).items() if name.endswith("_")}
    with pytest.raises(ValueError, match=message):
        scorer.set_params(**params).fit(codes, factors)
    now = {name: v for name, v in vars(scorer).items() if name.endswith("_")}
    assert now.keys() == kept.keys()
    assert all(now[name] is value for name, value in kept.items())


def test_a_second_fit_of_the_scorer_leaves_nothing_of_the_first():
    def of(**params):
        return DisentanglementScorer(**params).fit(X, X)

    for first, second in (
        ({"metric": "irs"}, {"metric": "mcc"}),
        ({"blocks": [[0, 1]]}, {"blocks": None}),
        ({"blocks": None}, {"blocks": [[0, 1]]}),
    ):
        scorer = of(**first).set_params(**second).fit(X, X)
        assert vars(scorer).keys() == vars(of(**second)).keys()


def coef(factors, codes):
    return 0.25


def sap(factors, codes):
    return 0.5


@pytest.mark.parametrize(
    ("metric", "name"),
    [(coef, "metric"), (sap, "metric"), (lambda factors, codes: 0.75, "<lambda>")],
)
def test_functions_take_the_place_of_no_attribute(metric, name):
    plain, scorer = DisentanglementScorer(), DisentanglementScorer(metric)
    plain.fit(X, X)
    new = vars(scorer.fit(X, X)).keys() - vars(plain).keys()
    assert new == ({"metric_"} if name == "metric" else set())
    assert scorer.scores_[name] == metric(X, X) == scorer.score(X, X)
    assert scorer.sap_ == plain.sap_
    np.testing.assert_array_equal(scorer.coef_, plain.coef_)


@pytest.mark.parametrize("fitted", [None, [[0, 1]]])
@pytest.mark.parametrize("later", [None, [[0, 1]]])
def test_blocks_that_are_set_after_a_fit_change_nothing_of_it(fitted, later):
    scorer = DisentanglementScorer(blocks=fitted, unmatched="drop").fit(X, X)
    table, score = repr(scorer).splitlines()[1:], scorer.score(X, X)
    scorer.set_params(blocks=later)
    assert repr(scorer).splitlines()[1:] == table
    assert scorer.score(X, X) == score
