"""Names of tasks, from ids of any type or from the columns of frames."""

import math
from numbers import Number

import numpy as np
from sklearn.utils import column_or_1d

from sparsedis.inputs._values import is_missing


def read_task_ids(task, n_samples, argument="task"):
    """Read the ids of tasks, one for each row.

    Parameters
    ----------
    task : array-like of shape (n_samples,)
        Numbers, text, or both.

    n_samples : int

    argument : str, default="task"
        Name of the argument, for errors.

    Returns
    -------
    ndarray of shape (n_samples,)
        Array of ids. Its dtype is object if another one would merge two ids.

    Raises
    ------
    ValueError
        When the shape or the number of ids is wrong, some are missing, or bool and
        numbers are mixed.

    Examples
    --------
    >>> from sparsedis.inputs._ids import read_task_ids
    >>> read_task_ids(["a", "b"], 2)
    array(['a', 'b'], dtype='<U1')
    >>> read_task_ids(["a", 1], 2)
    array(['a', 1], dtype=object)
    """
    if np.ma.is_masked(task):
        raise ValueError(
            f"{argument} must name the task of every row; some are masked."
        )
    if isinstance(task, list | tuple) and not any(np.ndim(v) for v in task):
        task = _objects(task)
    # The size of a tensor is a method.
    if np.ndim(task) == 0 or math.prod(np.shape(task)) != len(task):
        raise ValueError(
            f"{argument} must hold one name per row, in one dimension; got shape "
            f"{np.shape(task)}."
        )
    task = column_or_1d(task)
    if len(task) != n_samples:
        raise ValueError(
            f"{argument} must name the task of each of the {n_samples} rows of X, got "
            f"{len(task)} names."
        )
    if is_missing(task).any():
        raise ValueError(
            f"{argument} must name the task of every row; some are missing."
        )
    return _narrowed(task, argument) if task.dtype == object else task


def distinct_ids(ids):
    """Find the distinct ids.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        As :func:`read_task_ids` returns them.

    Returns
    -------
    names : ndarray of shape (n_distinct,)
        Sorted; numbers before text.

    numbers : ndarray of shape (n,) of int
        The name of each.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._ids import distinct_ids
    >>> distinct_ids(np.array(["1", 3, 1, "1"], dtype=object))
    (array([1, 3, '1'], dtype=object), array([2, 1, 0, 2]))
    """
    if ids.dtype != object:
        return np.unique(ids, return_inverse=True)
    try:
        names = _sorted(dict.fromkeys(ids.tolist()))
    except TypeError:
        raise ValueError(
            "task must hold ids that can be distinguished, such as numbers or text; "
            f"got {ids[0]!r}, of type {type(ids[0]).__name__}."
        ) from None
    position = {name: number for number, name in enumerate(names)}
    numbers = np.array([position[v] for v in ids.tolist()], dtype=int)
    return _objects(names), numbers


def column_names(columns):
    """Read the column names of a frame as task names.

    Parameters
    ----------
    columns : Index or list

    Returns
    -------
    ndarray of shape (n_columns,)

    Raises
    ------
    ValueError
        When names are missing, or occur several times.
    """
    if isinstance(columns, list | tuple):
        columns = _narrowed(_objects(columns), "y")
    names = np.asarray(columns)
    if is_missing(names).any():
        raise ValueError(
            "y must have a name for every column, the name of its task; some are "
            "missing. Name them, or pass y.to_numpy()."
        )
    listed = names.tolist()
    distinct = set(listed)
    if len(distinct) < len(listed):
        twice = [name for name in distinct if listed.count(name) > 1][:5]
        raise ValueError(
            f"y has several columns of the name {twice[0]!r}, but each column is a "
            f"task and needs a unique name (repeated: {twice}). Rename them, or pass "
            "y.to_numpy()."
        )
    return names


def check_order(values, names, argument):
    """Refuse a Series whose index has other names, or these in another order.

    Parameters
    ----------
    values : object
        Anything but a Series of pandas with names is not checked.

    names : ndarray of shape (n,), or None
        Names of what `values` describe, if these have some.

    argument : str
        Name of the argument, for errors.

    Raises
    ------
    ValueError
        When names differ: numpy would read the values by position.
    """
    # Lists of lists of several lengths have no `ndim`.
    if hasattr(values, "iloc") and np.ndim(values) == 1:
        _check_names(values.index, names, argument, "Series whose index")


def check_table_order(values, rows, columns, argument):
    """Refuse a frame whose index or columns have other names, or another order.

    Parameters
    ----------
    values : object
        Anything but a frame is not checked.

    rows, columns : ndarray of shape (n,), or None
        Names of what the rows and columns describe, if these have some.

    argument : str
        Name of the argument, for errors.

    Raises
    ------
    ValueError
        When names differ: numpy would read the values by position.
    """
    if np.ndim(values) != 2 or not hasattr(values, "columns"):
        return
    if hasattr(values, "index"):
        _check_names(values.index, rows, argument, "frame whose index")
    _check_names(values.columns, columns, argument, "frame whose columns")


def _check_names(given, names, argument, what):
    """Refuse names that are others than `names`, and not those of positions."""
    given = list(given)
    if names is None or given == list(range(len(given))):
        return
    due = np.asarray(names).tolist()
    if given == due:
        return
    both = zip(given, due, strict=False)
    first = next((i for i, pair in enumerate(both) if pair[0] != pair[1]), 0)
    to_numpy = f"{argument}.to_numpy()"
    raise ValueError(
        f"{argument} is a {what}, {given[first : first + 5]}, must be "
        f"{due[first : first + 5]}, in this order. Reorder it, or pass {to_numpy}."
    )


def _objects(values):
    """Array of objects, without converting tuples."""
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array


def _narrowed(ids, name):
    """Convert objects to their own dtype if this changes none of them."""
    values = ids.tolist()
    is_bool = {isinstance(v, bool | np.bool_) for v in values if isinstance(v, _NUMBER)}
    if len(is_bool) > 1:
        raise ValueError(
            f"{name} mixes bool with other numbers as names of tasks: True and 1 are "
            "equal, and would be one task. Use only numbers, or text."
        )
    try:
        array = np.array(values)
    except ValueError:  # tuples of several lengths
        return ids
    same = array.ndim == 1 and array.dtype != object and array.tolist() == values
    return array if same else ids


_NUMBER = (Number, np.bool_)


def _sorted(values):
    try:
        return sorted(values)
    except TypeError:
        numbers = [v for v in values if isinstance(v, _NUMBER)]
        others = [v for v in values if not isinstance(v, _NUMBER)]
        others.sort(key=lambda v: (type(v).__name__, str(v)))
        return sorted(numbers) + others
