"""Nested supports of the heads of tasks: one feature less at each step."""

from dataclasses import dataclass

import numpy as np

# Share of its variance that other features must leave, for one to have a coefficient.
_DISTINCT = 1e-10

# Least variance of the noise, for targets of unit variance: rounding.
NOISE_FLOOR = 1e-12

# Numbers in the inverses and the heads of a block of tasks.
_BLOCK = 2**23


@dataclass(frozen=True, eq=False)
class Path:
    """Nested supports of each task, of 0 to k features.

    Attributes
    ----------
    order : ndarray of shape (n_tasks, k) of int
        Features by when they leave, the last to leave first: ``order[t, :s]`` is the
        support of s features.

    largest : ndarray of shape (n_tasks,) of int
        Size of the largest support, which features that are copies of others, and tasks
        with few labels, keep below k.

    gain : ndarray of shape (n_tasks, k + 1)
        By how much the residual sum of squares of s features is below that of s - 1;
        0 where s is 0 or not reached.

    curvature : ndarray of shape (n_tasks, k + 1)
        Curvature of the sum of squares along the coefficient that makes the difference,
        the others following: the variance of the noise over that of the coefficient.

    heads : ndarray of shape (n_tasks, k + 1, n_outputs, k)
        Least squares on each support; 0 where s is not reached.

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
        """Whether the path has a size, an array of bool of shape (n_tasks, k + 1)."""
        return np.arange(self.gain.shape[1]) <= self.largest[:, None]

    @property
    def rss(self):
        """Residual sums of squares of shape (n_tasks, k + 1), inf where not reached."""
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
    """Backward elimination, of all tasks at once.

    From the head of all features, the one goes whose absence raises the residual sum of
    squares least. A feature serves all the outputs of a task or none. Features that are
    combinations of others, and those that are constant, are set aside first: forward
    selection takes features as long as they differ from those taken. It also makes the
    whole path where a task has less than k + 2 labels: up to two features less than
    labels.

    Parameters
    ----------
    moments : Moments
        What the labels say.

    noise : ndarray of shape (n_tasks,), default=None
        Variance of the noise of each task. Needed with `spike`.

    spike : ndarray of shape (k,), default=None
        Standard deviations of coefficients that count as zero, beyond their errors. The
        feature goes then whose coefficient is smallest in units of both.

    Returns
    -------
    Path
    """
    state = _State(moments, noise, spike)
    limit = np.clip(np.floor(moments.n_labels - 2), 0, moments.m).astype(int)
    complete = _enter(state, limit)
    _leave(state, complete)
    # What never entered comes last.
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
    """Where each task is on its path.

    `table` holds the correlations of features, swept by those inside: minus the inverse
    of their block, and what they leave of the others. `coef` holds the coefficients of
    the features inside, and the gradients of the others. Features have norm 1 in both.
    """

    def __init__(self, moments, noise, spike):
        T, C, k = moments.gradient.shape
        variance = np.diagonal(moments.hessian, axis1=1, axis2=2)
        # Centring leaves rounding of constant features, small beside other tasks'.
        each = variance / np.maximum(moments.n_labels, 1e-300)[:, None]
        varies = (each > _DISTINCT * each.max(0, initial=0.0)) & (variance > 0)
        self.unit = np.sqrt(np.where(varies, variance, 1.0))
        shrink = varies / self.unit
        self.table = moments.hessian * shrink[:, :, None] * shrink[:, None, :]
        self.coef = moments.gradient * shrink[:, None, :]
        self.inside = np.zeros((T, k), dtype=bool)
        self.largest = np.zeros(T, dtype=int)
        # Size from which on a feature is in the support, 0 where never.
        self.rank = np.zeros((T, k), dtype=int)
        self.gain = np.zeros((T, k + 1))
        self.curvature = np.ones((T, k + 1))
        self.heads = np.zeros((T, k + 1, C, k))
        # Variance that counts as zero, in units of that of the noise.
        self.excess = np.zeros((T, k))
        if spike is not None:
            self.excess = np.square(spike) / noise[:, None]

    def invert(self, tasks):
        """Let all features in, of tasks where all are distinct."""
        inverse = np.linalg.inv(self.table[tasks])
        self.coef[tasks] = self.coef[tasks] @ inverse
        self.table[tasks] = -inverse
        self.inside[tasks] = True

    def steps(self, tasks):
        """What each feature changes when it leaves, or enters.

        Returns
        -------
        gain, curvature, evidence : ndarray of shape (len(tasks), k)
            See :class:`Path`; evidence is the gain in units of what noise and spikes
            make of it.
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

    def sweep(self, tasks, features, sign):
        """Let a feature of each task in (sign 1) or out (-1)."""
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
    """Take features in, up to the limit of each task; say which tasks have all."""
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
        gain, curvature, evidence = state.steps(tasks)
        features = np.where(free, evidence, -1.0).argmax(1)
        rows = np.arange(len(tasks))
        state.gain[tasks, size] = gain[rows, features]
        state.curvature[tasks, size] = curvature[rows, features]
        state.rank[tasks, features] = size
        state.sweep(tasks, features, 1)
        state.record(tasks, size)
        state.largest[tasks] = size
    return complete


def _leave(state, complete):
    """Let the features of complete tasks go, one by one."""
    for size in range(state.inside.shape[1], 0, -1):
        tasks = np.flatnonzero(complete & (state.largest >= size))
        state.record(tasks, size)
        gain, curvature, evidence = state.steps(tasks)
        features = np.where(state.inside[tasks], evidence, np.inf).argmin(1)
        rows = np.arange(len(tasks))
        state.gain[tasks, size] = gain[rows, features]
        state.curvature[tasks, size] = curvature[rows, features]
        state.rank[tasks, features] = size
        state.sweep(tasks, features, -1)
