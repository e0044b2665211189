"""The estimator on tables: its heads, its history and its inputs."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sparsedis import SparseMultiTaskRepresentation
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


@pytest.fixture(scope="module")
def fitted(data, rotation):
    est = SparseMultiTaskRepresentation(
        n_components=4,
        rotation=rotation,
        alpha=0.2 if rotation is None else "auto",
        max_iter=60,
        random_state=0,
    )
    return est.fit(data.data, data.target)


def test_the_unit_of_a_target_changes_nothing_but_its_head(data):
    X, Y = data.data, data.target
    scale = 10.0 ** np.arange(-15, 15)
    plain = quick(alpha=0.2).fit(X, Y)
    scaled = quick(alpha=0.2).fit(X, Y * scale)
    np.testing.assert_allclose(plain.transform(X), scaled.transform(X), atol=1e-3)
    np.testing.assert_array_equal(plain.support_, scaled.support_)
    np.testing.assert_allclose(
        plain.predict(X), scaled.predict(X) / scale, rtol=1e-3, atol=1e-3
    )


def test_without_intercept_heads_pass_through_zero(data):
    est = quick(fit_intercept=False).fit(data.data, data.target)
    np.testing.assert_array_equal(est.intercept_, 0)


def test_heads_belong_to_the_features_of_transform(data, fitted):
    prediction = fitted.transform(data.data) @ fitted.coef_.T + fitted.intercept_
    alone = fitted
    if fitted.rotation is not None:
        alone = clone(fitted).set_params(linear=None).fit(data.data, data.target)
    np.testing.assert_allclose(alone.predict(data.data), prediction)
    assert fitted.coef_.shape == fitted.support_.shape == (30, 4)
    np.testing.assert_array_equal(fitted.feature_usage_, fitted.support_.sum(0))


def test_statistics_at_the_end_are_those_of_the_training_rows(data, fitted):
    Z = fitted.transform(data.data)
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(Z.std(0), 1, atol=1e-3)


def test_unused_features_are_reported(data):
    with pytest.warns(UserWarning, match=r"No head uses features .* lower alpha"):
        # One task cannot use what a penalty this large forbids.
        quick(alpha=0.99).fit(data.data, data.target[:, 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images(dtype, rotation):
    rng = np.random.RandomState(0)
    X = rng.randint(0, 256, size=(40, 8, 8, 3)).astype(dtype)
    X = X / np.float32(255) if dtype is np.float32 else X
    Y = rng.normal(size=(40, 20))
    est = quick(rotation=rotation).fit(X, Y)
    Z = est.transform(X)
    assert Z.dtype == np.float32
    assert Z.shape == (40, 4)
    assert est.predict(X).shape == (40, 20)
    with pytest.raises(
        ValueError, match=r"shape \(8, 8, 3\), as in fit; got \(8, 9, 3\)"
    ):
        est.transform(np.zeros((2, 8, 9, 3), dtype))


def test_8_bit_images_are_those_in_the_unit_interval():
    rng = np.random.RandomState(0)
    X = rng.randint(0, 256, size=(40, 8, 8, 3)).astype(np.uint8)
    Y = rng.normal(size=(40, 20))
    as_float = quick().fit(X / np.float32(255), Y).transform(X / np.float32(255))
    np.testing.assert_allclose(quick().fit(X, Y).transform(X), as_float, atol=1e-4)


def test_an_8_bit_table_is_a_table(data):
    X = (data.data * 20 + 100).clip(0, 255).astype(np.uint8)
    same = quick().fit(X.astype(float), data.target).transform(X.astype(float))
    np.testing.assert_allclose(quick().fit(X, data.target).transform(X), same)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_keeps_the_dtype(data, fitted, dtype):
    X = data.data.astype(dtype)
    assert fitted.transform(X).dtype == dtype
    np.testing.assert_allclose(
        fitted.transform(X), fitted.transform(data.data), atol=1e-4
    )


def test_alpha_warms_up(data):
    est = quick(alpha=0.4, alpha_warmup=0.5, max_iter=10).fit(data.data, data.target)
    np.testing.assert_allclose(
        est.history_["alpha"], 0.4 * np.minimum(np.arange(1, 11) / 5, 1)
    )
    flat = quick(alpha=0.4, alpha_warmup=0.0).fit(data.data, data.target)
    np.testing.assert_array_equal(flat.history_["alpha"], 0.4)


def test_history_is_a_table_of_the_steps(fitted, rotation):
    columns = {"loss", "alpha", "active"}
    if rotation is not None:
        columns.add("valid_loss")
    assert set(fitted.history_) == columns
    assert all(
        len(column) == 60 == fitted.n_iter_ for column in fitted.history_.values()
    )
    loss = fitted.history_["loss"]
    assert loss[-10:].mean() < loss[:10].mean()
    assert (fitted.history_["active"] <= 1).all()


def test_a_column_that_the_encoder_cannot_tell_is_warned_of():
    X, Y = make_sparse_tasks(60, 6, 3, random_state=0)
    times = pd.DataFrame(X, columns=["a", "time", "c"]) + [0, 1.7e9, 0]
    with pytest.warns(UserWarning, match=r"columns of X \(\['time'\]\) vary by less"):
        quick().fit(times, Y)
    with pytest.warns(UserWarning, match=r"columns of X \(\[1\]\) vary by less"):
        quick().fit_stream([(times.to_numpy(), Y)])


def test_identifiability_of_the_heads(data):
    est = quick(encoder="identity", normalization=None, alpha=0.4)
    Y = data.target.copy()
    est.fit(data.factors, Y)
    report = est.identifiability(random_state=0)
    np.testing.assert_array_equal(report.supports, est.support_)
    assert report.verdict in ("holds", "undecidable")
    alone = est.adapt(data.factors, Y[:, :1])
    assert alone.identifiability(random_state=0).verdict == "fails"
