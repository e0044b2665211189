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

import torch

from sparsedis.solvers._linalg import SignedSystem

# Steps after which tasks are left to another method. Most take less than half.
_MAX_STEPS = 20

# From this number of features on, few enter at once: so many, or as many as are active,
# if they exceed the penalty by this share of the largest excess.
_WIDE, _FIRST, _SHARE = 24, 10, 0.3

# With fewer entries of Gram matrices, it saves nothing to leave out tasks.
_LARGE = 2**12


def find_active(hessian, corr, penalty, start=None):
    """Change the signs of all tasks until none is wrong.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
        Matrices with a unit diagonal.

    corr, penalty : tensor of shape (n_tasks, k, 1)
        Linear term, and penalty of each feature.

    start : tensor of shape (n_tasks, k, 1), default=None
        Point whose gradient step determines the first signs; zero by default.

    Returns
    -------
    v : tensor of shape (n_tasks, k, 1)
        Exact solutions; NaN for tasks that are left to another method.

    n_iter : tensor of shape (n_tasks, 1) of int
        Number of steps.

    system : SignedSystem or None
        The system that solutions solve on their support, if it is small.
    """
    reach = corr
    if start is None:
        start = torch.zeros_like(corr)
    else:
        reach = start + torch.baddbmm(corr, hessian, start, alpha=-1)
    excess = _shrink(reach, penalty)
    signs = _let_few_enter(excess.sign(), excess, start == 0)
    return _pivot(hessian, corr, penalty, signs, _MAX_STEPS)


def from_signs(hessian, corr, penalty, signs):
    """The point that `signs` determine, without coefficients of another sign."""
    system = SignedSystem(hessian, signs)
    return signs * system.solve(_linear(corr, penalty, signs)).clamp_min(0)


def _pivot(hessian, corr, penalty, signs, n_steps):
    n_iter = torch.ones(len(corr), 1, dtype=torch.long, device=corr.device)
    for left in reversed(range(n_steps)):
        system = SignedSystem(hessian, signs)
        size = system.solve(_linear(corr, penalty, signs))
        v = signs * size
        excess = _shrink(torch.baddbmm(corr, hessian, v, alpha=-1), penalty)
        last, new = signs, signs == 0
        # The correlations of active features are the penalty, up to rounding errors.
        signs = torch.where(new, excess, last * (size > 0)).sign_()
        signs = _let_few_enter(signs, excess, new)
        wrong = (signs != last).any(1)
        n_wrong = int(wrong.count_nonzero())
        if n_wrong == 0:
            break
        if left == 0:
            v = torch.where(wrong.unsqueeze(-1), torch.nan, v)
        elif 2 * n_wrong <= len(v) and hessian.numel() >= _LARGE:
            at = wrong.squeeze(1).nonzero().flatten()
            part = (x[at] for x in (hessian, corr, penalty, signs))
            v[at], more, rest = _pivot(*part, left)
            n_iter[at] += more
            system = system.replace(at, rest)
            break
        n_iter += wrong
    return v, n_iter, system


def _linear(corr, penalty, signs):
    return torch.addcmul(corr, penalty, signs, value=-1)


def _shrink(reach, penalty):
    """What exceeds the penalty, with its sign."""
    return reach - reach.clamp(-penalty, penalty)


def _let_few_enter(signs, excess, new):
    """Set the signs of most new features to zero in wide problems.

    If all features whose correlations exceed the penalty entered, they could be more
    than the samples, and the system would be singular.
    """
    if signs.shape[1] < _WIDE:
        return signs
    excess = torch.where(new, excess.abs(), 0.0)
    n_active = signs.abs().masked_fill(new, 0.0).sum(1, keepdim=True)
    size = n_active.clamp(_FIRST, signs.shape[1]).long()
    bound = excess.sort(1, descending=True).values.gather(1, size - 1)
    bound = bound.maximum(_SHARE * excess.amax(1, keepdim=True))
    return signs.masked_fill(new & (excess < bound), 0.0)
