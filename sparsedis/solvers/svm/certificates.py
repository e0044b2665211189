"""Duality gaps of the SVM, computed from the features themselves."""

import torch

from sparsedis.solvers.svm.group_penalty import norm


def duality_gap(Z, W, beta, intercept, simplices, alpha, l2):
    """Return the primal objective of W minus the dual objective of beta, for one task.

    Both are computed as in :mod:`sparsedis.solvers.svm`, without Gram matrices.

    Parameters
    ----------
    Z : tensor of shape (n_samples, p)
    W : tensor of shape (p, n_classes)
    beta : tensor of shape (n_samples, n_classes)
    intercept : tensor of shape (n_classes,)
    simplices : Simplices
        Simplices of only this task.
    alpha, l2 : tensor of shape ()

    Returns
    -------
    tensor of shape ()
        Relative to the objective at zero, and at least zero. If Z has a lower precision
        than beta, W is rounded to it, and a bound on the effect is subtracted.
    """
    weight, one_hot = simplices.weight[0], simplices.one_hot[0]
    dtype, Z, W = Z.dtype, Z.to(l2), W.to(l2)
    residual = weight.unsqueeze(-1) * (one_hot - beta)
    V = Z.mT @ residual
    length = norm(V).unsqueeze(-1)
    linked = torch.where(length > alpha, 1 - alpha / length, 0.0) * V / l2
    dual = (weight.unsqueeze(-1) * beta * (1 - one_hot)).sum()
    dual = dual - 0.5 * l2 * linked.square().sum()
    scores = Z @ W + intercept
    raised = torch.where(simplices.free[0], scores + 1 - one_hot, -torch.inf)
    hinge = raised.amax(-1) - (one_hot * scores).sum(-1)
    primal = (weight * torch.where(weight > 0, hinge, 0.0)).sum()
    primal = primal + alpha * norm(W).sum() + 0.5 * l2 * W.square().sum()
    # The gap includes rounding errors in the dual constraint of the intercept.
    gap = primal - dual + (residual.sum(0) * intercept).abs().sum()
    if dtype != l2.dtype:
        moved = (Z.abs() @ W.abs()).amax(-1)
        gap = gap - 4 * torch.finfo(dtype).eps * (weight * moved).sum()
    return gap.clamp_min(0) / weight.sum()
