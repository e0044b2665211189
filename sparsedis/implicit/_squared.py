"""Implicit gradients of the problems with a squared loss."""

import math
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib.util import find_spec
from numbers import Integral, Real

import torch

from sparsedis.implicit._inputs import centre, read_tasks, scale_rows
from sparsedis.implicit._refusals import ReverseOnly, warn_of_dependence
from sparsedis.implicit._second import implicit_gradients
from sparsedis.implicit._start import read_start
from sparsedis.implicit._units import choose_units
from sparsedis.solvers._arrays import namespace, some, tensors, views
from sparsedis.solvers._data_gap import recertify
from sparsedis.solvers._data_system import DataSystem
from sparsedis.solvers._groups import Rows, add_blocks, directions, penalty_hessian
from sparsedis.solvers._linalg import (
    gram_matrix,
    product,
    ridge_system,
    solve_on_support,
    take_tasks,
)
from sparsedis.solvers.lasso import WEAK

SOLVERS = ("auto", "batched", "celer")


@dataclass
class SquaredLoss:
    """``1/(2n) ||Y - ZW||^2`` of a batch of tasks, in Gram form.

    Attributes
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)

    Y : tensor of shape (n_tasks, n_samples, c)

    n : int
        Divisor of the products; 1 if ``Z`` and ``Y`` are already scaled.

    corr : tensor of shape (n_tasks, k, c)
        ``Z'Y / n``.

    y_sq : tensor of shape (n_tasks,)
        ``||Y||^2 / n``.
    """

    Z: torch.Tensor
    Y: torch.Tensor
    n: int
    corr: torch.Tensor
    y_sq: torch.Tensor

    @classmethod
    def of(cls, Z, Y, n, gram=None):
        """Compute the products; Y may be without its last axis if ``c = 1``.

        The products ``Z'Z`` of the features can be given, as an array.
        """
        Y = Y if Y.ndim == 3 else Y.unsqueeze(-1)
        A, B = views(Z, Y)
        y_sq = namespace(B).einsum("tnc,tnc->t", B, B)
        loss = cls(Z, Y, n, *tensors(product(A.mT, B) / n, y_sq / n))
        if gram is not None:
            (loss.gram,) = tensors(gram / n)
        return loss

    @cached_property
    def gram(self):
        """``Z'Z / n``, of shape (n_tasks, k, k) or (1, k, k)."""
        return tensors(gram_matrix(self.Z) / self.n)[0]

    def scaled(self):
        """Features and targets, each multiplied by ``1 / sqrt(n)``."""
        factor = 1 / math.sqrt(self.n)
        return self.Z * factor, self.Y * factor

    def single(self):
        """The same for a single output, without its axis."""
        Z, Y = self.scaled()
        return Z, Y.squeeze(-1)

    def certify(self, info, W, alpha, l2, tol):
        """Certify solutions with a norm penalty; see :func:`recertify`."""
        return recertify(info, W, self.scaled, self.gram, self.y_sq, alpha, l2, tol=tol)


class _SquaredLoss(ReverseOnly):
    """``argmin_W 1/(2n) ||Y - ZW||^2 + alpha sum_j ||W_j|| + l2/2 ||W||^2``, per task.

    The gradient is that of the solution on its support S, where
    ``(Z_S'Z_S / n + l2) W_S + alpha W_S / ||W_S|| = Z_S'Y / n``, row by row: one linear
    system per task, for any solver (implicit differentiation, Bertrand et al. 2022).
    """

    @staticmethod
    def forward(ctx, Z, Y, alpha, l2, n, gram, solve, report):
        loss = SquaredLoss.of(Z, Y, n, gram)
        W, info, ctx.system = solve(loss, alpha, l2)
        report(info)
        ctx.n = n
        gram = None if ctx.system else loss.gram
        ctx.save_for_backward(Z, Y, gram, alpha, l2, W, info.support)
        return W

    @staticmethod
    def backward(ctx, grad):
        Z, Y, gram, alpha, l2, W, support = ctx.saved_tensors
        flat, parts = Y.ndim == 2, (gram, alpha, l2, W, support)
        if torch.is_grad_enabled():
            if flat:
                parts = gram, alpha, l2, W.unsqueeze(-1), support
                Y, grad = Y.unsqueeze(-1), grad.unsqueeze(-1)
            found = _gradients_with_graph(ctx, grad, Z, Y, *parts)
        else:
            solve = _solve_single if flat else _solve_adjoint
            U, singular = solve(grad, *parts, Z, ctx.n, ctx.system)
            if some(singular):
                warn_of_dependence()
            Z, *rest = views(Z, Y, W, U)
            if flat:
                rest = (part[..., None] for part in rest)
            found = _cotangents(Z, *rest, ctx.n, ctx.needs_input_grad)
            found = [None if g is None else tensors(g)[0] for g in found]
        if flat and found[1] is not None:
            found[1] = found[1].squeeze(-1)
        return *found, None, None, None, None


def _cotangents(Z, Y, W, U, n, needed):
    """Cotangents of Z, Y, alpha and l2; all arrays are of NumPy, or of torch."""
    xp, c = namespace(W), W.shape[-1]
    grad_Z = grad_Y = grad_alpha = grad_l2 = None
    # Stack the residual and ZU, so that each product below is a single one.
    minus, U_n = -W, U / n
    both = product(Z, xp.concatenate([minus, U_n], -1))
    both[..., :c] += Y
    if needed[0]:
        other = xp.concatenate([U_n, minus], -1)
        if len(Z) == 1:
            # One product sums over all tasks.
            grad_Z = xp.tensordot(both, other, ([0, 2], [0, 2]))[None]
        else:
            grad_Z = product(both, other.mT)
    if needed[1]:
        grad_Y = both[..., c:]
    if needed[2]:
        # Factor of alpha in the optimality condition: signs if c = 1.
        towards = xp.sign(W) if c == 1 else xp.asarray(directions(*tensors(W)))
        grad_alpha = -(U * towards).sum((1, 2))
    if needed[3]:
        grad_l2 = -(U * W).sum((1, 2))
    return grad_Z, grad_Y, grad_alpha, grad_l2


def _gradients_with_graph(ctx, grad, Z, Y, gram, alpha, l2, W, support):
    """The same cotangents, which can be differentiated again."""
    n, single = ctx.n, W.shape[-1] == 1
    used = support.unsqueeze(-1)

    def stationarity(W, Z, Y, alpha, l2):
        slope = product(Z.mT, product(Z, W) - Y) / n + l2[:, None, None] * W
        # Other rows are not used, but must be finite.
        safe = torch.where((W != 0).any(-1, keepdim=True), W, 1.0)
        towards = torch.sign(W) if single else directions(safe)
        return torch.where(used, slope + alpha[:, None, None] * towards, 0.0)

    parts = [part.detach() for part in (alpha, l2, W, support, Z)]

    def solve(cotangent):
        return _solve_adjoint(cotangent, gram, *parts, n, ctx.system)

    theta = Z, Y, alpha, l2
    needed = ctx.needs_input_grad[:4]
    return implicit_gradients(solve, stationarity, grad, W, theta, needed)


def _solve_adjoint(grad, gram, alpha, l2, W, support, Z, n, system):
    """Solve the linear system of the adjoint, with the cotangent `grad` of W.

    For a single output, `gram` may be None if there is a `system`.
    """
    c = W.shape[-1]
    if c == 1:
        how = gram, alpha, l2, W, support, Z, n, system
        u, singular = _solve_single(grad.squeeze(-1), *how)
        return u.unsqueeze(-1), singular
    rows = Rows(support)
    active = rows.gather(W)
    blocks = penalty_hessian(active, alpha.unsqueeze(-1))
    blocks.diagonal(dim1=-2, dim2=-1).add_(l2[:, None, None])
    eye = torch.eye(c, dtype=W.dtype, device=W.device)
    hessian = rows.block(gram)[:, :, None, :, None] * eye[:, None, :]
    hessian = add_blocks(hessian, blocks).flatten(3).flatten(1, 2)
    u, singular = solve_on_support(
        hessian, rows.gather(grad).flatten(1), rows.valid.repeat_interleave(c, 1)
    )
    return rows.scatter(u.reshape(*rows.index.shape, c)), singular


def _solve_single(grad, gram, alpha, l2, W, support, Z, n, system):
    """The same for a single output, without its axis."""
    if system is None:
        _, system = ridge_system(gram, l2, support)
    u, poor = system.solve(grad), system.poor
    # Systems that are not poor are not singular.
    singular = poor
    if some(poor):
        singular = poor.expand(len(grad)).clone()
        for at in (poor & (l2 > 0), poor & (l2 == 0)):
            at = at.nonzero().flatten()
            if len(at):
                part = take_tasks(Z, at) / math.sqrt(n)
                exact = DataSystem(part, l2[at], support[at])
                u[at], singular[at] = exact.solve_normal(grad[at]), exact.singular
    return u, singular


def solve_squared(Z, Y, alpha, l2, solve, *, start=None, fit_intercept, **read):
    """Run a layer with a squared loss: read, centre, solve, convert back.

    Parameters
    ----------
    Z, Y : tensor
        Arguments of the layer.

    alpha, l2 : callable
        Functions that read the penalties for the tasks.

    solve : callable
        ``(loss, alpha, l2) -> W, info, system``, with a :class:`SquaredLoss` and ``W``
        of shape (n_tasks, k), or (n_tasks, k, c) if targets have an axis of outputs;
        with ``start=``, of shape (n_tasks, k, c), if there is a start.
        ``system`` is that of the gradient, or None if it is not known.

    start : tensor or pair of tensors, default=None
        Results of an earlier call.

    fit_intercept : bool

    **read : dict
        Passed to ``read_tasks``.

    Returns
    -------
    W : tensor of shape (..., k) or (..., k, c)

    intercept : tensor of shape (...) or (..., c), or None

    info : SolverInfo
    """
    tasks = read_tasks(Z, Y, **read)
    if not tasks.y.is_floating_point():
        raise ValueError(
            f"{tasks.target} must be of a floating dtype, got {tasks.y.dtype}."
        )
    units = choose_units(tasks, alpha(tasks), l2(tasks))
    if start is not None:
        # The means determine the intercepts.
        n_outputs = tasks.y.shape[2:]
        start, _ = read_start(tasks, start, *n_outputs, fit_intercept=fit_intercept)
        solve = partial(solve, start=units.own_coefficients(start))
    Z, Y, n, means = prepare(units.tasks, fit_intercept)
    found = []
    gram = units.tasks.gram if Z is units.tasks.Z else None
    W = _SquaredLoss.apply(Z, Y, units.alpha, units.l2, n, gram, solve, found.append)
    (info,) = found
    intercept = None
    if fit_intercept:
        Z_mean, Y_mean = means
        if Y.ndim == 2:
            fitted = (Z_mean * W).sum(-1)
        else:
            fitted = (Z_mean.unsqueeze(-2) @ W).squeeze(-2)
        intercept = tasks.unflatten(units.intercepts(Y_mean - fitted))
    W = tasks.unflatten(units.coefficients(W))
    return W, intercept, info.reshape(tasks.batch_shape)


def prepare(tasks, fit_intercept):
    """Centre and weight the data of every task.

    Parameters
    ----------
    tasks : Tasks
    fit_intercept : bool

    Returns
    -------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)

    Y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, c)

    n : int
        Divisor of the squared loss; 1 if the rows already contain the weights.

    means : pair of tensors
        Means of features and targets; zero without an intercept.
    """
    Z, Y, means = tasks.Z, tasks.y, (0.0, 0.0)
    if fit_intercept:
        Z, Y, *means = centre(tasks)
    n = Z.shape[1]
    if tasks.weight is not None:
        (Z, Y), n = scale_rows(tasks, Z, Y), 1
    return Z, Y, n, means


def check_limits(tol, max_iter=0):
    """Refuse invalid tolerances and numbers of iterations."""
    if not isinstance(tol, Real) or not 0 <= tol < math.inf:
        raise ValueError(f"tol must be a finite number of at least 0, got {tol!r}.")
    if not isinstance(max_iter, Integral) or max_iter < 0:
        raise ValueError(f"max_iter must be an int of at least 0, got {max_iter!r}.")


def check_solver(solver, start=None):
    """Refuse unknown solvers, and celer with a start or where it is not installed."""
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {SOLVERS}, got {solver!r}.")
    if solver == "celer" and start is not None:
        raise ValueError("solver='celer' does not use start; use solver='batched'.")
    if solver == "celer" and not has_celer():
        raise ImportError(
            "solver='celer' needs celer: pip install celer. "
            "solver='batched' gives the same solutions."
        )


@cache
def has_celer():
    """Whether celer is installed; "auto" does without it where it is not."""
    return find_spec("celer") is not None


def choose_celer(solver, loss):
    """Whether to use celer; with "auto" this depends on the size of the problem."""
    if solver != "auto":
        return solver == "celer"
    n_samples, k = loss.Z.shape[-2:]
    n_tasks, _, c = loss.Y.shape
    if loss.Z.device.type != "cpu" or not has_celer():
        return False
    if c == 1:
        # With far more features than samples, pivoting takes many steps.
        return k > max(32, 2 * n_samples)
    # With one or two tasks batching gains nothing.
    return n_tasks <= 2 or k > 32


def is_wide(loss, alpha):
    """Whether to avoid the products of all features, of which few can be active."""
    n_tasks, n_samples, k = loss.Z.shape
    # Tasks that share their features share their products, too.
    if k <= max(32, 2 * n_samples) or n_tasks < len(loss.Y):
        return False
    # Ridge solutions, for penalties of about zero, use all features.
    return bool((alpha > WEAK * loss.corr.abs().amax((1, 2))).all())


def pack(w, intercept, info, fit_intercept, return_info):
    """Pack the results of a layer: ``w[, intercept][, info]``."""
    out = (w,)
    if fit_intercept:
        out += (intercept,)
    if return_info:
        out += (info,)
    return out if len(out) > 1 else w
