"""A first layer that standardises the columns of a table."""

import torch
from torch import nn

from ._moments import moments

# Smallest standard deviation of a column that is not constant, relative to its mean,
# and largest distance from the variance of two values, at which there are two.
_CONSTANT, _TWO_VALUES = 1e-7, 1e-6

# Fewest rows that tell the units of others.
_FEWEST = 30


class Standardized(nn.Flatten):
    """Flattened inputs, in units that :meth:`set_statistics` sets.

    Parameters
    ----------
    n_columns : int
    """

    def __init__(self, n_columns):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))

    def forward(self, x):
        return (super().forward(x) - self.mean) * self.scale

    @torch.no_grad()
    def set_statistics(self, blocks, *, whole=True):
        """Use the statistics of a table.

        Columns of two values, such as those of a one-hot encoder, get a difference of
        one: rare values would become large with unit variance.

        Parameters
        ----------
        blocks : iterable of tensor of shape (n, n_columns)

        whole : bool, default=True
            Whether these are all rows of training. If so, constant columns become zero,
            also where they have another value later. Otherwise they keep their unit,
            as all columns do if there are fewer than 30 rows.
        """
        found = moments(blocks)
        if not whole and found.n_rows < _FEWEST:
            return
        spread = found.variance.sqrt()
        largest = (found.high - found.mean) * (found.mean - found.low)
        two = largest - found.variance <= _TWO_VALUES * largest
        unit = torch.where(two, found.high - found.low, spread)
        varies = spread > _CONSTANT * found.mean.abs()
        # The inverse of a smaller unit may be infinite.
        varies &= unit >= torch.finfo(self.scale.dtype).tiny
        self.mean.copy_(found.mean)
        self.scale.copy_(torch.where(varies, 1 / unit, 0.0 if whole else 1.0))
