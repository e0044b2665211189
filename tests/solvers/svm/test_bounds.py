"""Tasks with independent samples, without an interior-point method."""

import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm import bounds
from sparsedis.solvers.svm.dual import solve_svm_dual


def tasks(p, l2, weights="ones"):
    """Four tasks of 12 samples, with alpha = 0."""
    generator = torch.Generator().manual_seed(p)
    Z = torch.randn(4, 12, p, dtype=torch.float64, generator=generator) + 0.5
    y = torch.arange(12).remainder(4).expand(4, -1).clone()
    weight = torch.ones(4, 12, dtype=torch.float64)
    if weights != "ones":
        weight = 0.1 + torch.rand(4, 12, dtype=torch.float64, generator=generator)
    if weights == "some":
        weight[1, 3:5] = weight[2, 0] = 0
    return Z, y, weight, torch.zeros(4).double(), torch.full((4,), l2).double()


@pytest.mark.parametrize("weights", ["ones", "positive", "some"])
@pytest.mark.parametrize("l2", [1e-4, 1.0, 30.0, 300.0])
@pytest.mark.parametrize("p", [14, 60])
def test_the_interior_point_method_agrees(p, l2, weights, monkeypatch):
    problem = tasks(p, l2, weights)
    found = solve_svm_dual(*problem, 4)
    assert not found.info.n_iter.any()
    assert_allclose(found.info.gap, 0, atol=1e-13)
    monkeypatch.setattr(bounds, "_SHARE", -1)
    expected = solve_svm_dual(*problem, 4)
    assert expected.info.n_iter.all()
    scale = float(expected.W.abs().max())
    assert_allclose(found.W, expected.W, atol=1e-9 * scale)
    assert_allclose(found.beta, expected.beta, atol=1e-8)
    assert torch.equal(found.active, expected.active)


def test_many_entries_are_zero():
    # Not only problems whose samples lie on most margins.
    found = solve_svm_dual(*tasks(14, 30.0), 4)
    share = 1 - found.active.double().mean((1, 2))
    assert share.min() > 0.3
    assert share.max() < bounds._SHARE


@pytest.mark.parametrize("rounds", [1, 2])
def test_tasks_that_are_not_solved_go_on(rounds, monkeypatch):
    problem = tasks(14, 1.0)
    expected = solve_svm_dual(*problem, 4)
    monkeypatch.setattr(bounds, "_ROUNDS", rounds)
    found = solve_svm_dual(*problem, 4)
    assert found.info.n_iter.any()
    assert_allclose(found.W, expected.W, atol=1e-10)


def test_samples_that_are_copies_need_interior_points():
    Z, *rest = tasks(60, 1.0)
    Z[0, 3] = Z[0, 7]
    found = solve_svm_dual(Z, *rest, 4)
    assert found.info.n_iter[0] > 0
    assert not found.info.n_iter[1:].any()
    assert_allclose(found.info.gap, 0, atol=1e-12)
