"""Matching of tasks to those of a fit, by name."""

import numpy as np

from sparsedis._warn import warn
from sparsedis.inputs._ids import distinct_ids, read_task_ids


def task_numbers(names, known):
    """Numbers of tasks, by their names.

    Parameters
    ----------
    names : ndarray of shape (n,)

    known : ndarray of shape (n_tasks,)

    Returns
    -------
    ndarray of shape (n,) of int
        -1 for names that are not known.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._known_tasks import task_numbers
    >>> task_numbers(np.array(["b", "a", "z"]), np.array(["a", "b"]))
    array([ 1,  0, -1])
    """
    if {names.dtype.kind, known.dtype.kind} in ({"M"}, {"m"}):
        # Convert dates to one unit: as objects some would be dates, and some numbers.
        unit = np.promote_types(names.dtype, known.dtype)
        names, known = names.astype(unit).astype(int), known.astype(unit).astype(int)
    numbers = {name: number for number, name in enumerate(known.tolist())}
    return np.array([numbers.get(name, -1) for name in names.tolist()], dtype=int)


def tasks_of_rows(task, n_samples, known, argument="task"):
    """Numbers of the tasks that are named for each row.

    Parameters
    ----------
    task : array-like of shape (n_samples,)

    n_samples : int

    known : ndarray of shape (n_tasks,)

    argument : str, default="task"
        Name of the argument, for errors.

    Returns
    -------
    ndarray of shape (n_samples,) of int

    Raises
    ------
    ValueError
        When a task is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._known_tasks import tasks_of_rows
    >>> tasks_of_rows(["b", "a"], 2, np.array(["a", "b"]))
    array([1, 0])
    """
    names = read_task_ids(task, n_samples, argument)
    tasks = task_numbers(names, known)
    if (tasks < 0).any():
        unknown = distinct_ids(names[tasks < 0])[0][:5].tolist()
        raise ValueError(
            f"{argument} must hold the ids of tasks seen in fit; {unknown} are not "
            f"among them. Known ids begin with {known[:5].tolist()}."
        )
    return tasks


def known_tasks(targets, y, n_samples, names, layout):
    """Numbers of the tasks of labels among those of a fit.

    Tasks are matched by name. Columns are matched by position if they have no names, or
    if the fit had none.

    Parameters
    ----------
    targets : Targets

    y : array-like or DataFrame
        Original labels.

    n_samples : int

    names : ndarray of shape (n_tasks,)
        Names of the tasks of the fit.

    layout : str
        Layout of the labels of the fit.

    Returns
    -------
    ndarray of int
        -1 for tasks that are not known.

    Raises
    ------
    ValueError
        When no task is known, or the number of columns differs.
    """
    number = task_numbers(targets.names, names)
    if targets.layout != "long":
        in_order = not hasattr(y, "columns")
        if layout != "long" and np.array_equal(names, np.arange(len(names))):
            # A fit without names numbers its tasks.
            same = targets.n_tasks == len(names)
            in_order |= bool((number < 0).any() if same else (number < 0).all())
        if in_order and targets.n_tasks != len(names):
            if layout == "long" and targets.layout == "single":
                raise ValueError(
                    "y has one label per row, as in fit: its tasks are needed, too. "
                    "Pass task=; searches of scikit-learn pass it on with metadata "
                    "routing, after set_score_request(task=True)."
                )
            raise ValueError(
                f"y must have shape {(n_samples, len(names))}, a column for each task "
                f"of fit; got {targets.n_tasks} columns."
            )
        if in_order:
            return np.arange(len(names))
    unknown = targets.names[number < 0][:5].tolist()
    if (number < 0).all():
        what = "task" if targets.layout == "long" else "y"
        raise ValueError(
            f"{what} names tasks such as {unknown}, none of which was seen in fit. "
            f"Known ones begin with {names[:5].tolist()}."
        )
    if unknown:
        warn(
            f"{(number < 0).sum()} tasks of y, such as {unknown}, were not seen in "
            "fit; they are ignored.",
            UserWarning,
        )
    return number
