"""Rows of inputs: distinct rows, and rows that are read on demand."""

import math
from hashlib import blake2b

import numpy as np
import torch
from torch.utils.data import Dataset

from sparsedis._warn import warn

# Maximal rows, and numbers in them, to read at a time outside of training: computations
# on large images take many times the memory of the images.
_BLOCK = 1024
_BLOCK_NUMBERS = 2**24

# Rows of inputs on disk that stand for all.
_FEW = 256

# Range of magnitudes whose squares float32 can represent.
_SMALLEST, _LARGEST = 1e-18, 1e18

# Ranges of columns, relative to their size, that float32 resolves, and those of
# rounding errors of constant ones.
_RESOLVED, _ROUNDING = 1e-6, 1e-14


class LazyRows:
    """Inputs that are read a few rows at a time.

    Parameters
    ----------
    source : torch Dataset, or array on disk with ``shape``, ``dtype`` and ``chunks``
        Items of a dataset are an input, or a tuple that begins with one.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    ndim : int

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sparsedis.inputs._rows import LazyRows
    >>> LazyRows(TensorDataset(torch.eye(5)))[[3, 1]]
    array([[0., 0., 0., 1., 0.],
           [0., 1., 0., 0., 0.]], dtype=float32)
    """

    def __init__(self, source):
        self._source = source
        self._is_dataset = isinstance(source, Dataset)
        if self._is_dataset:
            if not hasattr(source, "__len__") or len(source) == 0:
                raise ValueError(
                    "X must be a dataset with a length and at least one item, got "
                    f"{type(source).__name__}."
                )
            first = self._item(0)
            self.shape, self.dtype = (len(source), *first.shape), first.dtype
        else:
            self.shape, self.dtype = tuple(source.shape), np.dtype(source.dtype)
        if not (np.issubdtype(self.dtype, np.floating) or self.dtype == np.uint8):
            raise ValueError(
                "X that is read on demand must hold floats or unsigned 8-bit "
                f"integers, got {self.dtype}."
            )
        self.ndim = len(self.shape)
        if self.ndim < 2 or 0 in self.shape:
            raise ValueError(
                "X must hold a vector or an image for each sample, got shape "
                f"{self.shape}."
            )

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, at):
        """Rows as an array, at a slice or at any integers.

        Raises
        ------
        ValueError
            When some are not finite or too large, or differ in their shape.
        """
        at = np.arange(len(self))[at]
        if self._is_dataset:
            rows = np.stack([self._checked(i) for i in at.tolist()])
        else:
            # Files are read in order, each row once.
            distinct, inverse = np.unique(at, return_inverse=True)
            rows = np.asarray(self._source[distinct])[inverse]
        if rows.dtype != np.uint8 and not np.isfinite(rows).all():
            bad = at[~np.isfinite(rows.reshape(len(rows), -1)).all(1)]
            raise ValueError(f"Input X contains NaN or infinity in row {bad[0]}.")
        check_magnitude(rows, some=True)
        return rows

    def sample(self):
        """A few rows, evenly spaced."""
        return self[np.unique(np.linspace(0, len(self) - 1, _FEW).astype(int))]

    def _item(self, i):
        item = self._source[i]
        item = item[0] if isinstance(item, tuple | list) else item
        if isinstance(item, torch.Tensor):
            item = item.detach().cpu()
            # numpy has no bfloat16.
            item = item.float() if item.dtype == torch.bfloat16 else item
        return np.asarray(item)

    def _checked(self, i):
        item = self._item(i)
        if item.shape != self.shape[1:]:
            raise ValueError(
                f"X must hold inputs of one shape; got {self.shape[1:]}, then "
                f"{item.shape} in row {i}."
            )
        return item


def is_lazy(X):
    """Whether X is to be read on demand: a torch Dataset, HDF5 or zarr array.

    Parameters
    ----------
    X : object

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._rows import is_lazy
    >>> is_lazy(np.zeros((3, 2)))
    False
    """
    on_disk = all(hasattr(X, name) for name in ("shape", "dtype", "chunks"))
    return isinstance(X, Dataset) or on_disk


def distinct_rows(X):
    """Find the distinct rows of an array, in an order that depends only on the rows.

    Parameters
    ----------
    X : ndarray of shape (n, ...)

    Returns
    -------
    first : ndarray of shape (n_distinct,) of int
        First position of each distinct row.

    inverse : ndarray of shape (n,) of int
        Number of the distinct row for each row.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._rows import distinct_rows
    >>> first, inverse = distinct_rows(np.array([[1, 2], [3, 4], [1, 2]]))
    >>> len(first), bool(inverse[0] == inverse[2])
    (2, True)
    """
    digests = b"".join(blake2b(row.tobytes(), digest_size=16).digest() for row in X)
    keys = np.frombuffer(digests, dtype=[("high", "<u8"), ("low", "<u8")])
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    # Sorted by a projection, so that the order does not depend on the dtype.
    weights = np.sqrt(np.arange(1.0, X[0].size + 1))
    keys = [
        block.reshape(len(block), -1).astype(np.float64) @ weights
        for block in blocks_of(X, first)
    ]
    order = np.argsort(np.concatenate(keys), kind="stable")
    return first[order], np.argsort(order)[inverse]


def blocks_of(X, at):
    """Iterate over rows of an array in blocks, with fewer rows if they are wide.

    Parameters
    ----------
    X : ndarray of shape (n, ...) or LazyRows

    at : ndarray of shape (n_rows,) of int

    Yields
    ------
    ndarray of shape (n_block, ...)

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._rows import blocks_of
    >>> [len(block) for block in blocks_of(np.zeros((1500, 2)), np.arange(1500))]
    [1024, 476]
    """
    size = min(_BLOCK, max(1, _BLOCK_NUMBERS // max(1, math.prod(X.shape[1:]))))
    for first in range(0, len(at), size):
        yield X[at[first : first + size]]


def check_magnitude(X, name="X", *, some=False):
    """Refuse inputs whose squares float32, the dtype of encoders, cannot represent.

    Parameters
    ----------
    X : ndarray or LazyRows
        Inputs. Of those that are read on demand, a few are read.

    name : str, default="X"
        Name of the argument, for messages.

    some : bool, default=False
        Whether these are only some of the inputs, which may be small.

    Raises
    ------
    ValueError
        When some are too large, NaN or infinite, or all are too small.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._rows import check_magnitude
    >>> check_magnitude(np.array([1.0, -1e30]))
    Traceback (most recent call last):
    ValueError: X has values up to 1e+30 in magnitude; for float32 the largest must ...
    """
    if X.dtype.kind != "f" or not len(X):
        return
    if isinstance(X, LazyRows):
        X = X.sample()
    if not X.size:
        return
    largest = max(float(X.max()), -float(X.min()))
    smallest = 0 if some else _SMALLEST
    if largest and not smallest <= largest <= _LARGEST:
        raise ValueError(
            f"{name} has values up to {largest:g} in magnitude; for float32 the "
            f"largest must be from {_SMALLEST:g} to {_LARGEST:g}. Scale the inputs."
        )


def warn_of_offsets(X, names=None):
    """Warn about columns of a table that float32, the dtype of encoders, hardly tells.

    Parameters
    ----------
    X : ndarray or LazyRows
        Inputs. Of those that are read on demand, a few are read.

    names : ndarray of shape (n_columns,), default=None
        Names of the columns. None: their numbers.

    Warns
    -----
    UserWarning
        When columns have a range of less than 1e-6 of their size, and are not constant:
        float32 has at most 17 such numbers.
    """
    if X.ndim != 2 or X.dtype != np.float64:
        return
    if isinstance(X, LazyRows):
        X = X.sample()
    low, high = X.min(0), X.max(0)
    size, spread = np.maximum(-low, high), high - low
    lost = np.flatnonzero((spread < _RESOLVED * size) & (spread > _ROUNDING * size))
    if len(lost):
        named = lost if names is None else names[lost]
        warn(
            f"{len(lost)} of {X.shape[1]} columns of X ({named[:5].tolist()}) vary by "
            f"less than {_RESOLVED:g} of their size. The encoder is trained in "
            "float32, which rounds them to a few values: subtract their mean, such as "
            "with StandardScaler.",
            UserWarning,
        )
