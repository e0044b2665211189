"""The predictor-corrector step on a complementarity problem that is solved by hand."""

import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.mehrotra import predictor_corrector


class Newton:
    """Steps for ``s = x - q``, ``x s = mu``, entry by entry."""

    def __init__(self, q, pairs):
        x, s = pairs
        self.residual, self.ratio = x - q - s, s / x

    def step(self, change, kept=None):
        dx = (change - self.residual) / (1 + self.ratio)
        return torch.stack([dx, dx + self.residual]), None


def ones(q):
    return torch.ones(2, *q.shape, dtype=torch.float64)


def test_converges_to_the_positive_and_negative_parts():
    # x >= 0, s = x - q >= 0 and x s = 0 have the solution q_+ and q_-.
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 12, dtype=torch.float64, generator=generator)
    pairs, means = ones(q), []
    for _ in range(15):
        pairs, unbounded, _, mu = predictor_corrector(Newton(q, pairs), pairs)
        assert unbounded is None
        assert float(pairs.min()) > 0
        means.append(float(mu.max()))
    assert_allclose(pairs[0], q.clamp_min(0), atol=1e-9)
    assert_allclose(pairs[1], (-q).clamp_min(0), atol=1e-9)
    # Each step comes within 1 % of the boundary in the end.
    assert means[-1] < 0.05 * means[-2] < 0.05**2 * means[-3]


def test_tasks_take_steps_of_their_own():
    q = torch.tensor([[0.5, 0.5], [3.0, -2.0]]).double()
    together = predictor_corrector(Newton(q, ones(q)), ones(q))
    alone = predictor_corrector(Newton(q[1:], ones(q[1:])), ones(q[1:]))
    assert_allclose(together[0][:, 1], alone[0][:, 0], rtol=1e-12)
    assert float(together[2][0]) != float(together[2][1])


def test_pairs_that_do_not_count_have_no_influence():
    q = torch.tensor([[3.0, -2.0]]).double()
    alone = predictor_corrector(Newton(q, ones(q)), ones(q))
    # The values of the last pair are those of padding.
    free = torch.tensor([[True, True, False]])
    wide = torch.cat([q, torch.zeros(1, 1)], 1)
    pairs = torch.cat([ones(q), torch.zeros(2, 1, 1)], 2)
    newton = Newton(wide, pairs)
    inner = newton.step

    def step(change, kept=None):
        found, unbounded = inner(change, kept)
        return torch.where(free, found, 0.0), unbounded

    newton.step = step
    together = predictor_corrector(newton, pairs, free)
    assert_allclose(together[0][..., :2], alone[0], rtol=1e-12)
    assert together[0][..., 2].tolist() == [[0.0], [0.0]]
    assert_allclose(together[3], alone[3], rtol=1e-12)


def test_short_predictors_have_no_second_order_term():
    # Steps of x and s are 9.5 and -10.5, of which 1 / 10.5 is feasible. It leaves
    # nothing of the product, so that the corrector aims at zero.
    q = torch.full((2, 1), 20.0, dtype=torch.float64)
    (x, s), _, length, _ = predictor_corrector(Newton(q, ones(q)), ones(q))
    assert_allclose(length, 0.99 / 10.5)
    assert_allclose(x, 1 + 0.99 * 9.5 / 10.5)
    assert_allclose(s, 0.01)
