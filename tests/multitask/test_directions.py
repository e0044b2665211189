"""Directions of features from where the boundaries of the tasks meet."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics.pairwise import cosine_similarity

from sparsedis.heads import LinearHead
from sparsedis.heads._problem import InnerProblem
from sparsedis.inputs._batch import TaskBatch
from sparsedis.multitask._directions import Directions, directions_from_centre
from sparsedis.solvers.losses import log_loss
from sparsedis.solvers.penalties import L2

PROBLEM = InnerProblem(LinearHead(log_loss, L2()), "inner", "relative", True, "auto")


@pytest.fixture
def problem():
    """Features, and heads whose boundaries meet in a centre."""
    rng = np.random.default_rng(0)
    Z, coef = rng.standard_normal((50, 3)), rng.standard_normal((20, 1, 3))
    centre = rng.random(3)
    return Z, coef, -coef @ centre, centre


def test_inner_products_are_cosines_of_distances_from_the_boundaries(problem):
    Z, coef, intercept, centre = problem
    directions, spread = directions_from_centre(Z, coef, intercept)
    normals = coef[:, 0] / np.linalg.norm(coef[:, 0], axis=1, keepdims=True)
    due = cosine_similarity((Z - centre) @ normals.T)
    assert_allclose(directions @ directions.T, due, atol=1e-10)
    assert spread < 1e-10


def test_distances_from_the_centre_and_lengths_of_heads_do_not_matter(problem):
    Z, coef, intercept, centre = problem
    rng = np.random.default_rng(1)
    due, _ = directions_from_centre(Z, coef, intercept)
    moved = centre + rng.uniform(0.1, 10, (50, 1)) * (Z - centre)
    longer = rng.uniform(0.1, 10, (20, 1))
    found, _ = directions_from_centre(
        moved, longer[..., None] * coef, longer * intercept
    )
    assert_allclose(found, due, atol=1e-10)


def test_spread_is_a_share_of_the_distances(problem):
    Z, coef, intercept, _ = problem
    rng = np.random.default_rng(2)
    away = intercept + np.linalg.norm(coef, axis=2) * rng.choice([-1, 1], (20, 1))
    _, spread = directions_from_centre(Z, coef, away)
    _, scaled = directions_from_centre(3 * Z, coef, 3 * away)
    assert 0.5 < spread < 3
    assert_allclose(scaled, spread)


def test_heads_that_do_not_exist_are_left_out(problem):
    Z, coef, intercept, _ = problem
    due = directions_from_centre(Z, coef, intercept)
    none = np.full((1, 1, 3), np.nan), np.zeros((1, 1, 3)), np.ones((1, 1, 3))
    found = directions_from_centre(
        Z,
        np.concatenate([coef, *none]),
        np.concatenate([intercept, [[np.nan]], [[1.0]], [[-np.inf]]]),
    )
    assert_allclose(found[0], due[0], atol=1e-12)
    assert_allclose(found[1], due[1], atol=1e-12)


@pytest.mark.parametrize("why", ["none", "few", "far", "single"])
def test_boundaries_may_not_tell_directions(problem, why):
    Z, coef, intercept, _ = problem
    if why == "none":
        coef = np.full_like(coef, np.nan)
    elif why == "few":
        coef, intercept = coef[:6], intercept[:6]
    elif why == "far":
        intercept = intercept - coef @ np.full(3, 2.0)
    else:
        Z, coef = Z[:, :1], coef[..., :1]
    assert directions_from_centre(Z, coef, intercept)[1] == np.inf


def test_the_loss_is_that_of_angles_alone(problem):
    Z = torch.tensor(problem[0], requires_grad=True)
    due = np.random.default_rng(3).standard_normal((50, 3))
    batch = TaskBatch(np.zeros((50, 1)), due[None], task=np.zeros(1, dtype=int))
    step = Directions(PROBLEM, 0.1)(Z, batch, 1.0, 0)
    cosines = np.diag(cosine_similarity(problem[0], due))
    assert_allclose(step.loss.item(), 1 - cosines.mean())
    step.loss.backward()
    assert_allclose((Z.grad * Z.detach()).sum(1), 0, atol=1e-12)
