"""Synthetic tasks: an injective mixing, factors and targets of the stated law."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sparsedis.datasets import (
    SparseTaskModel,
    SparseTaskStream,
    make_sparse_tasks,
)

MODELS = [
    {"mixing": "linear"},
    {"mixing": "linear", "n_features": 9},
    {"mixing": "mlp"},
    {"mixing": "mlp", "n_features": 30, "n_layers": 4},
]


@pytest.mark.parametrize("kwargs", MODELS)
def test_mixing_is_injective(kwargs):
    model = SparseTaskModel(5, random_state=0, **kwargs)
    X, Z = model.sample(300, random_state=1)
    assert X.shape == (300, model.n_features)
    np.testing.assert_allclose(model.unmix(X), Z, atol=1e-10)
    np.testing.assert_array_equal(model.mix(Z), X)


@pytest.mark.parametrize("n_features", [None, 12])
def test_linear_mixing_is_linear_and_well_conditioned(n_features):
    model = SparseTaskModel(5, n_features, random_state=0)
    A = model.mix(np.eye(5))
    Z = np.random.default_rng(0).normal(size=(20, 5))
    np.testing.assert_allclose(model.mix(Z), Z @ A)
    assert np.linalg.cond(A) == pytest.approx(4)
    # Every feature mixes all the factors.
    assert np.abs(A).min() > 0


def test_mlp_mixing_is_not_linear():
    X, Z = SparseTaskModel(5, mixing="mlp", random_state=0).sample(2000, 1)
    assert LinearRegression().fit(X, Z).score(X, Z) < 0.98


def test_mlp_mixing_does_not_stretch_or_squash():
    # Orthogonal maps and slopes in [.2, 1]: each layer stretches by at most 1, and
    # squashes by at most 5; the last map lies in [1/2, 2].
    model = SparseTaskModel(6, mixing="mlp", n_layers=2, random_state=0)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500, 6))
    ratio = np.linalg.norm(model.mix(a) - model.mix(b), axis=1)
    ratio /= np.linalg.norm(a - b, axis=1)
    assert ratio.max() <= 2
    assert ratio.min() >= 0.5 / 25


@pytest.mark.parametrize("rho", [-0.2, 0.0, 0.9])
def test_factors_have_the_stated_covariance(rho):
    n = 100_000
    _, Z = SparseTaskModel(4, rho=rho).sample(n, random_state=0)
    expected = rho * np.ones((4, 4)) + (1 - rho) * np.eye(4)
    # Standard error of a covariance of Gaussians is at most sqrt(2 / n).
    np.testing.assert_allclose(Z.T @ Z / n, expected, atol=5 * np.sqrt(2 / n))
    assert np.abs(Z.mean(0)).max() < 5 / np.sqrt(n)


def test_the_mixing_stays_while_samples_change():
    model = SparseTaskModel(4, mixing="mlp", random_state=0)
    same = SparseTaskModel(4, mixing="mlp", random_state=0)
    other = SparseTaskModel(4, mixing="mlp", random_state=1)
    X, Z = model.sample(5, random_state=0)
    assert (model.sample(5, random_state=1)[0] != X).all()
    np.testing.assert_array_equal(same.mix(Z), X)
    assert (other.mix(Z) != X).all()


def test_tasks_are_those_of_the_ground_truth():
    bunch = make_sparse_tasks(
        60, 7, 5, n_features=8, mixing="mlp", rho=0.5, return_bunch=True, random_state=0
    )
    assert bunch.data.shape == (60, 8)
    assert bunch.target.shape == (60, 7)
    assert bunch.factors.shape == (60, 5)
    assert bunch.coef.shape == (7, 5)
    np.testing.assert_allclose(bunch.model.mix(bunch.factors), bunch.data)
    signal = bunch.factors @ bunch.coef.T
    np.testing.assert_allclose(
        np.linalg.norm(bunch.target - signal, axis=0),
        0.1 * np.linalg.norm(signal, axis=0),
    )
    assert (bunch.coef != 0).any(1).all()
    X, Y = make_sparse_tasks(
        60, 7, 5, n_features=8, mixing="mlp", rho=0.5, random_state=0
    )
    np.testing.assert_array_equal(X, bunch.data)
    np.testing.assert_array_equal(Y, bunch.target)


def test_support_options():
    bunch = make_sparse_tasks(
        10, 30, 6, support="blocks", block_size=3, size=1, return_bunch=True
    )
    assert ((bunch.coef != 0).sum(1) == 3).all()
    support = np.tri(6, dtype=bool)
    bunch = make_sparse_tasks(10, 6, 6, support=support, return_bunch=True)
    np.testing.assert_array_equal(bunch.coef != 0, support)


@pytest.mark.parametrize(
    ("labelled", "expected"), [(1.0, 40), (0.25, 10), (0.5, 20), (1e-6, 1)]
)
def test_labelled_share(labelled, expected):
    _, Y = make_sparse_tasks(40, 200, labelled=labelled, random_state=0)
    labels = np.isfinite(Y)
    assert (labels.sum(0) == expected).all()
    # Which samples are labelled differs by task, without preference.
    p = expected / 40
    error = 5 * np.sqrt(p * (1 - p) / 200)
    assert np.abs(labels.mean(1) - p).max() <= error


def test_labels_do_not_depend_on_what_is_missing():
    _, full = make_sparse_tasks(30, 5, random_state=0)
    _, part = make_sparse_tasks(30, 5, labelled=0.3, random_state=0)
    labels = np.isfinite(part)
    np.testing.assert_array_equal(part[labels], full[labels])


@pytest.mark.parametrize("layout", ["shared", "separate"])
def test_stream_of_fresh_tasks(layout):
    model = SparseTaskModel(4, 6, mixing="mlp", rho=0.9, random_state=0)
    stream = SparseTaskStream(
        model, n_tasks=5, n_samples=30, layout=layout, noise_ratio=0.0, random_state=0
    )
    iterator = iter(stream)
    first, second = next(iterator), next(iterator)
    assert first.rows.shape == (30 if layout == "shared" else 150, 6)
    assert (first.rows != second.rows).all()
    # The targets are sparse and linear in the factors of the fixed mixing.
    Z = model.unmix(second.rows)
    for t in range(5):
        z = Z if second.index is None else Z[second.index[t]]
        coef, *_ = np.linalg.lstsq(z, second.y[t], rcond=None)
        np.testing.assert_allclose(z @ coef, second.y[t], atol=1e-8)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_factors": 0}, "n_factors must be an integer >= 1, got 0"),
        ({"n_features": 4}, "n_features must be an integer >= 5, got 4"),
        ({"mixing": "spline"}, r"mixing must be one of \('linear', 'mlp'\)"),
        ({"n_layers": 0}, "n_layers must be an integer >= 1"),
        ({"rho": 1}, r"rho must be a number in \(-0.25, 1\), got 1"),
        ({"rho": -0.25}, r"rho must be a number in \(-0.25, 1\), got -0.25"),
    ],
)
def test_arguments_of_the_model_are_checked(kwargs, match):
    with pytest.raises(ValueError, match=match):
        SparseTaskModel(**{"n_factors": 5, **kwargs})
    with pytest.raises(ValueError, match=match):
        make_sparse_tasks(**{"n_factors": 5, **kwargs})


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_samples": 0}, "n_samples must be an integer >= 1, got 0"),
        ({"n_tasks": 2.0}, "n_tasks must be an integer >= 1, got 2.0"),
        ({"labelled": 0}, r"labelled must be a number in \(0, 1\], got 0"),
        ({"labelled": 1.5}, r"labelled must be a number in \(0, 1\], got 1.5"),
        ({"support": "some"}, "support must be one of"),
        ({"noise_ratio": -1}, "noise_ratio must be a number"),
    ],
)
def test_arguments_of_the_tasks_are_checked(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_sparse_tasks(**kwargs)


def test_arrays_are_checked():
    model = SparseTaskModel(3, 5)
    with pytest.raises(ValueError, match=r"Z must have shape \(n_samples, 3\)"):
        model.mix(np.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"X must have shape \(n_samples, 5\)"):
        model.unmix(np.zeros(5))
