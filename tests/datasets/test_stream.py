"""The stream of fresh tasks."""

from itertools import islice

import numpy as np
import pytest

from sparsedis.datasets import FactorDistribution, Shapes3D, SparseTaskStream
from sparsedis.tasks import TaskBatch


class TinyGrid:
    """Three by two "images" that show their own index."""

    factor_values = (np.arange(3.0), np.arange(2.0))
    n_images = 6

    def __init__(self):
        self.rendered = []

    def images(self, index):
        self.rendered.append(np.array(index))
        return np.asarray(index)[:, None].astype(float)


class TinyModel:
    n_factors = 2

    def sample(self, n_samples, random_state=None):
        z = np.random.default_rng(random_state).normal(size=(n_samples, 2))
        return 10 * z, z


def assert_same(a, b):
    np.testing.assert_array_equal(a.rows, b.rows)
    np.testing.assert_array_equal(a.y, b.y)
    if a.index is None:
        assert b.index is None
    else:
        np.testing.assert_array_equal(a.index, b.index)


def test_defaults_are_the_fast_recipe():
    stream = SparseTaskStream(Shapes3D(8), random_state=0)
    batch = next(iter(stream))
    assert isinstance(batch, TaskBatch)
    assert batch.y.shape == (100, 100)
    assert batch.rows.shape == (100, 8, 8, 3)
    assert batch.rows.dtype == np.uint8
    assert batch.index is None


@pytest.mark.parametrize("layout", ["shared", "separate"])
def test_each_iteration_starts_again(layout):
    shapes = Shapes3D(8)
    stream = SparseTaskStream(
        shapes, n_tasks=3, n_samples=20, layout=layout, random_state=7
    )
    first, again = list(islice(stream, 4)), list(islice(stream, 4))
    for a, b in zip(first, again, strict=True):
        assert_same(a, b)
    assert (first[0].y != first[1].y).any()
    # Two iterators side by side do not disturb each other.
    one, two = iter(stream), iter(stream)
    for expected in first:
        assert_same(next(one), expected)
        assert_same(next(two), expected)


def test_without_a_seed_each_iteration_is_new():
    stream = SparseTaskStream(Shapes3D(8), n_tasks=2, n_samples=5)
    assert (next(iter(stream)).y != next(iter(stream)).y).any()


@pytest.mark.parametrize("layout", ["shared", "separate"])
def test_targets_are_linear_in_the_latents(layout):
    shapes = Shapes3D(8)
    distribution = FactorDistribution(shapes, rho=0.5, noise=1.0, random_state=0)
    stream = SparseTaskStream(
        shapes,
        distribution,
        n_tasks=4,
        n_samples=30,
        layout=layout,
        support="fixed",
        size=2,
    )
    batch, latents, coef = stream.draw(0, return_truth=True)
    assert coef.shape == (4, 6)
    assert ((coef != 0).sum(1) == 2).all()
    assert len(latents) == len(batch.rows)
    for t in range(4):
        rows = slice(None) if batch.index is None else batch.index[t]
        signal = latents[rows] @ coef[t]
        noise = np.linalg.norm(batch.y[t] - signal)
        assert noise == pytest.approx(0.1 * np.linalg.norm(signal))


@pytest.mark.parametrize(("layout", "n_draws"), [("shared", 40), ("separate", 120)])
def test_repeated_grid_points_are_rendered_once(layout, n_draws):
    grid = TinyGrid()
    distribution = FactorDistribution(grid, noise=0.5, random_state=0)
    stream = SparseTaskStream(
        grid, distribution, n_tasks=3, n_samples=40, layout=layout, noise_ratio=0.0
    )
    batch, latents, coef = stream.draw(0, return_truth=True)
    (rendered,) = grid.rendered
    assert len(rendered) == len(np.unique(rendered)) == len(batch.rows) == 6
    assert batch.y.shape == (3, 40)
    # Tasks that share their samples share the index, too.
    assert batch.index.shape == ((40,) if layout == "shared" else (3, 40))
    # Rows, latents and targets belong together.
    shown = batch.rows[:, 0].astype(int)
    np.testing.assert_array_equal(latents, distribution.latents(shown))
    index = np.broadcast_to(batch.index, batch.y.shape)
    np.testing.assert_allclose(batch.y, np.einsum("tnk,tk->tn", latents[index], coef))


def test_inputs_follow_the_distribution():
    grid = TinyGrid()
    distribution = FactorDistribution(grid, rho=0.6)
    stream = SparseTaskStream(
        grid, distribution, n_tasks=50, n_samples=400, layout="separate"
    )
    batch = stream.draw(0)
    drawn = np.bincount(batch.rows[batch.index].ravel().astype(int)) / batch.y.size
    p = distribution.probability(np.arange(6))
    assert (np.abs(drawn - p) < 5 * np.sqrt(p * (1 - p) / batch.y.size)).all()


def test_rows_from_a_model():
    stream = SparseTaskStream(
        TinyModel(), n_tasks=3, n_samples=10, layout="separate", noise_ratio=0.0
    )
    batch, latents, coef = stream.draw(0, return_truth=True)
    assert batch.rows.shape == (30, 2)
    np.testing.assert_array_equal(batch.index, np.arange(30).reshape(3, 10))
    np.testing.assert_allclose(
        batch.y, np.einsum("tnk,tk->tn", latents[batch.index], coef)
    )
    assert SparseTaskStream(TinyModel(), n_tasks=3, n_samples=10).draw(0).index is None


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_tasks": 0}, "n_tasks must be an integer >= 1, got 0"),
        ({"n_samples": 1.5}, "n_samples must be an integer >= 1, got 1.5"),
        ({"layout": "wide"}, r"layout must be one of \('shared', 'separate'\)"),
        ({"support": "fixed"}, "size must be given"),
        ({"distribution": "uniform"}, "distribution must be one of"),
        ({"noise_ratio": -1}, "noise_ratio must be a number"),
        (
            {"factor_distribution": FactorDistribution((2, 2))},
            "factor_distribution is over 4 images, data has 6",
        ),
        ({"data": np.ones((4, 2))}, "data must have `images"),
        ({"data": FactorDistribution((2, 2))}, "passed as factor_distribution"),
        (
            {"data": TinyModel(), "factor_distribution": FactorDistribution((2, 2))},
            "factor_distribution must be None",
        ),
    ],
)
def test_arguments_are_checked_early(kwargs, match):
    with pytest.raises(ValueError, match=match):
        SparseTaskStream(**{"data": TinyGrid(), **kwargs})
