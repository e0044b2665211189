"""Any loss with any penalty as a differentiable layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from sparsedis.implicit._inputs import centre_features, read_tasks
from sparsedis.implicit._layer import solve_implicitly
from sparsedis.implicit._squared import check_limits, pack
from sparsedis.implicit._start import read_start
from sparsedis.implicit._transforms import transformable, without_derivatives
from sparsedis.solvers._info import warn_if_not_converged
from sparsedis.solvers._linear import Linear, solve_linear
from sparsedis.solvers.losses import Loss
from sparsedis.solvers.penalties import Penalty

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

# Range of features whose squares are computed with full precision.
_RANGE = 1e-60, 1e60


@transformable(Z=2, y=1, alpha=0, l2=0, mask=1, sample_weight=1)
def glm(
    Z: Tensor,
    y: Tensor,
    alpha: float | Tensor,
    *,
    loss: Loss,
    penalty: Penalty,
    l2: float | Tensor = 0.0,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
    multi_output: bool = False,
    tol: float = 1e-12,
    max_iter: int = 1000,
    start: Tensor | None = None,
    return_info: bool = False,
) -> Any:
    r"""Generalized linear model of any loss and penalty, as a differentiable layer.

    Solves, for each task,

    .. math::

        \min_{W, b} \frac{1}{n} \sum_i l\big((ZW)_i + b, y_i\big)
        + \sum_j p(W_j; \alpha) + \frac{l_2}{2} \|W\|_F^2

    for the losses of :mod:`sparsedis.solvers.losses` and the penalties of
    :mod:`sparsedis.solvers.penalties`, or custom ones. The solution is differentiated
    implicitly on its support, where the gradients of loss and penalty cancel [1]_;
    autograd differentiates these gradients. :func:`lasso`, :func:`multitask_lasso`,
    :func:`ridge` and :func:`logistic` are faster for the problems they solve.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features. Leading axes are tasks and broadcast against those of ``y``.

    y : tensor of shape (..., n_samples), or (..., n_samples, n_outputs)
        Targets that are valid for the loss.

    alpha : float or tensor of shape (...)
        Strength of the penalty, non-negative.

    loss : Loss
        Loss of a sample, such as ``Huber()``.

    penalty : Penalty
        Penalty of a feature, such as ``MCP()``.

    l2 : float or tensor of shape (...), default=0.0
        Strength of a squared l2 penalty, in addition to that of `penalty`.

    mask : tensor of shape (..., n_samples) of bool, default=None
        Valid samples, for tasks of unequal size. Values elsewhere are ignored.

    sample_weight : tensor of shape (..., n_samples), default=None
        Non-negative weights; the loss is then a weighted mean. No gradient flows to
        them.

    fit_intercept : bool, default=False
        Add an unpenalised intercept for each score.

    multi_output : bool, default=False
        Whether `y` holds vectors, along its last axis.

    tol : float, default=1e-12
        Largest duality gap relative to the objective at zero or, without a gap, square
        of the largest violation of the optimality conditions.

    max_iter : int, default=1000
        Largest number of iterations of the solver.

    start : tensor of shape (..., k) or (..., k, n_scores), default=None
        Solution of an earlier call, for data or penalties that have changed little;
        with an intercept, the pair ``(W, intercept)``. The solver takes fewer steps
        from there. Neither the solution nor its gradient depends on it. The penalty
        must be convex.

    return_info : bool, default=False
        Return the certificate too.

    Returns
    -------
    W : tensor of shape (..., k), or (..., k, n_scores) with several scores
        Solutions, in the dtype of ``Z``. If the penalty is not convex, there may be
        several; the solver starts from zero.

    intercept : tensor of shape (...) or (..., n_scores)
        Only when ``fit_intercept=True``.

    info : SolverInfo
        Only when ``return_info=True``: ``gap``, ``n_iter``, ``converged``,
        ``support`` and ``certificate``, the meaning of ``gap``.

    Raises
    ------
    TypeError
        When `loss` is not a loss, or `penalty` not a penalty.
    ValueError
        For non-finite values, targets that the loss does not support, a number of
        scores that the penalty does not support, negative penalties, inconsistent
        shapes, or a task left empty by ``mask``.

    Warns
    -----
    ConvergenceWarning
        When a task does not reach ``tol``.
    RuntimeWarning
        In the backward pass, when the second derivative on a support is singular: the
        minimum-norm gradient is then used.

    References
    ----------
    .. [1] Q. Bertrand et al., "Implicit Differentiation for Fast Hyperparameter
       Selection in Non-Smooth Convex Learning", JMLR 2022.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import glm, glm_alpha_max
    >>> from sparsedis.solvers.losses import Huber
    >>> from sparsedis.solvers.penalties import MCP
    >>> _ = torch.manual_seed(0)
    >>> Z = torch.randn(3, 50, 6, requires_grad=True)
    >>> y = Z[..., 0].detach() - 2 * Z[..., 4].detach()
    >>> y[:, 0] = 100.0  # an outlier
    >>> how = {"loss": Huber(0.5), "penalty": MCP()}
    >>> w, info = glm(Z, y, 0.3 * glm_alpha_max(Z, y, **how), return_info=True, **how)
    >>> info.support.int()
    tensor([[1, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 1, 0]], dtype=torch.int32)
    >>> w.sum().backward()
    >>> Z.grad.shape
    torch.Size([3, 50, 6])
    """
    check_limits(tol, max_iter)
    tasks = _read(Z, y, loss, penalty, mask, sample_weight, multi_output)
    alpha, l2 = tasks.parameter(alpha, "alpha"), tasks.parameter(l2, "l2")
    features, mean = centre_features(tasks, fit_intercept)
    weight = tasks.share()
    y = tasks.y.to(features.dtype)
    if start is not None:
        start = _read_start(start, tasks, loss, penalty, multi_output, mean)

    def make(Z, y, alpha, l2):
        return Linear(loss, penalty, Z, y, weight, alpha, l2, fit_intercept)

    def solve(problem, Z, y, alpha, l2):
        return solve_linear(problem, alpha, start=start, tol=tol, max_iter=max_iter)

    W, info, _ = solve_implicitly(make, solve, features, y, alpha, l2)
    k = features.shape[-1]
    info = replace(info, support=info.support[:, :k])
    warn_if_not_converged(info, tol, "glm")
    W, b = W[:, :k], W[:, k:].sum(1)
    if fit_intercept:
        b = b - (mean.unsqueeze(-2) @ W).squeeze(-2)
    W, b = loss.expand(W), loss.expand(b)
    if W.shape[-1] == 1 and not multi_output:
        W, b = W.squeeze(-1), b.squeeze(-1)
    return pack(
        tasks.unflatten(W),
        tasks.unflatten(b),
        info.reshape(tasks.batch_shape),
        fit_intercept,
        return_info,
    )


@without_derivatives(Z=2, y=1, mask=1, sample_weight=1)
def glm_alpha_max(
    Z: Tensor,
    y: Tensor,
    *,
    loss: Loss,
    penalty: Penalty,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fit_intercept: bool = False,
    multi_output: bool = False,
) -> Tensor:
    """Smallest ``alpha`` at which all penalised features are zero.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
        Features.

    y : tensor of shape (..., n_samples), or (..., n_samples, n_outputs)
        Targets.

    loss : Loss
        Loss of a sample.

    penalty : Penalty
        Penalty of a feature.

    mask : tensor of shape (..., n_samples) of bool, default=None
        Valid samples.

    sample_weight : tensor of shape (..., n_samples), default=None
        Weights of the samples.

    fit_intercept : bool, default=False
        Whether the problem has an intercept.

    multi_output : bool, default=False
        Whether `y` holds vectors, along its last axis.

    Returns
    -------
    tensor of shape (...)
        One value per task, without a gradient; infinite if the penalty sets no feature
        to zero, like the squared one.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit import glm_alpha_max
    >>> from sparsedis.solvers.losses import Squared
    >>> from sparsedis.solvers.penalties import L1
    >>> y = torch.tensor([3.0, 1.0])
    >>> glm_alpha_max(torch.eye(2), y, loss=Squared(), penalty=L1())
    tensor(1.5000)
    """
    tasks = _read(Z, y, loss, penalty, mask, sample_weight, multi_output)
    features, _ = centre_features(tasks, fit_intercept)
    zero = torch.zeros_like(tasks.total)
    y = tasks.y.to(features.dtype)
    problem = Linear(
        loss, penalty, features, y, tasks.share(), zero, zero, fit_intercept
    )
    bound = problem.alpha_max(problem.least(1e-12, 1000))
    if bool(torch.isinf(bound).any()):
        return bound.to(tasks.dtype).reshape(tasks.batch_shape)
    return tasks.unflatten_bound(bound)


def _read(Z, y, loss, penalty, mask, sample_weight, multi_output):
    for name, value, kind in (("loss", loss, Loss), ("penalty", penalty, Penalty)):
        if not isinstance(value, kind):
            some = {"loss": "Squared()", "penalty": "L1()"}[name]
            raise TypeError(
                f"{name} must be a {kind.__name__}, such as {some}, got {value!r}."
            )
    tasks = read_tasks(
        Z, y, mask=mask, sample_weight=sample_weight, target_ndim=int(multi_output)
    )
    loss.check_targets(tasks.y)
    size = tasks.Z.detach().abs().amax()
    if not (size == 0 or _RANGE[0] <= size <= _RANGE[1]):
        raise ValueError(
            f"Z must hold numbers of a size from {_RANGE[0]:g} to {_RANGE[1]:g}, got "
            f"{float(size):.2g}: rescale the features."
        )
    return tasks


def _read_start(start, tasks, loss, penalty, multi_output, mean):
    """Coefficients of the scores, (n_tasks, k, c), for centred features.

    With an intercept, it is one more row.
    """
    if not penalty.convex:
        raise ValueError(
            f"With penalty={penalty!r}, which is not convex, the solution would depend "
            "on start; it must be None."
        )
    # Scores as the layer returns them.
    scores = loss.expand(torch.eye(loss.n_scores(tasks.y)).to(tasks.total))
    n_outputs = scores.shape[1:] if multi_output or scores.shape[1] > 1 else ()
    W, b = read_start(tasks, start, *n_outputs, fit_intercept=mean is not None)
    if mean is not None:
        W = torch.cat([W, b + mean.detach().unsqueeze(-2) @ W], 1)
    return W @ torch.linalg.pinv(scores)
