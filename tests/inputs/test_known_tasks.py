"""Tasks are found by their names, of whatever kind, among those of a fit."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.model_selection import KFold, cross_validate

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.inputs._known_tasks import task_numbers

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)

N, T = 90, 7
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 3))
Y = X @ RNG.standard_normal((3, T)) + 0.3 * RNG.standard_normal((N, T))


def make(cls=SparseMultiTaskRepresentation, **params):
    defaults = {"n_components": 2, "rotation": None, "max_iter": 3, "random_state": 0}
    return cls(**(defaults | params))


def test_dates_are_found_whatever_their_unit():
    known = np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]")
    asked = np.array(["2021-01-01T00", "2019-01-01T00"], dtype="M8[ns]")
    assert task_numbers(asked, known).tolist() == [1, -1]
    numbers = np.array([18262, 0])
    assert task_numbers(numbers, known).tolist() == [-1, -1]


def test_frames_are_scored_by_name_where_the_fit_had_names():
    named = pd.DataFrame(Y, columns=list("abcdefg"))
    est = make().fit(X, named)
    expected = est.score(X, Y)
    assert est.score(X, named[list("gfedcba")]) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"y names tasks such as \['h', .* none of wh"):
        est.score(X, named.set_axis(list("hijklmn"), axis=1))
    with pytest.raises(ValueError, match=r"task names tasks such as \['h'\]"):
        est.score(X, Y[:, 0], task=["h"] * N)
    with pytest.warns(UserWarning, match=r"1 tasks of y, such as \['h'\]"):
        est.score(X, named.rename(columns={"g": "h"}))
    unnamed = make().fit(X, Y)
    assert unnamed.score(X, named) == unnamed.score(X, Y)
    assert unnamed.score(X, named.set_axis(range(1, 8), axis=1)) == unnamed.score(X, Y)
    with pytest.raises(
        ValueError, match=r"y must have shape \(90, 7\), .* got 2 columns"
    ):
        unnamed.score(X, named[["a", "b"]])
    single = make().fit(X, named["a"])
    assert single.score(X, named[["a"]]) == single.score(X, named["a"])


@pytest.mark.parametrize(
    "cls", [SparseMultiTaskRepresentation, SparseMultiTaskClassifier]
)
@pytest.mark.parametrize(
    "names",
    [["dose", 24, 48], [1, "1", 2.5], [("a", 1), ("a", 2), ("b", 1)], [b"a", "a", 3]],
)
def test_tasks_of_mixed_names_are_found(cls, names):
    y = Y[:, :3] if cls is SparseMultiTaskRepresentation else Y[:, :3] > 0
    ids = np.empty(3, dtype=object)
    ids[:] = names
    task = ids[np.arange(N) % 3]
    for est in (
        make(cls).fit(X, pd.DataFrame(y).set_axis(pd.Index(ids), axis=1)),
        make(cls).fit(np.repeat(X, 3, 0), y.ravel(), task=np.tile(ids, N)),
    ):
        assert sorted(map(str, est.tasks_)) == sorted(map(str, names))
        columns = [est.tasks_.tolist().index(name) for name in names]
        expected = est.predict(X)[np.arange(N), np.array(columns)[np.arange(N) % 3]]
        np.testing.assert_allclose(est.predict(X, task=task), expected)
        if not isinstance(names[0], tuple):
            found = est.predict(X[:3], task=names)
            np.testing.assert_allclose(found, expected[:3])
        with pytest.raises(ValueError, match="task must hold the ids of tasks seen"):
            est.predict(X[:2], task=["24", "2.5"])


def test_a_search_on_the_long_form_says_how_to_pass_on_the_tasks():
    task, rows, y = np.repeat(np.arange(3), N), np.tile(X, (3, 1)), Y[:, :3].T.ravel()
    est = make()
    cv = KFold(2, shuffle=True, random_state=0)
    with pytest.raises(ValueError, match=r"Pass task=; .* set_score_request\(task=T"):
        cross_validate(est, rows, y, params={"task": task}, cv=cv, error_score="raise")
    with sklearn.config_context(enable_metadata_routing=True):
        est.set_fit_request(task=True).set_score_request(task=True)
        scores = cross_validate(est, rows, y, params={"task": task}, cv=cv)
    assert np.isfinite(scores["test_score"]).all()
