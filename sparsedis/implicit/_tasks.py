"""Batches of tasks, as the layers see them."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from sparsedis.implicit._arguments import as_tensor
from sparsedis.solvers._arrays import bounds, namespace, views


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
        value, own = as_tensor(value, name, "a number or a tensor"), wide(self.Z.device)
        ready = value.dtype == own and value.device == self.Z.device
        if ready and value.ndim == 1 and value.shape == self.batch_shape:
            return value
        value = value.to(self.Z.device)
        if value.is_complex() or value.dtype == torch.bool:
            raise ValueError(f"{name} must be real, got {value.dtype}.")
        value = value.to(own)
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
        return replace(self, Z=Z, squares=self.squares | {"Z": column_squares(Z)})

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


@np.errstate(over="ignore", invalid="ignore")
def column_squares(value):
    """Smallest and largest sum of squares of a column of the tasks."""
    (array,) = views(value)
    squares = namespace(array).einsum("tn...,tn...->t...", array, array)
    return without_zeros(array, squares)


def without_zeros(array, squares):
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
