"""Linear models of each task on the inputs, and their share in the predictions."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from sparsedis.inputs._batch import NUMBER
from sparsedis.multitask._final_heads import final_heads
from sparsedis.multitask._table_moments import chunks

# Penalties to try, for inputs of unit variance.
_ALPHAS = np.logspace(-2, 5, 15)

# Largest numbers of columns, entries and multiplications for which linear models take
# only seconds.
_WIDE, _NUMBERS, _WORK = 1000, 2**26, 3e10

# Weight of the common share, in held-out labels of a task.
_PRIOR_LABELS = 40.0

# Minimal number of held-out labels to score a task.
_SCORED = 5


@dataclass(frozen=True, eq=False)
class LinearPart:
    """Linear models on the inputs, and their share in the predictions.

    Attributes
    ----------
    coef : ndarray of shape (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Ridge regression of each task on X, with a penalty chosen by leave-one-out. NaN
        for tasks without labels.

    intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

    share : ndarray of shape (n_tasks,)
        Share of the head in the predictions of each task; the rest is the share of the
        linear model.

    score_heads, score_linear, score : ndarray of shape (n_tasks,)
        R2 on the held-out rows of only the head, of only the linear model, and of both
        together; NaN for tasks with fewer than 5 labels there.

    errors : ndarray of shape (n_held_out_labels,)
        Errors of the predictions on the held-out rows, task by task; empty for vector
        targets.

    first : ndarray of shape (n_tasks + 1,) of int
        Position of the first error of each task.

    unit : ndarray of shape (n_tasks,)
        Size of the errors of each task, shrunk towards that of the others.
    """

    coef: np.ndarray
    intercept: np.ndarray
    share: np.ndarray
    score_heads: np.ndarray
    score_linear: np.ndarray
    score: np.ndarray
    errors: np.ndarray
    first: np.ndarray
    unit: np.ndarray

    def margins(self, confidence_level):
        """Half of the widths of prediction intervals, by split conformal prediction.

        If a task has h errors, the error of rank ceil((h + 1) * confidence_level) in
        size covers a new label with that probability. A task with too few errors uses
        the rank among the errors of all tasks, in units of their size.

        Parameters
        ----------
        confidence_level : float in (0, 1)

        Returns
        -------
        ndarray of shape (n_tasks,)
            Infinite if all tasks together have too few errors.
        """
        size, n = np.abs(self.errors), np.diff(self.first)
        of_all = _ranked(size / np.repeat(self.unit, n), confidence_level)
        own = [
            _ranked(size[start:stop], confidence_level)
            for start, stop in itertools.pairwise(self.first)
        ]
        return np.where(np.isfinite(own), own, of_all * self.unit)

    def join(self, coef, intercept):
        """Coefficients of the predictions for the features followed by the inputs.

        Parameters
        ----------
        coef : ndarray of shape (n_tasks, k) or (n_tasks, n_outputs, k)
            The heads.

        intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

        Returns
        -------
        coef : ndarray of shape (..., k + n_features)

        intercept : ndarray
        """
        share = self.share.reshape(-1, *[1] * (intercept.ndim - 1))
        parts = share[..., None] * coef, (1 - share)[..., None] * self.coef
        # Missing outputs of a task.
        none = np.isneginf(intercept)
        own = np.where(none, 0.0, intercept)
        both = share * own + (1 - share) * self.intercept
        return np.concatenate(parts, -1), np.where(none, -np.inf, both)

    def times(self, scale):
        """The same for targets multiplied by a factor per task."""
        scale = scale.reshape(-1, *[1] * (self.intercept.ndim - 1))
        coef, intercept = scale[..., None] * self.coef, scale * self.intercept
        unit = np.abs(scale).reshape(-1)
        return replace(
            self,
            coef=coef,
            intercept=intercept,
            errors=self.errors * np.repeat(unit, np.diff(self.first)),
            unit=self.unit * unit,
        )

    def __repr__(self):
        share = np.nanmean(self.share)
        return f"LinearPart(n_tasks={len(self.share)}, mean share of heads={share:.2f})"


def _ranked(sizes, confidence_level):
    """Size that covers one more error with a probability; inf with too few errors."""
    # Rounding errors must not increase a rank that is an integer.
    rank = int(np.ceil((len(sizes) + 1) * confidence_level - 1e-9))
    return np.sort(sizes)[rank - 1] if rank <= len(sizes) else np.inf


def is_quick(table):
    """Whether linear models of all tasks on the inputs take little time.

    Parameters
    ----------
    table : TaskTable

    Returns
    -------
    bool
    """
    X = table.X
    if X.ndim != 2 or X.shape[1] > _WIDE or table.n_rows * X.shape[1] > _NUMBERS:
        return False
    counts, p = table.labels.counts().astype(float), X.shape[1]
    work = counts * p * np.minimum(counts, p)
    # Tasks with all labels share one decomposition.
    shared = counts == table.n_rows if table.rows_first else np.zeros(len(counts), bool)
    return work[~shared].sum() + work[shared].max(initial=0.0) < _WORK


def linear_part(Z, split, table, problem, *, rule, spike):
    """Fit linear models on the inputs, and determine their shares.

    Both are evaluated on the rows held out of training: the heads after a fit on the
    other rows, the linear models by leave-one-out. The prediction of a task is its
    share times that of the head, plus the rest times that of the linear model. The
    share minimises the squared error, shrunk towards the best share for all tasks
    together.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features of the rows of `table`.

    split : Split
        The table in its two parts.

    table : TaskTable
        Tasks of classes and counts use only their heads.

    problem : InnerProblem

    rule : {"bic", "cv", "1se"}
        Selection of the features of each head.

    spike : ndarray of shape (k,)
        See :func:`sparsedis.rotation.select_heads`.

    Returns
    -------
    LinearPart
    """
    labels = table.labels
    n_tasks, p = labels.n_tasks, table.X.shape[1]
    numbers = np.ones(n_tasks, dtype=bool)
    if table.n_classes is not None:
        numbers = table.n_classes == NUMBER
    held = np.isin(table.at, split.held_out.at)
    # The features of the heads are also selected without these rows.
    heads = final_heads(
        Z[~held],
        split.trained,
        np.ones(n_tasks),
        problem,
        0.0,
        refit="relaxed",
        rule=rule,
        spike=spike,
    )
    heads_coef = heads["coef_"].reshape(n_tasks, -1, Z.shape[1])
    heads_intercept = heads["intercept_"].reshape(n_tasks, -1)
    n_outputs = heads_coef.shape[1]
    coef = np.zeros((n_tasks, n_outputs, p))
    intercept = np.zeros((n_tasks, n_outputs))
    coef[labels.counts() == 0] = intercept[labels.counts() == 0] = np.nan
    judged = _Judged(n_tasks)
    X = table.X[table.at].astype(float)
    for tasks, rows, Y, weight in chunks(
        table, np.flatnonzero(numbers & (labels.counts() > 0))
    ):
        linear, width = np.full(Y.shape, np.nan), Y.shape[2]
        for some, at in _patterns(Y, weight):
            cell = np.ix_(at, some)
            own = None if weight is None else weight[cell]
            W, b, linear[cell] = ridge(
                X[rows[at]], Y[cell], own, fit_intercept=problem.fit_intercept
            )
            coef[tasks[some], :width], intercept[tasks[some], :width] = W, b
        out = held[rows]
        W, b = heads_coef[tasks, :width], heads_intercept[tasks, :width]
        shared = Y[out] - np.einsum("nk,tok->nto", Z[rows[out]], W) - b
        own = None if weight is None else weight[out]
        judged.add(tasks, Y[out], linear[out], shared, own, np.nanvar(Y, 0).mean(-1))
    share = np.where(numbers, judged.share(), 1.0)
    if labels.is_scalar and n_outputs == 1:
        coef, intercept = coef[:, 0], intercept[:, 0]
    scores, errors = judged.r2(share), judged.errors(share)
    return LinearPart(coef, intercept, share, *scores, *errors)


def ridge(X, Y, weight=None, *, fit_intercept=True):
    """Ridge regression of several targets, with leave-one-out errors.

    The inputs are scaled to unit variance, and the penalty of each task minimises the
    leave-one-out error.

    Parameters
    ----------
    X : ndarray of shape (n, p)

    Y : ndarray of shape (n, n_tasks, n_outputs)

    weight : ndarray of shape (n, n_tasks), default=None
        Positive weights.

    fit_intercept : bool, default=True

    Returns
    -------
    coef : ndarray of shape (n_tasks, n_outputs, p)

    intercept : ndarray of shape (n_tasks, n_outputs)

    errors : ndarray of shape (n, n_tasks, n_outputs)
        Label minus prediction without the row; NaN if no other row is left.
    """
    n, n_tasks, n_outputs = Y.shape
    if weight is None:
        weight = np.ones((n, n_tasks))
    if (weight != weight[:, :1]).any():
        parts = [
            ridge(X, Y[:, [t]], weight[:, [t]], fit_intercept=fit_intercept)
            for t in range(n_tasks)
        ]
        coef, intercept, errors = zip(*parts, strict=True)
        return np.concatenate(coef), np.concatenate(intercept), np.hstack(errors)
    share = weight[:, :1] / weight[:, 0].mean()
    Y = Y.reshape(n, -1)
    X_mean, Y_mean = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
    if fit_intercept:
        X_mean, Y_mean = (share * X).mean(0), (share * Y).mean(0)
    X, Y = X - X_mean, Y - Y_mean
    unit = np.sqrt((share * X**2).mean(0))
    unit = np.where(unit > 1e-12 * np.abs(X_mean), unit, np.inf)
    root = np.sqrt(share)
    U, s, Vt = np.linalg.svd(root * (X / unit), full_matrices=False)
    projected = U.T @ (root * Y)
    best = np.full(n_tasks, np.inf)
    coef, errors = np.zeros((X.shape[1], Y.shape[1])), np.full(Y.shape, np.nan)
    for alpha in _ALPHAS[::-1]:
        kept = s**2 / (s**2 + alpha)
        left = 1 - U**2 @ kept - (share[:, 0] / n if fit_intercept else 0.0)
        found = Y - (U @ (kept[:, None] * projected)) / root
        found /= np.where(left > 1e-10, left, np.nan)[:, None]
        loss = np.nansum(share * found**2, 0).reshape(n_tasks, n_outputs).sum(1)
        better = loss < best
        best = np.where(better, loss, best)
        better = np.repeat(better, n_outputs)
        shrunk = (s / (s**2 + alpha))[:, None] * projected[:, better]
        coef[:, better], errors[:, better] = Vt.T @ shrunk, found[:, better]
    coef /= unit[:, None]
    intercept = (Y_mean - X_mean @ coef).reshape(n_tasks, n_outputs)
    coef = np.swapaxes(coef.reshape(-1, n_tasks, n_outputs), 0, 1)
    return np.swapaxes(coef, 1, 2), intercept, errors.reshape(n, n_tasks, n_outputs)


def _patterns(Y, weight):
    """Groups of tasks that label the same rows, and a mask of these rows."""
    present = ~np.isnan(Y[..., 0])
    if weight is not None:
        present &= weight > 0
    distinct, which = np.unique(present, axis=1, return_inverse=True)
    for i in np.flatnonzero(distinct.any(0)):
        yield np.flatnonzero(which.ravel() == i), distinct[:, i]


class _Judged:
    """Sums of squared errors on held-out rows, by task."""

    def __init__(self, n_tasks):
        self.n_labels = np.zeros(n_tasks, dtype=int)
        # For linear models; for their differences to heads; and products of both.
        self.square, self.step, self.product = np.zeros((3, n_tasks))
        self.spread, self.variance = np.zeros((2, n_tasks))
        # Errors of each task, of linear models and of heads.
        self.pairs = [np.zeros((2, 0))] * n_tasks

    def add(self, tasks, Y, linear, shared, weight, variance):
        """Add held-out labels of some tasks.

        Parameters
        ----------
        tasks : ndarray of int

        Y, linear, shared : ndarray of shape (n, n_tasks, n_outputs)
            Labels, errors of the linear models and of the heads. NaN where missing.

        weight : ndarray of shape (n, n_tasks) or None

        variance : ndarray of shape (n_tasks,)
            Variance of all labels of each task.
        """
        known = ~np.isnan(linear + shared)[..., 0]
        share = known.astype(float)
        if weight is not None:
            share = np.where(known, weight, 0.0)
        self.n_labels[tasks] = (share > 0).sum(0)
        share = share[..., None] / np.maximum(share.sum(0), 1e-300)[:, None]
        Y, linear, shared = (
            np.where(known[..., None], part, 0.0) for part in (Y, linear, shared)
        )

        def mean(values):
            return (share * values).sum(0).mean(-1)

        self.square[tasks] = mean(linear**2)
        self.step[tasks] = mean((shared - linear) ** 2)
        self.product[tasks] = mean(linear * (linear - shared))
        self.spread[tasks] = mean((Y - (share * Y).sum(0)) ** 2)
        self.variance[tasks] = variance
        if Y.shape[2] == 1:
            for i, t in enumerate(tasks):
                at = known[:, i]
                self.pairs[t] = np.stack([linear[at, i, 0], shared[at, i, 0]])

    def share(self):
        """Shares of the heads with the least squared error, shrunk to a common one."""
        unit = np.where(self.variance > 0, self.variance, np.inf)
        n = self.n_labels
        step, product = n * self.step / unit, n * self.product / unit
        total = step.sum()
        common = np.clip(product.sum() / total, 0.0, 1.0) if total > 0 else 1.0
        prior = _PRIOR_LABELS * total / max(1, n.sum())
        share = (product + prior * common) / np.maximum(step + prior, 1e-300)
        return np.clip(share, 0.0, 1.0)

    def r2(self, share):
        """R2 of the heads, of the linear models, and of both with these shares."""
        known = (self.n_labels >= _SCORED) & (self.spread > 0)
        spread = np.where(known, self.spread, np.nan)
        return [
            1 - (self.square - 2 * s * self.product + s**2 * self.step) / spread
            for s in (1.0, 0.0, share)
        ]

    def errors(self, share):
        """Errors with these shares, task by task, and their sizes.

        Returns
        -------
        errors : ndarray of shape (n_labels,)

        first : ndarray of shape (n_tasks + 1,) of int

        unit : ndarray of shape (n_tasks,)
        """
        errors = [
            linear + s * (heads - linear)
            for s, (linear, heads) in zip(share, self.pairs, strict=True)
        ]
        n = np.array([len(part) for part in errors])
        square = np.array([(part**2).sum() for part in errors])
        total = (n * self.variance).sum()
        common = square.sum() / total if total > 0 else 0.0
        prior = _SCORED * common * self.variance
        unit = np.sqrt((square + prior) / np.maximum(n + _SCORED, 1))
        first = np.concatenate([[0], np.cumsum(n)])
        return np.concatenate(errors), first, np.where(unit > 0, unit, 1.0)
