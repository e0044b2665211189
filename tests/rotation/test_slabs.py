"""Coefficients of similar sizes determine directions that sparsity does not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad

from sparsedis.rotation import rotation_stability, sparsest_rotation
from sparsedis.rotation._directions import Heads
from sparsedis.rotation._refine import refine
from sparsedis.rotation._slabs import SlabDensity, SlabPool, Template, fit_to_sizes

SIGNS = [-1.0, 1.0]


def draw(kind, n_tasks, k, p, error, seed=0):
    """Heads in unknown coordinates, with the map from those of the factors."""
    rng = np.random.default_rng(seed)
    if kind == "signs":
        coef = rng.choice(SIGNS, (n_tasks, k))
    elif kind == "positive":
        coef = rng.uniform(0.5, 1.5, (n_tasks, k))
    else:
        coef = rng.standard_normal((n_tasks, k))
    if p > 1:
        used = rng.random((n_tasks, k)).argsort(1) < p
    else:
        used = rng.random((n_tasks, k)) < p
        used[~used.any(1), 0] = True
    heads = coef * used
    heads /= np.linalg.norm(heads, axis=1)[:, None]
    heads += error * rng.standard_normal(heads.shape)
    basis = np.linalg.qr(rng.standard_normal((k, k)))[0]
    return heads @ basis, np.full(n_tasks, error**2), basis


def cosines(found, basis):
    """Cosine of the most similar factor, for each direction of the rotation."""
    back = np.abs(basis @ found.rotation)
    assert len(set(back.argmax(0))) == len(basis)
    return back.max(0) / np.linalg.norm(back, axis=0)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("kind", "n_tasks", "k", "p", "error"),
    [
        ("signs", 200, 8, 0.5, 0.1),
        ("signs", 300, 12, 0.5, 0.06),
        ("positive", 40, 4, 3, 0.03),
    ],
)
def test_similar_sizes_are_found(kind, n_tasks, k, p, error, seed):
    heads, variance, basis = draw(kind, n_tasks, k, p, error, seed)
    found = sparsest_rotation(heads, variance, random_state=0)
    assert "sizes" in found.criteria
    assert (cosines(found, basis) > 0.98).all()
    assert found.criterion == pytest.approx(min(found.criteria.values()), abs=1e-3)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("n_tasks", "k", "p"), [(200, 20, 0.5), (30, 6, 3)], ids=["many", "few"]
)
def test_positive_sizes_of_many_factors_or_few_tasks(n_tasks, k, p, seed):
    heads, variance, basis = draw("positive", n_tasks, k, p, 0.05, seed)
    found = sparsest_rotation(heads, variance, random_state=0)
    assert "sizes" in found.criteria
    assert (cosines(found, basis) > 0.95).all()


def test_similar_sizes_are_found_in_halves_of_the_tasks():
    heads, variance, _ = draw("signs", 300, 12, 0.5, 0.06)
    found = sparsest_rotation(heads, variance, random_state=0)
    stability = rotation_stability(found, heads, variance, random_state=0)
    assert (stability > 0.95).all()


@pytest.mark.parametrize("seed", range(3))
def test_gaussian_coefficients_need_no_sizes(seed):
    heads, variance, basis = draw("gaussian", 100, 6, 0.5, 0.03, seed)
    found = sparsest_rotation(heads, variance, random_state=0)
    assert "sizes" not in found.criteria
    assert (cosines(found, basis) > 0.97).all()


def test_several_outputs_have_no_common_signs():
    heads, variance, _ = draw("signs", 120, 6, 0.5, 0.03)
    twice = np.stack([heads[:60], heads[60:]], 1)
    assert "sizes" not in sparsest_rotation(twice, variance[:60]).criteria


@pytest.fixture
def density():
    density = SlabDensity(2)
    rng = np.random.default_rng(0)
    density.weights = rng.dirichlet(np.ones(len(density.weights)))
    density.side = np.array([0.9, 0.4])
    return density


def log_density(density, x, error=0.01):
    along = np.reshape(np.broadcast_to(x, (2,)), (1, 1, 2))
    return density.bound(along, np.full((1, 2), error), np.ones(1))


@pytest.mark.parametrize("direction", [0, 1])
def test_density_integrates_to_one(density, direction):
    total, _ = quad(
        lambda x: np.exp(log_density(density, x)[0][0, direction]), -25, 25, limit=900
    )
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("x", [-2.0, -0.3, 0.0, 0.1, 1.1])
def test_bound_has_the_slope_of_the_density_and_is_above(density, x):
    log, share, weight, linear = log_density(density, x)
    step = 1e-6
    slope = (log_density(density, x + step)[0] - log_density(density, x - step)[0]) / (
        2 * step
    )
    assert_allclose(weight * x - linear, -slope, rtol=1e-5, atol=1e-6)
    assert_allclose(share.sum(-1), 1)
    for other in (-3.0, -1.0, 0.05, 0.8, 2.5):
        bound = weight / 2 * (other**2 - x**2) - linear * (other - x)
        assert (-log_density(density, other)[0] <= -log + bound + 1e-12).all()


def test_update_fits_weights_and_signs():
    heads, _, basis = draw("positive", 400, 4, 0.5, 0.01)
    along = heads @ basis.T
    along /= np.sqrt((along**2).mean(0))
    density = SlabDensity(4)
    for _ in range(50):
        errors = np.full(along.shape, 1e-3)
        density.update(density.bound(along[:, None], errors, np.ones(400))[1])
    assert density.weights.sum() == pytest.approx(1)
    assert (density.side > 0.95).all()
    assert density.weights[:3].sum() == pytest.approx(0.5, abs=0.1)


def test_refinement_increases_the_likelihood():
    heads, variance, basis = draw("signs", 200, 5, 0.5, 0.03)
    white = Heads(heads[:, None], variance, np.ones(200))
    start = basis + 0.1 * np.random.default_rng(0).standard_normal((5, 5))
    values = [
        refine(white, start, density=SlabDensity(5), n_iter=n)[1] for n in (1, 2, 4, 30)
    ]
    assert (np.diff(values) < 0).all()


def test_template_is_that_of_the_coefficients():
    rng = np.random.default_rng(0)
    used = rng.random((2000, 2)) < [0.3, 0.75]
    x = used * rng.normal(1, 0.2, used.shape) * [1, 1]
    x[:, 1] *= rng.choice(SIGNS, 2000)
    x /= np.sqrt((x**2).mean(0))
    template, values = Template.best(x, np.zeros(x.shape))
    assert_allclose(template.share, [0.3, 0.75])
    assert template.negative[0] < 0.01
    assert template.negative[1] == 0.5
    assert_allclose(-template.fit(x, np.zeros(x.shape), 0.0)[0].mean(0), values)


@pytest.mark.parametrize("negative", [0.001, 0.5])
@pytest.mark.parametrize("at", [-1.5, -0.1, 0.3, 1.2])
def test_template_has_bounds(negative, at):
    template = Template(np.array([0.4]), np.array([negative]))

    def fit(x):
        return [v.item() for v in template.fit(np.array([[x]]), np.array([[0.1]]), 0.2)]

    log, weight, linear = fit(at)
    slope = (fit(at + 1e-6)[0] - fit(at - 1e-6)[0]) / 2e-6
    assert_allclose(weight * at - linear, -slope, rtol=1e-5, atol=1e-6)
    for x in (-2.5, -0.8, 0.0, 0.6, 3.0):
        bound = weight / 2 * (x**2 - at**2) - linear * (x - at)
        assert -fit(x)[0] <= -log + bound + 1e-12


def test_directions_near_those_of_signs_move_to_them():
    heads, variance, basis = draw("signs", 200, 6, 0.5, 0.02)
    white = Heads(heads[:, None] * np.sqrt(6), variance * 6, np.ones(200))
    near = basis + 0.15 * np.random.default_rng(0).standard_normal((6, 6))
    found = fit_to_sizes(white, near)
    assert (np.abs(found @ basis.T).max(1) > 0.999).all()
    pool = SlabPool(white, found)
    assert (np.abs(pool.A[pool.basis()[0]] @ basis.T).max(0) > 0.999).all()


def test_heads_need_not_span_all_coordinates():
    rows = np.zeros((40, 1, 4))
    rows[:, 0, :2] = np.random.default_rng(0).choice(SIGNS, (40, 2))
    white = Heads(rows, np.zeros(40), np.ones(40))
    pool = SlabPool(white, np.eye(4))
    pool.add(pool.search((), np.random.default_rng(0)))
    assert np.isfinite(pool.scores).all()
    assert len(set(pool.basis()[0])) == 4
