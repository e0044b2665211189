"""Starting points of the solvers: solutions of earlier calls."""

import torch

from sparsedis.implicit._arguments import as_tensor


def read_start(tasks, start, *n_outputs, fit_intercept):
    """Check and flatten the results of an earlier call.

    Parameters
    ----------
    tasks : Tasks

    start : tensor, or pair of tensors with an intercept
        Coefficients and intercepts.

    *n_outputs : int
        Length of their last axis, if they have one.

    fit_intercept : bool

    Returns
    -------
    W : tensor of shape (n_tasks, k, c)

    intercept : tensor of shape (n_tasks, 1, c)
        Zero without ``fit_intercept``.
    """
    if not fit_intercept:
        W = _read(tasks, start, tasks.Z.shape[-1], *n_outputs)
        return W, torch.zeros_like(W[:, :1])
    if not isinstance(start, tuple | list) or len(start) != 2:
        raise ValueError(
            "With fit_intercept=True, start must be a pair of coefficients and "
            f"intercepts, got {type(start).__name__}."
        )
    W = _read(tasks, start[0], tasks.Z.shape[-1], *n_outputs)
    return W, _read(tasks, start[1], *n_outputs).reshape(len(W), 1, -1)


def _read(tasks, value, *shape):
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"start must hold tensors, got {type(value).__name__}.")
    if as_tensor(value, "start").is_complex():
        raise ValueError(f"start must be real, got {value.dtype}.")
    wanted = tasks.batch_shape + shape
    try:
        full = value.detach().to(tasks.total).expand(wanted)
    except RuntimeError:
        raise ValueError(
            "start must have the shape of the results of the layer, here "
            f"{tuple(wanted)}, got {tuple(value.shape)}."
        ) from None
    if not bool(torch.isfinite(full).all()):
        raise ValueError("start must be finite; it holds NaN or inf.")
    return full.reshape(len(tasks.y), -1, shape[-1] if len(shape) > 1 else 1)
