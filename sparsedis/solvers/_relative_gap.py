"""Duality gap of a loss with norms of rows, and their squares, as the penalty."""

import torch


def relative_gap(V, *, value, dual, descent, penalty, ridge, at_zero, polar=None):
    """Duality gap of ``loss(V) + sum_j (t_j ||V_j|| + r_j/2 ||V_j||^2)``.

    The gap is the smaller one for two dual points. The first is the dual point of the
    loss at V, scaled so that the conjugate of the norms is finite. The second is the
    same point without scaling. Its dual value is finite if ``r_j > 0`` for every row
    beyond ``t_j``. Without penalties ``t_j``
    the first is no better.

    Parameters
    ----------
    V : tensor of shape (n_tasks, k, c)
    value : tensor of shape (n_tasks,)
        The loss.
    dual : callable
        Function that returns the dual value of the loss, for its dual point times a
        factor of shape (n_tasks,).
    descent : tensor of shape (n_tasks, k, c)
        Minus the gradient of the loss.
    penalty, ridge : tensor of shape (n_tasks, k)
        ``t`` and ``r``. If both are zero for a row, `descent` must be zero there up to
        rounding errors; the gap includes these errors times ``1 + ||V_j||``.
    at_zero : tensor of shape (n_tasks,)
        The loss at zero, the unit of the gap.
    polar : callable, default=None
        Function that returns the part of a dual point that the penalty bounds, given
        the point and the mask of rows without a penalty. By default, the whole point.

    Returns
    -------
    tensor of shape (n_tasks,)
    """
    norm = torch.linalg.vector_norm(V, dim=-1)
    ridge_sq = (ridge * norm * norm).sum(-1)
    primal = value + (penalty * norm).sum(-1) + 0.5 * ridge_sq
    polar = polar or (lambda point, free: point)
    free = (penalty == 0) & (ridge == 0)
    size = torch.linalg.vector_norm(polar(descent, free), dim=-1)
    slack = (1 + norm) * size
    slack = torch.where(free, slack, 0.0).sum(-1)

    excess = torch.where(free, 0.0, (size - penalty).clamp_min(0))
    cost = torch.where(excess > 0, excess * excess / (2 * ridge), 0.0).sum(-1)
    plain = dual(torch.ones_like(value)) - cost - slack

    best = plain
    if bool((penalty > 0).any()):
        inner = polar(descent - ridge.unsqueeze(-1) * V, free)
        inner = torch.linalg.vector_norm(inner, dim=-1)
        share = torch.where((inner > penalty) & ~free, penalty / inner, 1.0).amin(-1)
        scaled = dual(share) - share * (0.5 * share * ridge_sq + slack)
        best = torch.maximum(scaled, plain)
    gap = (primal - best).clamp_min(0)
    return gap / torch.where(at_zero > 0, at_zero, 1.0)
