"""Linear models of each task on the inputs, and their share in the predictions."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from sparsedis.inputs._batch import NUMBER
from sparsedis.multitask._final_heads import final_heads
from sparsedis.multitask._linear_models import LinearModels
from sparsedis.multitask._penalised import PATH_STEPS, PENALTIES, STEPS
from sparsedis.multitask._ridge import ALPHAS

# Largest numbers of columns, entries and multiplications for which linear models take
# only seconds.
_WIDE, _NUMBERS, _WORK = 1000, 2**26, 3e10

# Decompositions that a model of classes or counts may take.
_STEPS = (PATH_STEPS + 1) * len(PENALTIES) + STEPS // 3


@dataclass(frozen=True, eq=False)
class LinearPart:
    """Linear models on the inputs, and their share in the predictions.

    Attributes
    ----------
    coef : ndarray of shape (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Linear model of each task on X: Ridge, logistic or Poisson regression, with an
        l2 penalty chosen by leave-one-out. NaN for tasks without labels, or with a
        single class.

    intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

    share : ndarray of shape (n_tasks,)
        Share of the head in the scores of each task: in numbers, in logits, or in
        logarithms of mean counts. The rest is the share of the linear model.

    score_heads, score_linear, score : ndarray of shape (n_tasks,)
        Explained deviance on the held-out rows, which is R2 for numbers, of only the
        head, of only the linear model, and of both together; NaN for tasks with fewer
        than 5 labels there.

    errors : ndarray of shape (n_held_out_labels,)
        Errors of the predictions of numbers on the held-out rows, task by task; empty
        for vector targets.

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

    def times(self, scale, counts):
        """The same for targets multiplied by a factor per task.

        Parameters
        ----------
        scale : ndarray of shape (n_tasks,)

        counts : bool or ndarray of shape (n_tasks,) of bool
            Whether the scores of tasks are logarithms of means.

        Returns
        -------
        LinearPart
        """
        unit = np.abs(scale)
        shape = -1, *[1] * (self.intercept.ndim - 1)
        shift = np.where(counts, np.log(unit), 0.0).reshape(shape)
        scale = np.where(counts, 1.0, scale).reshape(shape)
        coef, intercept = scale[..., None] * self.coef, scale * self.intercept + shift
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
    labels, p = table.labels, X.shape[1]
    counts = labels.counts().astype(float)
    kinds = np.full(len(counts), NUMBER)
    if table.n_classes is not None:
        kinds = table.n_classes
    numbers = kinds == NUMBER
    work = np.where(numbers, counts * p * np.minimum(counts, p), 0.0)
    shared = np.zeros(len(counts), dtype=bool)
    weight = labels.weight if table.rows_first else None
    if table.rows_first and (weight is None or (weight == weight[:, :1]).all()):
        # Tasks with all labels share one decomposition.
        shared = counts == table.n_rows
    work = work[~shared].sum() + work[shared].max(initial=0.0)
    work += len(ALPHAS) * p * counts[numbers].sum()
    # Models of counts and classes share nothing. One more for the intercept.
    size = (min(p, table.n_rows) + 1.0) * np.maximum(kinds - 1, 1)
    work += _STEPS * (size**2 * (counts + size))[~numbers & (kinds != 1)].sum()
    return work < _WORK


def linear_part(Z, split, table, problem, *, rule, spike):
    """Fit linear models on the inputs, and determine their shares.

    Both are evaluated on the rows held out of training: the heads after a fit on the
    other rows, the linear models by leave-one-out. The scores of a task are its share
    times those of the head, plus the rest times those of the linear model. The share
    minimises the deviance (for numbers the squared error), shrunk towards two
    standard errors less than the best share for all tasks of numbers, of counts, or of
    classes together.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features of the rows of `table`.

    split : Split
        The table in its two parts.

    table : TaskTable

    problem : InnerProblem

    rule : {"bic", "cv", "1se"}
        Selection of the features of each head.

    spike : ndarray of shape (k,)
        See :func:`sparsedis.rotation.select_heads`.

    Returns
    -------
    LinearPart
    """
    held = np.isin(table.at, split.held_out.at)
    n_tasks = table.labels.n_tasks
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
    heads = (
        heads["coef_"].reshape(n_tasks, -1, Z.shape[1]),
        heads["intercept_"].reshape(n_tasks, -1),
    )
    models = LinearModels(table, Z, held, heads, problem.fit_intercept)
    judged = models.fit_numbers()
    share = np.where(models.kinds == NUMBER, judged.share(), 1.0)
    scores, errors = np.array(judged.r2(share)), judged.errors(share)
    if table.n_classes is not None:
        for kind, others in models.fit_others().items():
            own = np.minimum(models.kinds, 2) == kind
            share[own] = others.share()[own]
            scores[:, own] = np.array(others.d2(share))[:, own]
    coef, intercept = models.coef, models.intercept
    if table.labels.is_scalar and intercept.shape[1] == 1:
        coef, intercept = coef[:, 0], intercept[:, 0]
    return LinearPart(coef, intercept, share, *scores, *errors)
