"""Block principal pivoting for the Lasso: all wrong signs change at once.

The signs of a solution determine it: it solves a linear system on its support. Given
signs, a coefficient of the other sign leaves the support, and a feature whose
correlation with the residual exceeds the penalty enters it [1]_. Unlike a semismooth
Newton step, a step does not turn a sign around: the coefficient is zero first. With
correlated features Newton steps often cycle, and these steps seldom do.

References
----------
.. [1] J. Kim and H. Park, "Fast active-set-type algorithms for l1-regularized linear
   regression", AISTATS 2010.
"""

import numpy as np

from sparsedis.solvers._arrays import namespace
from sparsedis.solvers._linalg import SignedSystem, gather, product

# Steps after which tasks are left to another method. Most take less than half.
_MAX_STEPS = 20

# From this number of features on, few enter at once: so many, or as many as are active,
# if they exceed the penalty by this share of the largest excess.
_WIDE, _FIRST, _SHARE = 24, 10, 0.3

# With fewer entries of Gram matrices, it saves nothing to leave out tasks.
_LARGE = 2**10


@np.errstate(all="ignore")
def find_active(hessian, corr, penalty, start=None):
    """Change the signs of all tasks until none is wrong.

    Parameters
    ----------
    hessian : array of shape (n_tasks, k, k)
        Matrices with a unit diagonal. All arrays are of NumPy, or of torch.

    corr, penalty : array of shape (n_tasks, k, 1)
        Linear term, and penalty of each feature.

    start : array of shape (n_tasks, k, 1), default=None
        Point whose gradient step determines the first signs. By default, two steps from
        zero, each to the minimum in the feature that reduces the objective most.

    Returns
    -------
    v : array of shape (n_tasks, k, 1)
        Exact solutions; NaN for tasks that are left to another method.

    n_iter : array of shape (n_tasks, 1) of int
        Number of steps.
    """
    xp = namespace(corr)
    if start is None:
        # With correlated features, most of those whose correlations exceed the penalty
        # leave again once the first of them is active.
        start = _largest(_shrink(corr, penalty))
        reach = start + corr - product(hessian, start)
        start = start + _largest(_shrink(reach, penalty) - start)
    excess = _shrink(start + corr - product(hessian, start), penalty)
    signs = _let_few_enter(xp.sign(excess), excess, start == 0)
    return _pivot(hessian, corr, penalty, signs, _MAX_STEPS)


def _largest(steps):
    """The largest step of each task, alone."""
    size = abs(steps)
    return steps * (size == namespace(size).amax(size, 1, keepdims=True))


def from_signs(hessian, corr, penalty, signs):
    """The point that `signs` determine, without coefficients of another sign."""
    system = SignedSystem(hessian, signs)
    return signs * system.solve(corr - penalty * signs).clamp_min(0)


def _pivot(hessian, corr, penalty, signs, n_steps):
    xp, n_iter = namespace(corr), 1
    for left in reversed(range(n_steps)):
        size = SignedSystem(hessian, signs).solve(corr - penalty * signs)
        v = signs * size
        excess = _shrink(corr - product(hessian, v), penalty)
        last, new = signs, signs == 0
        # The correlations of active features are the penalty, up to rounding errors.
        signs = xp.sign(xp.where(new, excess, last * (size > 0)))
        signs = _let_few_enter(signs, excess, new)
        wrong = (signs != last).any(1)
        n_iter = n_iter + wrong
        n_wrong = int(xp.count_nonzero(wrong))
        if n_wrong == 0:
            break
        if left == 0:
            v = xp.where(wrong[:, None], xp.nan, v)
        elif 4 * n_wrong <= 3 * len(v) and len(v) * v.shape[1] ** 2 >= _LARGE:
            at = xp.where(wrong[:, 0])[0]
            part = gather(at, hessian, corr, penalty, signs)
            v[at], more = _pivot(*part, left)
            n_iter[at] += more - 1
            break
    return v, n_iter


def _shrink(reach, penalty):
    """What exceeds the penalty, with its sign."""
    xp = namespace(reach)
    return reach - xp.minimum(xp.maximum(reach, -penalty), penalty)


def _let_few_enter(signs, excess, new):
    """Set the signs of most new features to zero in wide problems.

    If all features whose correlations exceed the penalty entered, they could be more
    than the samples, and the system would be singular.
    """
    k = signs.shape[1]
    if k < _WIDE:
        return signs
    xp = namespace(signs)
    excess = xp.where(new, abs(excess), 0.0)
    n_active = (~new & (signs != 0)).sum(1)
    rank = xp.argsort(xp.argsort(-excess, 1), 1)
    few = (rank < _FIRST) | (rank < n_active[:, None])
    few = few & (excess >= _SHARE * xp.amax(excess, 1)[:, None])
    return xp.where(few | ~new, signs, 0.0)
