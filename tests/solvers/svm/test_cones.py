"""Pairs of cones: Nesterov-Todd scaling and steps from their definitions.

A pair is written out as two vectors of a second-order cone, ``x = (t, W_j)`` and ``y =
(alpha, -u_j)``, for one feature at a time.
"""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.linalg import sqrtm

from sparsedis.solvers.svm.cones import Cones

N, M_, Q = 6, 3, 5
REFLECT = np.diag([1.0] + [-1.0] * M_)


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def make_cones():
    """Cones of two tasks off the central path, the second with fewer features."""
    weight = draw(2, N, seed=0).abs() + 0.1
    alpha, l2 = torch.tensor([1.0, 2.0]).double(), torch.tensor([0.3, 1.5]).double()
    cones = Cones(weight, alpha, l2, M_)
    real = torch.ones(2, Q, dtype=torch.bool)
    real[1, -1] = False
    rows, V = draw(2, N, Q, seed=1), draw(2, M_, Q, seed=2)
    cones.join(rows, V, real, torch.tensor([0.1, 0.2]).double())
    cones.W = draw(2, M_, Q, seed=3) * real.unsqueeze(1)
    cones.u = 0.4 * draw(2, M_, Q, seed=4) * real.unsqueeze(1)
    cones.u = cones.u * (0.9 * cones.alpha / cones.u.norm(dim=1)).clamp_max(
        1
    ).unsqueeze(1)
    cones.slack_u = cones.radius - cones.u.norm(dim=1)
    cones.slack_W = draw(2, Q, seed=5).abs() + 0.05
    return cones


def pairs(cones):
    """Task, feature, x and y of every pair."""
    for task, j in cones.real.nonzero().tolist():
        W, u = cones.W[task, :, j].numpy(), cones.u[task, :, j].numpy()
        t = np.linalg.norm(W) + float(cones.slack_W[task, j])
        yield (
            task,
            j,
            np.append(t, W),
            np.append(float(cones.alpha[task]), -u),
        )


def det(x):
    return x[0] ** 2 - x[1:] @ x[1:]


def scaling(x, y):
    """The matrix of the cone's automorphisms with ``T y = x``, by its definition."""
    x_unit, y_unit = x / np.sqrt(det(x)), y / np.sqrt(det(y))
    gamma = np.sqrt((1 + x_unit @ y_unit) / 2)
    w = (x_unit + REFLECT @ y_unit) / (2 * gamma)
    T = np.sqrt(det(x) / det(y)) * (2 * np.outer(w, w) - REFLECT)
    assert_allclose(T @ y, x, rtol=1e-9)
    return T


def product(a, b):
    """The Jordan product of two vectors."""
    return np.append(a @ b, a[0] * b[1:] + b[0] * a[1:])


def arrow(a):
    out = a[0] * np.eye(len(a))
    out[0, 1:] = out[1:, 0] = a[1:]
    return out


def vectors(step, task, j):
    """Steps of x and y from those in t, W and u."""
    dt, dW, du = step
    dx = np.append(float(dt[task, j]), dW[task, :, j].numpy())
    return dx, np.append(0.0, -du[task, :, j].numpy())


def test_features_join_in_the_interior():
    weight = torch.ones(1, N).double()
    cones = Cones(weight, torch.ones(1).double(), torch.ones(1).double(), M_)
    V = draw(1, M_, Q, seed=0) * torch.logspace(-3, 3, Q).double()
    real = torch.ones(1, Q, dtype=torch.bool)
    cones.join(draw(1, N, Q, seed=1), V, real, torch.tensor([1e-3]).double())
    assert not bool(cones.W.any())
    assert float(cones.u.norm(dim=1).max()) <= 0.95 + 1e-12
    assert_allclose(cones.slack_u, 1 - cones.u.norm(dim=1))
    assert bool((cones.slack_W >= 1e-3).all())
    inside = V.norm(dim=1) < 0.95
    assert_allclose(cones.u[:, :, inside[0]], V[:, :, inside[0]])


def test_hessian_is_that_of_the_eliminated_pairs():
    cones = make_cones()
    scores = cones.evaluate(draw(2, N, M_, seed=6))
    sZ = cones.weight.unsqueeze(-1) * cones.rows
    assert_allclose(scores, sZ @ cones.W.mT, atol=1e-12)
    expected = np.zeros((2, N, M_, N, M_))
    for task, j, x, y in pairs(cones):
        T = scaling(x, y)[1:, 1:]
        M = T @ np.linalg.inv(np.eye(M_) + float(cones.l2[task]) * T)
        z = sZ[task, :, j].numpy()
        expected[task] += np.einsum("i,h,kl->ikhl", z, z, M)
    expected = expected.reshape(2, N * M_, N * M_)
    assert_allclose(cones.hessian(), expected, rtol=1e-9, atol=1e-12)


def check_linear(cones, X, dX, step):
    """``l2 dW + du = dV + V - u - l2 W``: the steps restore the link of V."""
    sZ = cones.weight.unsqueeze(-1) * cones.rows
    V = (sZ.mT @ (X + dX)).mT
    _, dW, du = step
    l2 = cones.l2.unsqueeze(-1)
    assert_allclose(l2 * (cones.W + dW) + cones.u + du, V, atol=1e-10)


def test_affine_step_solves_the_linearised_equations():
    cones = make_cones()
    X, dX = draw(2, N, M_, seed=6), draw(2, N, M_, seed=7)
    cones.evaluate(X)
    shift = cones.shift()
    step = cones.step(dX)
    check_linear(cones, X, dX, step)
    for task, j, x, y in pairs(cones):
        dx, dy = vectors(step, task, j)
        assert_allclose(dx + scaling(x, y) @ dy, -x, atol=1e-9)
    # The scores move by the shift and by what the matrix makes of the step in X.
    moved = cones.weight.unsqueeze(-1) * (cones.rows @ step[1].mT)
    matrix = cones.hessian() @ dX.flatten(1).unsqueeze(-1)
    assert_allclose(moved, shift + matrix.reshape(dX.shape), atol=1e-9)


def test_corrected_step_solves_mehrotras_equations():
    cones = make_cones()
    X, target = draw(2, N, M_, seed=6), torch.tensor([0.02, 0.3]).double()
    cones.evaluate(X)
    cones.shift()
    affine = cones.step(draw(2, N, M_, seed=7))
    dX = draw(2, N, M_, seed=8)
    cones.shift(target, affine)
    step = cones.step(dX)
    check_linear(cones, X, dX, step)
    unit = np.eye(M_ + 1)[0]
    for task, j, x, y in pairs(cones):
        root = np.real(sqrtm(scaling(x, y)))
        back = np.linalg.inv(root)
        point = root @ y
        assert_allclose(back @ x, point, atol=1e-9)
        a, b = vectors(affine, task, j)
        a, b = back @ a, root @ b
        dx, dy = vectors(step, task, j)
        change = back @ dx + root @ dy
        goal = float(target[task]) * unit - product(a, b) - product(point, point)
        assert_allclose(arrow(point) @ change, goal, atol=1e-8)


def test_steps_stay_in_the_cones_up_to_their_length():
    cones = make_cones()
    cones.evaluate(draw(2, N, M_, seed=6))
    cones.shift()
    step = cones.step(draw(2, N, M_, seed=7))
    length = 1 / cones.max_rate(step)
    found = np.full(2, np.inf)
    for share in (0.999, 1.001):
        margins = [[], []]
        for task, j, x, y in pairs(cones):
            dx, dy = vectors(step, task, j)
            for point, move in ((x, dx), (y, dy)):
                point = point + share * float(length[task]) * move
                margins[task].append(point[0] - np.linalg.norm(point[1:]))
        found = np.array([min(margin) for margin in margins])
        assert (found > 0).all() if share < 1 else (found < 0).all()


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_distances_and_products_follow_a_step(share):
    cones = make_cones()
    cones.evaluate(draw(2, N, M_, seed=6))
    cones.shift()
    step = cones.step(draw(2, N, M_, seed=7))
    length = share / cones.max_rate(step).clamp_min(1.0)
    now, count = cones.complementarity()
    assert count.tolist() == [Q, Q - 1]
    after = (1 - length) * now + length**2 * cones.curved(step)
    sums = np.zeros((2, 2))
    for task, j, x, y in pairs(cones):
        dx, dy = vectors(step, task, j)
        sums[0, task] += x @ y
        sums[1, task] += (x + float(length[task]) * dx) @ (y + float(length[task]) * dy)
    assert_allclose(torch.stack([now, after]), sums, rtol=1e-10)
    t = cones.t + length.unsqueeze(-1) * step[0]
    cones.advance(step, length)
    real = cones.real
    assert_allclose(cones.slack_W[real], (t - cones.W.norm(dim=1))[real], atol=1e-12)
    left = (cones.radius - cones.u.norm(dim=1))[real]
    assert_allclose(cones.slack_u[real], left, atol=1e-12)


def test_distances_keep_their_digits():
    # A row whose dual is within 1e-20 of the boundary: the difference would be zero.
    weight = torch.ones(1, N).double()
    cones = Cones(weight, torch.ones(1).double(), torch.ones(1).double(), M_)
    real = torch.ones(1, 1, dtype=torch.bool)
    V = torch.zeros(1, M_, 1).double()
    cones.join(draw(1, N, 1, seed=1), V, real, torch.ones(1).double())
    cones.W = torch.tensor([[[3.0], [0.0], [0.0]]]).double()
    cones.u = torch.tensor([[[1.0], [0.0], [0.0]]]).double()
    cones.slack_u = torch.tensor([[1e-20]], dtype=torch.float64)
    cones.slack_W = torch.tensor([[1e-19]], dtype=torch.float64)
    cones.evaluate(torch.zeros(1, N, M_).double())
    # t alpha - <W, u> = slack_W alpha + |W| slack_u
    assert_allclose(float(cones.complementarity()[0]), 1e-19 + 3e-20, rtol=1e-12)
    assert bool(cones.active().all())
