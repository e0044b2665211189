"""Predictions of tasks of several types as a frame."""


def frame_of(columns, names, index, dtypes, categories):
    """Make a pandas DataFrame with the dtypes of the labels of a fit.

    Parameters
    ----------
    columns : list of n_tasks ndarray
        Labels of each task.

    names : ndarray of shape (n_tasks,)

    index : Index or None

    dtypes : ndarray of shape (n_tasks,) of str
        Names of dtypes; "category", or "ordered" for categories with an order.

    categories : list of n_tasks ndarray

    Returns
    -------
    DataFrame
    """
    import pandas as pd

    made = {}
    for t, (values, dtype) in enumerate(zip(columns, dtypes.tolist(), strict=True)):
        if len(categories[t]) or dtype in ("category", "ordered"):
            made[t] = pd.Categorical(values, categories[t], dtype == "ordered")
        elif _holds(dtype, values):
            made[t] = pd.array(values).astype(dtype)
        else:
            made[t] = values
    frame = pd.DataFrame(made, index=index)
    frame.columns = pd.Index(names.tolist())
    return frame


def _holds(dtype, values):
    """Whether predictions of a task can have the dtype of its labels."""
    if values.dtype.kind != "f":
        return True
    return dtype.lower().startswith(("float", "double"))
