"""Statistics of the columns of a table that arrives in blocks."""

import math
from dataclasses import dataclass

import torch

# Numbers to compute statistics of at a time.
_HELD = 2**22


@dataclass(frozen=True)
class Moments:
    """Statistics of the columns of some rows, as float64.

    Attributes
    ----------
    n_rows : int

    mean, variance, low, high : tensor of shape (n_columns,)
        The variance divides by the number of rows.
    """

    n_rows: int
    mean: torch.Tensor
    variance: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor


def moments(blocks):
    """Statistics of the columns of all blocks together.

    Parameters
    ----------
    blocks : iterable of tensor of shape (n, n_columns)

    Returns
    -------
    Moments

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders._moments import moments
    >>> found = moments([torch.tensor([[1.0]]), torch.tensor([[2.0], [3.0]])])
    >>> found.n_rows, found.mean.item(), round(found.variance.item(), 3)
    (3, 2.0, 0.667)
    """
    n, mean, variance, low, high = 0, 0.0, 0.0, math.inf, -math.inf
    for rows in _gathered(blocks):
        # float64 sums: columns with a large mean must not lose their variance.
        step = rows.mean(0) - mean
        share = len(rows) / (n + len(rows))
        variance = variance * (1 - share) + rows.var(0, correction=0) * share
        variance = variance + step**2 * (share * (1 - share))
        mean = mean + step * share
        n += len(rows)
        low, high = rows.amin(0).clamp(max=low), rows.amax(0).clamp(min=high)
    return Moments(n, mean, variance, low, high)


def _gathered(blocks):
    """Rows as float64, joined in blocks of a bounded size."""
    held, n = None, 0
    for rows in blocks:
        if held is not None and n + len(rows) > len(held):
            yield held[:n]
            held, n = None, 0
        if held is None:
            # At once: many small results between large blocks, which come and go, would
            # keep the C library from returning their memory.
            size = max(len(rows), _HELD * len(rows) // max(1, rows.numel()))
            held = rows.new_empty((size, *rows.shape[1:]), dtype=torch.float64)
        held[n : n + len(rows)] = rows
        n += len(rows)
    if n:
        yield held[:n]
