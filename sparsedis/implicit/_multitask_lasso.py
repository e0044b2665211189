"""The multi-task Lasso as a differentiable layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sparsedis.implicit._inputs import read_tasks
from sparsedis.implicit._squared import (
    SquaredLoss,
    check_limits,
    check_solver,
    choose_celer,
    pack,
    prepare,
    solve_squared,
)
from sparsedis.implicit._transforms import transformable, without_derivatives
from sparsedis.implicit._units import choose_units
from sparsedis.solvers._info import warn_if_not_converged
from sparsedis.solvers.multitask_lasso import solve_multitask_lasso

if TYPE_CHECKING:
    from typing import Any, Literal

    from torch import Tensor


@transformable(Z=2, Y=2, alpha=0, l2=0, mask=1, sample_weight=1)
def multitask_lasso(
    Z: Tensor,
    Y: Tensor,
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
    r"""Multi-task Lasso solutions of a batch, differentiable in data and penalties.

    Solves, for each task with vector targets,

    .. math::

        \min_W \frac{1}{2n} \|Y - ZW\|_F^2 + \alpha \sum_j \|W_j\|_2
        + \frac{l_2}{2} \|W\|_F^2

    where :math:`W_j` is row j: a feature is used by all outputs of the task or by none
    (Eq. 4 of [1]_, where the designs act from the other side). The solution is
    differentiated implicitly on its support [2]_.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features. Leading axes are tasks and broadcast against those of ``Y``.

    Y : tensor of shape (..., n_samples, c)
        Targets with c outputs.

    alpha : float or tensor of shape (...)
        Strength of the group penalty, absolute and non-negative.
        :func:`multitask_lasso_alpha_max` gives the smallest value at which the
        solution is zero.

    l2 : float or tensor of shape (...), default=0.0
        Strength of the squared l2 penalty; positive values make the solution unique.

    mask : tensor of shape (..., n_samples) of bool, default=None
        Valid samples, for tasks of unequal size. Values elsewhere are ignored,
        NaN included.

    sample_weight : tensor of shape (..., n_samples), default=None
        Non-negative weights; the loss is then a weighted mean. No gradient flows to
        them.

    fit_intercept : bool, default=False
        Add an unpenalised intercept for each output.

    tol : float, default=1e-12
        Largest duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Largest number of iterations of the solver.

    solver : {"auto", "batched", "celer"}, default="auto"
        "batched" solves all tasks at once in torch, on the device of ``Z``; "celer"
        solves them one by one on the CPU, and is faster for wide tasks. "auto" uses
        "celer" on the CPU for one or two tasks, or more than 32 features.

    start : tensor of shape (..., k, c), default=None
        Solution of an earlier call, for data or penalties that have changed little;
        with an intercept, the pair ``(W, intercept)``. The solver takes fewer steps
        from there. Neither the solution nor its gradient depends on it. With a start,
        "auto" uses "batched".

    return_info : bool, default=False
        Return the certificate too.

    Returns
    -------
    W : tensor of shape (..., k, c)
        Solutions, in the dtype of ``Z``.

    intercept : tensor of shape (..., c)
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
        In the backward pass, when the features in a support are linearly dependent and
        the solution is not unique: the minimum-norm gradient is then used.

    See Also
    --------
    lasso : The same for one output.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity",
       ICML 2023.
    .. [2] Q. Bertrand et al., "Implicit Differentiation for Fast Hyperparameter
       Selection in Non-Smooth Convex Learning", JMLR 2022.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import multitask_lasso, multitask_lasso_alpha_max
    >>> _ = torch.manual_seed(0)
    >>> Z = torch.randn(50, 6, requires_grad=True)
    >>> Y = Z[:, [0, 4]].detach() @ torch.randn(2, 3)
    >>> alpha = 0.1 * multitask_lasso_alpha_max(Z, Y)
    >>> W, info = multitask_lasso(Z, Y, alpha, return_info=True)
    >>> W.shape
    torch.Size([6, 3])
    >>> info.support.int()
    tensor([1, 0, 0, 0, 1, 0], dtype=torch.int32)
    >>> W.sum().backward()
    >>> Z.grad.shape
    torch.Size([50, 6])
    """
    check_limits(tol, max_iter)
    check_solver(solver, start)

    def solve(loss, alpha, l2, start=None):
        gram_form = loss.gram, loss.corr, loss.y_sq, alpha, l2
        how = {"tol": tol, "max_iter": max_iter}
        if start is None and choose_celer(solver, loss):
            from sparsedis.solvers._celer import solve_multitask_lasso_celer

            W, info = solve_multitask_lasso_celer(*loss.scaled(), *gram_form, **how)
        else:
            how |= {"start": start, "data": loss.scaled}
            W, info = solve_multitask_lasso(*gram_form, **how)
        return W, loss.certify(info, W, alpha, l2, tol), None

    W, intercept, info = solve_squared(
        Z,
        Y,
        lambda tasks: tasks.parameter(alpha, "alpha"),
        lambda tasks: tasks.parameter(l2, "l2"),
        solve,
        start=start,
        fit_intercept=fit_intercept,
        mask=mask,
        sample_weight=sample_weight,
        target_ndim=1,
        target="Y",
    )
    warn_if_not_converged(info, tol, "multitask_lasso")
    return pack(W, intercept, info, fit_intercept, return_info)


@without_derivatives(Z=2, Y=2, mask=1, sample_weight=1)
def multitask_lasso_alpha_max(
    Z: Tensor,
    Y: Tensor,
    *,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
) -> Tensor:
    """Smallest ``alpha`` at which the solution is zero: ``max_j ||(Z'Y)_j|| / n``.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features.

    Y : tensor of shape (..., n_samples, c)
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
    >>> from sparsedis.implicit import multitask_lasso_alpha_max
    >>> multitask_lasso_alpha_max(torch.eye(2), torch.tensor([[3.0, 4.0], [1.0, 0.0]]))
    tensor(2.5000)
    """
    tasks = read_tasks(
        Z, Y, mask=mask, sample_weight=sample_weight, target_ndim=1, target="Y"
    )
    units = choose_units(tasks, *2 * [torch.zeros_like(tasks.total)], check=False)
    loss = SquaredLoss.of(*prepare(units.tasks, fit_intercept)[:3])
    norm = torch.linalg.vector_norm(loss.corr, dim=-1)
    return tasks.unflatten_bound(units.correlations(norm.amax(-1)))
