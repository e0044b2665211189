"""Checks of custom losses, penalties and heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from sparsedis.implicit import glm, glm_alpha_max
from sparsedis.solvers.losses import Loss, Squared
from sparsedis.solvers.penalties import L2, GroupL1

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis.heads._base import Head
    from sparsedis.solvers.penalties import Penalty

# Largest relative errors of derivatives by finite differences, in float64.
_CLOSE = 1e-4


def check_loss(
    loss: Loss,
    *,
    targets: ArrayLike | None = None,
    n_outputs: int | None = None,
    random_state: int = 0,
) -> None:
    """Check that a loss meets the requirements of the solvers and layers.

    Derivatives are compared with finite differences. The conjugate must satisfy the
    Fenchel-Young inequality, with equality at the gradient. The gradient of a problem
    with the loss and an l2 penalty, with respect to features and penalty, is compared
    with finite differences.

    Parameters
    ----------
    loss : Loss
        The loss.

    targets : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        At least 10 valid targets of the loss; real numbers by default.

    n_outputs : int, default=None
        Length of a target vector, if `targets` is None. None: targets are scalars.

    random_state : int, default=0
        Seed of scores, features and targets.

    Raises
    ------
    AssertionError
        When a check fails. The message names the check and the error.

    Examples
    --------
    >>> from sparsedis.heads import check_loss
    >>> from sparsedis.solvers.losses import Huber, Poisson
    >>> check_loss(Huber())
    >>> check_loss(Poisson(), targets=[0, 1, 2, 3, 5, 0, 1, 4, 2, 1, 0, 3])
    """
    rng = np.random.default_rng(random_state)
    if targets is None:
        shape = (20,) if n_outputs is None else (20, n_outputs)
        targets = 2 * rng.standard_normal(shape)
    y = torch.as_tensor(np.asarray(targets, dtype=float))[None]
    loss.check_targets(y)
    c = loss.n_scores(y)
    scores = torch.as_tensor(rng.standard_normal((1, y.shape[1], c)))
    value = loss.value(scores, y)
    _same(value.shape, y.shape[:2], "value must return one number per sample")
    _finite(value, "value")
    gradient, hessian = loss.gradient(scores, y), loss.hessian(scores, y)
    _same(gradient.shape, scores.shape, "gradient must have the shape of the scores")
    shape = (*scores.shape, c)
    _same(hessian.shape, shape, "hessian must return one block per sample")
    for a in range(c):
        unit = torch.zeros(c, dtype=scores.dtype)
        unit[a] = 1e-6
        up, down = scores + unit, scores - unit
        slope = (loss.value(up, y) - loss.value(down, y)) / 2e-6
        _close(gradient[..., a], slope, "gradient is not the derivative of value")
        bend = (loss.gradient(up, y) - loss.gradient(down, y)) / 2e-6
        _close(hessian[..., a, :], bend, "hessian is not the derivative of gradient")
    if loss.curvature is not None:
        largest = float(torch.linalg.eigvalsh(hessian).max())
        _true(
            largest <= loss.curvature * (1 + 1e-9),
            f"curvature={loss.curvature} is not an upper bound: a second derivative is "
            f"{largest:.3g}",
        )
    if type(loss).conjugate is not Loss.conjugate:
        other = torch.as_tensor(rng.standard_normal(scores.shape))
        dual = loss.conjugate(gradient, y)
        _close(
            dual + value,
            (gradient * scores).sum(-1),
            "conjugate and value do not add up to u's at the gradient u",
        )
        least = (gradient * other).sum(-1) - loss.value(other, y)
        _true(
            bool((dual >= least - 1e-9).all()),
            "conjugate is smaller than u's - l(s, y) for some s",
        )
    _check_gradient(loss, L2(), y, rng)


def check_penalty(
    penalty: Penalty, *, n_scores: int = 1, random_state: int = 0
) -> None:
    """Check that a penalty meets the requirements of the solvers and layers.

    `prox` must minimise its definition, compared with nearby points and zero.
    Derivatives are compared with finite differences. Solutions must converge, use a
    feature below `alpha_max`, and be zero above it. The gradient of a problem with the
    penalty and a squared loss is compared with finite differences.

    Parameters
    ----------
    penalty : Penalty
        The penalty.

    n_scores : int, default=1
        Number of coefficients per feature.

    random_state : int, default=0
        Seed of coefficients, features and targets.

    Raises
    ------
    AssertionError
        When a check fails. The message names the check and the error.

    Examples
    --------
    >>> from sparsedis.heads import check_penalty
    >>> from sparsedis.solvers.penalties import GroupL1, MCP
    >>> check_penalty(MCP())
    >>> check_penalty(GroupL1(), n_scores=3)
    """
    rng = np.random.default_rng(random_state)
    k = len(_weights(penalty) or range(4))
    penalty.check_scores(n_scores)
    alpha = torch.tensor([[0.7], [0.2]], dtype=torch.float64)
    step = torch.as_tensor(rng.uniform(0.3, 1.0, (2, k)))
    X = torch.as_tensor(2 * rng.standard_normal((2, k, n_scores)))
    X[:, 0] *= 0.01
    P = penalty.prox(X, alpha, step)
    _same(P.shape, X.shape, "prox must have the shape of the coefficients")

    def objective(V):
        return 0.5 * (V - X).square().sum(-1) + step * penalty.value(V, alpha)

    least = objective(P)
    _same(least.shape, (2, k), "value must return one number per feature")
    _finite(least, "value at the result of prox")
    for size in (1e-3, 0.1, 1.0):
        for _ in range(20):
            near = P + size * torch.as_tensor(rng.standard_normal(P.shape))
            better = objective(near) < least - 1e-9
            _true(not bool(better.any()), "prox does not minimise its definition")
    _true(
        not bool((objective(torch.zeros_like(P)) < least - 1e-9).any()),
        "prox does not minimise its definition: zero is better",
    )
    used = (P != 0).any(-1)
    gradient, hessian = penalty.gradient(P, alpha), penalty.hessian(P, alpha)
    _true(
        not bool(gradient[~used].any()), "gradient must be zero for zero coefficients"
    )
    for a in range(n_scores):
        unit = torch.zeros(n_scores, dtype=P.dtype)
        unit[a] = 1e-6
        up, down = (P + sign * unit * used.unsqueeze(-1) for sign in (1, -1))
        slope = (penalty.value(up, alpha) - penalty.value(down, alpha)) / 2e-6
        _close(
            gradient[..., a][used],
            slope[used],
            "gradient is not the derivative of value",
        )
        bend = (penalty.gradient(up, alpha) - penalty.gradient(down, alpha)) / 2e-6
        _close(
            hessian[..., a, :][used],
            bend[used],
            "hessian is not the derivative of gradient",
        )
    shape = (1, 30) if n_scores == 1 else (1, 30, n_scores)
    y = torch.as_tensor(rng.standard_normal(shape))
    _check_boundary(penalty, y, k, rng)
    _check_gradient(Squared(), penalty, y, rng, k)


def check_head(head: Head, *, n_classes: int = 3, random_state: int = 0) -> None:
    """Check that a few-shot head meets the requirements of the meta-learner.

    The head must separate classes of its support that are far from each other. Its
    gradient with respect to features and penalties is compared with finite differences.

    Parameters
    ----------
    head : Head
        The head.

    n_classes : int, default=3
        Number of classes.

    random_state : int, default=0
        Seed of the features.

    Raises
    ------
    AssertionError
        When a check fails. The message names the check and the error.

    Examples
    --------
    >>> from sparsedis.heads import GroupLassoSVMHead, check_head
    >>> check_head(GroupLassoSVMHead())
    """
    rng = np.random.default_rng(random_state)
    unknown = set(head.penalties) - {"alpha", "l2"}
    _true(not unknown, f"penalties may be 'alpha' and 'l2', got {sorted(unknown)}")
    y = torch.as_tensor(np.tile(np.repeat(np.arange(n_classes), 4), (2, 1)))
    centres = 3 * np.eye(n_classes, n_classes + 2)
    Z = torch.as_tensor(
        centres[y] + 0.3 * rng.standard_normal((*y.shape, n_classes + 2))
    )
    Z.requires_grad_()
    alpha, l2 = (
        torch.tensor(size, dtype=torch.float64, requires_grad=name in head.penalties)
        for name, size in (("alpha", 0.1), ("l2", 0.5))
    )
    W, b = head.fit_classes(Z, y, n_classes, alpha, l2, relative=True)
    _same(W.shape, (2, Z.shape[-1], n_classes), "W must be (n_tasks, k, n_classes)")
    scores = Z @ W
    if b is not None:
        _same(b.shape, (2, n_classes), "b must be (n_tasks, n_classes)")
        scores = scores + b.unsqueeze(1)
    right = float((scores.argmax(-1) == y).double().mean())
    _true(
        right > 0.9,
        f"accuracy on separate classes of the support must exceed 0.9, got {right:.2f}",
    )

    def probe(Z, alpha, l2):
        W, b = head.fit_classes(Z, y, n_classes, alpha, l2, relative=False)
        return W.square().sum() + (0 if b is None else b.square().sum())

    _check_derivatives(probe, [Z, alpha, l2], rng)


def _weights(penalty):
    """Weights of the features, if the penalty has any."""
    return penalty.weights if isinstance(penalty, GroupL1) else None


def _check_boundary(penalty, y, k, rng):
    """Check solutions above and below alpha_max, and their optimality conditions."""
    Z = torch.as_tensor(rng.standard_normal((1, y.shape[1], k)))
    how = {"loss": Squared(), "penalty": penalty, "multi_output": y.ndim == 3}
    alpha_max = glm_alpha_max(Z, y, **how)
    if not bool(torch.isfinite(alpha_max).all()):
        return
    weights = _weights(penalty) or [1.0] * k
    optional = torch.tensor(weights) > 0
    if bool(optional.all()):
        # The gradient of the squared loss at zero.
        slope = -(Z.mT @ (y if y.ndim == 3 else y.unsqueeze(-1))) / y.shape[1]
        left = penalty.violation(0 * slope, slope, 1.001 * alpha_max.unsqueeze(-1))
        _true(not bool((left > 1e-12).any()), "zero is not stationary above alpha_max")
    for factor, some in ((1.001, False), (0.9, True)):
        W, info = glm(Z, y, factor * alpha_max, return_info=True, **how)
        _true(
            bool(info.converged.all()),
            f"the solver does not converge at {factor:g} times alpha_max: {info}",
        )
        found = bool((W.reshape(k, -1) != 0).any(-1)[optional].any())
        _true(
            found == some,
            f"at {factor:g} times alpha_max {'no' if some else 'some'} feature is used",
        )


def _check_gradient(loss, penalty, y, rng, k=4):
    """Check the gradient of a solution with respect to features and penalty."""
    Z = torch.as_tensor(rng.standard_normal((1, y.shape[1], k)))
    how = {"loss": loss, "penalty": penalty, "multi_output": loss.n_scores(y) > 1}
    how["multi_output"] &= y.ndim == 3
    alpha = glm_alpha_max(Z, y, **how)
    alpha = torch.where(torch.isfinite(alpha), 0.3 * alpha, 0.3)

    def probe(Z, alpha):
        return glm(Z, y, alpha, tol=1e-13, **how).square().sum()

    _check_derivatives(probe, [Z.requires_grad_(), alpha.requires_grad_()], rng)


def _check_derivatives(probe, inputs, rng):
    """Check derivatives of a scalar along random directions by finite differences."""
    wanted = [x for x in inputs if x.requires_grad]
    gradients = torch.autograd.grad(probe(*inputs), wanted)
    for x, gradient in zip(wanted, gradients, strict=True):
        along = torch.as_tensor(rng.standard_normal(x.shape))
        with torch.no_grad():
            up, down = (
                probe(*(v + sign * 1e-5 * along if v is x else v for v in inputs))
                for sign in (1, -1)
            )
        _close(
            (gradient * along).sum(),
            (up - down) / 2e-5,
            "the gradient of a solution does not match finite differences",
        )


def _close(found, wanted, what):
    found, wanted = found.detach(), wanted.detach()
    error = float((found - wanted).abs().max()) if found.numel() else 0.0
    size = float(wanted.abs().max()) if wanted.numel() else 0.0
    _true(error <= _CLOSE * (1 + size), f"{what}: they differ by {error:.2g}")


def _same(found, wanted, what):
    _true(tuple(found) == tuple(wanted), f"{what}: {tuple(wanted)}, got {tuple(found)}")


def _finite(values, what):
    _true(bool(torch.isfinite(values).all()), f"{what} is not finite")


def _true(holds, what):
    if not holds:
        raise AssertionError(f"{what}.")
