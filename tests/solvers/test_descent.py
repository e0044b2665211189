"""Newton steps with a line search: against scikit-learn, and by the duality gap."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sparsedis.solvers._descent import descend
from sparsedis.solvers.logistic import Logistic


def correlated(n_classes, n=50, k=70):
    """Labels that correlated features do not explain, for two problems."""
    rng = torch.Generator().manual_seed(0)
    Z = torch.randn(n, 4, generator=rng, dtype=torch.float64)
    Z = Z @ torch.randn(4, k, generator=rng, dtype=torch.float64)
    Z += 0.3 * torch.randn(n, k, generator=rng, dtype=torch.float64)
    labels = torch.randint(n_classes, (2, n), generator=rng)
    return Z, labels, torch.full((2, n), 1 / n, dtype=torch.float64)


def posed(n_classes, share, fit_intercept=True):
    """Problems with penalties relative to the largest one, and their penalties."""
    Z, labels, weight = correlated(n_classes)
    zero = torch.zeros(2, dtype=Z.dtype)
    data, how = (Z[None], labels, weight), (zero, n_classes, fit_intercept)
    alpha = share * Logistic(*data, zero, *how).alpha_max()
    return Logistic(*data, alpha, *how), alpha


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("share", [0.3, 0.01])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_gap_closes_from_zero_and_from_any_point(n_classes, share, fit_intercept):
    problem, _ = posed(n_classes, share, fit_intercept)
    zero = problem.at_zero()
    rng = torch.Generator().manual_seed(1)
    dense = zero + torch.randn(zero.shape, generator=rng, dtype=zero.dtype)
    found = []
    for start in (zero, dense):
        V, violation = descend(problem, start, enough=1e-12, max_iter=300)
        assert float(violation.max()) <= 1e-12
        # The gap is about the violation times the size of V.
        assert float(problem.gap(V).max()) < 1e-10
        found.append(V)
    torch.testing.assert_close(*found, atol=1e-7, rtol=1e-6)
    # Rows become zero exactly.
    assert bool(((found[1] == 0).all(-1).sum(1) > 10).all())


def test_two_classes_agree_with_scikit_learn():
    problem, alpha = posed(2, 0.1, fit_intercept=False)
    V, _ = descend(problem, problem.at_zero(), enough=1e-12, max_iter=300)
    Z, labels, _ = correlated(2)
    for t in range(2):
        model = LogisticRegression(
            C=1 / (len(Z) * float(alpha[t])),
            l1_ratio=1,
            solver="liblinear",
            fit_intercept=False,
            tol=1e-10,
            max_iter=20_000,
        )
        model.fit(Z.numpy(), labels[t].numpy())
        coef = (V * problem.scale.unsqueeze(-1))[t, :, 0]
        torch.testing.assert_close(
            coef, torch.from_numpy(model.coef_[0]), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_step_increases_the_objective(n_classes):
    problem, _ = posed(n_classes, 0.02)
    rng = torch.Generator().manual_seed(2)
    V = problem.at_zero()
    V = V + 5 * torch.randn(V.shape, generator=rng, dtype=V.dtype)

    def objective(V):
        loss = problem.along(V, torch.zeros_like(V), torch.ones_like(V[:, 0, :1]))
        norm = torch.linalg.vector_norm(V, dim=-1)
        return loss[:, 0] + (problem.penalty.threshold * norm).sum(-1)

    values = [objective(V)]
    for _ in range(30):
        V, _ = descend(problem, V, enough=0.0, max_iter=1)
        values.append(objective(V))
    values = torch.stack(values)
    assert bool((values.diff(dim=0) <= 1e-13).all())
    assert bool((values[-1] < 0.5 * values[0]).all())


def test_without_steps_the_violation_is_that_of_the_start():
    problem, _ = posed(2, 0.1)
    start = problem.at_zero()
    V, violation = descend(problem, start, enough=1e-12, max_iter=0)
    assert torch.equal(V, start)
    one = torch.ones_like(violation).unsqueeze(-1)
    moved = problem.penalty.prox(start - problem.gradient(start), one) - start
    torch.testing.assert_close(violation, moved.abs().amax((1, 2)))
