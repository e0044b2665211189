"""Checks and conversions of the arguments of the layers."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral

import numpy as np
import torch

from sparsedis.solvers._arrays import bounds, namespace, views
from sparsedis.solvers._linalg import gram_matrix

_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# Range of weights whose sums and squares are computed with full precision.
_WEIGHTS = (1e-60, 1e60)
# Up to this number of columns, all their products cost no more than their squares.
_FEW = 8


@dataclass
class Tasks:
    """A batch of tasks with their leading axes flattened to one.

    Attributes
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features; one matrix may be shared by all the tasks.

    y : tensor of shape (n_tasks, n_samples, ...)
        Targets.

    weight : tensor of shape (n_tasks, n_samples) or None
        Weight of each sample, 0 outside the mask; None if all are 1.

    batch_shape : tuple
        The leading axes.

    dtype : torch.dtype
        Dtype of the outputs. All computations are in float64.

    target : str
        Name of the targets in the layer's signature.

    unit : tensor of shape (n_tasks,) or None
        Divisor of the weights, a power of 2 for each task, if their sum could overflow
        or underflow.

    squares : dict of str to pair of float
        Smallest and largest sum of squares of a nonzero column of Z, and of y if it has
        a floating dtype.

    gram : array of shape (n_tasks, k, k) or (1, k, k), or None
        ``Z'Z``, if it has been computed.
    """

    Z: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor | None
    batch_shape: tuple
    dtype: torch.dtype
    target: str = "y"
    unit: torch.Tensor | None = None
    squares: dict = field(default_factory=dict)
    # A copy with other features has none.
    gram: np.ndarray | torch.Tensor | None = field(default=None, init=False)

    @cached_property
    def total(self):
        """Sum of the weights, of shape (n_tasks,)."""
        if self.weight is None:
            return self._repeat(float(self.y.shape[1]))
        return self.weight.sum(-1)

    def _repeat(self, value):
        how = {"dtype": wide(self.Z.device), "device": self.Z.device}
        return torch.full((len(self.y),), value, **how)

    def parameter(self, value, name, *, positive=False):
        """Read a penalty: one number, or one per task, finite and not negative."""
        if isinstance(value, float):
            low = high = value
            value = self._repeat(value)
        else:
            value = self._per_task(value, name)
            low, high = bounds(value)
        # NaN passes no comparison.
        if not (low >= 0 and high < math.inf and (low > 0 or not positive)):
            good = torch.isfinite(value) & (value > 0 if positive else value >= 0)
            t = int((~good).nonzero()[0])
            raise ValueError(
                f"{name} must be finite and {'>' if positive else '>='} 0, got "
                f"{float(value[t].detach()):g}{self._where(t)}."
            )
        return value

    def _per_task(self, value, name):
        value = as_tensor(value, name, "a number or a tensor").to(self.Z.device)
        if value.is_complex() or value.dtype == torch.bool:
            raise ValueError(f"{name} must be real, got {value.dtype}.")
        value = value.to(wide(self.Z.device))
        if value.shape == self.batch_shape and value.ndim == 1:
            return value
        try:
            return value.expand(self.batch_shape).reshape(-1)
        except RuntimeError:
            raise ValueError(
                f"{name} must be a number or one per task, of shape "
                f"{tuple(self.batch_shape)}; got shape {tuple(value.shape)}."
            ) from None

    def share(self):
        """Weights that sum to 1, of shape (n_tasks, n_samples)."""
        if self.weight is None:
            n_samples = self.y.shape[1]
            return self.total.new_full((len(self.y), n_samples), 1 / n_samples)
        return self.weight / self.total.unsqueeze(-1)

    def apart(self):
        """These tasks with features of their own, which are zero outside the mask."""
        if self.weight is None or len(self.Z) == len(self.y):
            return self
        Z = torch.where((self.weight > 0).unsqueeze(-1), self.Z, 0.0)
        return replace(self, Z=Z, squares=self.squares | {"Z": _column_squares(Z)})

    def unflatten(self, value, name="The solution"):
        """Give a result its leading axes and the dtype of the features."""
        rounded, largest = value.to(self.dtype), torch.finfo(self.dtype).max
        low, high = bounds(value)
        # Details only for an error.
        if not (-largest <= low and high <= largest):
            self._check_range(rounded, value, name)
        if len(self.batch_shape) == 1:
            return rounded
        return rounded.reshape(self.batch_shape + value.shape[1:])

    def _check_range(self, rounded, value, name):
        # NaN from a failed solver is not out of range.
        beyond = torch.isinf(rounded.detach()).reshape(len(value), -1).any(1).nonzero()
        if not len(beyond):
            return
        t = int(beyond[0])
        size = float(value[t].detach().abs().max())
        size = "" if math.isinf(size) else f" (it is up to {size:.2g})"
        limit = torch.finfo(self.dtype).max
        raise ValueError(
            f"{name}{self._where(t)} is beyond {limit:.2g}, the largest number of "
            f"{self.dtype}, the dtype of Z{size}. Rescale Z or {self.target}, or "
            "give Z a wider dtype."
        )

    def unflatten_bound(self, value):
        """Like ``unflatten`` for a lower bound: rounding never decreases ``value``."""
        rounded = self.unflatten(value, "This penalty").reshape(value.shape)
        above = torch.full_like(rounded, torch.inf)
        rounded = torch.where(rounded < value, rounded.nextafter(above), rounded)
        return self.unflatten(rounded, "This penalty")

    def _where(self, t):
        return f" for task {t}" if self.batch_shape else ""


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
        _check_stored(value, name)
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
    mask, sample_weight = _read_mask(mask), _as_real(sample_weight, "sample_weight")
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

    weight = _read_weight(batch_shape, n_samples, own, mask, sample_weight, Z.device)
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
        tasks.squares["Z"] = _without_zeros(array, tasks.gram.diagonal(0, 1, 2))
    else:
        tasks.squares["Z"] = _column_squares(Z)
    if y.is_floating_point():
        tasks.squares[target] = _column_squares(y)
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


@np.errstate(over="ignore", invalid="ignore")
def _column_squares(value):
    """Smallest and largest sum of squares of a column of the tasks."""
    (array,) = views(value)
    squares = namespace(array).einsum("tn...,tn...->t...", array, array)
    return _without_zeros(array, squares)


def _without_zeros(array, squares):
    """Smallest and largest square of the columns that are not zero, if there are any.

    Many features are zero in all samples of a task if they are outputs of a ReLU.
    """
    xp = namespace(array)
    least, largest = bounds(squares)
    if least == 0:
        zero = squares == 0
        # Squares of small numbers underflow.
        if not bool(xp.moveaxis(array, 1, -1)[zero].any()):
            least, _ = bounds(xp.where(zero, largest, squares))
    return least, largest


def wide(device):
    """Dtype of the arithmetic.

    For small problems float64 costs little, and makes the certificate meaningful.
    Devices without it (MPS) work in float32.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def _flatten(value, batch_shape, *shape):
    """Broadcast the leading axes to `batch_shape`, and make one axis of them."""
    if value.shape == (*batch_shape, *shape) and len(batch_shape) == 1:
        # Without operations, there is nothing to differentiate.
        return value
    return value.expand(*batch_shape, *shape).reshape(-1, *shape)


def read_labels(tasks, n_classes):
    """Labels of the tasks as int64, and the number of classes, at least 2."""
    if tasks.y.is_complex():
        raise ValueError(f"y must hold whole numbers, got {tasks.y.dtype}.")
    labels = tasks.y.to(torch.long)
    if bool((labels != tasks.y).any()):
        raise ValueError("y must hold whole numbers, the labels of the classes.")
    if n_classes is None:
        n_classes = max(2, int(labels.max()) + 1)
    elif not isinstance(n_classes, Integral) or n_classes < 2:
        raise ValueError(f"n_classes must be an int of at least 2, got {n_classes!r}.")
    bad = ((labels < 0) | (labels >= n_classes)).any(-1)
    if bool(bad.any()):
        t = int(bad.nonzero()[0])
        where = f" of task {t}" if tasks.batch_shape else ""
        low, high = (int(bound) for bound in labels[t].aminmax())
        raise ValueError(
            f"y must hold labels from 0 to {n_classes - 1}; got labels{where} from "
            f"{low} to {high}."
        )
    return labels, n_classes


def as_tensor(value, name, wanted="a tensor"):
    """Convert a number, an array or a list to a tensor.

    Parameters
    ----------
    value : object
    name : str
        Name of the argument, for the error message.
    wanted : str, default="a tensor"
        What it must be, for the error message.

    Returns
    -------
    tensor
    """
    if not isinstance(value, torch.Tensor):
        try:
            # torch supports neither negative strides nor all of numpy's dtypes.
            value = torch.from_numpy(np.array(value))
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"{name} must be {wanted}, got {value!r:.100}.") from None
    _check_stored(value, name)
    return value


def _check_stored(value, name):
    if value.layout != torch.strided or value.device.type == "meta":
        raise ValueError(
            f"{name} must be a dense tensor with values, got layout {value.layout} on "
            f"device {value.device}."
        )


def _as_real(value, name):
    """Tensor of real numbers; None is returned as it is."""
    if value is None:
        return None
    value = as_tensor(value, name)
    if value.is_complex():
        raise ValueError(f"{name} must be real, got {value.dtype}.")
    return value


def _read_mask(mask):
    mask = _as_real(mask, "mask")
    if mask is None or mask.dtype == torch.bool:
        return mask
    known = (mask == 0) | (mask == 1)
    if not bool(known.all()):
        raise ValueError(
            "mask must be boolean, or hold only 0 and 1; got "
            f"{float(mask[~known][0]):g}."
        )
    return mask == 1


def _read_weight(batch_shape, n_samples, dtype, mask, sample_weight, device):
    weight = None
    if mask is not None:
        weight = mask.to(device=device, dtype=dtype)
    if sample_weight is not None:
        sample_weight = sample_weight.detach().to(device=device, dtype=dtype)
        good = torch.isfinite(sample_weight) & (sample_weight >= 0)
        if not bool(good.all()):
            raise ValueError(
                "sample_weight must be finite and not negative, got "
                f"{float(sample_weight[~good][0]):g}."
            )
        weight = sample_weight if weight is None else weight * sample_weight
    if weight is None:
        return None
    return weight.expand(*batch_shape, n_samples).reshape(-1, n_samples)


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
