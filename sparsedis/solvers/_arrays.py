"""Functions for arrays of NumPy and torch alike.

For small problems on the CPU, most of the time is that of the calls, and calls of NumPy
take about a third of the time of those of torch.
"""

import numpy as np
import torch

# Type of the devices whose tensors NumPy can read.
_HOST = "cpu"


def views(*tensors):
    """NumPy arrays that share the memory of tensors on the CPU; else the tensors.

    Tensors inside of a transform of ``torch.func`` have no memory of their own.
    """
    for tensor in tensors:
        # In a few small problems, this and what it calls take a tenth of the time.
        own = torch.func.debug_unwrap(tensor, recurse=False) is tensor
        if not (own and tensor.is_cpu and _HOST == "cpu"):
            return tensors
    # NumPy reads no negation that torch has put off, as in ``z.conj().imag``.
    return tuple([tensor.numpy(force=True) for tensor in tensors])


def tensors(*arrays):
    """Tensors that share the memory of arrays of NumPy or torch."""
    return tuple(
        torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arrays
    )


def some(mask):
    """Whether an entry of a tensor is true."""
    return bool(views(mask)[0].any())


def bounds(array):
    """Smallest and largest value, as numbers that are read from a device at once."""
    if isinstance(array, torch.Tensor):
        (array,) = views(array)
    if isinstance(array, np.ndarray):
        return float(array.min()), float(array.max())
    return tuple(torch.stack(array.detach().aminmax()).tolist())


def namespace(array):
    """The library of an array, for functions that NumPy and torch have in common."""
    return np if isinstance(array, np.ndarray) else torch


def fill_diagonal(matrices, value):
    """Set the diagonals of a batch of matrices."""
    if isinstance(matrices, torch.Tensor):
        matrices.diagonal(dim1=1, dim2=2).fill_(value)
    else:
        np.einsum("tii->ti", matrices)[...] = value
