"""The predictor-corrector step on a complementarity problem that is solved by hand."""

import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.mehrotra import predictor_corrector


class Everything:
    """Simplices of which every entry is free."""

    def __init__(self, shape):
        self.free = torch.ones(shape, dtype=torch.bool)

    def where_free(self, values):
        return values


class NoPenalty:
    """A penalty without variables of its own."""

    def max_rate(self, step):
        return torch.zeros(2).double()

    def complementarity(self):
        return 0.0, 0

    def curved(self, step):
        return 0.0

    def advance(self, step, length):
        pass


class Newton:
    """Steps for ``z = beta - q``, ``beta * z = mu``, entry by entry."""

    def __init__(self, q, beta, z):
        self.residual, self.ratio = beta - q - z, z / beta

    def step(self, change, target=None, predictor=None):
        d_beta = (change - self.residual) / (1 + self.ratio)
        return d_beta, d_beta + self.residual, None, None


def test_converges_to_the_positive_and_negative_parts():
    # beta >= 0, z = beta - q >= 0 and beta z = 0 have the solution q_+ and q_-.
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
    beta = torch.ones_like(q)
    z, parts = torch.ones_like(q), (Everything(q.shape), NoPenalty())
    means = []
    for _ in range(15):
        newton = Newton(q, beta, z)
        beta, z, intercept, total, count = predictor_corrector(
            newton, *parts, beta, z, None
        )
        assert intercept is None
        assert count.tolist() == [12, 12]
        assert float(beta.min()) > 0
        assert float(z.min()) > 0
        means.append(float((total / count).max()))
    assert_allclose(beta, q.clamp_min(0), atol=1e-9)
    assert_allclose(z, (-q).clamp_min(0), atol=1e-9)
    # Each step comes within 1 % of the boundary in the end.
    assert means[-1] < 0.05 * means[-2] < 0.05**2 * means[-3]


def test_tasks_take_steps_of_their_own():
    q = torch.stack([torch.full((1, 2), 0.5), torch.tensor([[3.0, -2.0]])]).double()
    together = predictor_corrector(
        Newton(q, torch.ones_like(q), torch.ones_like(q)),
        Everything(q.shape),
        NoPenalty(),
        torch.ones_like(q),
        torch.ones_like(q),
        None,
    )
    other = torch.stack([q[1], q[1]])
    alone = predictor_corrector(
        Newton(other, torch.ones_like(q), torch.ones_like(q)),
        Everything(q.shape),
        NoPenalty(),
        torch.ones_like(q),
        torch.ones_like(q),
        None,
    )
    for found, expected in zip(together[:2], alone[:2], strict=True):
        assert_allclose(found[1], expected[1], rtol=1e-12)


def test_short_predictors_have_no_second_order_term():
    # Steps of beta and z are 9.5 and -10.5, of which 1 / 10.5 is feasible. It leaves
    # nothing of the product, so that the corrector aims at zero.
    q = torch.full((2, 1, 1), 20.0, dtype=torch.float64)
    one = torch.ones_like(q)
    parts = Everything(q.shape), NoPenalty()
    beta, z, *_ = predictor_corrector(Newton(q, one, one), *parts, one, one, None)
    assert_allclose(beta, 1 + 0.99 * 9.5 / 10.5)
    assert_allclose(z, 0.01)
