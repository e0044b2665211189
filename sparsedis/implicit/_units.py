"""Units in which the squares of features and targets neither overflow nor vanish."""

import math
from dataclasses import dataclass, replace

import torch

from sparsedis.implicit._tasks import Tasks
from sparsedis.solvers._arrays import views

# Sizes in this range are not rescaled: sums of their squares have full precision.
_RANGE = {torch.float64: (1e-60, 1e60), torch.float32: (1e-8, 1e8)}
# Below this share of the largest feature, the square of a feature is lost to rounding.
_TINY = {torch.float64: 1e-125, torch.float32: 1e-16}


@dataclass
class Units:
    """A batch of tasks in rescaled units, with the conversions back.

    Attributes
    ----------
    tasks : Tasks
        Features and targets of ordinary size.

    Z, y : tensor of shape (n_tasks,) or None
        Divisors of the features and targets, powers of 2; None for 1.

    alpha, l2 : tensor of shape (n_tasks,)
        Penalties in these units.
    """

    tasks: Tasks
    alpha: torch.Tensor
    l2: torch.Tensor
    Z: torch.Tensor | None = None
    y: torch.Tensor | None = None

    @property
    def size(self):
        """Largest absolute value of the features of each task, or of all."""
        return self.tasks.Z.detach().abs().amax((1, 2)).to(self.tasks.total)

    @property
    def bound(self):
        """Upper bound of the absolute values, up to rounding errors."""
        return math.inf if self.Z is not None else self.tasks.squares["Z"][1] ** 0.5

    def coefficients(self, W):
        """Convert coefficients to the units of the original features and targets."""
        if self.Z is None:
            return W
        up, down = (torch.frexp(unit).exponent for unit in (self.y, self.Z))
        # In two steps, neither of which overflows.
        exponent = (up - down).clamp(-2046, 2046)
        half = exponent.div(2, rounding_mode="floor")
        for part in (half, exponent - half):
            W = W * torch.pow(2.0, part.to(W)).reshape(-1, *[1] * (W.ndim - 1))
        return W

    def own_coefficients(self, W):
        """Convert coefficients for the original data to these units."""
        return W / self.coefficients(torch.ones_like(W))

    def intercepts(self, b):
        """Intercepts for the original targets."""
        return b if self.y is None else b * self.y.reshape(-1, *[1] * (b.ndim - 1))

    def correlations(self, value):
        """Products of the original features and targets."""
        return value if self.Z is None else value * self.Z.to(value) * self.y.to(value)

    def squares(self, value):
        """Squares of the original features."""
        return value if self.Z is None else value * self.Z.to(value) * self.Z.to(value)


def choose_units(tasks, alpha, l2, *, check=True, scale_y=True):
    r"""Rescale tasks whose squares would overflow or vanish.

    With ``Z = u Z'`` and ``y = v y'``, the problem with a squared loss has the solution
    ``W = (v / u) W'``, where ``W'`` is that of ``Z'``, ``y'``, ``alpha / (u v)`` and
    ``l2 / u^2``.

    Parameters
    ----------
    tasks : Tasks

    alpha, l2 : tensor of shape (n_tasks,)
        Penalties of norms and of their squares.

    check : bool, default=True
        Whether to refuse features that are lost to rounding.

    scale_y : bool, default=True
        Whether targets have a unit; labels have none.

    Returns
    -------
    Units
    """
    low, high = _RANGE[tasks.Z.dtype]
    penalties = views(alpha.detach(), l2.detach())
    largest = max(float(part.max()) for part in penalties)
    squares = tasks.squares.values() if scale_y else [tasks.squares["Z"]]
    if largest <= high * high and all(
        low * low <= least and most <= high * high for least, most in squares
    ):
        return Units(tasks, alpha, l2)
    Z, y = tasks.Z.detach(), tasks.y.detach()
    columns = Z.abs().amax(1).to(tasks.total)
    size = columns.amax(-1)
    size_y = torch.ones_like(tasks.total)
    if scale_y:
        size_y = y.abs().flatten(1).amax(-1)
    if check:
        _check_columns(tasks, columns, size, size_y, alpha, l2)
    sizes, penalties = torch.cat([size, size_y]), torch.cat([alpha, l2]).detach()
    ordinary = _within(sizes, low, high).all() & (penalties <= high * high).all()
    if bool(ordinary):
        return Units(tasks, alpha, l2)
    # The root of l2 is the unit if it is larger than the features.
    unit = _power_of_two(torch.maximum(size, l2.detach().sqrt()))
    unit_y = _power_of_two(size_y)
    new = unit if len(Z) > 1 or bool((unit != unit[0]).any()) else unit[:1]
    changed = {"Z": tasks.Z / new[:, None, None].to(Z)}
    if scale_y:
        changed["y"] = tasks.y / unit_y.reshape(-1, *[1] * (y.ndim - 1))
    # Above the largest correlation, the value of alpha makes no difference.
    alpha = (alpha / unit / unit_y).clamp_max(high * high)
    return Units(replace(tasks, **changed), alpha, l2 / unit / unit, unit, unit_y)


def _within(size, low, high):
    return (size == 0) | ((size >= low) & (size <= high))


def _power_of_two(size):
    exponent = torch.frexp(size).exponent.to(size) - 1
    return torch.where(size > 0, torch.pow(2.0, exponent), 1.0)


def _check_columns(tasks, columns, size, size_y, alpha, l2):
    """Refuse features that are lost to rounding but could be nonzero."""
    least = _TINY[tasks.Z.dtype] * size.unsqueeze(-1)
    small = (columns > 0) & (columns < least)
    if not bool(small.any()):
        return
    # Refuse neither features that the penalty sets to zero nor those that could not
    # reduce the loss.
    weight = tasks.total if tasks.unit is not None else torch.ones_like(tasks.total)
    columns = columns.expand(len(size_y), -1)
    bound = columns * (size_y * weight).unsqueeze(-1)
    out = bound <= alpha.detach().unsqueeze(-1)
    share = columns / l2.detach().sqrt().unsqueeze(-1)
    small = small & ~(out | (share * share <= 1e-20))
    if bool(small.any()):
        t, j = (int(i) for i in small.nonzero()[0])
        limit = _TINY[tasks.Z.dtype]
        largest = float(size[t if len(size) > 1 else 0])
        raise ValueError(
            f"Z has features of too different sizes{tasks._where(t)}: feature {j} is "
            f"at most {float(columns[t, j]):.2g}, and the largest is {largest:.2g}. "
            f"Rescale it to at least {limit:g} of the largest, leave it out, or "
            "penalise it more."
        )
