"""White heads and their errors, against fits task by task."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

import sparsedis.rotation
from sparsedis.rotation import WhiteHeads, count_factors, white_heads


def make_tasks(n=120, p=5, T=8, C=1, *, noise=0.5, missing=0.3, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, p)) @ rng.standard_normal((p, p)) + 10
    Y = np.einsum("np,tcp->ntc", Z, rng.standard_normal((T, C, p)))
    Y = Y + noise * rng.standard_normal(Y.shape) - 3
    Y[rng.random((n, T)) < missing] = np.nan
    return Z, Y


def whiten(Z, weight=None):
    """White coordinates by the definition."""
    mean = np.average(Z, axis=0, weights=weight)
    size, axes = np.linalg.eigh(np.cov(Z.T, aweights=weight, bias=True))
    return (Z - mean) @ axes / np.sqrt(size)


@pytest.mark.parametrize("C", [1, 3])
def test_heads_are_least_squares_task_by_task(C):
    Z, Y = make_tasks(C=C)
    heads = white_heads(Z, Y if C > 1 else Y[..., 0])
    assert heads.coef.shape == ((8, 3, 5) if C > 1 else (8, 5))
    white = (Z - heads.mean) @ heads.components.T
    assert_allclose(np.cov(white.T, bias=True), np.eye(5), atol=1e-10)
    rss, freedom, traces, scale = [], [], [], []
    for t in range(8):
        rows = ~np.isnan(Y[:, t, 0])
        A = np.column_stack([white[rows], np.ones(rows.sum())])
        y = Y[rows, t]
        sd = np.sqrt(y.var(0).mean())
        solution = np.linalg.lstsq(A, y)[0]
        assert_allclose(heads.coef[t].reshape(C, 5), solution[:5].T / sd, rtol=1e-6)
        rss.append(((y - A @ solution) ** 2).sum() / C / sd**2)
        freedom.append(rows.sum() - 6)
        traces.append(np.trace(np.linalg.inv(A.T @ A)[:5, :5]) / 5)
        scale.append(sd)
    # Four labels' worth of the noise of all the tasks.
    rss, freedom = np.array(rss), np.array(freedom)
    sigma2 = (rss + 4 * rss.sum() / freedom.sum()) / (freedom + 4)
    assert_allclose(heads.variance, sigma2 * traces, rtol=1e-5)
    assert_allclose(heads.n_labels, (~np.isnan(Y[..., 0])).sum(0))


def test_variance_is_that_of_repeated_noise():
    Z, Y = make_tasks(n=60, T=1, noise=0.0, missing=0.0)
    rng = np.random.default_rng(1)
    noisy = Y[..., 0] + 0.3 * Y.std() * rng.standard_normal((60, 400))
    heads = white_heads(Z, noisy)
    # Targets have the variance 1.09 of the signal's.
    assert_allclose(heads.variance.mean(), 0.3**2 / 1.09 / 60, rtol=0.1)
    coef = heads.coef * noisy.std(0)[:, None]
    assert_allclose(coef.var(0).mean(), (0.3 * Y.std()) ** 2 / 60, rtol=0.1)


@pytest.mark.parametrize("classification", [False, True])
def test_weights_are_repetitions(classification):
    Z, Y = make_tasks()
    Y = Y[..., 0]
    if classification:
        Y = np.where(np.isnan(Y), np.nan, np.nanmean(Y, axis=0) < Y)
    weight = np.random.default_rng(0).integers(0, 4, len(Z))
    one = white_heads(Z, Y, sample_weight=weight, classification=classification)
    other = white_heads(
        Z.repeat(weight, axis=0),
        Y.repeat(weight, axis=0),
        classification=classification,
    )
    assert_allclose(one.mean, other.mean)
    assert_allclose(one.coef @ one.components, other.coef @ other.components, rtol=1e-6)
    assert_allclose(one.variance, other.variance, rtol=1e-6)
    # Only the ratios of weights that sum to 1 matter.
    mean = weight[weight > 0].mean()
    small, unit = (
        white_heads(Z, Y, sample_weight=w, classification=classification)
        for w in (weight / weight.sum(), weight / mean)
    )
    assert_allclose(small.variance, unit.variance, rtol=1e-6)
    assert_allclose(one.n_labels, other.n_labels)


def test_classes_are_logistic_regressions():
    Z, Y = make_tasks(n=200, T=3, noise=20.0)
    Y = Y[..., 0] - np.nanmean(Y, axis=0).T
    labels = np.where(np.isnan(Y), None, np.where(Y > 0, "high", "low"))
    labels[:, 2] = np.where(Y[:, 2] > 20, "top", labels[:, 2])
    heads = white_heads(Z, labels, classification=True)
    white = (Z - heads.mean) @ heads.components.T
    assert heads.coef.shape == (3, 2, 5)
    # Where the prior that the tasks share is the identity.
    root = np.linalg.cholesky(heads._moments.second)
    for t in range(3):
        y = np.where(np.isnan(Y[:, t]), "", labels[:, t].astype(str))
        found, number = np.unique(y[y != ""], return_counts=True)
        most = found[number.argmax()] if t == 2 else "high"
        for c, label in enumerate(found[found != most]):
            rows = (y == label) | (y == most)
            model = LogisticRegression(C=1, tol=1e-12, max_iter=10_000)
            model.fit(white[rows] @ root, y[rows] == label)
            coef = root @ model.coef_[0]
            if t == 2:
                coef *= np.linalg.norm(heads.coef[t, c]) / np.linalg.norm(coef)
            assert_allclose(heads.coef[t, c], coef, atol=1e-4)
    assert_array_equal(heads.coef[:2, 1:], 0)


def test_units_do_not_matter():
    Z, Y = make_tasks()
    one, other = white_heads(Z, Y), white_heads(1e3 * Z - 7, 1e-5 * Y + 2)
    assert_allclose(
        one.coef @ one.components, 1e3 * other.coef @ other.components, 1e-5
    )
    assert_allclose(one.variance, other.variance, rtol=1e-6)


def test_projected_heads_use_some_directions():
    Z, Y = make_tasks(missing=0.0)
    heads = white_heads(Z, Y[..., 0])
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 2)))[0]
    few = heads.project(V)
    assert_allclose(few.components, V.T @ heads.components)
    # White features have no correlation: the heads do not change.
    assert_allclose(few.coef, heads.coef @ V, rtol=1e-6)
    with pytest.raises(ValueError, match="orthonormal"):
        heads.project(2 * V)
    with pytest.raises(ValueError, match="must have 5 rows, got 2"):
        heads.project(V.T[:, :2])


def test_tasks_without_labels_have_no_head():
    Z, Y = make_tasks(T=4)
    Y[:, 1] = np.nan
    Y[:, 2] = 3.0
    heads = white_heads(Z, Y[..., 0])
    assert np.isnan(heads.coef[1]).all()
    assert heads.variance[1] == np.inf
    assert_array_equal(heads.coef[2], 0)
    assert np.isfinite(heads.coef[[0, 3]]).all()
    labels = np.where(np.isnan(Y[..., 0]), np.nan, Y[..., 0] > np.nanmedian(Y))
    labels[:, 2] = 1
    heads = white_heads(Z, labels, classification=True)
    assert_array_equal(np.isnan(heads.coef).all(1), [False, True, True, False])


def test_features_that_are_combinations_of_others_are_left_out():
    Z, Y = make_tasks()
    heads = white_heads(np.column_stack([Z, Z[:, 0] - Z[:, 1], np.ones(len(Z))]), Y)
    assert heads.components.shape == (5, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Z": [[1.0], [np.nan]], "Y": [1.0, 2.0]}, "Input Z contains NaN"),
        ({"Z": [[1.0]], "Y": [1.0]}, "a minimum of 2 is required"),
        ({"Z": np.eye(3), "Y": [1.0, 2.0]}, "3 and 2"),
        ({"Z": np.eye(2), "Y": ["a", "b"]}, r"must hold real numbers, got 'a'\."),
        ({"Z": np.eye(2), "Y": [np.nan, np.nan]}, "no label at all"),
        ({"Z": np.eye(2), "Y": [1, 1], "classification": True}, "only the class 1"),
        ({"Z": np.eye(2), "Y": [1.0, 2.0], "sample_weight": [0, 0]}, "sample_weight"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        white_heads(**change)


def test_count_needs_the_errors():
    with pytest.raises(TypeError, match="must come from white_heads, got ndarray"):
        count_factors(np.eye(3))


def test_public_names_exist_and_are_sorted():
    assert sorted(sparsedis.rotation.__all__) == sparsedis.rotation.__all__
    assert sparsedis.rotation.WhiteHeads is WhiteHeads
