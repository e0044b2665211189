"""Means and R2 of each task, from labels in parts."""

import numpy as np

# Labels with smaller differences, relative to the largest, count as equal.
_ROUNDING = 2 * np.finfo(float).eps

_TINY = np.finfo(float).tiny


def r2_of_tasks(y, prediction, tasks, n_tasks, weight=None):
    """Coefficient of determination of each task, as scikit-learn defines it.

    Parameters
    ----------
    y, prediction : ndarray of shape (n,) or (n, n_outputs)

    tasks : ndarray of shape (n,) of int

    n_tasks : int

    weight : ndarray of shape (n,), default=None

    Returns
    -------
    ndarray of shape (n_tasks,)
        Mean of the outputs; NaN for tasks with fewer than two samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._scores import r2_of_tasks
    >>> y = np.array([1.0, 2.0, 3.0, 5.0])
    >>> r2_of_tasks(y, y + 0.5, np.array([0, 0, 0, 1]), 2)
    array([0.625,   nan])
    """
    r2 = TaskR2(n_tasks)
    r2.add(y, prediction, tasks, weight)
    return r2.result()


class TaskMean:
    """Mean of each task, for values in parts.

    Parameters
    ----------
    n_tasks : int

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._scores import TaskMean
    >>> mean = TaskMean(2)
    >>> mean.add(np.array([True, False]), np.array([0, 0]))
    >>> mean.result()
    array([0.5, nan])
    """

    def __init__(self, n_tasks):
        self._total, self._mass = np.zeros((2, n_tasks))

    def add(self, values, tasks, weight=None):
        """Add values.

        Parameters
        ----------
        values : ndarray of shape (n,)

        tasks : ndarray of shape (n,) of int

        weight : ndarray of shape (n,), default=None
        """
        weight = np.ones(len(tasks)) if weight is None else weight
        n_tasks = len(self._mass)
        self._total += np.bincount(tasks, weight * values, minlength=n_tasks)
        self._mass += np.bincount(tasks, weight, minlength=n_tasks)

    def result(self):
        """Mean of each task.

        Returns
        -------
        ndarray of shape (n_tasks,)
            NaN for tasks without weight.
        """
        mean = np.full(len(self._mass), np.nan)
        np.divide(self._total, self._mass, out=mean, where=self._mass > 0)
        return mean


class TaskR2:
    """Coefficient of determination of each task, for labels in parts.

    Parameters
    ----------
    n_tasks : int

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._scores import TaskR2
    >>> r2, tasks = TaskR2(1), np.array([0, 0])
    >>> r2.add(np.array([1.0, 2.0]), np.array([1.5, 2.5]), tasks)
    >>> r2.add(np.array([3.0, 6.0]), np.array([3.5, 6.5]), tasks)
    >>> r2.result().round(3)
    array([0.929])
    """

    def __init__(self, n_tasks):
        self.n_tasks = n_tasks
        self._count = np.zeros(n_tasks, dtype=int)
        self._mass = np.zeros(n_tasks)
        # First label of each output. It is subtracted from the others, so that equal
        # labels have no spread and large ones lose no digits.
        self._first = self._mean = self._spread = self._error = self._largest = None

    def add(self, y, prediction, tasks, weight=None):
        """Add labels.

        Parameters
        ----------
        y, prediction : ndarray of shape (n,) or (n, n_outputs)

        tasks : ndarray of shape (n,) of int

        weight : ndarray of shape (n,), default=None
        """
        y, prediction = y.reshape(len(y), -1), prediction.reshape(len(y), -1)
        if weight is None:
            weight = np.ones(len(y))
        elif not weight.all():
            kept = weight > 0
            y, prediction, tasks = y[kept], prediction[kept], tasks[kept]
            weight = weight[kept]
        if self._first is None:
            shape = y.shape[1], self.n_tasks
            self._first = np.full(shape, np.nan)
            self._mean, self._spread, self._error, self._largest = np.zeros((4, *shape))
        first = np.full(self.n_tasks, -1)
        first[tasks[::-1]] = np.arange(len(tasks))[::-1]
        new = np.flatnonzero((self._count == 0) & (first >= 0))
        self._first[:, new] = y[first[new]].T

        def total(values):
            return np.bincount(tasks, weight * values, minlength=self.n_tasks)

        mass = total(1.0)
        own, all_mass = np.maximum(mass, _TINY), np.maximum(mass + self._mass, _TINY)
        for i, (target, guess) in enumerate(zip(y.T, prediction.T, strict=True)):
            self._error[i] += total((target - guess) ** 2)
            np.maximum.at(self._largest[i], tasks, np.abs(target))
            target = target - self._first[i, tasks]
            mean = total(target) / own
            step = mean - self._mean[i]
            self._spread[i] += total((target - mean[tasks]) ** 2)
            self._spread[i] += step**2 * mass * (self._mass / all_mass)
            self._mean[i] += step * (mass / all_mass)
        self._mass += mass
        self._count += np.bincount(tasks, minlength=self.n_tasks)

    def result(self):
        """Mean over the outputs of each task.

        Returns
        -------
        ndarray of shape (n_tasks,)
            NaN for tasks with fewer than two labels of positive weight.
        """
        r2 = np.full(self.n_tasks, np.nan)
        judged = np.flatnonzero(self._count >= 2)
        if not len(judged):
            return r2
        error, spread = self._error[:, judged], self._spread[:, judged]
        # Largest spread that rounding errors give to equal labels.
        noise = self._mass[judged] * (_ROUNDING * self._largest[:, judged]) ** 2
        constant = spread <= noise
        ratio = error / np.where(constant, 1.0, spread)
        each = np.where(constant, np.where(error == 0, 1.0, 0.0), 1 - ratio)
        r2[judged] = each.mean(0)
        return r2

    def mean(self):
        """Mean over the tasks that can be scored.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            When there is none.
        """
        r2 = self.result()
        if np.isnan(r2).all():
            raise ValueError(
                "y must label at least two samples of a task that had labels in fit."
            )
        return float(np.nanmean(r2))
