"""The Lasso and the elastic net as a differentiable layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sparsedis.implicit._inputs import read_tasks
from sparsedis.implicit._squared import (
    SquaredLoss,
    check_limits,
    check_solver,
    choose_celer,
    is_wide,
    pack,
    prepare,
    solve_squared,
)
from sparsedis.implicit._transforms import transformable, without_derivatives
from sparsedis.implicit._units import choose_units
from sparsedis.solvers._info import warn_if_not_converged
from sparsedis.solvers._working_set import solve_wide_lasso
from sparsedis.solvers.lasso import solve_lasso

if TYPE_CHECKING:
    from typing import Any, Literal

    from torch import Tensor


@transformable(Z=2, y=1, alpha=0, l2=0, mask=1, sample_weight=1)
def lasso(
    Z: Tensor,
    y: Tensor,
    alpha: float | Tensor,
    *,
    l2: float | Tensor = 0.0,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-12,
    max_iter: int = 1000,
    solver: Literal["auto", "batched", "celer"] = "auto",
    start: Tensor | None = None,
    return_info: bool = False,
) -> Any:
    r"""Lasso solutions of a batch of tasks, differentiable in features and penalties.

    Solves, for each task,

    .. math::

        \min_w \frac{1}{2n} \|y - Zw\|^2 + \alpha \|w\|_1 + \frac{l_2}{2} \|w\|^2

    to ``tol``, and differentiates the solution implicitly on its support (Eq. 4 and
    Appendix D of [1]_; [2]_ for the gradient): no iteration is differentiated, and the
    backward pass solves one small linear system per task.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features. Leading axes are tasks and broadcast against those of ``y``: a single
        matrix can be shared by many tasks at little cost.

    y : tensor of shape (..., n_samples)
        Targets.

    alpha : float or tensor of shape (...)
        Strength of the l1 penalty, absolute and non-negative.
        :func:`lasso_alpha_max` gives the smallest value at which the solution is zero.

    l2 : float or tensor of shape (...), default=0.0
        Strength of the squared l2 penalty; positive values make the solution unique.

    mask : tensor of shape (..., n_samples) of bool, default=None
        Valid samples, for tasks of unequal size. Values elsewhere are ignored,
        NaN included.

    sample_weight : tensor of shape (..., n_samples), default=None
        Non-negative weights; the loss is then a weighted mean. No gradient flows to
        them.

    fit_intercept : bool, default=False
        Add an unpenalised intercept. The gradient passes through the centring.

    tol : float, default=1e-12
        Largest duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Largest number of iterations of the solver.

    solver : {"auto", "batched", "celer"}, default="auto"
        "batched" solves all tasks at once in torch, on the device of ``Z``; "celer"
        solves them one by one on the CPU. "auto" uses "celer" on the CPU if tasks share
        more than 32 features and ``k > 2 * n_samples``.

    start : tensor of shape (..., k), default=None
        Solution of an earlier call, for data or penalties that have changed little;
        with an intercept, the pair ``(w, intercept)``. The solver takes fewer steps
        from there. Neither the solution nor its gradient depends on it. With a start,
        "auto" uses "batched".

    return_info : bool, default=False
        Return the certificate too.

    Returns
    -------
    w : tensor of shape (..., k)
        Solutions, in the dtype of ``Z``.

    intercept : tensor of shape (...)
        Only when ``fit_intercept=True``.

    info : SolverInfo
        Only when ``return_info=True``: ``gap``, ``n_iter``, ``converged`` and
        ``support`` of each task.

    Raises
    ------
    ValueError
        For non-finite values, negative penalties, inconsistent shapes, integer
        features, a task left empty by ``mask``, or an unknown ``solver``.
    ImportError
        For ``solver="celer"`` if celer is not installed.

    Warns
    -----
    ConvergenceWarning
        When a task does not reach ``tol``.
    RuntimeWarning
        In the backward pass, when the features in a support are linearly dependent:
        the minimum-norm gradient is then used.

    See Also
    --------
    ridge : The same with only a squared l2 penalty.
    glm : With ``loss=Squared()``: ``L1(weights=...)`` for a penalty of each feature,
        ``NonNegativeL1()`` for coefficients that must not be negative.

    Notes
    -----
    The arithmetic is in float64 if the device supports it, for any dtype of ``Z``.
    At kinks, where a feature is about to enter the support, the gradient is that of
    the current support.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity",
       ICML 2023.
    .. [2] Q. Bertrand et al., "Implicit Differentiation for Fast Hyperparameter
       Selection in Non-Smooth Convex Learning", JMLR 2022.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import lasso, lasso_alpha_max
    >>> _ = torch.manual_seed(0)
    >>> Z = torch.randn(3, 50, 6, requires_grad=True)
    >>> y = Z[..., 0].detach() - 2 * Z[..., 4].detach()
    >>> w, info = lasso(Z, y, 0.1 * lasso_alpha_max(Z, y), return_info=True)
    >>> info.support.int()
    tensor([[1, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 1, 0]], dtype=torch.int32)
    >>> w.sum().backward()
    >>> Z.grad.shape
    torch.Size([3, 50, 6])
    """
    check_limits(tol, max_iter)
    check_solver(solver, start)

    def solve(loss, alpha, l2, start=None):
        how = {"tol": tol, "max_iter": max_iter}
        if start is not None:
            start = start[..., 0]
        form = loss.corr[..., 0], loss.y_sq, alpha, l2
        if solver != "celer" and is_wide(loss, alpha):
            w, info, system = solve_wide_lasso(
                *loss.single(), *form, start=start, **how
            )
            if bool(info.converged.all()):
                return w, info, system
        gram_form = loss.gram, *form
        if start is None and choose_celer(solver, loss):
            from sparsedis.solvers._celer import solve_lasso_celer

            Z, Y = loss.scaled()
            w, info = solve_lasso_celer(Z, Y[..., 0], *gram_form, **how)
            system = None
        else:
            how |= {"start": start, "data": loss.single, "return_system": True}
            w, info, system = solve_lasso(*gram_form, **how)
        if system is None:
            info = loss.certify(info, w.unsqueeze(-1), alpha, l2, tol)
        return w, info, system

    w, intercept, info = solve_squared(
        Z,
        y,
        lambda tasks: tasks.parameter(alpha, "alpha"),
        lambda tasks: tasks.parameter(l2, "l2"),
        solve,
        start=start,
        fit_intercept=fit_intercept,
        mask=mask,
        sample_weight=sample_weight,
    )
    warn_if_not_converged(info, tol, "lasso")
    return pack(w, intercept, info, fit_intercept, return_info)


@without_derivatives(Z=2, y=1, mask=1, sample_weight=1)
def lasso_alpha_max(
    Z: Tensor,
    y: Tensor,
    *,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
) -> Tensor:
    """Smallest ``alpha`` at which the Lasso solution is zero: ``||Z'y||_inf / n``.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features.

    y : tensor of shape (..., n_samples)
        Targets.

    mask : tensor of shape (..., n_samples) of bool, default=None
        Valid samples.

    sample_weight : tensor of shape (..., n_samples), default=None
        Weights of the samples.

    fit_intercept : bool, default=False
        Whether the problem has an intercept, and therefore centred data.

    Returns
    -------
    tensor of shape (...)
        One value per task, without a gradient.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import lasso_alpha_max
    >>> lasso_alpha_max(torch.eye(2), torch.tensor([3.0, 1.0]))
    tensor(1.5000)
    """
    tasks = read_tasks(Z, y, mask=mask, sample_weight=sample_weight)
    units = choose_units(tasks, *2 * [torch.zeros_like(tasks.total)], check=False)
    loss = SquaredLoss.of(*prepare(units.tasks, fit_intercept)[:3])
    return tasks.unflatten_bound(units.correlations(loss.corr.abs().amax((1, 2))))
