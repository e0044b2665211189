"""Types of tasks, given or inferred from labels, and labels as numbers."""

from contextlib import suppress

import numpy as np

from sparsedis.inputs._batch import COUNT, NUMBER
from sparsedis.inputs._classes import number_classes

TYPES = ("number", "count", "binary", "class")


def asked_types(task_types, names):
    """Types of tasks given by the user.

    Parameters
    ----------
    task_types : dict, list or None
        Types by the names of tasks, or one for each task.

    names : ndarray of shape (n_tasks,)

    Returns
    -------
    list of n_tasks str or None

    Raises
    ------
    ValueError
        For an unknown type, an unknown name, or a wrong number of types.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._task_types import asked_types
    >>> asked_types({"b": "count"}, np.array(["a", "b"]))
    [None, 'count']
    """
    listed = names.tolist()
    if task_types is None:
        return [None] * len(listed)
    if isinstance(task_types, dict):
        unknown = [name for name in task_types if name not in set(listed)]
        if unknown:
            raise ValueError(
                f"task_types names {unknown[:5]}, which are not tasks of y; these "
                f"begin with {listed[:5]}."
            )
        found = [task_types.get(name) for name in listed]
    else:
        found = list(task_types)
        if len(found) != len(listed):
            raise ValueError(
                f"task_types must have a type for each of the {len(listed)} tasks, got "
                f"{len(found)}."
            )
    for name, kind in zip(listed, found, strict=True):
        if kind is not None and kind not in TYPES:
            raise ValueError(
                f"task_types must be among {TYPES}, or None to infer it from the "
                f"labels; got {kind!r} for task {name!r}."
            )
    return found


def code_labels(columns, asked):
    """Determine the types of tasks, and convert labels to numbers.

    Parameters
    ----------
    columns : MixedColumns

    asked : list of n_tasks str or None
        Types; None is inferred from the labels.

    Returns
    -------
    codes : list of n_tasks ndarray
        Numbers, counts, and codes of classes.

    types : ndarray of shape (n_tasks,) of str

    classes : list of n_tasks ndarray
        Sorted classes; empty for numbers and counts, except for a single 0 if all
        counts are 0.

    Raises
    ------
    ValueError
        For labels that do not have the type of their task.
    """
    codes, types, classes = [], [], []
    for name, values, categories, kind in zip(
        columns.names.tolist(),
        columns.values,
        columns.categories or [()] * columns.n_tasks,
        asked,
        strict=True,
    ):
        kind = kind or _type_of(values, len(categories) > 0, name)
        if kind in ("number", "count"):
            own, numbers = np.zeros(0), as_numbers(values, name, kind)
            if kind == "count" and len(numbers) and not numbers.any():
                own, numbers = np.zeros(1), np.zeros(len(numbers))
        else:
            try:
                own, numbers = number_classes(values)
            except ValueError as error:
                raise ValueError(f"Task {name!r} has type 'class': {error}") from None
            if kind == "binary" and len(own) > 2:
                raise ValueError(
                    f"y must hold at most two classes in task {name!r}, whose type is "
                    f"'binary'; got {own[:5].tolist()}. Its type could be 'class'."
                )
            if kind == "some":
                kind = "binary" if len(own) <= 2 else "class"
        codes.append(numbers)
        types.append(kind)
        classes.append(own)
    return codes, np.array(types), classes


def _type_of(values, categorical, name):
    """Type of a task inferred from its labels: "number", or "some" classes."""
    if values.dtype.kind in "mM":
        raise ValueError(
            f"y holds dates or times in task {name!r}, such as {values[:1]}: pass "
            "numbers, or give the task the type 'class' in task_types."
        )
    if values.dtype.kind == "O" and not len(values) and not categorical:
        return "number"
    return "some" if categorical or values.dtype.kind not in "fiu" else "number"


def as_numbers(values, name, kind):
    """Labels of a task of numbers or counts.

    Parameters
    ----------
    values : ndarray of shape (n,)

    name : object
        Name of the task.

    kind : {"number", "count"}

    Returns
    -------
    ndarray of shape (n,) of float

    Raises
    ------
    ValueError
        For text, dates, infinite numbers and negative counts.
    """
    numbers = None
    if values.dtype.kind not in "mM":
        with suppress(TypeError, ValueError):
            numbers = values.astype(float)
    if numbers is None or values.dtype.kind in "US":
        wrong = next((v for v in values.tolist() if not _is_number(v)), values[0])
        raise ValueError(
            f"y must hold numbers in task {name!r}, whose type is {kind!r}; got "
            f"{wrong!r}."
        )
    if np.isinf(numbers).any():
        raise ValueError(
            f"Input y contains infinity: {numbers[np.isinf(numbers)][0]} in task "
            f"{name!r}, whose type is {kind!r}."
        )
    if kind == "count" and (numbers < 0).any():
        raise ValueError(
            f"y must not be negative in task {name!r}, whose type is 'count'; got "
            f"{numbers[numbers < 0][0]:g}."
        )
    return numbers


def _is_number(value):
    return isinstance(value, bool | int | float | np.number)


def recode_labels(columns, types, classes):
    """Convert labels to numbers, by the classes of a fit.

    Parameters
    ----------
    columns : MixedColumns

    types : list of n_tasks str or None
        Types; None for tasks to leave out.

    classes : list of n_tasks ndarray
        Classes of each task; not used for numbers.

    Returns
    -------
    codes : list of n_tasks ndarray
        Codes; the number of classes is the code of unknown labels.

    new : dict
        An unknown label of each task that has some, by the name of the task.
    """
    codes, new = [], {}
    for name, values, kind, own in zip(
        columns.names.tolist(), columns.values, types, classes, strict=True
    ):
        if kind is None:
            codes.append(np.zeros(len(values)))
        elif kind in ("number", "count"):
            codes.append(as_numbers(values, name, kind))
        else:
            known = {label: code for code, label in enumerate(own.tolist())}
            listed = values.tolist()
            found = [known.get(label, len(own)) for label in listed]
            codes.append(np.array(found, dtype=float))
            unknown = [label for label in listed if label not in known]
            if unknown:
                new[name] = unknown[0]
    return codes, new


def counts_of_classes(types, classes):
    """Number of classes of each task, or its code for other types.

    Parameters
    ----------
    types : ndarray of shape (n_tasks,) of str

    classes : list of n_tasks ndarray

    Returns
    -------
    ndarray of shape (n_tasks,) of int
        Numbers of classes, 1 for tasks with a single label; or `NUMBER` or `COUNT`.
    """
    found = np.array([len(own) for own in classes])
    found[types == "number"] = NUMBER
    found[(types == "count") & (found == 0)] = COUNT
    return found
