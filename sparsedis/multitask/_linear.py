"""Linear models of each task on the inputs, and their share in the predictions."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from sparsedis.inputs._batch import COUNT, NUMBER
from sparsedis.multitask._conformal import ranked
from sparsedis.multitask._head_penalty import held_out_heads
from sparsedis.multitask._kernel import kernel_ridge, label_counts
from sparsedis.multitask._linear_models import READOUT, LinearModels
from sparsedis.multitask._penalised import PATH_STEPS, PENALTIES, STEPS
from sparsedis.multitask._ridge import ALPHAS

# Largest numbers of columns, entries and multiplications for which linear models take
# only seconds.
_WIDE, _NUMBERS, _WORK = 1000, 2**26, 3e10

# Folds of the rows of new tasks, and minimal number of rows of each.
_FOLDS, _FOLD_ROWS = 5, 2

# Decompositions that a model of classes or counts may take.
_STEPS = (PATH_STEPS + 1) * len(PENALTIES) + STEPS // 3
_READOUT_STEPS = STEPS // 3


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

    readout : ndarray of shape (n_tasks, n_hidden + n_features) or (n_tasks, \
n_outputs, n_hidden + n_features)
        Ridge, or logistic regression, of each task on the last hidden units of the
        encoder and X; zeros for counts. If the encoder is no MLP with hidden units, or
        has too many for a fit within seconds: only columns of X, with zeros.

    readout_intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

    rows, unit_of_inputs : ndarray of shape (m, n_features) and (n_features,)
        Rows of the fit, and units of the columns, of the kernel Ridge regressions: see
        :class:`~sparsedis.multitask._kernel.Kernels`. No rows without them.

    kernel : ndarray of shape (n_tasks, 2 * m) or (n_tasks, n_outputs, 2 * m)
        Mean of two kernel Ridge regressions of each task of numbers on X, with
        penalties chosen by leave-one-out: coefficients of the kernels of X and `rows`.

    kernel_intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

    kernel_share : ndarray of shape (n_tasks,)
        Share of the kernel Ridge regressions in their mean with the linear model, which
        has the least squared leave-one-out error, shrunk towards that for all tasks; 0
        where there are none.

    share : ndarray of shape (n_tasks,)
        Share of the head, or of its mean with the readout, in the scores of each task:
        in numbers, in logits, or in logarithms of mean counts. The rest is the share of
        the linear model, or of its mean with the kernel Ridge regressions.

    score_heads, score_linear, score_inputs, score : ndarray of shape (n_tasks,)
        Explained deviance on the held-out rows, which is R2 for numbers, of only the
        head, of only the linear model, of its mean with the kernel Ridge regressions,
        and of the predictions; NaN for tasks with fewer than 5 labels there.

    errors : ndarray of shape (n_held_out_labels,)
        Errors of the predictions on the held-out rows, task by task: differences of
        numbers, and of square roots of counts and their means; the log loss for
        classes. Infinite for labels that a head cannot predict without these rows; none
        for vector targets.

    first : ndarray of shape (n_tasks + 1,) of int
        Position of the first error of each task.

    unit : ndarray of shape (n_tasks,)
        Size of the errors of each task of numbers, shrunk towards that of the others.

    kinds : ndarray of shape (n_tasks,) of int
        Number of classes of each task, 0 for numbers, -1 for counts; 1 without labels
        beside other types.

    whole : ndarray of shape (n_tasks,) of bool
        Whether the labels of a task of counts have no fractions.

    l2 : float
        Penalty of the heads of classes, for which those on the other rows predict the
        held-out ones best: ``l2 / 2`` times the squared norm of the coefficients is
        added to the sum of the log losses, as with ``C=1 / l2`` in scikit-learn.
    """

    coef: np.ndarray
    intercept: np.ndarray
    readout: np.ndarray
    readout_intercept: np.ndarray
    rows: np.ndarray
    unit_of_inputs: np.ndarray
    kernel: np.ndarray
    kernel_intercept: np.ndarray
    kernel_share: np.ndarray
    share: np.ndarray
    score_heads: np.ndarray
    score_linear: np.ndarray
    score_inputs: np.ndarray
    score: np.ndarray
    errors: np.ndarray
    first: np.ndarray
    unit: np.ndarray
    kinds: np.ndarray
    whole: np.ndarray
    l2: float

    def margins(self, confidence_level):
        """Largest errors in intervals and sets, by split conformal prediction.

        If a task has h errors, the error of rank ceil((h + 1) * confidence_level) in
        size covers a new label with that probability. A task of numbers with too few
        errors uses the rank among the errors of all tasks of numbers, in units of their
        size.

        Parameters
        ----------
        confidence_level : float in (0, 1)

        Returns
        -------
        ndarray of shape (n_tasks,)
            Infinite with too few errors.
        """
        size, n = np.abs(self.errors), np.diff(self.first)
        number = self.kinds == NUMBER
        in_units = (size / np.repeat(self.unit, n))[np.repeat(number, n)]
        of_all = np.where(number, ranked(in_units, confidence_level), np.inf)
        own = [
            ranked(size[start:stop], confidence_level)
            for start, stop in itertools.pairwise(self.first)
        ]
        return np.where(np.isfinite(own), own, of_all * self.unit)

    def join(self, coef, intercept):
        """Coefficients of the predictions.

        They are those of features, of hidden units, of kernels and of inputs.

        Parameters
        ----------
        coef : ndarray of shape (n_tasks, k) or (n_tasks, n_outputs, k)
            The heads.

        intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

        Returns
        -------
        coef : ndarray of shape (..., k + n_hidden + 2 * m + n_features)
            Without hidden units if no readout uses them.

        intercept : ndarray
        """
        shape = -1, *[1] * (intercept.ndim - 1)
        share = self.share.reshape(shape)
        # Counts have no readout, and a single class needs none.
        reads = self.reads & (self.kinds != COUNT) & (self.kinds != 1)
        read = share * READOUT * reads.reshape(shape)
        kernel = (1 - share) * self.kernel_share.reshape(shape)
        head, linear = share - read, 1 - share - kernel
        readout = read[..., None] * self.readout
        readout[..., -self.coef.shape[-1] :] += linear[..., None] * self.coef
        hidden, inputs = np.split(readout, [-self.coef.shape[-1]], -1)
        # Missing outputs of a task.
        none = np.isneginf(intercept)
        own = head * np.where(none, 0.0, intercept) + read * self.readout_intercept
        of_inputs = linear * self.intercept + kernel * self.kernel_intercept
        parts = head[..., None] * coef, hidden, kernel[..., None] * self.kernel, inputs
        return np.concatenate(parts, -1), np.where(none, -np.inf, own + of_inputs)

    @property
    def reads(self):
        """Whether there are hidden units, and readouts of them."""
        return self.readout.shape[-1] > self.coef.shape[-1]

    def times(self, scale):
        """The same for targets multiplied by a factor per task.

        Parameters
        ----------
        scale : ndarray of shape (n_tasks,)
            1 for classes.

        Returns
        -------
        LinearPart
        """
        unit, counts = np.abs(scale), self.kinds == COUNT
        shape = -1, *[1] * (self.intercept.ndim - 1)
        # The scores of counts are logarithms.
        shift = np.where(counts, np.log(unit), 0.0).reshape(shape)
        scale = np.where(counts, 1.0, scale).reshape(shape)
        coef, intercept = scale[..., None] * self.coef, scale * self.intercept + shift
        of_errors = np.where(counts, np.sqrt(unit), unit)
        return replace(
            self,
            coef=coef,
            intercept=intercept,
            readout=scale[..., None] * self.readout,
            readout_intercept=scale * self.readout_intercept,
            kernel=scale[..., None] * self.kernel,
            kernel_intercept=scale * self.kernel_intercept,
            errors=self.errors * np.repeat(of_errors, np.diff(self.first)),
            unit=self.unit * of_errors,
        )

    def __repr__(self):
        share = np.nanmean(self.share)
        return f"LinearPart(n_tasks={len(self.share)}, mean share of heads={share:.2f})"


def is_quick(table, n_hidden=0):
    """Whether linear models of all tasks on the inputs take little time.

    Parameters
    ----------
    table : TaskTable

    n_hidden : int, default=0
        Further variables, of the readouts.

    Returns
    -------
    bool
    """
    X = table.X
    if X.ndim != 2 or X.shape[1] > _WIDE:
        return False
    labels, p = table.labels, X.shape[1] + n_hidden
    if table.n_rows * p > _NUMBERS:
        return False
    counts = labels.counts().astype(float)
    kinds = np.full(len(counts), NUMBER)
    if table.n_classes is not None:
        kinds = table.n_classes
    numbers = kinds == NUMBER
    each = label_counts(table, numbers)
    work = (each * p * np.minimum(each, p)).sum()
    work += len(ALPHAS) * p * counts[numbers].sum()
    # Models of counts and classes share nothing. One more for the intercept.
    size = (min(X.shape[1], table.n_rows) + 1.0) * np.maximum(kinds - 1, 1)
    work += _STEPS * (size**2 * (counts + size))[~numbers & (kinds != 1)].sum()
    if n_hidden:
        size = (p + 1.0) * (kinds - 1)
        work += _READOUT_STEPS * (size**2 * (counts + size))[kinds > 1].sum()
    return work < _WORK


def new_folds(n_rows):
    """Folds of the rows of new tasks, for cross-validation.

    Parameters
    ----------
    n_rows : int

    Returns
    -------
    ndarray of shape (n_rows,) of int, or None
        None with too few rows.
    """
    if n_rows < _FOLD_ROWS * _FOLDS:
        return None
    return np.random.default_rng(0).permutation(np.arange(n_rows) % _FOLDS)


def linear_part(Z, folds, table, scale, problem, *, rule, spike, hidden=None):
    """Fit linear models on the inputs, and determine their shares.

    Both are evaluated on held-out rows: the heads after a fit on the rows outside of a
    fold, the linear models by leave-one-out. The scores of a task are its share
    times those of the head, plus the rest times those of the linear model. With hidden
    units, the mean of head and readout takes the place of the head of a task of
    numbers or classes: heads are exact on features that were trained on the same
    labels, and readouts shrink. The share minimises the deviance (for numbers the
    squared error), shrunk towards two standard errors less than the best share for all
    tasks of numbers, of counts, or of classes together.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features of the rows of `table`.

    folds : ndarray of shape (n_rows,) of int
        Fold of each held-out row; -1 for the other rows.

    table : TaskTable

    scale : ndarray of shape (n_tasks,)
        Units of the targets.

    problem : InnerProblem

    rule : {"bic", "cv", "1se"}
        Selection of the features of each head.

    spike : ndarray of shape (k,)
        See :func:`sparsedis.rotation.select_heads`.

    hidden : ndarray of shape (n_rows, n_hidden), default=None
        Hidden units of the rows of `table`. None: without readouts.

    Returns
    -------
    LinearPart
    """
    n_tasks, scaled = table.labels.n_tasks, table.divided(scale)
    heads, l2 = held_out_heads(Z, folds, scaled, problem, rule=rule, spike=spike)
    numbers = (
        np.ones(n_tasks, dtype=bool)
        if table.n_classes is None
        else table.n_classes == NUMBER
    )
    kernels = kernel_ridge(scaled, numbers)
    models = LinearModels(
        *(scaled, Z, folds, heads, problem.fit_intercept, hidden, kernels)
    )
    (alone, judged), kinds = models.fit_numbers(), models.kinds
    share = np.where(kinds == NUMBER, judged.share(), 1.0)
    scores = np.array([*alone.r2(share)[:2], *judged.r2(share)[1:]])
    errors, unit = judged.errors(share)
    if table.n_classes is not None:
        for kind, (alone, judged) in models.fit_others().items():
            own = np.minimum(kinds, 2) == kind
            share[own] = judged.share()[own]
            heads, (_, linear, both) = alone.d2(share)[0], judged.d2(share)
            scores[:, own] = np.array([heads, linear, linear, both])[:, own]
            found = judged.errors(share)
            errors = [b if o else a for a, b, o in zip(errors, found, own, strict=True)]
    linear = models.coef, models.intercept, models.readout, models.readout_intercept
    of_kernel = models.kernel, models.kernel_intercept
    if table.labels.is_scalar and models.intercept.shape[1] == 1:
        linear, of_kernel = (
            [part[:, 0] for part in fitted] for fitted in (linear, of_kernel)
        )
    p = models.coef.shape[-1]
    rows, unit_of_inputs = np.zeros((0, p)), np.ones(p)
    if kernels is not None:
        rows, unit_of_inputs = kernels.rows, kernels.unit
    first = np.cumsum([0, *map(len, errors)])
    whole = np.zeros(n_tasks, dtype=bool)
    for t in np.flatnonzero(kinds == COUNT):
        whole[t] = not (table.labels.of(t)[1] % 1).any()
    part = LinearPart(
        *(*linear, rows, unit_of_inputs, *of_kernel, models.kernel_share),
        *(share, *scores),
        *(np.concatenate(errors), first, unit, kinds, whole, l2),
    )
    return part.times(scale)
