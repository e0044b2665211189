"""Inputs as arrays, in which images are told from tables by their shape."""

import numpy as np
import torch

# Channels of images that come first, as torch has them.
_FIRST = (1, 3)

# Images are larger.
_SMALL = 4


def as_inputs(X):
    """Make one array of tensors and of lists of images; check the shape of images.

    Parameters
    ----------
    X : object

    Returns
    -------
    object
        An array, or what was given where it is neither.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._images import as_inputs
    >>> images = as_inputs([np.zeros((8, 8, 3)), np.ones((8, 8, 3))])
    >>> images.shape
    (2, 8, 8, 3)
    """
    if isinstance(X, torch.Tensor):
        X = X.detach().cpu().numpy()
    elif isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) > 1:
        X = np.stack([np.asarray(x) for x in X])
    if isinstance(X, np.ndarray):
        check_images(X.shape, X.dtype)
    return X


def check_images(shape, dtype):
    """Refuse what may be images of another layout or range.

    Parameters
    ----------
    shape : tuple of int

    dtype : dtype
    """
    whole = np.issubdtype(dtype, np.integer)
    if len(shape) == 3 and whole:
        raise ValueError(
            f"X has shape {tuple(shape)} and dtype {dtype}: images have a last axis of "
            "channels, X[..., None] where they are grey; sequences are floats."
        )
    if len(shape) != 4:
        return
    if whole and dtype != np.uint8:
        raise ValueError(
            f"X holds images of dtype {dtype}: they must be uint8, from 0 to 255, or "
            "floats from 0 to 1."
        )
    if shape[1] in _FIRST and min(shape[2:]) > _SMALL:
        raise ValueError(
            f"X has shape {tuple(shape)}: images are (n_samples, height, width, "
            "channels), np.moveaxis(X, 1, -1) of those of torch."
        )
