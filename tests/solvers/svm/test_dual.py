"""The dual solver: certificates, limits, and the published algorithm."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.dual import solve_svm_dual
from sparsedis.solvers.svm.null import alpha_bound

SIZES = ((7, 30, 3), (25, 6, 3), (12, 12, 5), (10, 250, 2), (30, 2, 4))
KINDS = ("plain", "scales", "copied columns", "low rank", "copied rows", "zeros")


def primal(Z, y, weight, W, intercept, alpha, l2):
    """Objectives of a batch, (n_tasks,), in numpy and float64."""
    scores = Z @ W + intercept[:, None]
    raised = scores + 1 - np.eye(W.shape[-1])[y]
    hinge = raised.max(-1) - np.take_along_axis(scores, y[..., None], -1)[..., 0]
    norms = np.linalg.norm(W, axis=-1)
    penalty = alpha * norms.sum(-1) + 0.5 * l2 * (norms**2).sum(-1)
    return (weight * hinge).sum(-1) + penalty


def dual(Z, y, weight, beta, alpha, l2):
    labels = np.eye(beta.shape[-1])[y]
    V = np.swapaxes(Z, 1, 2) @ (weight[..., None] * (labels - beta))
    excess = np.maximum(np.linalg.norm(V, axis=-1) - alpha[:, None], 0)
    linear = (weight[..., None] * beta * (1 - labels)).sum((1, 2))
    return linear - (excess**2).sum(-1) / (2 * l2)


class Batch:
    """Ten tasks with one kind of trouble.

    They have l2 in 1e-4..1e2, and alpha from 0 to beyond its bound. Some lack a class,
    and some have weights over two decades, or samples without any.
    """

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        n, p, self.n_classes = SIZES[seed % len(SIZES)]
        kind = KINDS[seed % len(KINDS)]
        self.fit_intercept = bool(rng.integers(2))
        y = rng.integers(0, self.n_classes, (10, n))
        y[::3][y[::3] == self.n_classes - 1] = 0
        means = rng.standard_normal((10, self.n_classes, p)) * 2 * rng.random()
        Z = np.take_along_axis(means, y[..., None], 1) * (rng.random((10, 1, p)) < 0.3)
        Z += rng.standard_normal((10, n, p))
        if kind == "scales":
            Z *= 10 ** rng.uniform(-3, 3, (10, 1, p))
        elif kind == "copied columns":
            Z[:, :, p // 2 :] = Z[:, :, : p - p // 2]
            Z[:, :, 0], Z[:, :, -1] = 0, 1
        elif kind == "low rank":
            rank = max(1, min(n, p) // 3)
            Z = rng.standard_normal((10, n, rank)) @ rng.standard_normal((10, rank, p))
        elif kind == "copied rows":
            Z[:, 0], Z[:, 1] = 0, Z[:, 2]
        elif kind == "zeros":
            Z *= rng.random(Z.shape) < 0.3
        weight = np.ones((10, n))
        if seed % 4 == 1:
            weight = 10 ** rng.uniform(-1, 1, (10, n))
        elif seed % 4 == 2:
            weight[rng.random((10, n)) < 0.3] = 0
            weight[:, 0] = 1
        # Exact in float32 too, so that both precisions face the same problem.
        self.Z = torch.tensor(Z.astype(np.float32), dtype=torch.float64)
        self.y, self.weight = torch.tensor(y), torch.tensor(weight)
        self.l2 = torch.tensor(10 ** rng.uniform(-4, 2, 10))
        self.bound = self.run_bound()
        shares = 10 ** rng.uniform(-3, 0, 10)
        shares[:2] = 0.0, 1.3
        self.alpha = torch.tensor(shares) * self.bound

    def run_bound(self):
        return alpha_bound(
            self.Z,
            self.y,
            self.weight,
            self.n_classes,
            fit_intercept=self.fit_intercept,
        )

    def solve(self, dtype=torch.float64, **how):
        how = {"fit_intercept": self.fit_intercept, **how}
        data = self.Z.to(dtype), self.y, self.weight, self.alpha, self.l2
        return solve_svm_dual(*data, self.n_classes, **how)

    def gap(self, solution):
        """Primal minus dual objective, relative to the objective at zero."""
        Z, y, weight, alpha, l2 = (
            a.numpy() for a in (self.Z, self.y, self.weight, self.alpha, self.l2)
        )
        W, intercept, beta = (
            a.double().numpy() for a in (solution.W, solution.intercept, solution.beta)
        )
        value = primal(Z, y, weight, W, intercept, alpha, l2)
        return (value - dual(Z, y, weight, beta, alpha, l2)) / weight.sum(-1)


@pytest.fixture(scope="module", params=range(30))
def hard(request):
    """A batch, and its solution."""
    batch = Batch(request.param)
    return batch, batch.solve()


def test_certificates_of_hard_problems(hard):
    batch, solution = hard
    info, beta = solution.info, solution.beta.numpy()
    assert bool(info.converged.all())
    assert int(info.n_iter.max()) <= 40
    gap = batch.gap(solution)
    assert gap.max() <= 1e-9
    # The certificate is what it says, up to the rounding of the two objectives.
    assert_allclose(info.gap, gap, atol=1e-11)
    # A dual solution is feasible, or the gap would mean nothing.
    assert beta.min() >= 0
    assert_allclose(beta.sum(-1), 1, atol=1e-12)
    if batch.fit_intercept:
        labels = np.eye(batch.n_classes)[batch.y]
        balance = (batch.weight.numpy()[..., None] * (labels - beta)).sum(1)
        assert_allclose(balance, 0, atol=1e-10)
    assert_allclose(solution.W.sum(-1), 0, atol=1e-9 * float(solution.W.abs().max()))
    assert not bool(solution.W[1].any())
    assert bool((info.support == (solution.W != 0).any(-1)).all())


def test_hard_problems_in_float32(hard):
    batch, exact = hard
    solution = batch.solve(torch.float32)
    assert solution.W.dtype == torch.float32
    assert bool(solution.info.converged.all())
    # W is rounded once, at the end: what that costs is all that is lost.
    scores = (batch.Z.abs() @ exact.W.abs()).sum((1, 2))
    noise = 1e-6 * (1 + (scores / batch.weight.sum(-1)).numpy())
    assert (np.abs(batch.gap(solution)) <= noise).all()
    assert np.abs(batch.gap(solution)).max() <= 1e-4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", [5, 11, 14, 17, 29, 41])
def test_alpha_may_be_as_small_as_one_likes(seed, dtype):
    batch = Batch(seed)
    batch.alpha = batch.bound * torch.logspace(-18, -2, 10, dtype=torch.float64)
    solution = batch.solve(dtype)
    assert bool(solution.info.converged.all())
    assert int(solution.info.n_iter.max()) <= 40


def simplex_projection(v):
    u = np.sort(v)[::-1]
    total = np.cumsum(u) - 1
    k = np.nonzero(u * np.arange(1, len(v) + 1) > total)[0][-1]
    return np.maximum(v - total[k] / (k + 1), 0)


def proximal_block_coordinate_descent(Z, y, alpha, l2, n_classes, n_sweeps):
    """The published algorithm (Appendix C): one row of beta after the other."""
    labels = np.eye(n_classes)[y]
    beta = np.full_like(labels, 1 / n_classes)

    def solution():
        V = Z.T @ (labels - beta)
        norms = np.linalg.norm(V, axis=1, keepdims=True)
        return V * np.maximum(1 - alpha / np.maximum(norms, 1e-300), 0) / l2

    steps = l2 / (Z**2).sum(1)
    for _ in range(n_sweeps):
        for i in range(len(y)):
            slope = 1 - labels[i] + Z[i] @ solution()
            beta[i] = simplex_projection(beta[i] + steps[i] * slope)
    return solution(), beta


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("size", [(8, 12, 3), (15, 4, 3)])
def test_agrees_with_the_published_algorithm(size, share):
    n, p, n_classes = size
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    Z = rng.standard_normal((n, p)) + rng.standard_normal((n_classes, p))[y]
    data = torch.tensor(Z)[None], torch.tensor(y)[None], torch.ones(1, n).double()
    alpha, l2 = share * alpha_bound(*data, n_classes), torch.tensor([2.0])
    solution = solve_svm_dual(*data, alpha, l2.double(), n_classes)
    W, beta = proximal_block_coordinate_descent(
        Z, y, float(alpha), 2.0, n_classes, 1000
    )
    penalties = alpha.numpy(), l2.numpy()
    ones = np.ones((1, n))
    reference = dual(Z[None], y[None], ones, beta[None], *penalties)
    value = primal(
        Z[None], y[None], ones, solution.W.numpy(), np.zeros((1, n_classes)), *penalties
    )
    assert_allclose(value, reference, rtol=1e-12)
    assert_allclose(solution.W[0], W, atol=1e-7)


def ordinary(n_tasks=3, n=20, p=40, n_classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n).expand(n_tasks, n) % n_classes
    Z = torch.randn(n_tasks, n, p, dtype=torch.float64, generator=generator)
    means = torch.randn(n_tasks, n_classes, p, dtype=torch.float64, generator=generator)
    Z = Z + means.gather(1, y.unsqueeze(-1).expand(-1, -1, p))
    return Z, y, torch.ones(n_tasks, n, dtype=torch.float64)


def solve(Z, y, weight, share, l2, n_classes=4, **how):
    bound = alpha_bound(
        Z, y, weight, n_classes, fit_intercept=how.get("fit_intercept", False)
    )
    alpha = share * bound.double()
    l2 = torch.full_like(alpha, l2)
    return solve_svm_dual(Z, y, weight, alpha, l2, n_classes, **how), alpha, l2


@pytest.mark.parametrize("l2", [1e-3, 1.0])
def test_wide_features_join_when_they_are_needed(l2):
    # Far more features than the working set begins with.
    Z, y, weight = ordinary(p=3000, n=12)
    for dtype in (torch.float64, torch.float32):
        solution, alpha, _ = solve(Z.to(dtype), y, weight, 0.2, l2)
        assert bool(solution.info.converged.all())
        labels = torch.nn.functional.one_hot(y, 4)
        V = Z.mT @ (labels - solution.beta)
        excess = V.norm(dim=-1) > alpha[:, None] * (1 + 1e-5)
        assert not bool((excess & ~solution.info.support).any())
        assert 0 < float(solution.info.support.double().mean()) < 0.1


def test_dense_solutions_join_at_once():
    Z, y, weight = ordinary(p=1500, n=12)
    solution, _, _ = solve(Z, y, weight, 1e-3, 100.0)
    assert float(solution.info.support.double().mean()) > 0.95
    assert bool(solution.info.converged.all())
    assert int(solution.info.n_iter.max()) <= 20


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_tasks_do_not_see_each_other(share, fit_intercept):
    Z, y, weight = ordinary()
    weight[1, -5:] = 0
    how = {"fit_intercept": fit_intercept}
    together, alpha, l2 = solve(Z, y, weight, share, 1.0, **how)
    # A batch may also mix tasks with and without alpha.
    alpha[0] = 0.0
    mixed = solve_svm_dual(Z, y, weight, alpha, l2, 4, **how)
    for t in range(3):
        alone = solve_svm_dual(
            *(a[t : t + 1] for a in (Z, y, weight, alpha, l2)), 4, **how
        )
        assert_allclose(mixed.W[t], alone.W[0], atol=1e-9)
        if t:
            assert_allclose(mixed.W[t], together.W[t], atol=1e-9)


# The smaller l2 takes certificates from the data.
@pytest.mark.parametrize("l2", [1e-4, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_shared_features_are_those_of_every_task(share, l2):
    Z, y, weight = ordinary()
    y = torch.stack([y[0], y[0].roll(1), y[0].flip(0)])
    shared, _, _ = solve(Z[:1], y, weight, share, l2)
    copied, _, _ = solve(Z[:1].expand(3, -1, -1), y, weight, share, l2)
    assert_allclose(shared.W, copied.W, atol=1e-10 * float(copied.W.abs().max()))
    assert bool((shared.info.gap <= 1e-9).all())


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_weights_count_samples(share, fit_intercept):
    Z, y, weight = ordinary()
    weight[:, ::3], weight[:, 1::3] = 2, 0
    how = {"fit_intercept": fit_intercept}
    weighted, alpha, l2 = solve(Z, y, weight, share, 1.0, **how)
    rows = torch.repeat_interleave(torch.arange(20), weight[0].long())
    repeated = solve_svm_dual(
        Z[:, rows], y[:, rows], torch.ones(3, len(rows)).double(), alpha, l2, 4, **how
    )
    assert_allclose(weighted.W, repeated.W, atol=1e-8)
    assert_allclose(weighted.intercept, repeated.intercept, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_dead_feature_changes_nothing(share):
    Z, y, weight = ordinary()
    without, alpha, l2 = solve(Z, y, weight, share, 1.0)
    dead = torch.cat([Z[..., :5], torch.zeros(3, 20, 1).double(), Z[..., 5:]], -1)
    solution = solve_svm_dual(dead, y, weight, alpha, l2, 4)
    assert not bool(solution.W[:, 5].any())
    others = [j for j in range(41) if j != 5]
    assert_allclose(solution.W[:, others], without.W, atol=1e-10)


@pytest.mark.parametrize("max_iter", [0, 2, 5])
def test_an_early_stop_has_a_valid_gap(max_iter):
    batch = Batch(0)
    batch.fit_intercept = False
    solution = batch.solve(max_iter=max_iter)
    assert int(solution.info.n_iter.max()) <= max_iter
    assert not bool(solution.info.converged.all())
    assert_allclose(solution.info.gap, batch.gap(solution), rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize("share", [1e-3, 0.3, 0.999])
@pytest.mark.parametrize("case", ["common", "common, float32", "5", "250", "64 tasks"])
def test_few_iterations_reach_the_optimum(case, share):
    # Features as they come out of a ReLU, some of which are copies. With "common", what
    # the samples share is a hundred times larger than what tells them apart.
    rng = np.random.default_rng(0)
    n_tasks = 64 if case == "64 tasks" else 2
    n, n_classes = {"5": (5, 2), "250": (250, 2)}.get(case, (10, 3))
    y = np.arange(n) % n_classes * np.ones((n_tasks, 1), int)
    Z = rng.standard_normal((n_tasks, n, 40)) + np.eye(40)[y]
    if case.startswith("common"):
        Z = (50 + 0.5 * Z) * rng.random((n_tasks, 1, 40))
    Z = np.maximum(Z, 0)
    Z[..., -5:] = Z[..., :5]
    Z = Z.astype(np.float32 if "float32" in case else float)
    weight, l2 = np.ones((n_tasks, n)), np.ones(n_tasks)
    parts = [torch.tensor(part) for part in (Z, y, weight)]
    alpha = share * alpha_bound(*parts, n_classes).double()
    solution = solve_svm_dual(*parts, alpha, torch.tensor(l2), n_classes)
    assert bool(solution.info.converged.all())
    assert int(solution.info.n_iter.max()) <= 20
    Z, alpha = np.asarray(Z, float), alpha.numpy()
    upper = primal(
        Z, y, weight, *(v.numpy() for v in (solution.W, solution.intercept)), alpha, l2
    )
    lower = dual(Z, y, weight, solution.beta.numpy(), alpha, l2)
    rounding = 1e-4 if "float32" in case else 1e-9
    assert_allclose(upper / n, lower / n, rtol=0, atol=rounding)
    # The copies have the coefficients of their originals.
    assert_allclose(solution.W[:, -5:], solution.W[:, :5], atol=1e-6)


def test_samples_that_nearly_coincide():
    # The Gram matrix alone would lose the difference between the samples.
    Z, y, weight = ordinary()
    Z[:, ::2] = Z[:, 1::2] + 1e-6 * Z[:, ::2]
    for share in (0.0, 0.1):
        solution, alpha, l2 = solve(Z, y, weight, share, 1e-4)
        assert bool(solution.info.converged.all())
        data = (a.numpy() for a in (Z, y, weight, solution.W))
        value = primal(*data, np.zeros((3, 4)), alpha.numpy(), l2.numpy())
        bound = dual(*(a.numpy() for a in (Z, y, weight, solution.beta, alpha, l2)))
        assert ((value - bound) / 20 <= 1e-9).all()
