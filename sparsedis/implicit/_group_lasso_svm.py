"""The group Lasso multiclass SVM as a differentiable layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from sparsedis._deprecated import renamed_function, renamed_keywords
from sparsedis.implicit._arguments import read_labels
from sparsedis.implicit._inputs import centre_features, read_tasks
from sparsedis.implicit._modes import in_plain_mode
from sparsedis.implicit._refusals import ReverseOnly, once_differentiable
from sparsedis.implicit._squared import check_limits, pack
from sparsedis.implicit._svm_adjoint import svm_adjoint
from sparsedis.implicit._transforms import transformable, without_derivatives
from sparsedis.implicit._units import choose_units
from sparsedis.solvers._info import SolverInfo, warn_if_not_converged
from sparsedis.solvers.svm.dual import solve_svm_dual
from sparsedis.solvers.svm.null import alpha_bound

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

# Smallest l2 in units in which features and weights are about 1; smallest alpha,
# relative to the largest feature times the sum of the weights.
_LEAST_L2, _LEAST_ALPHA = 1e-60, 1e-25


@renamed_keywords(l1="alpha")
@transformable(forward=False, Z=2, y=1, alpha=0, l2=0, mask=1, sample_weight=1)
def group_lasso_svm(
    Z: Tensor,
    y: Tensor,
    alpha: float | Tensor,
    l2: float | Tensor,
    *,
    n_classes: int | None = None,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
    tol: float = 1e-9,
    max_iter: int = 100,
    return_info: bool = False,
) -> Any:
    r"""Row-sparse multiclass SVMs of a batch of tasks, differentiable in the features.

    Solves, for each task,

    .. math::

        \min_W \sum_i \left[ \max_c \left( 1_{c \neq y_i} + (ZW)_{ic} \right)
        - (ZW)_{i y_i} \right] + \alpha \sum_j \|W_j\|_2 + \frac{l_2}{2} \|W\|_F^2

    where :math:`W_j` is row j: a feature is used for all classes or for none. This is
    the base learner of Eqs. 6-8 and Appendix C of [1]_; with ``alpha=0`` it is the
    multiclass SVM of Crammer and Singer, the head of MetaOptNet [2]_, with
    :math:`C = 1 / l_2`. It is solved through its dual,

    .. math::

        \max_{\beta_i \in \Delta} \langle \beta, 1 - Y \rangle - \frac{1}{2 l_2}
        \| \mathrm{BST}(Z^\top (Y - \beta), \alpha) \|_F^2

    whose size does not depend on the number of features; BST shrinks each row by
    ``alpha`` in norm. The solution is differentiated implicitly, on its active set.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, p)
        Features. Leading axes are tasks and broadcast against those of ``y``.

    y : tensor of shape (..., n_samples) of int
        Labels from 0 to ``n_classes - 1``. A task may lack some of them.

    alpha : float or tensor of shape (...)
        Strength of the group penalty, absolute and non-negative. The solution is zero
        if ``alpha`` is at least :func:`group_lasso_svm_alpha_max`.

    l2 : float or tensor of shape (...)
        Strength of the squared l2 penalty, positive.

    n_classes : int, default=None
        Number of classes of all tasks, at least 2; by default one more than the
        largest label.

    mask : tensor of shape (..., n_samples) of bool, default=None
        True for valid samples, for tasks of unequal size. Values of the others are
        ignored, NaN included.

    sample_weight : tensor of shape (..., n_samples), default=None
        Non-negative weights of the samples' losses, whose sum is not normalised. No
        gradient flows to them.

    fit_intercept : bool, default=False
        Add an unpenalised intercept to each class.

    tol : float, default=1e-9
        Largest duality gap, relative to the objective at zero, the sum of the weights.

    max_iter : int, default=100
        Largest number of interior-point iterations; about 3 to 13 are usual, and none
        if ``alpha=0`` and a task has more features than samples.

    return_info : bool, default=False
        Return the certificate too.

    Returns
    -------
    W : tensor of shape (..., p, n_classes)
        Solutions, in the dtype of ``Z``. Rows sum to zero.

    intercept : tensor of shape (..., n_classes)
        Only when ``fit_intercept=True``; sums to zero. A class that a task lacks gets
        the largest intercept that does not change the objective.

    info : SolverInfo
        Only when ``return_info=True``: ``gap``, ``n_iter``, ``converged`` and
        ``support`` of each task. The gap is the primal minus the dual objective, before
        W is rounded to the dtype of ``Z``.

    Raises
    ------
    ValueError
        When features are integers or not finite, labels are out of range, ``alpha`` is
        negative, ``l2`` is not positive, shapes are inconsistent, or ``mask`` leaves a
        task empty.

    Warns
    -----
    ConvergenceWarning
        When the duality gap of a task is above ``tol``.

    See Also
    --------
    group_lasso_svm_alpha_max : The natural scale of ``alpha``.
    logistic : The same penalty with the logistic loss.

    Notes
    -----
    The hinge is a sum over the samples, as published, not a mean. Products with all
    features are computed in the dtype of ``Z``, everything else in float64: with
    ``alpha``, only a working set of features is copied to float64.

    At kinks, where a feature or a sample is about to become active, the gradient is
    that of the current active set. If the dual solution is not unique, as with samples
    that are copies of each other, the adjoint variable of minimum norm is used. W is
    always unique. If the intercepts are not, they lie inside their range and have the
    gradient of minimum norm. The intercept of a class without samples has no gradient.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity",
       ICML 2023.
    .. [2] K. Lee et al., "Meta-Learning with Differentiable Convex Optimization",
       CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import group_lasso_svm, group_lasso_svm_alpha_max
    >>> _ = torch.manual_seed(0)
    >>> Z = torch.randn(2, 60, 6, requires_grad=True)
    >>> y = Z[..., :3].argmax(-1)
    >>> alpha = 0.5 * group_lasso_svm_alpha_max(Z, y)
    >>> W, info = group_lasso_svm(Z, y, alpha, l2=1.0, return_info=True)
    >>> W.shape
    torch.Size([2, 6, 3])
    >>> info.support.int()
    tensor([[1, 1, 1, 0, 0, 0],
            [1, 1, 1, 0, 0, 0]], dtype=torch.int32)
    >>> W.square().sum().backward()
    >>> Z.grad.shape
    torch.Size([2, 60, 6])
    """
    check_limits(tol, max_iter)
    tasks, labels, weight, n_classes = _read(Z, y, n_classes, mask, sample_weight)
    alpha, l2 = (
        tasks.parameter(alpha, "alpha"),
        tasks.parameter(l2, "l2", positive=True),
    )

    def solve(Z, alpha, l2):
        return solve_svm_dual(
            Z,
            labels,
            weight,
            alpha,
            l2,
            n_classes,
            fit_intercept=fit_intercept,
            tol=tol,
            max_iter=max_iter,
        )

    if tasks.unit is not None:
        alpha, l2 = alpha / tasks.unit, l2 / tasks.unit
    units = choose_units(tasks, alpha, l2, scale_y=False)
    _check_l2(tasks, units.l2, l2)
    # A smaller alpha is below the rounding errors of every ||V_j||: use zero instead.
    alpha, least = units.alpha, _LEAST_ALPHA * tasks.total
    if bool(((alpha > 0) & (alpha < least * units.bound)).any()):
        small = alpha < least * units.size
        alpha = alpha - torch.where(small, alpha, 0.0).detach()
    features, mean = centre_features(units.tasks, fit_intercept)
    W, intercept, *certificate = _GroupLassoSVM.apply(features, alpha, units.l2, solve)
    if fit_intercept:
        shift = mean.unsqueeze(-2).to(intercept) @ W.to(intercept)
        intercept = intercept - shift.squeeze(-2)
    info = SolverInfo(*certificate)
    warn_if_not_converged(info, tol, "group_lasso_svm")
    return pack(
        tasks.unflatten(units.coefficients(W)),
        tasks.unflatten(intercept) if fit_intercept else None,
        info.reshape(tasks.batch_shape),
        fit_intercept,
        return_info,
    )


@without_derivatives(Z=2, y=1, mask=1, sample_weight=1)
def group_lasso_svm_alpha_max(
    Z: Tensor,
    y: Tensor,
    *,
    n_classes: int | None = None,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
) -> Tensor:
    r"""Upper bound, in closed form, of the smallest ``alpha`` with a zero solution.

    ``W = 0`` is optimal if ``alpha`` is at least :math:`\max_j \|(Z^\top (Y -
    \beta))_j\|` for one of the dual solutions :math:`\beta` at ``W = 0``. This bound
    uses the most even one, :math:`\beta = (1 - Y) / (c - 1)` without an intercept. The
    solution may be zero for smaller values too.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, p)
        Features.

    y : tensor of shape (..., n_samples) of int
        Labels.

    n_classes : int, default=None
        Number of classes of all tasks; by default one more than the largest label.

    mask : tensor of shape (..., n_samples) of bool, default=None
        Valid samples.

    sample_weight : tensor of shape (..., n_samples), default=None
        Weights of the samples.

    fit_intercept : bool, default=False
        Whether the problem has an intercept, whose dual keeps the total weight of every
        class.

    Returns
    -------
    tensor of shape (...)
        One value per task, without a gradient.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import group_lasso_svm_alpha_max
    >>> Z = torch.tensor([[2.0], [0.0], [1.0]])
    >>> group_lasso_svm_alpha_max(Z, torch.tensor([0, 1, 2]))
    tensor(2.1213)
    """
    tasks, labels, weight, n_classes = _read(Z, y, n_classes, mask, sample_weight)
    zero = torch.zeros_like(tasks.total)
    units = choose_units(tasks, zero, zero, check=False, scale_y=False)
    features, _ = centre_features(units.tasks, fit_intercept)
    bound = alpha_bound(
        features, labels, weight, n_classes, fit_intercept=fit_intercept
    )
    bound = units.correlations(bound.to(tasks.total))
    if tasks.unit is not None:
        bound = bound * tasks.unit
    return tasks.unflatten_bound(bound)


group_lasso_svm_l1_max = renamed_function(
    "group_lasso_svm_l1_max", group_lasso_svm_alpha_max
)


class _GroupLassoSVM(ReverseOnly):
    """``W`` and intercepts of every task."""

    @staticmethod
    def forward(ctx, Z, alpha, l2, solve):
        solution = solve(Z, alpha, l2)
        info = solution.info
        ctx.save_for_backward(Z, alpha, l2, solution.W)
        # Outputs stored in the context itself would never be freed.
        ctx.solution = replace(solution, W=None, intercept=None)
        ctx.mark_non_differentiable(info.gap, info.n_iter, info.converged, info.support)
        return (
            solution.W,
            solution.intercept,
            info.gap,
            info.n_iter,
            info.converged,
            info.support,
        )

    @staticmethod
    @in_plain_mode
    @once_differentiable("group_lasso_svm")
    def backward(ctx, grad_W, grad_intercept, *_):
        Z, alpha, l2, W = ctx.saved_tensors
        solution = replace(ctx.solution, W=W)
        grads = svm_adjoint(
            Z,
            solution,
            alpha,
            l2,
            grad_W,
            grad_intercept,
            needs=ctx.needs_input_grad[1:3],
        )
        return *grads, None


def _check_l2(tasks, scaled, l2):
    """Raise an error for an l2 that is negligible compared with the loss."""
    low = scaled < _LEAST_L2
    if bool(low.any()):
        t = int(low.nonzero()[0])
        value = l2 if tasks.unit is None else l2 * tasks.unit
        least = float((value * (_LEAST_L2 / scaled)).detach()[t])
        raise ValueError(
            "l2 is too small for the size of the features and sample_weight: it must "
            f"be at least {least:.2g}, got {float(value[t].detach()):g}"
            f"{tasks._where(t)}."
        )


def _read(Z, y, n_classes, mask, sample_weight):
    tasks = read_tasks(Z, y, mask=mask, sample_weight=sample_weight, cast=False)
    labels, n_classes = read_labels(tasks, n_classes)
    weight = tasks.weight
    if weight is None:
        weight = tasks.total.new_ones(labels.shape)
    return tasks, labels, weight, n_classes
