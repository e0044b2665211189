"""Conversion of inputs to arrays; the shape distinguishes images from tables."""

import numpy as np
import torch

from sparsedis.inputs._numbers import validate_numbers
from sparsedis.inputs._plain import check_plain
from sparsedis.inputs._values import required_labels

# Numbers of channels of images in torch's layout, with channels first.
_FIRST = (1, 3)

# Images are larger.
_SMALL = 4


def validate_inputs(estimator, X, y="no_validation", *, reset):
    """Read inputs, and labels if given, as scikit-learn does.

    Parameters
    ----------
    estimator : BaseEstimator
        Stores the number and names of the features, or compares them with its own.

    X : array-like, tensor, or list of images

    y : array-like of shape (n_samples,), default="no_validation"
        Classes.

    reset : bool
        Whether this is a fit.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features) or \
(n_samples, height, width, channels), or of another shape
        Array of float64 or float32; images also of unsigned 8-bit integers.

    y : ndarray of shape (n_samples,)
        Only if it was given.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from sparsedis.inputs._arrays import validate_inputs
    >>> validate_inputs(BaseEstimator(), [[1, 2], [3, 4]], reset=True)
    array([[1., 2.],
           [3., 4.]])
    """
    X = as_inputs(X)
    check_plain(X, "X")
    if not isinstance(y, str):
        check_plain(y, "y")
        y = required_labels(y)
    dtypes = [np.float64, np.float32]
    return validate_numbers(
        estimator,
        X,
        y,
        reset=reset,
        dtype=[*dtypes, np.uint8] if is_8bit_image(X) else dtypes,
        allow_nd=True,
        ensure_min_samples=2 if reset else 1,
    )


def is_8bit_image(X):
    """Whether inputs are images of integers from 0 to 255, which are scaled to [0, 1].

    They keep their dtype until they are encoded, since floats take four times the
    memory. The numbers of an 8-bit table are not scaled.

    Parameters
    ----------
    X : object
        An array or a tensor of shape (n_samples, ...); other types are not images.

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._arrays import is_8bit_image
    >>> image = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    >>> is_8bit_image(image), is_8bit_image(image.reshape(1, -1))
    (True, False)
    """
    # Check the shape first: a frame may have a column named "dtype".
    is_image = getattr(X, "ndim", 0) == 4
    return is_image and getattr(X, "dtype", None) in (np.uint8, torch.uint8)


def as_inputs(X):
    """Convert tensors and lists of images to one array; check the shape of images.

    Parameters
    ----------
    X : object

    Returns
    -------
    object
        An array, or X itself if it is neither.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._arrays import as_inputs
    >>> images = as_inputs([np.zeros((8, 8, 3)), np.ones((8, 8, 3))])
    >>> images.shape
    (2, 8, 8, 3)
    """
    if isinstance(X, torch.Tensor):
        X = X.detach().cpu()
        # numpy has no bfloat16.
        X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()
    elif isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) > 1:
        X = np.stack([np.asarray(x) for x in X])
    if isinstance(X, np.ndarray):
        check_images(X.shape, X.dtype)
    return X


def check_images(shape, dtype):
    """Refuse inputs that may be images with another layout or range.

    Parameters
    ----------
    shape : tuple of int

    dtype : dtype
    """
    whole = np.issubdtype(dtype, np.integer)
    if len(shape) == 3 and whole:
        raise ValueError(
            f"X has shape {tuple(shape)} and dtype {dtype}: images need a last axis "
            "of channels (X[..., None] if they are grey); sequences must be floats."
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
            f"X has shape {tuple(shape)}: images must have shape (n_samples, height, "
            "width, channels). For torch's layout, pass np.moveaxis(X, 1, -1)."
        )
