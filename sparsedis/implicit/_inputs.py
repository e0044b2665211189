"""From the arguments of the layers to tasks, centred and weighted."""

import math

import numpy as np
import torch

from sparsedis.implicit._arguments import (
    as_real,
    check_stored,
    read_mask,
    read_weight,
)
from sparsedis.implicit._tasks import Tasks, column_squares, wide, without_zeros
from sparsedis.solvers._arrays import views
from sparsedis.solvers._linalg import gram_matrix

_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# Range of weights whose sums and squares are computed with full precision.
_WEIGHTS = (1e-60, 1e60)
# Up to this number of columns, all their products cost no more than their squares.
_FEW = 8


def read_tasks(
    Z,
    y,
    *,
    mask=None,
    sample_weight=None,
    target_ndim=0,
    target="y",
    cast=True,
    together=False,
):
    """Check and flatten the arguments of a layer.

    Parameters
    ----------
    Z : tensor of shape (..., n_samples, k)
    y : tensor of shape (..., n_samples) plus ``target_ndim`` trailing axes
    mask : tensor of shape (..., n_samples) of bool, default=None
        True for valid samples. Values of the others are ignored, NaN included.
    sample_weight : tensor of shape (..., n_samples), default=None
        Non-negative weights; treated as constants.
    target_ndim : int, default=0
        Axes of one target.
    target : str, default="y"
        Name of ``y`` in the layer's signature.
    cast : bool, default=True
        Whether to cast Z to float64. Otherwise it keeps its dtype, from float32 on.
    together : bool, default=False
        Whether to keep a Z that tasks share beside masks and weights. Only rows without
        weight in any task are then zero.

    Returns
    -------
    Tasks
    """
    if not isinstance(Z, torch.Tensor) or not Z.is_floating_point():
        got = Z.dtype if isinstance(Z, torch.Tensor) else type(Z).__name__
        raise ValueError(f"Z must be a tensor of a floating dtype, got {got}.")
    if not isinstance(y, torch.Tensor):
        raise ValueError(f"{target} must be a tensor, got {type(y).__name__}.")
    for name, value in (("Z", Z), (target, y)):
        check_stored(value, name)
    if y.device != Z.device:
        raise ValueError(
            f"{target} must be on the device of Z, {Z.device}, got {y.device}."
        )
    if Z.ndim < 2 or 0 in Z.shape:
        raise ValueError(
            "Z must have shape (..., n_samples, n_features), without empty axes; got "
            f"{tuple(Z.shape)}."
        )
    n_samples, k = Z.shape[-2:]
    lead = y.ndim - target_ndim
    if lead < 1 or y.shape[lead - 1] != n_samples or 0 in y.shape:
        shape = f"(..., {n_samples}{', n_outputs' * target_ndim})"
        raise ValueError(
            f"{target} must have shape {shape} to match Z of shape "
            f"{tuple(Z.shape)}; got {tuple(y.shape)}."
        )
    target_shape = y.shape[lead:]
    mask, sample_weight = read_mask(mask), as_real(sample_weight, "sample_weight")
    weights = {"mask": mask, "sample_weight": sample_weight}
    for name, value in weights.items():
        if value is not None and (value.ndim < 1 or value.shape[-1] != n_samples):
            raise ValueError(
                f"{name} must have shape (..., {n_samples}), got {tuple(value.shape)}."
            )
    shapes = {"Z": Z.shape[:-2], target: y.shape[: lead - 1]}
    shapes |= {name: v.shape[:-1] for name, v in weights.items() if v is not None}
    leads = set(shapes.values())
    try:
        batch_shape = leads.pop() if len(leads) == 1 else np.broadcast_shapes(*leads)
    except ValueError:
        raise ValueError(
            "The leading axes of the arguments must broadcast, got "
            + ", ".join(f"{name}: {tuple(shape)}" for name, shape in shapes.items())
            + "."
        ) from None

    dtype = Z.dtype
    if dtype not in _DTYPES:
        raise ValueError(
            f"Z must have one of the dtypes {', '.join(map(str, _DTYPES))}, got "
            f"{dtype}."
        )
    shared = all(size == 1 for size in Z.shape[:-2])
    own = wide(Z.device)
    Z = Z.to(own if cast else torch.promote_types(Z.dtype, torch.float32))
    Z = Z.reshape(1, n_samples, k) if shared else _flatten(Z, batch_shape, n_samples, k)
    if y.is_floating_point():
        y = y.to(own)
    y = _flatten(y, batch_shape, n_samples, *target_shape)

    weight = read_weight(batch_shape, n_samples, own, mask, sample_weight, Z.device)
    unit = None
    if weight is not None:
        largest = weight.amax(-1)
        empty = ~(largest > 0)
        if bool(empty.any()):
            culprit = "sample_weight" if mask is None else "mask"
            raise ValueError(
                f"{culprit} leaves task {int(empty.nonzero()[0])} without a sample."
            )
        if not bool(((largest >= _WEIGHTS[0]) & (largest <= _WEIGHTS[1])).all()):
            unit = torch.pow(2.0, torch.frexp(largest).exponent.to(largest) - 1)
            weight = weight / unit.unsqueeze(-1)
        used = weight > 0
        filled = used.any(0) if together and shared else used
        Z = torch.where(filled.unsqueeze(-1), Z, 0.0)
        y = torch.where(used.reshape(*used.shape, *[1] * target_ndim), y, 0)
    tasks = Tasks(Z, y, weight, tuple(batch_shape), dtype, target, unit)
    if k <= _FEW:
        tasks.gram = gram_matrix(Z)
        (array,) = views(Z)
        tasks.squares["Z"] = without_zeros(array, tasks.gram.diagonal(0, 1, 2))
    else:
        tasks.squares["Z"] = column_squares(Z)
    if y.is_floating_point():
        tasks.squares[target] = column_squares(y)
    for name, value in (("Z", Z), (target, y)):
        # One pass; details only for an error.
        _, largest = tasks.squares.get(name) or (0, float(value.sum()))
        if math.isfinite(largest):
            continue
        finite = torch.isfinite(value).flatten(1).all(1)
        if not bool(finite.all()):
            t = int((~finite).nonzero()[0])
            raise ValueError(
                f"{name} must be finite; it holds NaN or inf"
                f"{'' if len(value) == 1 else tasks._where(t)}."
            )
    return tasks


def _flatten(value, batch_shape, *shape):
    """Broadcast the leading axes to `batch_shape`, and make one axis of them."""
    if value.shape == (*batch_shape, *shape) and len(batch_shape) == 1:
        # Without operations, there is nothing to differentiate.
        return value
    return value.expand(*batch_shape, *shape).reshape(-1, *shape)


def centre(tasks):
    """Subtract each task's weighted means from features and targets.

    A feature that is constant within a task becomes exactly zero, without rounding
    errors that a solver could fit.

    Parameters
    ----------
    tasks : Tasks
        Tasks with real targets of shape (n_tasks, n_samples, ...).

    Returns
    -------
    Z, y : tensor
        Centred data, of the same shapes as in `tasks`, zero outside the mask.

    Z_mean : tensor of shape (n_tasks, k) or (1, k)

    y_mean : tensor of shape (n_tasks, ...)
    """
    Z, Z_mean = _centred(tasks, tasks.Z)
    y, y_mean = _centred(tasks, tasks.y)
    return Z, y, Z_mean, y_mean


def centre_features(tasks, fit_intercept):
    """Features, and the means that an intercept absorbs.

    After centring, constant features are zero, and the others better conditioned.

    Parameters
    ----------
    tasks : Tasks
        Their targets are not used.

    fit_intercept : bool

    Returns
    -------
    Z : tensor
        The features, centred if there is an intercept.

    mean : tensor of shape (n_tasks, k) or (1, k), or None
    """
    if not fit_intercept:
        return tasks.Z, None
    return _centred(tasks, tasks.Z)


def _centred(tasks, values):
    """Features or targets without their means, and the means.

    Features that tasks share lose the mean over all tasks.
    """
    if tasks.weight is None:
        mean = values.mean(1)
        centred = values - mean.unsqueeze(1)
    elif len(values) < len(tasks.weight):
        mean = tasks.share().mean(0).to(values) @ values
        centred = values - mean.unsqueeze(1)
    else:
        share = (tasks.weight / tasks.total.unsqueeze(-1)).to(values)
        mean = (share.unsqueeze(-2) @ values.reshape(*values.shape[:2], -1)).squeeze(-2)
        mean = mean.reshape(len(share), *values.shape[2:])
        present = (tasks.weight > 0).to(values.dtype)
        present = present.reshape(*present.shape, *[1] * (values.ndim - 2))
        centred = (values - mean.unsqueeze(1)) * present
    noise = 10 * torch.finfo(values.dtype).eps * _largest(values)
    return centred * (_largest(centred) > noise), mean


def _largest(values):
    """Largest absolute value of each column, without a gradient."""
    return values.detach().abs().amax(1, keepdim=True)


def scale_rows(tasks, *arrays):
    """Multiply rows by ``sqrt(weight / total)``, so that means become sums."""
    if tasks.weight is None:
        factor = tasks.total.rsqrt()[:, None]
        # A shared Z stays shared.
        return tuple(
            a * factor[: len(a)].reshape(-1, *[1] * (a.ndim - 1)) for a in arrays
        )
    factor = (tasks.weight / tasks.total.unsqueeze(-1)).sqrt()
    return tuple(a * factor.reshape(*factor.shape, *[1] * (a.ndim - 2)) for a in arrays)
