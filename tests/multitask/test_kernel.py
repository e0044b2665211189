"""Kernel Ridge regressions on the inputs beside the linear ones."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge as Reference

from sparsedis import SparseMultiTaskMixed, SparseMultiTaskRepresentation
from sparsedis.inputs._labels import DenseLabels
from sparsedis.inputs._table import TaskTable
from sparsedis.multitask import _kernel
from sparsedis.multitask._kernel import KernelRidge, Kernels, kernel_ridge

RNG = np.random.default_rng(0)

# Twenty steps find no factors.
pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        r"\d+ of \d+ features may not be factors",
        "A (separate )?Ridge",
        "No head uses features",
        "The encoder overfits",
        "The features miss",
        # The exporter of torch itself uses what torch deprecates.
        r"`isinstance\(treespec",
    )
]


def few_steps(kind=SparseMultiTaskRepresentation, **params):
    return kind(max_iter=20, random_state=0, **params)


@pytest.fixture(scope="module")
def data():
    """Steps of single columns: neither lines nor few features follow them."""
    X = RNG.standard_normal((500, 5))
    signal = np.sign(X) @ RNG.standard_normal((5, 8))
    Y = signal + 0.5 * RNG.standard_normal(signal.shape)
    return X[:200], Y[:200], X[200:], Y[200:]


@pytest.fixture(scope="module")
def fitted(data):
    return few_steps().fit(*data[:2])


def values(rows, X):
    """Kernels of some rows and a table."""
    kernel = Kernels(rows, X.std(0)).double()
    return kernel(torch.from_numpy(X)).numpy()


def test_kernels_depend_on_distances_in_units_of_the_columns(kernels):
    X = RNG.normal(size=(30, 4)) * [1, 1e-6, 1e6, 0] + [0, 5, -1e9, 3]
    unit = np.where(X.std(0) > 0, X.std(0), np.inf)
    found = Kernels(X[:7], unit).double()(torch.from_numpy(X)).numpy()
    assert found.shape == (30, 14)
    np.testing.assert_allclose(found, kernels(X, X[:7], unit), atol=1e-5)
    np.testing.assert_allclose(found[:7].diagonal(), 1)


def centred(K, w):
    """A kernel of rows and a mean of zero, for weights that sum to 1."""
    return K - K @ w[:, None] - w @ K + w @ K @ w


def fitted_models(models, *args, **kwargs):
    """Coefficients, intercepts and errors with each kernel."""
    coef, *others = zip(*models.fit(*args, **kwargs), strict=True)
    return list(zip(models.coefficients(np.stack(coef)), *others, strict=True))


def reference(kernel, share, y, alpha, fit_intercept):
    """Kernel Ridge regression of rows of positive share, for all rows."""
    kept = np.flatnonzero(share)
    own, y = share[kept], y[kept]
    level = np.average(y, axis=0, weights=own) if fit_intercept else 0.0
    inner, outer, w = kernel[np.ix_(kept, kept)], kernel[:, kept], own / own.sum()
    if fit_intercept:
        outer = outer - outer @ w[:, None] - w @ inner + w @ inner @ w
        inner = centred(inner, w)
    model = Reference(alpha=alpha, kernel="precomputed")
    return model.fit(inner, y - level, own).predict(outer) + level


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_errors_and_predictions_are_those_of_kernel_ridge(fit_intercept, weighted):
    X = RNG.normal(size=(25, 3))
    # Row 4 has two labels of each task; rows 20 to 24 have none.
    rows = np.append(RNG.permutation(20), 4)
    Y = RNG.normal(size=(21, 2, 2)) + 3
    weight = RNG.uniform(0.2, 2, size=21) if weighted else np.ones(21)
    size = np.bincount(rows, weight)
    share = size / size.mean()
    mean = np.stack([np.average(Y[rows == i], 0, weight[rows == i]) for i in range(20)])
    models = KernelRidge(X, 25)
    fits = fitted_models(
        models, rows, Y, weight if weighted else None, fit_intercept=fit_intercept
    )
    K = np.split(values(X, X)[:20], 2, axis=1)
    for kernel, (coef, intercept, errors) in zip(K, fits, strict=True):
        own = kernel[:, :20]
        middle = centred(own, size / size.sum()) if fit_intercept else own
        alphas = _kernel._ALPHAS * (share * middle.diagonal()).mean()
        for t in range(2):
            tried = []
            for alpha in alphas:
                options = mean[:, t], alpha, fit_intercept
                left_out = [
                    reference(own, share * (np.arange(20) != i), *options)[i]
                    for i in range(20)
                ]
                loss = (share[:, None] * (mean[:, t] - left_out) ** 2).sum()
                tried.append((loss, left_out, reference(own, share, *options)))
            _, left_out, predicted = min(tried, key=lambda found: found[0])
            expected = Y[:, t] - np.array(left_out)[rows]
            np.testing.assert_allclose(errors[:, t], expected, atol=1e-5)
            found = kernel @ coef[t].T + intercept[t]
            np.testing.assert_allclose(found, predicted, atol=1e-5)


def test_with_fewer_rows_the_kernel_is_that_of_nystroem():
    X, Y = RNG.normal(size=(60, 2)), RNG.normal(size=(60, 3, 1))
    models = KernelRidge(X, 20)
    assert models.rows.shape == (20, 2)
    every = np.arange(60)
    found = fitted_models(models, every, Y)
    for i, (coef, intercept, errors) in enumerate(found):
        outer = np.split(values(models.rows, X), 2, axis=1)[i]
        chosen = [np.flatnonzero((row == X).all(1))[0] for row in models.rows]
        K = outer @ np.linalg.solve(outer[chosen], outer.T)
        # With the whole kernel at those rows, it is one of its own.
        centre = np.eye(60) - 1 / 60
        s, U = np.linalg.eigh(centre @ K @ centre)
        for t in range(3):
            y = Y[:, t, 0] - Y[:, t, 0].mean()
            fits = [U @ (s / (s + a * s.mean()) * (U.T @ y)) for a in _kernel._ALPHAS]
            predicted = outer @ coef[t, 0] + intercept[t, 0] - Y[:, t, 0].mean()
            assert min(np.abs(fit - predicted).max() for fit in fits) < 1e-5
        assert np.isfinite(errors).all()


def test_one_label_has_no_error():
    models = KernelRidge(np.eye(3), 3)
    labels = np.array([1]), np.full((1, 2, 1), 7.0)
    for coef, intercept, errors in fitted_models(models, *labels):
        np.testing.assert_array_equal(coef, 0)
        np.testing.assert_array_equal(intercept, 7)
        assert np.isnan(errors).all()


def test_many_tasks_with_missing_labels_have_fewer_rows(data, monkeypatch):
    X, Y, *_ = data
    holes = np.where(RNG.uniform(size=Y.shape) < 0.1, np.nan, Y)
    monkeypatch.setattr(_kernel, "_LANDMARKS", (200, 50))
    monkeypatch.setattr(_kernel, "_WORK", 4e8)
    sizes = [len(few_steps().fit(X, part).linear_.rows) for part in (Y, holes)]
    assert sizes == [200, 50]


@pytest.mark.parametrize(
    ("n_tasks", "missing", "p", "expected"),
    [(20, 0, 5, 800), (20, 1, 5, 300), (1000, 0, 5, 300), (20, 0, 1000, 400)],
)
def test_what_takes_long_has_fewer_rows(n_tasks, missing, p, expected):
    X = RNG.normal(size=(900, p))
    labels = DenseLabels(np.zeros((900, n_tasks)))
    labels.Y[:missing] = np.nan
    table = TaskTable(X, np.arange(900), labels)
    assert len(kernel_ridge(table, np.ones(n_tasks, dtype=bool)).rows) == expected


@pytest.mark.parametrize(("name", "value"), [("_MOST_ROWS", 199), ("_WORK", 1.0)])
def test_large_tables_have_no_kernel(data, of_inputs, monkeypatch, name, value):
    X, Y, *_ = data
    monkeypatch.setattr(_kernel, name, value)
    est = few_steps(encoder="identity").fit(X, Y)
    assert est.linear_.rows.shape == (0, 5)
    assert not est.linear_.kernel_share.any()
    heads = est.transform(X) @ est.coef_.T + est.intercept_
    share = est.linear_.share
    lines = X @ est.linear_.coef.T + est.linear_.intercept
    expected = share * heads + (1 - share) * lines
    np.testing.assert_allclose(est.predict(X), expected, atol=1e-6)


def test_kernels_predict_steps_better_than_lines(data, fitted):
    X_test, Y_test = data[2:]
    linear, both = fitted.linear_, fitted.score(X_test, Y_test)
    assert (linear.kernel_share > 0.5).all()
    kept = linear.kernel_share.copy()
    linear.kernel_share[:] = 0
    of_lines = fitted.score(X_test, Y_test)
    linear.kernel_share[:] = kept
    assert both > of_lines + 0.02


def test_lines_are_left_to_lines(data):
    X = data[0]
    Y = X @ RNG.standard_normal((5, 8)) + 0.1 * RNG.standard_normal((200, 8))
    assert (few_steps().fit(X, Y).linear_.kernel_share < 0.05).all()


def test_every_form_of_labels_gives_the_same_kernels(data):
    X, Y, *_ = data
    Y = np.where(RNG.uniform(size=Y.shape) < 0.2, np.nan, Y)
    rows, tasks = np.nonzero(~np.isnan(Y))
    wide = few_steps().fit(X, Y)
    long = few_steps().fit(X[rows], Y[rows, tasks], task=tasks)
    for one, other in zip(
        *((est.linear_.kernel, est.linear_.kernel_share) for est in (wide, long)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_only_numbers_have_kernels(data):
    X, Y, *_ = data
    Y = np.column_stack([Y[:, :4], Y[:, 4] > 0, RNG.poisson(3, size=200)])
    types = ["number"] * 4 + ["binary", "count"]
    est = few_steps(SparseMultiTaskMixed, task_types=types).fit(X, Y)
    linear = est.linear_
    used = linear.kernel.any(axis=tuple(range(1, linear.kernel.ndim)))
    assert used.tolist() == [True] * 4 + [False] * 2
    assert not linear.kernel_share[4:].any()
    alone = few_steps(SparseMultiTaskMixed, task_types=types[4:]).fit(X, Y[:, 4:])
    assert len(alone.linear_.rows) == 0


def test_modules_and_files_predict_the_same(data, fitted, exported, tmp_path):
    X = data[2].astype(np.float32)
    expected = fitted.predict(X)
    with torch.no_grad():
        found = fitted.to_torch()(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    fitted.save_params(tmp_path / "est")
    loaded = few_steps().load_params(tmp_path / "est")
    np.testing.assert_array_equal(loaded.predict(X), expected)
    predict = exported(fitted, X)
    for n in (1, 100):
        np.testing.assert_allclose(predict(X[:n]), expected[:n], atol=1e-4)
