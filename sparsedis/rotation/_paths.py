"""Nested supports of the heads of tasks: one feature less at each step."""

from dataclasses import dataclass

import numpy as np

# Minimal share of a feature's variance that the other features do not explain.
_DISTINCT = 1e-10

# Minimal variance of the noise, for targets of unit variance: rounding errors.
NOISE_FLOOR = 1e-12

# Maximal size of the inverses and heads of a block of tasks.
_BLOCK = 2**23


@dataclass(frozen=True, eq=False)
class Path:
    """Nested supports of each task, of 0 to k features.

    Attributes
    ----------
    order : ndarray of shape (n_tasks, k) of int
        Features in reverse order of removal: ``order[t, :s]`` is the support of s
        features.

    largest : ndarray of shape (n_tasks,) of int
        Size of the largest support; below k if features are copies of others, or the
        task has few labels.

    gain : ndarray of shape (n_tasks, k + 1)
        Decrease of the residual sum of squares from s - 1 to s features; 0 if s is 0 or
        not reached.

    curvature : ndarray of shape (n_tasks, k + 1)
        Curvature of the sum of squares along the coefficient of the added feature,
        minimised over the others: the variance of the noise over that of the
        coefficient.

    heads : ndarray of shape (n_tasks, k + 1, n_outputs, k)
        Least squares on each support; 0 if s is not reached.

    square : ndarray of shape (n_tasks,)
        Sum of squares without any feature.
    """

    order: np.ndarray
    largest: np.ndarray
    gain: np.ndarray
    curvature: np.ndarray
    heads: np.ndarray
    square: np.ndarray

    @property
    def reached(self):
        """Whether the path has each size, an array of shape (n_tasks, k + 1)."""
        return np.arange(self.gain.shape[1]) <= self.largest[:, None]

    @property
    def rss(self):
        """Residual sums of squares, of shape (n_tasks, k + 1); inf if not reached."""
        rss = np.maximum(self.square[:, None] - np.cumsum(self.gain, axis=1), 0.0)
        return np.where(self.reached, rss, np.inf)

    def supports(self, sizes):
        """Supports of given sizes.

        Parameters
        ----------
        sizes : ndarray of shape (n_tasks,) of int

        Returns
        -------
        ndarray of shape (n_tasks, k) of bool
        """
        supports = np.zeros(self.order.shape, dtype=bool)
        chosen = np.arange(self.order.shape[1]) < sizes[:, None]
        np.put_along_axis(supports, self.order, chosen, axis=1)
        return supports


def elimination_path(moments, noise=None, spike=None):
    """Backward elimination for all tasks at once.

    Starting from the head of all features, each step removes the feature whose removal
    increases the residual sum of squares least. All outputs of a task use the same
    features. Before that, constant features and combinations of others are excluded:
    forward selection adds features as long as they differ from the selected ones. It
    also gives the complete path of tasks with fewer than k + 2 labels, up to two
    features fewer than labels.

    Parameters
    ----------
    moments : Moments
        Moments of the labels.

    noise : ndarray of shape (n_tasks,), default=None
        Variance of the noise of each task. Needed with `spike`.

    spike : ndarray of shape (k,), default=None
        Standard deviations of coefficients that count as zero, in addition to their
        errors. Each step then removes the feature with the smallest coefficient
        relative to both.

    Returns
    -------
    Path
    """
    state = _State(moments, noise, spike)
    limit = np.clip(np.floor(moments.n_labels - 2), 0, moments.m).astype(int)
    complete = _enter(state, limit)
    _leave(state, complete)
    # Features that never entered come last.
    rank = np.where(state.rank == 0, moments.m + 1, state.rank)
    return Path(
        np.argsort(rank, axis=1, kind="stable"),
        state.largest,
        state.gain,
        state.curvature,
        state.heads,
        moments.square,
    )


def bic_size(path, moments, noise, spike):
    """Number of features with the least BIC, of shape (n_tasks,)."""
    excess = 0.0
    if spike is not None:
        excess = spike[path.order] ** 2 * path.curvature[:, 1:] / noise[:, None]
    price = moments.n_outputs * np.log(np.maximum(moments.n_labels, 1.0))
    price = price + np.log(moments.m)
    change = price[:, None] * (1 + excess) - path.gain[:, 1:] / noise[:, None]
    bic = np.zeros(path.gain.shape)
    bic[:, 1:] = np.cumsum(change, axis=1)
    return np.where(path.reached, bic, np.inf).argmin(1)


def task_blocks(moments):
    """Slices of tasks whose paths fit in memory together."""
    T, C, k = moments.gradient.shape
    step = max(1, _BLOCK // (k * (k + C * (k + 1))))
    return [slice(first, first + step) for first in range(0, T, step)]


def noise_variance(moments):
    """Variance of the noise of each task, 1 for those without labels."""
    noise = np.ones(len(moments))
    labelled = np.flatnonzero(moments.n_labels > 0)
    if len(labelled):
        part = moments.take(labelled)
        noise[labelled] = part.residual_variance(part.solve()[0])
    return noise if moments.noise is not None else np.maximum(noise, NOISE_FLOOR)


class _State:
    """Current position of each task on its path.

    `table` contains the correlations of the features after sweeping the selected ones:
    minus the inverse of their block, and the residual correlations of the others.
    `coef` contains the coefficients of the selected features and the gradients of the
    others. Features have norm 1 in both.
    """

    def __init__(self, moments, noise, spike):
        T, C, k = moments.gradient.shape
        variance = np.diagonal(moments.hessian, axis1=1, axis2=2)
        # Centred constant features are rounding errors, small compared to other tasks.
        each = variance / np.maximum(moments.n_labels, 1e-300)[:, None]
        varies = (each > _DISTINCT * each.max(0, initial=0.0)) & (variance > 0)
        self.unit = np.sqrt(np.where(varies, variance, 1.0))
        shrink = varies / self.unit
        self.table = moments.hessian * shrink[:, :, None] * shrink[:, None, :]
        self.coef = moments.gradient * shrink[:, None, :]
        self.inside = np.zeros((T, k), dtype=bool)
        self.largest = np.zeros(T, dtype=int)
        # Smallest size whose support contains the feature; 0 if none does.
        self.rank = np.zeros((T, k), dtype=int)
        self.gain = np.zeros((T, k + 1))
        self.curvature = np.ones((T, k + 1))
        self.heads = np.zeros((T, k + 1, C, k))
        # Variance that counts as zero, in units of that of the noise.
        self.excess = np.zeros((T, k))
        if spike is not None:
            self.excess = np.square(spike) / noise[:, None]

    def invert(self, tasks):
        """Add all features of tasks whose features are all distinct."""
        inverse = np.linalg.inv(self.table[tasks])
        self.coef[tasks] = self.coef[tasks] @ inverse
        self.table[tasks] = -inverse
        self.inside[tasks] = True

    def steps(self, tasks):
        """Change by the removal or addition of each feature.

        Returns
        -------
        gain, curvature, evidence : ndarray of shape (len(tasks), k)
            See :class:`Path`; evidence is the gain relative to that expected from noise
            and spikes.
        """
        pivot = np.abs(np.diagonal(self.table[tasks], axis1=1, axis2=2))
        pivot = np.maximum(pivot, 1e-300)
        square = (self.coef[tasks] ** 2).sum(1)
        curvature = self.unit[tasks] ** 2 * np.where(
            self.inside[tasks], 1 / pivot, pivot
        )
        gain = square / pivot
        evidence = gain / (1 + self.excess[tasks] * curvature)
        return gain, curvature, evidence

    def step(self, tasks, features, size, sign, gain, curvature):
        """Take the step of a feature of each task to or from a size, and note it."""
        rows = np.arange(len(tasks))
        self.gain[tasks, size] = gain[rows, features]
        self.curvature[tasks, size] = curvature[rows, features]
        self.rank[tasks, features] = size
        self.sweep(tasks, features, sign)

    def sweep(self, tasks, features, sign):
        """Add (sign 1) or remove (-1) a feature of each task."""
        rows = np.arange(len(tasks))
        table, coef = self.table[tasks], self.coef[tasks]
        column = table[rows, :, features]
        pivot = column[rows, features]
        ratio = column / pivot[:, None]
        own = coef[rows, :, features]
        coef -= own[:, :, None] * ratio[:, None, :]
        coef[rows, :, features] = sign * own / pivot[:, None]
        table -= column[:, :, None] * ratio[:, None, :]
        table[rows, :, features] = table[rows, features] = sign * ratio
        table[rows, features, features] = -1 / pivot
        self.table[tasks], self.coef[tasks] = table, coef
        self.inside[tasks, features] = sign > 0

    def record(self, tasks, sizes):
        """Write the heads of tasks of given sizes."""
        heads = self.coef[tasks] / self.unit[tasks, None, :]
        self.heads[tasks, sizes] = np.where(self.inside[tasks, None, :], heads, 0.0)


def _enter(state, limit):
    """Add features up to the limit of each task; return which tasks have all."""
    k = state.inside.shape[1]
    least = np.linalg.eigvalsh(state.table)[:, 0]
    regular = (limit == k) & (least > _DISTINCT)
    state.invert(np.flatnonzero(regular))
    state.largest[regular] = k
    tasks = np.flatnonzero(~regular)
    complete = regular.copy()
    for size in range(1, k + 1):
        left = np.diagonal(state.table[tasks], axis1=1, axis2=2)
        free = ~state.inside[tasks] & (left > _DISTINCT)
        complete[tasks[~free.any(1)]] = True
        going = free.any(1) & (limit[tasks] >= size)
        tasks, free = tasks[going], free[going]
        if not len(tasks):
            break
        *change, evidence = state.steps(tasks)
        features = np.where(free, evidence, -1.0).argmax(1)
        state.step(tasks, features, size, 1, *change)
        state.record(tasks, size)
        state.largest[tasks] = size
    return complete


def _leave(state, complete):
    """Remove the features of complete tasks one by one."""
    for size in range(state.inside.shape[1], 0, -1):
        tasks = np.flatnonzero(complete & (state.largest >= size))
        state.record(tasks, size)
        *change, evidence = state.steps(tasks)
        features = np.where(state.inside[tasks], evidence, np.inf).argmin(1)
        state.step(tasks, features, size, -1, *change)
