"""Dual solutions at ``W = 0``, and a bound on the smallest alpha with ``W = 0``.

Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import torch

from sparsedis.solvers.svm.group_penalty import norm, pull
from sparsedis.solvers.svm.simplices import Simplices


def alpha_bound(Z, y, weight, n_classes, *, fit_intercept=False):
    """Return ``max_j ||V_j||`` at :func:`null_beta`.

    For every alpha from this bound on, the solution is ``W = 0``.

    Parameters
    ----------
    Z, y, weight, n_classes, fit_intercept
        As in :func:`~sparsedis.solvers.svm.dual.solve_svm_dual`.

    Returns
    -------
    tensor of shape (n_tasks,)
        The bounds, in the dtype of ``Z``.
    """
    simplices = Simplices.build(y, weight, n_classes, fit_intercept=fit_intercept)
    V = pull(Z, weight, simplices.coordinates(null_beta(simplices)))
    return norm(V).amax(-1)


def null_beta(simplices):
    """Return an optimal ``beta`` at ``W = 0``, spread as evenly as possible.

    Without intercepts, every beta with ``beta_{i, y_i} = 0`` is optimal, and the other
    classes get equal shares. With intercepts, ``sum_i s_i beta_i = sum_i s_i Y_i`` is
    also necessary. Then a weight of ``f_kl = x_k x_l`` moves from class k to class l,
    where x is such that the whole weight of every class moves. This is impossible if
    one class has more than half of the weight. Then every other class exchanges its
    weight with that class.

    Parameters
    ----------
    simplices : Simplices

    Returns
    -------
    tensor of shape (n_tasks, n_samples, n_classes)
    """
    one_hot = simplices.one_hot
    if simplices.border is None:
        beta = (1 - one_hot) / (one_hot.shape[-1] - 1)
    else:
        sizes = (simplices.weight.unsqueeze(-2) @ one_hot).squeeze(-2)
        beta = one_hot @ _exchange(sizes)
        beta = beta / beta.sum(-1, keepdim=True)
    return torch.where(simplices.free.any(-1, keepdim=True), beta, one_hot)


def _exchange(sizes):
    """Return the weight that moves between classes, of shape (n_tasks, from, to).

    `sizes` are the weights of the classes, of shape (n_tasks, n_classes).
    """
    total = sizes.sum(-1, keepdim=True)
    largest, which = sizes.max(-1, keepdim=True)
    is_largest = torch.zeros_like(sizes).scatter_(-1, which, 1.0)
    shares = sizes / total

    # Solve x_k (S - x_k) = size_k with S = sum x_k. All classes take the smaller root;
    # only the largest class may need the larger one (`flip`). S is found by bisection
    # on 1 / S.
    least = 2 * (largest / total).sqrt()
    low, high = torch.zeros_like(least), 1 / least

    def roots(inverse):
        scaled = 4 * shares * inverse * inverse
        return 2 * shares * inverse / (1 + (1 - scaled).clamp_min(0).sqrt())

    flip = roots(high).sum(-1, keepdim=True) < least
    for _ in range(60):
        middle = (low + high) / 2
        x = roots(middle)
        signed = torch.where(flip, x * (1 - 2 * is_largest), x)
        over = signed.sum(-1, keepdim=True) > torch.where(flip, 0.0, 1 / middle)
        # For large S, the sum of the roots is below S without `flip`; with it, the sum
        # of the signed roots is positive.
        lower = over == flip
        low, high = torch.where(lower, middle, low), torch.where(lower, high, middle)
    x = roots(low)
    x = torch.where(flip & (is_largest > 0), 1 / low.clamp_min(1e-300) - x, x)
    eye = torch.eye(sizes.shape[-1], dtype=sizes.dtype, device=sizes.device)
    flow = x.unsqueeze(-1) * x.unsqueeze(-2) * (1 - eye)

    # If one class has the majority, all others exchange their weight with it.
    own = is_largest.unsqueeze(-1) * is_largest.unsqueeze(-2)
    cross = is_largest.unsqueeze(-1) + is_largest.unsqueeze(-2) - 2 * own
    star = cross * (shares.unsqueeze(-1) * is_largest.unsqueeze(-2))
    star = star + star.mT + own * (2 * shares.amax(-1) - 1).clamp_min(0)[:, None, None]
    majority = largest >= (0.5 - 1e-12) * total
    return torch.where(majority.unsqueeze(-1), star, flow)
