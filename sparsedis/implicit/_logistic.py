"""Sparse logistic regression as a differentiable layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sparsedis.implicit._arguments import read_labels
from sparsedis.implicit._inputs import centre_features, read_tasks
from sparsedis.implicit._layer import solve_implicitly
from sparsedis.implicit._squared import check_limits, check_solver, has_celer, pack
from sparsedis.implicit._start import read_start
from sparsedis.implicit._tasks import wide
from sparsedis.implicit._together import spread_together
from sparsedis.implicit._transforms import transformable, without_derivatives
from sparsedis.implicit._units import choose_units
from sparsedis.solvers._info import warn_if_not_converged
from sparsedis.solvers.logistic import Logistic, class_basis, solve_problem

if TYPE_CHECKING:
    from typing import Any, Literal

    from torch import Tensor

# The best intercept of a class that a task lacks is minus infinity. At this value, the
# probability of the class is below the rounding errors of float64.
_ABSENT = math.log(torch.finfo(torch.float64).eps)

# Number of features up to which celer is not faster, however many tasks there are.
_WIDE = 256


@transformable(Z=2, y=1, alpha=0, l2=0, mask=1, sample_weight=1)
def logistic(
    Z: Tensor,
    y: Tensor,
    alpha: float | Tensor,
    *,
    n_classes: int | None = None,
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
    r"""Sparse logistic regression of a batch of tasks, as a differentiable layer.

    Solves, for each task with labels in :math:`C` classes,

    .. math::

        \min_W \frac{1}{n} \sum_i \left[ \log \sum_c e^{(ZW)_{ic}} - (ZW)_{i y_i}
        \right] + \alpha \sum_j \|W_j\|_2 + \frac{l_2}{2} \|W\|_F^2

    where :math:`W_j` is row j: a feature is used for all classes or for none (Eq. 4 of
    [1]_ with a categorical likelihood). With two classes there is one logit, that of
    class 1, and the penalty is :math:`\alpha \|w\|_1`. The solution is differentiated
    implicitly on its support [2]_.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features. Leading axes are tasks and broadcast against those of ``y``.

    y : tensor of shape (..., n_samples) of int
        Labels from 0 to ``n_classes - 1``. A task may lack some of them.

    alpha : float or tensor of shape (...)
        Strength of the l1 or group penalty, absolute and non-negative.
        :func:`logistic_alpha_max` gives the smallest value at which the solution is
        zero.

    n_classes : int, default=None
        Number of classes of all tasks, at least 2; by default one more than the
        largest label.

    l2 : float or tensor of shape (...), default=0.0
        Strength of the squared l2 penalty; positive values make the solution unique.

    mask : tensor of shape (..., n_samples) of bool, default=None
        Valid samples, for tasks of unequal size. Values elsewhere are ignored.

    sample_weight : tensor of shape (..., n_samples), default=None
        Non-negative weights; the loss is then a weighted mean. No gradient flows to
        them.

    fit_intercept : bool, default=False
        Add an unpenalised intercept for each logit.

    tol : float, default=1e-12
        Largest duality gap, relative to the objective at zero, ``log(n_classes)``.

    max_iter : int, default=1000
        Largest number of iterations of the solver.

    solver : {"auto", "batched", "celer"}, default="auto"
        "batched" solves all tasks at once in torch, on the device of ``Z``; "celer"
        solves them one by one on the CPU, and is faster for wide tasks. celer supports
        only two classes, without l2 term, intercept or sample weights. "auto" uses it
        for such problems on the CPU with more than 256 features.

    start : tensor of shape (..., k) or (..., k, n_classes), default=None
        Solution of an earlier call, for data or penalties that have changed little;
        with an intercept, the pair ``(W, intercept)``. The solver takes fewer steps
        from there. Neither the solution nor its gradient depends on it. With a start,
        "auto" uses "batched".

    return_info : bool, default=False
        Return the certificate too.

    Returns
    -------
    W : tensor of shape (..., k, n_classes), or (..., k) with two classes
        Solutions, in the dtype of ``Z``. With more than two classes, rows sum to zero.

    intercept : tensor of shape (..., n_classes), or (...) with two classes
        Only when ``fit_intercept=True``. A class that a task lacks gets -36 instead of
        its optimum, minus infinity: its probability is then below rounding errors. The
        intercepts of the other classes sum to zero.

    info : SolverInfo
        Only when ``return_info=True``: ``gap``, ``n_iter``, ``converged`` and
        ``support`` of each task.

    Raises
    ------
    ValueError
        For non-finite features, labels out of range, negative penalties,
        inconsistent shapes, integer features, a task left empty by ``mask``, an unknown
        ``solver``, or a problem that it does not support.
    ImportError
        For ``solver="celer"`` if celer is not installed.

    Warns
    -----
    ConvergenceWarning
        When a task does not reach ``tol``. Without any penalty, a task whose classes
        can be separated has no solution.
    RuntimeWarning
        In the backward pass, when the features in a support are linearly dependent and
        the solution is not unique: the minimum-norm gradient is then used.

    See Also
    --------
    multitask_lasso : The same penalty with a squared loss.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity",
       ICML 2023.
    .. [2] Q. Bertrand et al., "Implicit Differentiation for Fast Hyperparameter
       Selection in Non-Smooth Convex Learning", JMLR 2022.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import logistic, logistic_alpha_max
    >>> _ = torch.manual_seed(0)
    >>> Z = torch.randn(2, 60, 6, requires_grad=True)
    >>> y = (Z[..., 0] - Z[..., 4] > 0).int()
    >>> alpha = 0.3 * logistic_alpha_max(Z, y)
    >>> w, info = logistic(Z, y, alpha, return_info=True)
    >>> info.support.int()
    tensor([[1, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 1, 0]], dtype=torch.int32)
    >>> w.sum().backward()
    >>> Z.grad.shape
    torch.Size([2, 60, 6])
    >>> logistic(Z, y, alpha, n_classes=3).shape
    torch.Size([2, 6, 3])
    """
    check_limits(tol, max_iter)
    tasks, labels, n_classes = _read(Z, y, n_classes, mask, sample_weight)
    alpha, l2 = tasks.parameter(alpha, "alpha"), tasks.parameter(l2, "l2")
    by_celer = _choose_celer(
        solver,
        {
            "more than two classes": n_classes > 2,
            "an intercept": fit_intercept,
            "sample weights": sample_weight is not None,
            "an l2 term": bool((l2 > 0).any()),
            "a start": start is not None,
        },
        tasks,
    )

    # Without an l1 penalty, no rounding error decides which coefficients are zero.
    smooth = not bool((alpha > 0).any()) and bool((l2 > 0).all())
    if not smooth or spread_together(tasks, fit_intercept) is None:
        tasks = tasks.apart()
    units = choose_units(tasks, alpha, l2, scale_y=False)
    share, k = tasks.share(), tasks.Z.shape[-1]
    features, mean = centre_features(units.tasks, fit_intercept)

    if start is not None:
        start = _read_start(start, tasks, units, n_classes, mean)

    def make(Z, alpha, l2):
        return Logistic(Z, labels, share, alpha, l2, n_classes, fit_intercept)

    def solve(problem, Z, alpha, l2):
        first = start
        if by_celer:
            from sparsedis.solvers._celer import start_logistic_celer

            first = start_logistic_celer(Z, labels, share, alpha)
        return solve_problem(problem, alpha, first, tol=tol, max_iter=max_iter)

    penalties = units.alpha, units.l2
    W, info, problem = solve_implicitly(make, solve, features, *penalties)
    W, b = W[:, :k], W[:, k:].sum(1)
    warn_if_not_converged(info, tol, "logistic")
    if fit_intercept:
        b = b - (mean.unsqueeze(-2) @ W).squeeze(-2)
    if n_classes == 2:
        W, b = W.squeeze(-1), b.squeeze(-1)
    else:
        basis = class_basis(n_classes, W)
        W, b = W @ basis.T, b @ basis.T
    if problem.gauge is not None:
        b = b + _absent_intercept(problem.absent)
    return pack(
        tasks.unflatten(units.coefficients(W)),
        tasks.unflatten(b) if fit_intercept else None,
        info.reshape(tasks.batch_shape),
        fit_intercept,
        return_info,
    )


@without_derivatives(Z=2, y=1, mask=1, sample_weight=1)
def logistic_alpha_max(
    Z: Tensor,
    y: Tensor,
    *,
    n_classes: int | None = None,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
) -> Tensor:
    """Smallest ``alpha`` at which the solution is zero: ``max_j ||Z_j'(Y - P)|| / n``.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
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
        Whether the problem has an intercept. If so, P contains the frequencies of the
        classes, otherwise ``1 / n_classes``.

    Returns
    -------
    tensor of shape (...)
        One value per task, without a gradient.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import logistic_alpha_max
    >>> Z = torch.tensor([[1.0], [-1.0], [3.0], [1.0]])
    >>> logistic_alpha_max(Z, torch.tensor([0, 0, 1, 1]))
    tensor(0.5000)
    """
    tasks, labels, n_classes = _read(Z, y, n_classes, mask, sample_weight)
    tasks = tasks.apart()
    zero = torch.zeros_like(tasks.total)
    units = choose_units(tasks, zero, zero, check=False, scale_y=False)
    features, _ = centre_features(units.tasks, fit_intercept)
    problem = Logistic(
        features, labels, tasks.share(), zero, zero, n_classes, fit_intercept
    )
    return tasks.unflatten_bound(units.correlations(problem.alpha_max()))


def _read(Z, y, n_classes, mask, sample_weight):
    """Tasks, labels of shape (n_tasks, n_samples) and the number of classes."""
    weights = {"mask": mask, "sample_weight": sample_weight}
    tasks = read_tasks(Z, y, **weights, together=True)
    labels, n_classes = read_labels(tasks, n_classes)
    return tasks, labels, n_classes


def _read_start(start, tasks, units, n_classes, mean):
    """Coefficients in the basis of the classes, (n_tasks, k, d), for centred features.

    With an intercept, it is one more row.
    """
    n_outputs = () if n_classes == 2 else (n_classes,)
    W, b = read_start(tasks, start, *n_outputs, fit_intercept=mean is not None)
    W = units.own_coefficients(W)
    if mean is not None:
        W = torch.cat([W, b + mean.detach().unsqueeze(-2) @ W], 1)
    return W if n_classes == 2 else W @ class_basis(n_classes, W)


def _choose_celer(solver, lacks, tasks):
    """Whether to use celer; an error if it does not support a requested option."""
    check_solver(solver)
    asked = [name for name, value in lacks.items() if value]
    if solver == "celer" and asked:
        raise ValueError(
            "solver='celer' does not support logistic regression with "
            f"{', '.join(asked)}; use solver='batched'."
        )
    if solver == "auto":
        wide = tasks.Z.shape[-1] > _WIDE
        return not asked and wide and tasks.Z.device.type == "cpu" and has_celer()
    return solver == "celer"


def _absent_intercept(absent):
    """Value to add to the zero intercepts of classes without a sample."""
    added = _ABSENT * absent.to(wide(absent.device))
    return added if absent.shape[1] > 2 else added[:, 1] - added[:, 0]
