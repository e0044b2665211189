"""Working sets of features: who joins, and what those outside cost."""

import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.active_set import polish
from sparsedis.solvers.svm.group_penalty import fenchel_gap
from sparsedis.solvers.svm.simplices import Simplices
from sparsedis.solvers.svm.working_set import WorkingSet

P, N, M_ = 400, 6, 2


def make(share, dtype=torch.float64):
    """A penalty of two tasks that has begun, its features and its start."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(3, N, P, dtype=torch.float64, generator=generator)
    X = torch.randn(2, N, M_, dtype=torch.float64, generator=generator)
    tasks, weight = torch.tensor([0, 2]), torch.linspace(0.5, 2, 12).double()
    weight = weight.reshape(2, N)
    V = (Z[tasks].mT @ (weight.unsqueeze(-1) * X)).mT
    alpha = share * V.norm(dim=1).amax(-1)
    l2 = torch.full_like(alpha, 0.5)
    penalty = WorkingSet(Z.to(dtype), tasks, weight, alpha, l2, M_)
    # A flat dual objective: only features close to the start are likely.
    start, pairs = penalty.begin(X, V.to(dtype), torch.zeros(2).double())
    return penalty, Z[tasks], X, start, pairs


def all_V(penalty, Z, X):
    return (Z.mT @ (penalty.weight.unsqueeze(-1) * X)).mT


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_start_has_no_violated_feature(dtype):
    penalty, Z, X, start, pairs = make(0.5, dtype)
    reach = all_V(penalty, Z, start).norm(dim=1)
    assert_allclose(reach.amax(-1), 0.9 * penalty.alpha[:, 0], rtol=1e-5)
    # A multiple of the direction that was asked for.
    ratio = start / X
    assert_allclose(ratio, ratio[:, :1, :1].expand_as(ratio), rtol=1e-6)
    # The features with the largest ||V_j|| are in, in the dtype of the weights.
    assert penalty.S.dtype == torch.float64
    held = reach.gather(1, penalty.index).amin(-1)
    outside = reach.masked_fill(penalty.member, 0).amax(-1)
    assert bool((outside <= held + 1e-6).all())
    rows = Z[torch.arange(2)[:, None], :, penalty.index].mT
    assert_allclose(penalty.S, penalty.weight.unsqueeze(-1) * rows, rtol=1e-6)
    assert pairs.shape == (2, *penalty.index.shape)
    assert float(pairs.min()) > 0


def test_a_small_alpha_starts_with_violated_features():
    _, _, X, start, _ = make(1e-4)
    assert_allclose(start, 0.01 * X, rtol=1e-12)


def test_violated_features_join_or_count_in_the_gap():
    penalty, Z, X, start, pairs = make(0.3)
    assert penalty.grow(start, penalty.weight.mean(-1)) is None
    size = penalty.index.shape[1]
    V, alpha, l2 = all_V(penalty, Z, X), penalty.alpha, penalty.l2
    violated = V.norm(dim=1) > alpha
    before = (violated & ~penalty.member).sum(-1)
    assert bool((before > 0).all())
    pairs = torch.cat([pairs, penalty.grow(X, penalty.weight.mean(-1))], -1)
    added = penalty.index.shape[1] - size
    assert 0 < added < int(before.max())
    # The gap of all features, with W = 0 for those outside.
    penalty.evaluate(X, *pairs)
    W, real = torch.zeros_like(V), penalty.index >= 0
    task = torch.arange(2)[:, None].expand_as(penalty.index)[real]
    W[task, :, penalty.index[real]] = penalty.W.mT[real]
    expected = fenchel_gap(V, W, alpha, l2).sum(-1)
    assert_allclose(penalty.gap(), expected, rtol=1e-10)
    conjugate = ((V.norm(dim=1) - alpha).clamp_min(0) ** 2 / (2 * l2)).sum(-1)
    assert_allclose(penalty.conjugate(), conjugate, rtol=1e-10)
    # With room for all that are violated, none of them stays outside.
    for _ in range(10):
        penalty.grow(X, penalty.weight.mean(-1))
    assert not bool((violated & ~penalty.member).any())
    assert not bool(penalty.outside.any())


def test_features_near_alpha_join_together():
    penalty, Z, X, start, _ = make(0.3)
    mu = penalty.weight.mean(-1)
    penalty.grow(start, mu)
    reach = all_V(penalty, Z, X).norm(dim=1).masked_fill(penalty.member, 0)
    # Multiples of X at which one ||V_j|| is 0.94 and 0.96 alpha.
    length = penalty.alpha / reach.amax(-1, keepdim=True)
    assert penalty.grow(0.94 * length.unsqueeze(-1) * X, mu) is None
    before = penalty.member.clone()
    penalty.grow(0.96 * length.unsqueeze(-1) * X, mu)
    ratio = 0.96 * length * reach / penalty.alpha
    joined = penalty.member & ~before
    assert bool((ratio[joined] > 0.9).all())
    assert bool((joined & (ratio < 0.95)).any(-1).all())


def test_a_polished_pair_counts_the_features_outside():
    penalty, Z, _, start, pairs = make(0.5)
    y = torch.arange(N).expand(2, N) % 3
    simplices = Simplices.build(y, penalty.weight, 3, fit_intercept=False)
    penalty.evaluate(start, *pairs)
    # A beta that is far from optimal, so that features outside exceed alpha.
    beta = torch.full((2, N, 3), 1 / 3).double()
    index = torch.arange(2)
    pair = polish(penalty, simplices, beta, torch.ones_like(beta), None, index)
    V = all_V(penalty, Z, simplices.coordinates(pair.beta))
    excess = (V.norm(dim=1) - penalty.alpha).clamp_min(0) ** 2 / (2 * penalty.l2)
    expected = excess.scatter(1, pair.iterate.index, 0.0).sum(-1)
    assert float(expected.max()) > 0
    found = penalty.excess(index, pair, simplices)
    assert_allclose(found, expected, rtol=1e-10, atol=1e-15)
