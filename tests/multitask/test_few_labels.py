"""Missing labels, constant targets and single tasks."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sparsedis.datasets import make_sparse_tasks
from tests.multitask._few_steps import quick

# After a few steps features are not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(.* may not be factors|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(
        n_samples=200, n_tasks=30, n_factors=4, return_bunch=True, random_state=0
    )


def test_missing_labels_are_left_out_of_the_score(data, rotation):
    Y = data.target.copy()
    Y[::3, ::2] = np.nan
    est = quick(rotation=rotation).fit(data.data, Y)
    prediction = est.predict(data.data)
    r2 = [
        LinearRegression.score(_Constant(p[~np.isnan(y)]), None, y[~np.isnan(y)])
        for y, p in zip(Y.T, prediction.T, strict=True)
    ]
    assert est.score(data.data, Y) == pytest.approx(np.mean(r2))


class _Constant(LinearRegression):
    """Predicts what it was given, to borrow scikit-learn's score."""

    def __init__(self, prediction=None):
        self.prediction = prediction

    def predict(self, X):
        return self.prediction


def test_a_task_without_labels_gets_a_head_of_nan(data, rotation):
    Y = data.target.copy()
    Y[:, 3] = np.nan
    with pytest.warns(UserWarning, match=r"1 of 30 tasks have no label \(3\)"):
        est = quick(rotation=rotation).fit(data.data, Y)
    assert np.isnan(est.coef_[3]).all()
    assert np.isnan(est.predict(data.data)[:, 3]).all()
    assert np.isfinite(np.delete(est.coef_, 3, axis=0)).all()
    # It does not count, even where a label appears later.
    assert est.score(data.data, data.target) == pytest.approx(
        est.score(data.data, Y), abs=1e-12
    )


def test_constant_targets_and_single_labels_get_constant_heads(data, rotation):
    Y = data.target.copy()
    Y[:, 0] = 7.0
    Y[1:, 1] = np.nan
    est = quick(rotation=rotation).fit(data.data, Y)
    np.testing.assert_array_equal(est.coef_[:2], 0)
    prediction = est.predict(data.data)
    np.testing.assert_allclose(prediction[:, 0], 7.0)
    np.testing.assert_allclose(prediction[:, 1], Y[0, 1])


def test_a_column_is_one_task(data, rotation):
    X, y = data.data, data.target[:, 0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No head uses features")
        flat = quick(rotation=rotation).fit(X, y)
        column = quick(rotation=rotation).fit(X, y[:, None])
    assert flat.predict(X).shape == (200,)
    assert column.predict(X).shape == (200, 1)
    np.testing.assert_array_equal(flat.coef_, column.coef_)
