"""Batches of a table for training."""

from sparsedis.inputs._draws import draw


class TableSource:
    """Endless batches of a table.

    If labels are dense, a step draws rows first, and all its tasks share them. If they
    are sparse it draws tasks first, and then labelled rows of each task.

    Parameters
    ----------
    table : TaskTable

    n_samples : int
        Samples of a task in one step, at most.

    n_tasks : int
        Tasks in one step, at most.

    random_state : RandomState instance
        Draws the batches.

    min_labels : int, default=1
        Labels that a task must have in a step.

    Raises
    ------
    ValueError
        When no draw has enough labels.
    """

    # Number of consecutive draws without a useful task before an error.
    _PATIENCE = 1000

    def __init__(self, table, *, n_samples, n_tasks, random_state, min_labels=1):
        self.table = table
        self.n_samples = n_samples
        self.n_tasks = n_tasks
        self.random_state = random_state
        self.how = {
            "min_labels": min_labels,
            # A single class gives the same head for all features.
            "varied": table.n_classes is not None,
        }

    def __iter__(self):
        if self.table.n_rows < 2:
            raise ValueError(
                "X must hold at least two different labelled rows for training; the "
                "rows of X that are not held out are all equal."
            )
        useful = self.table.useful_tasks()
        misses = 0
        while misses < self._PATIENCE:
            tasks = useful
            if len(tasks) > self.n_tasks:
                tasks = tasks[draw(len(tasks), self.n_tasks, self.random_state)]
            # Tasks with few labels may have none among the rows of a step.
            batch = self.table.batch(
                tasks, self.n_samples, self.random_state, **self.how
            )
            if batch is not None and len(batch.rows) < 2:
                batch = None  # heads on a single input do not train the features
            misses = misses + 1 if batch is None else 0
            if batch is not None:
                yield batch
        raise ValueError(
            f"In {self._PATIENCE} draws of {self.n_samples} samples, no task had "
            f"{max(2, self.how['min_labels'])} labels in two different rows of X, as "
            f"training needs: raise batch_size (now {self.n_samples}), or give tasks "
            "more labels."
        )
