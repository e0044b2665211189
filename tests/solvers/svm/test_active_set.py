"""Newton's method on the active set: from a rough solution to rounding errors."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm import active_set
from sparsedis.solvers.svm.active_set import EXACT, polish
from sparsedis.solvers.svm.dual import solve_svm_dual
from sparsedis.solvers.svm.group_penalty import GroupIterate
from sparsedis.solvers.svm.null import alpha_bound

N, P, C = 18, 6, 3


class Start:
    """A penalty whose iterate is given."""

    def __init__(self, *parts):
        self.iterate = GroupIterate(*parts)

    def restrict(self, at):
        return self.iterate.take(at)


def make_problem(fit_intercept, size):
    """A solution, and a start whose errors are about ``size``, relative to it."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(2, N, P, dtype=torch.float64, generator=generator)
    y = torch.arange(N).expand(2, N) % C
    means = torch.randn(2, C, P, dtype=torch.float64, generator=generator)
    Z = Z + means.gather(1, y.unsqueeze(-1).expand(-1, -1, P))
    weight = torch.linspace(0.5, 2, 2 * N).double().reshape(2, N)
    alpha = 0.2 * alpha_bound(Z, y, weight, C, fit_intercept=fit_intercept)
    l2 = torch.ones(2).double()
    exact = solve_svm_dual(Z, y, weight, alpha, l2, C, fit_intercept=fit_intercept)
    simplices = exact.simplices
    noise = torch.rand(exact.beta.shape, dtype=torch.float64, generator=generator)
    beta = exact.beta + size * noise
    beta = beta / beta.sum(-1, keepdim=True)
    scores = weight.unsqueeze(-1) * (Z @ exact.W + exact.intercept.unsqueeze(1))
    z = simplices.shortfall(scores) + size * weight.unsqueeze(-1)
    W = (exact.W @ simplices.basis).mT
    noise = torch.randn(W.shape, dtype=torch.float64, generator=generator)
    W = W * (1 + size * noise)
    intercept = None
    if fit_intercept:
        intercept = (exact.intercept.unsqueeze(1) @ simplices.basis).squeeze(1) + size
    index = torch.arange(P).expand(2, P)
    start = Start(weight.unsqueeze(-1) * Z, W, alpha[:, None], l2[:, None], index)
    return exact, start, simplices, beta, z, intercept


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("size", [1e-6, 1e-3])
def test_rough_solutions_become_exact(size, fit_intercept):
    exact, start, *rest = make_problem(fit_intercept, size)
    pair = polish(start, *rest, torch.arange(2))
    assert float(pair.gap.max()) <= EXACT
    assert_allclose(pair.beta, exact.beta, atol=1e-9)
    W = (exact.simplices.basis @ pair.iterate.W).mT
    assert_allclose(W, exact.W, atol=1e-10)
    assert bool((pair.face == exact.active).all())


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_exact_tasks_take_no_more_steps(monkeypatch, fit_intercept):
    exact, start, simplices, *rest = make_problem(fit_intercept, 1e-3)
    # The first task starts at its solution.
    first, *_ = make_problem(fit_intercept, 1e-12)[1:]
    start.iterate.W[0] = first.iterate.W[0]
    rest[0][0] = exact.beta[0]
    sizes, step = [], active_set._newton_step

    def count(simplices, *args):
        sizes.append(len(simplices.weight))
        return step(simplices, *args)

    monkeypatch.setattr(active_set, "_newton_step", count)
    pair = polish(start, simplices, *rest, torch.arange(2))
    assert sizes[:2] == [2, 2]
    assert sizes[-1] == 1
    assert_allclose(pair.beta, exact.beta, atol=1e-9)
    W = (simplices.basis @ pair.iterate.W).mT
    assert_allclose(W, exact.W, atol=1e-10)


def test_a_missing_row_joins():
    exact, start, *rest = make_problem(False, 1e-6)
    active = exact.info.support[0].nonzero().flatten()
    assert 1 < len(active) < P
    start.iterate.W[0, :, active[0]] = 0
    pair = polish(start, *rest, torch.arange(2))
    assert float(pair.gap.max()) <= EXACT
    assert bool(pair.iterate.W[0, :, active[0]].any())


def test_a_missing_entry_of_beta_joins():
    exact, start, simplices, beta, z, _ = make_problem(False, 1e-6)
    # The smallest positive entry of a class other than the label.
    others = torch.where(exact.active & (simplices.one_hot == 0), beta, torch.inf)
    at = np.unravel_index(int(others.argmin()), others.shape)
    beta[at], z[at] = 1e-9, 1.0
    pair = polish(start, simplices, beta, z, None, torch.arange(2))
    assert float(pair.gap.max()) <= EXACT
    assert bool(pair.face[at])
    assert_allclose(pair.beta, exact.beta, atol=1e-9)


def test_a_wrong_entry_of_beta_leaves():
    # What the samples share is a thousand times larger than what tells them apart, so
    # that the first step goes far beyond the simplices.
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(12, dtype=torch.float64, generator=generator).exp()
    noise = torch.randn(1, 10, 12, dtype=torch.float64, generator=generator)
    Z, y = 300 * base * (1 + 1e-3 * noise), torch.arange(10)[None] % 5
    weight, l2 = torch.ones(1, 10).double(), torch.full((1,), 100.0).double()
    alpha = 0.1 * alpha_bound(Z, y, weight, 5)
    exact = solve_svm_dual(Z, y, weight, alpha, l2, 5)
    simplices, index = exact.simplices, torch.arange(12)[None]
    W = (exact.W @ simplices.basis).mT
    shortfall = simplices.shortfall(Z @ exact.W)
    for at in (~exact.active).nonzero().tolist():
        beta, z = exact.beta.clone(), shortfall + 1e-9
        beta[tuple(at)], z[tuple(at)] = 1e-3, 0.0
        beta = beta / beta.sum(-1, keepdim=True)
        start = Start(Z, W, alpha[:, None], l2[:, None], index)
        pair = polish(start, simplices, beta, z, None, torch.arange(1))
        assert float(pair.gap) <= EXACT
        assert not bool(pair.face[tuple(at)])


def test_the_result_is_never_worse_than_the_start():
    # From far away Newton's method may diverge.
    for size in (0.3, 1.0, 3.0):
        _, start, simplices, beta, z, _ = make_problem(False, size)
        pair = polish(start, simplices, beta, z, None, torch.arange(2))
        X = simplices.coordinates(beta)
        (scores, gap, _), _ = start.iterate.measure(X)
        shortfall = simplices.shortfall(simplices.expand(scores))
        gap = (gap + (beta * shortfall).sum((1, 2))) / simplices.total
        assert bool((pair.gap <= gap).all())


def test_tasks_are_chosen_by_index():
    exact, start, simplices, beta, z, _ = make_problem(False, 1e-6)
    at = torch.tensor([1])
    pair = polish(start, simplices.take(at), beta, z, None, at)
    assert pair.beta.shape == (1, N, C)
    assert_allclose(pair.beta[0], exact.beta[1], atol=1e-9)
