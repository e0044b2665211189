"""Newton's method for smooth losses of linear scores with at most a ridge penalty."""

import numpy as np
import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._groups import add_blocks
from sparsedis.solvers._linalg import solve_on_support
from sparsedis.solvers._newton_systems import Factorised, shared_system
from sparsedis.solvers._products import forward, pull
from sparsedis.solvers._softmax_hessian import SoftmaxHessian, has_many_classes
from sparsedis.solvers._step_length import best_length

# Maximal number of steps, and the gradient at which to stop, relative to the tolerance
# for the gap, in units in which curvatures are about one. The gap is of the order of
# the derivative in the intercept, and not of its square.
_STEPS, _SHARE = 20, 1e-2

# Gradients below this may consist of rounding errors.
_ROUNDING = 1e-10

# With larger gradients, search along the step, also beyond the full one: if classes are
# nearly separable, coefficients are large and Newton steps short.
_FAR = 1e-4

# With smaller gradients, keep the factor of an earlier Hessian, while each step divides
# the gradient by at least this.
_NEAR, _FALL = 1e-4, 10.0

# Residuals of the system of the implicit gradient, if it is solved by products.
_EXACT = 1e-11

# Added to the curvature of singular tasks, such as those with constant features.
_SHIFT = 1e-12


def solve_smooth(problem, start, *, tol, max_iter):
    """Solve problems without norms; the general solver takes those that are left.

    Parameters and results are those of :func:`sparsedis.solvers._composite.solve`.
    """
    V, n_iter = smooth_newton(problem, start, tol)
    how = {"tol": tol, "max_iter": max_iter, "warm": True}
    return _composite.finish(problem, V, n_iter, start, **how)


def smooth_newton(problem, V, tol=1e-12):
    """Minimise a loss with only a ridge term.

    Parameters
    ----------
    problem : Logistic or Linear
        Problem with `scores`, linear in V, and `slopes` and `derivatives` of the loss
        in them.

    V : tensor of shape (n_tasks, k, d)
        Starting point.

    tol : float, default=1e-12
        Relative duality gap to aim at.

    Returns
    -------
    V : tensor of shape (n_tasks, k, d)
        Solution, or the last point before a singular Hessian.

    n_iter : tensor of shape (n_tasks,) of int
        Number of steps.
    """
    found, W = V.clone(), problem.scale.unsqueeze(-1) * V
    at = torch.arange(len(V), device=V.device)
    n_iter, left = np.zeros(len(V), dtype=int), np.ones(len(V), dtype=bool)
    ridge, scores = _ridge(problem), forward(problem.Z, W)
    gradient, bends = _derivatives(problem, ridge, W, scores)
    size = _size(problem, gradient)
    system = shared_system(problem, ridge, W, bends)
    stale = system is None
    for _ in range(_STEPS):
        if stale:
            system = _system(problem, scores, bends)
        step = system.step(gradient, size)
        along = forward(problem.Z, step)
        far = size > _FAR
        if far.any():
            length = best_length(problem, ridge, W, step, gradient, scores, along)
            if not far.all():
                far = torch.from_numpy(far).to(V.device)
                length = torch.where(far, length, 1.0)
            length = length[:, None, None]
            step, along = length * step, length * along
        last, before = W, size
        W, scores = W + step, scores + along
        gradient, bends = _derivatives(problem, ridge, W, scores)
        size = _size(problem, gradient)
        if system.failed is not None:
            size[system.failed] = np.nan
        n_iter[at.cpu().numpy()] += left
        sound = np.isfinite(size)
        if not sound.all():
            keep = torch.from_numpy(sound).to(V.device)
            W = torch.where(keep[:, None, None], W, last)
        moves = (size > _ROUNDING) | (2 * size < before)
        left = left & sound & (size > _SHARE * tol) & moves
        slow = (size > _NEAR) | (_FALL * size > before)
        stale = (left & slow).any()
        # Tasks that have converged cost less than copies of those that have not.
        if not sound.all() or 2 * left.sum() <= len(left):
            found[at] = W / problem.scale.unsqueeze(-1)
            if not left.any():
                break
            remain = torch.from_numpy(left.nonzero()[0]).to(V.device)
            at, problem, system = at[remain], problem.take(remain), system.take(remain)
            ridge, W, scores, gradient = (
                x[remain] for x in (ridge, W, scores, gradient)
            )
            bends = None if bends is None else bends[remain]
            size, left = size[left], left[left]
    else:
        found[at] = W / problem.scale.unsqueeze(-1)
    return found, torch.from_numpy(n_iter).to(V.device)


def _size(problem, gradient):
    """Largest derivative of each task in the units of the problem, as an array."""
    size = (problem.scale.unsqueeze(-1) * gradient).abs_().amax((1, 2))
    return size.cpu().numpy()


def _ridge(problem):
    """Ridge penalty in the features' own units, of shape (n_tasks, k, 1)."""
    return (problem.ridge / problem.scale.square()).unsqueeze(-1)


def _derivatives(problem, ridge, W, scores):
    """Gradient of the objective in W, and second derivatives in the scores, if used."""
    if has_many_classes(problem):
        slopes, bends = problem.slopes(scores), None
    else:
        slopes, bends = problem.derivatives(scores)
    gradient = torch.addcmul(pull(problem.Z, problem.weight * slopes), ridge, W)
    return gradient, bends


def own_hessian(problem, bends, shift=0.0):
    """Hessians in the features' own units, by scores, then by features."""
    d = bends.shape[-1]
    hessian = problem.curvature(problem.weight.unsqueeze(-1) * bends)
    added = (problem.ridge + shift) / problem.scale.square()
    added = added if d == 1 else added.repeat(1, d)
    hessian.diagonal(dim1=-2, dim2=-1).add_(added)
    if problem.gauge is not None:
        k = problem.scale.shape[1]
        gauge = problem.gauge / problem.scale[:, -1:, None].square()
        hessian[:, k - 1 :: k, k - 1 :: k] += gauge
    return hessian


def _system(problem, scores, bends):
    """Newton's equations, to solve by a factor or by products."""
    if bends is None:
        return SoftmaxHessian(problem, scores)
    return Factorised(own_hessian(problem, bends, _SHIFT))


def solve_hessian(problem, V, rhs):
    """Solve systems with the Hessian at a point, in the features' own units.

    Parameters
    ----------
    problem : Logistic or Linear

    V, rhs : tensor of shape (n_tasks, k, d)

    Returns
    -------
    solution : tensor of shape (n_tasks, k, d)

    singular : tensor of shape (n_tasks,) of bool
    """
    if not has_many_classes(problem):
        return _solve_by_factor(problem, V, rhs)
    system = SoftmaxHessian(problem, problem.scores(V))
    found, singular = system.solve(rhs, _EXACT), ~system.solved
    hard = singular.nonzero().flatten()
    if len(hard):
        found[hard], singular[hard] = _solve_by_factor(
            problem.take(hard), V[hard], rhs[hard]
        )
    return found, singular


def _solve_by_factor(problem, V, rhs):
    _, bends = problem.derivatives(problem.scores(V))
    flat = rhs.mT.flatten(1)
    every = torch.ones_like(flat, dtype=torch.bool)
    found, singular = solve_on_support(own_hessian(problem, bends), flat, every)
    return found.reshape(rhs.mT.shape).mT, singular


def hessian_on(problem, bend, rows):
    """Second derivative of loss and ridge term in some rows.

    Parameters
    ----------
    problem : Logistic or Linear

    bend : tensor of shape (n_tasks, n_samples, d, d)
        Second derivatives of the loss in the scores.

    rows : Rows

    Returns
    -------
    tensor of shape (n_tasks, s, d, s, d)
    """
    bend = problem.weight.unsqueeze(-1) * bend
    n_tasks, n, d = bend.shape[:3]
    s = rows.index.shape[1]
    scale = rows.gather(problem.scale)
    Z = problem.Z
    if s == rows.n_rows and bool(rows.valid.all()):
        hessian = problem.curvature(bend).reshape(n_tasks, d, s, d, s)
        hessian = hessian.permute(0, 2, 1, 4, 3)
        hessian = hessian * scale[..., None, None, None]
        hessian *= scale[:, None, None, :, None]
    else:
        if len(Z) == 1:
            columns = Z[0][:, rows.index].movedim(0, 1)
        else:
            columns = Z.gather(2, rows.index.unsqueeze(1).expand(-1, n, -1))
        columns = columns * scale.unsqueeze(1)
        parts = [
            columns.mT @ (columns.unsqueeze(-1) * bend[:, :, None, a]).flatten(2)
            for a in range(d)
        ]
        hessian = torch.stack(parts, 2).reshape(n_tasks, s, d, s, d)
    eye = torch.eye(d, dtype=bend.dtype, device=bend.device)
    return add_blocks(hessian, rows.gather(problem.ridge)[..., None, None] * eye)
