"""Heads fitted again on selected features, without the penalty."""

import torch

from sparsedis.implicit import glm, logistic
from sparsedis.implicit._inputs import centre, read_tasks, scale_rows
from sparsedis.solvers._linalg import solve_on_support
from sparsedis.solvers.losses import Squared
from sparsedis.solvers.penalties import NonNegativeL1


def relaxed_heads(problem, Z, y, support, *, n_classes, mask, weight, l2=1.0):
    """Fit each head on its selected features, without the penalty.

    Parameters
    ----------
    problem : InnerProblem

    Z : tensor of shape (n_tasks, n_samples, k) or (n_samples, k)

    y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)

    support : tensor of shape (n_tasks, k) of bool
        Selected features of each task.

    n_classes : int
        Number of classes, the same for all tasks of the batch; ignored if targets are
        numbers.

    mask : tensor of shape (n_tasks, n_samples) of bool, or None

    weight : tensor of shape (n_tasks, n_samples), or None

    l2 : float, default=1.0
        Squared l2 penalty of the heads of classes, in units of the loss of one sample,
        since separable classes have no solution without a penalty. 1 is the default of
        scikit-learn.

    Returns
    -------
    W : tensor of shape (n_tasks, k, n_outputs)

    intercept : tensor of shape (n_tasks, n_outputs)
    """
    head = problem.head
    loss = head.loss_of(n_classes)
    constrained = isinstance(head.penalty, NonNegativeL1)
    if isinstance(loss, Squared) and not constrained:
        return _least_squares(problem, Z, y, support, mask, weight)
    # If counts are 0, there is no solution without a penalty either.
    total = torch.ones(y.shape[:2], dtype=Z.dtype) if weight is None else weight
    if mask is not None:
        total = torch.where(mask, total, 0.0)
    how = {
        "l2": 0.0 if isinstance(loss, Squared) else 1 / total.sum(-1),
        "mask": mask,
        "sample_weight": weight,
        "fit_intercept": problem.fit_intercept,
        "tol": 1e-10,
        "return_info": True,
    }
    Z = Z * support.unsqueeze(1)
    if head.is_of_classes and n_classes >= 2 and not constrained:
        how["l2"] = l2 * how["l2"]
        how |= {"n_classes": n_classes, "solver": "batched"}
        W, *rest = logistic(Z, y, 0.0, **how)
    else:
        how |= {"loss": loss, "multi_output": y.ndim == 3}
        W, *rest = glm(Z, y, 0.0, penalty=head.penalty, **how)
    W = W.unsqueeze(-1) if W.ndim == 2 else W
    intercept = rest[0] if problem.fit_intercept else torch.zeros_like(W[:, 0])
    return W, intercept.reshape(len(W), -1)


def _least_squares(problem, Z, y, support, mask, weight):
    """Least squares on the support, or Ridge if the penalty is the elastic net."""
    vector = y.ndim == 3
    tasks = read_tasks(Z, y, mask=mask, sample_weight=weight, target_ndim=int(vector))
    Z, y = tasks.Z, tasks.y
    if problem.fit_intercept:
        Z, y, Z_mean, y_mean = centre(tasks)
    Z, y = scale_rows(tasks, Z, y)
    y = y if vector else y.unsqueeze(-1)
    gram, corr = Z.mT @ Z, Z.mT @ y
    if problem.head.penalty.l2:
        eye = torch.eye(gram.shape[-1], dtype=gram.dtype)
        gram = gram + problem.head.penalty.l2 * eye
    W = torch.stack(
        [solve_on_support(gram, part, support)[0] for part in corr.unbind(-1)], -1
    )
    if not problem.fit_intercept:
        return W, torch.zeros_like(W[:, 0])
    y_mean = y_mean if vector else y_mean.unsqueeze(-1)
    return W, y_mean - (Z_mean.unsqueeze(1) @ W).squeeze(1)
