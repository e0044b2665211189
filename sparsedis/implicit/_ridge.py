"""Ridge regression as a differentiable layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sparsedis.implicit._inputs import centre_features, read_tasks, scale_rows
from sparsedis.implicit._squared import check_limits, pack, solve_squared
from sparsedis.implicit._together import spread_together
from sparsedis.implicit._transforms import transformable, without_derivatives
from sparsedis.implicit._units import choose_units
from sparsedis.solvers._info import warn_if_not_converged
from sparsedis.solvers.ridge import solve_ridge

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor


@transformable(Z=2, y=1, alpha=0, mask=1, sample_weight=1)
def ridge(
    Z: Tensor,
    y: Tensor,
    alpha: float | Tensor,
    *,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-12,
    return_info: bool = False,
) -> Any:
    r"""Ridge solutions of a batch of tasks, differentiable in features and penalty.

    Solves, for each task, in closed form,

    .. math:: \min_w \frac{1}{2n} \|y - Zw\|^2 + \frac{\alpha}{2} \|w\|^2

    which is the inner problem of the "inner-Ridge" baseline in Section 5 of [1]_.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features. Leading axes are tasks and broadcast against those of ``y``.

    y : tensor of shape (..., n_samples)
        Targets.

    alpha : float or tensor of shape (...)
        Strength of the penalty, absolute and non-negative. :func:`ridge_alpha_max`
        gives the scale that [1]_ uses.

    mask : tensor of shape (..., n_samples) of bool, default=None
        Valid samples, for tasks of unequal size.

    sample_weight : tensor of shape (..., n_samples), default=None
        Non-negative weights; no gradient flows to them.

    fit_intercept : bool, default=False
        Add an unpenalised intercept.

    tol : float, default=1e-12
        Largest duality gap, relative to the objective at zero, without a warning.

    return_info : bool, default=False
        Return the certificate too.

    Returns
    -------
    w : tensor of shape (..., k)
        Solutions, in the dtype of ``Z``; of minimum norm if ``alpha=0`` and the
        features are linearly dependent.

    intercept : tensor of shape (...)
        Only when ``fit_intercept=True``.

    info : SolverInfo
        Only when ``return_info=True``.

    Raises
    ------
    ValueError
        For the same arguments as :func:`lasso`.

    See Also
    --------
    lasso : The sparse counterpart.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity",
       ICML 2023.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import ridge
    >>> ridge(torch.eye(2), torch.tensor([3.0, 1.0]), alpha=0.5)
    tensor([1.5000, 0.5000])
    """
    check_limits(tol)

    def solve(loss, _, l2):
        gram_form = loss.gram, loss.corr[..., 0], loss.y_sq, l2
        return solve_ridge(*gram_form, tol=tol, data=loss.single)

    w, intercept, info = solve_squared(
        Z,
        y,
        lambda tasks: tasks.parameter(0.0, "alpha"),
        lambda tasks: tasks.parameter(alpha, "alpha"),
        solve,
        fit_intercept=fit_intercept,
        mask=mask,
        sample_weight=sample_weight,
    )
    warn_if_not_converged(info, tol, "ridge")
    return pack(w, intercept, info, fit_intercept, return_info)


@without_derivatives(Z=2, y=1, mask=1, sample_weight=1)
def ridge_alpha_max(
    Z: Tensor,
    y: Tensor,
    *,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
) -> Tensor:
    """Natural scale of the Ridge penalty: ``||Z||_F^2 / n``.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features.

    y : tensor of shape (..., n_samples)
        Targets, which determine the shape of the batch.

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
    >>> from sparsedis.implicit import ridge_alpha_max
    >>> ridge_alpha_max(torch.eye(2), torch.tensor([3.0, 1.0]))
    tensor(1.)
    """
    weights = {"mask": mask, "sample_weight": sample_weight}
    tasks = read_tasks(Z, y, **weights, together=True)
    spread = spread_together(tasks, fit_intercept)
    if spread is not None:
        return tasks.unflatten(spread.sum(-1), "This penalty")
    tasks = tasks.apart()
    none = torch.zeros_like(tasks.total)
    units = choose_units(tasks, none, none, check=False, scale_y=False)
    Z, _ = centre_features(units.tasks, fit_intercept)
    (Z,) = scale_rows(tasks, Z)
    total = (Z * Z).sum((1, 2)).expand(len(tasks.y))
    return tasks.unflatten(units.squares(total), "This penalty")
