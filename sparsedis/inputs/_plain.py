"""Checks for arrays and frames that scikit-learn would misread."""

import numpy as np


def check_plain(array, name):
    """Refuse inputs that scikit-learn would convert to unintended numbers.

    Parameters
    ----------
    array : array-like
        Input.

    name : str
        Name of the argument in error messages.

    Raises
    ------
    ValueError
        When entries are masked or NaT, values are dates or times in a matrix, or
        several columns of a frame have one name.
    TypeError
        When numpy cannot read a tensor, or the input is no array, list or frame.
    """
    if array is not None:
        check_container(array, name)
    check_tensor(array, name)
    if np.ma.is_masked(array):
        n_masked = np.ma.count_masked(array)
        raise ValueError(
            f"{name} holds {n_masked} masked entries, whose values are not known; "
            f"{name} must be complete. Fill them, or leave out their rows."
        )
    dated = getattr(getattr(array, "dtype", None), "kind", "") in tuple("mM")
    if dated and np.isnat(np.asarray(array)).any():
        raise ValueError(f"{name} holds NaT; {name} must be complete.")
    columns = getattr(array, "columns", None)
    if columns is None:
        dtypes = [array.dtype] if getattr(array, "ndim", 0) > 1 else []
    else:
        listed = list(columns)
        twice = sorted({str(c) for c in listed if listed.count(c) > 1})[:5]
        if twice:
            raise ValueError(
                f"{name} has several columns of one name ({', '.join(twice)}); names "
                f"must differ. Rename them, or pass {name}.to_numpy()."
            )
        dtypes = getattr(array, "dtypes", [])
    for dtype in dtypes:
        dated = str(dtype).startswith(("Date", "Duration"))  # of polars
        if dated or getattr(dtype, "kind", "") in tuple("mM"):
            raise ValueError(
                f"{name} must hold real numbers, got {dtype}: dates and times have no "
                "obvious unit. Pass numbers, such as days."
            )


def check_container(array, name):
    """Refuse single objects, generators and frames that are not collected.

    Parameters
    ----------
    array : object

    name : str
        Name of the argument in error messages.

    Raises
    ------
    TypeError
        When it is neither an array, a list, a frame nor a sparse matrix.

    Examples
    --------
    >>> from sparsedis.inputs._plain import check_container
    >>> check_container({"a": [1, 2]}, "X")
    Traceback (most recent call last):
    TypeError: X must be an array, a list, a data frame or a sparse matrix, got dict.
    """
    listed = hasattr(array, "__len__") and hasattr(array, "__getitem__")
    shape = getattr(array, "shape", None)
    if shape is None:
        listed = listed and not isinstance(array, str | bytes | dict)
    if shape == () or not (listed or shape or hasattr(array, "__array__")):
        cure = ": call collect()" if hasattr(array, "collect") else ""
        raise TypeError(
            f"{name} must be an array, a list, a data frame or a sparse matrix, got "
            f"{type(array).__name__}{cure}."
        )


def check_tensor(array, name):
    """Refuse tensors of torch that numpy cannot read.

    Parameters
    ----------
    array : object
        A tensor, or anything else.

    name : str
        Name of the argument in error messages.

    Raises
    ------
    TypeError
        When a tensor needs a gradient, is on a GPU, or has a dtype that numpy lacks.
    """
    # Without an import of torch, which takes seconds.
    if not hasattr(array, "requires_grad"):
        return
    try:
        array.flatten()[:0].numpy()
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"{name} is a tensor that numpy cannot read; pass "
            f"{name}.detach().cpu().float(). {error}"
        ) from error
