"""Linear models of all tasks of a table on the inputs, beside their heads."""

import numpy as np
import torch

from sparsedis.inputs._batch import COUNT, NUMBER
from sparsedis.multitask._best_means import BestMeans
from sparsedis.multitask._held_out import HeldOutDeviance, HeldOutErrors
from sparsedis.multitask._kernel import N_KERNELS
from sparsedis.multitask._penalised import models_by_fold, penalised_models
from sparsedis.multitask._readout import PENALTY, in_units, readouts
from sparsedis.multitask._ridge import ridge
from sparsedis.multitask._table_heads import task_batches
from sparsedis.multitask._table_moments import chunks
from sparsedis.solvers.losses import Logistic, Multinomial, Poisson, log_loss
from sparsedis.solvers.losses._classes import contrasts

# Share of the readout in the mean of a head and a readout.
READOUT = 0.5

# Bound of the scores on held-out rows, so that means of counts are finite.
_RANGE = 100.0


class LinearModels:
    """Linear models of the tasks of a table, judged beside their heads.

    Parameters
    ----------
    table : TaskTable

    Z : ndarray of shape (n_rows, k)
        Features of the rows of `table`.

    folds : ndarray of shape (n_rows,) of int
        Fold of each held-out row; -1 for the other rows.

    heads : list of tuple of ndarray of shape (n_tasks, n_outputs, k) and (n_tasks, \
n_outputs)
        Coefficients and intercepts of heads that were fitted to the rows outside of
        each fold.

    fit_intercept : bool

    hidden : ndarray of shape (n_rows, m), default=None
        Hidden units of the rows of `table`. None: without readouts.

    kernels : KernelRidge, default=None
        For tasks of numbers.

    Attributes
    ----------
    kinds : ndarray of shape (n_tasks,) of int
        Number of classes of each task, or its code for other types; 1 without labels
        beside them.

    coef : ndarray of shape (n_tasks, n_outputs, n_features)
        NaN for tasks without labels, or with a single class.

    intercept : ndarray of shape (n_tasks, n_outputs)

    readout : ndarray of shape (n_tasks, n_outputs, m + n_features)
        Coefficients of the hidden units and inputs; 0 without hidden units, and for
        counts.

    readout_intercept : ndarray of shape (n_tasks, n_outputs)

    kernel, kernel_intercept, kernel_share : ndarray
        See :class:`~sparsedis.multitask._linear.LinearPart`. Only after `fit_numbers`.
    """

    def __init__(
        self, table, Z, folds, heads, fit_intercept, hidden=None, kernels=None
    ):
        self.table, self.Z, self.folds, self.heads = table, Z, folds, heads
        self.fit_intercept = fit_intercept
        n_tasks, n_outputs, _ = heads[0][0].shape
        self.kinds, labelled = np.full(n_tasks, NUMBER), table.labels.counts() > 0
        if table.n_classes is not None:
            # Without labels a task has no class.
            self.kinds = np.where(labelled, table.n_classes, 1)
        self.inputs = table.X[table.at].astype(float)
        self.coef = np.zeros((n_tasks, n_outputs, table.X.shape[1]))
        self.intercept = np.zeros((n_tasks, n_outputs))
        self.readable = hidden is not None
        n_hidden = 0
        if self.readable:
            self.J, self.unit = in_units(hidden, self.inputs)
            n_hidden = hidden.shape[1]
        self.readout = np.pad(self.coef, ((0, 0), (0, 0), (n_hidden, 0)))
        self.readout_intercept = np.zeros((n_tasks, n_outputs))
        self.of_kernels, m = kernels, 0 if kernels is None else len(kernels.rows)
        # Before their mean is known: one model for each kernel.
        n_kernels = 0 if kernels is None else N_KERNELS
        self.by_kernel = np.zeros((n_kernels, n_tasks, n_outputs, m))
        self.intercept_by_kernel = np.zeros((n_kernels, n_tasks, n_outputs))
        none = ~labelled | (self.kinds == 1)
        self.coef[none] = self.intercept[none] = np.nan

    def fit_numbers(self):
        """Fit Ridge regressions, linear and of kernels, and readouts.

        Returns
        -------
        alone : HeldOutErrors
            Of the heads and the linear models.

        judged : HeldOutErrors
            Of the means of heads and readouts, and of linear models and kernels.
        """
        labelled = self.table.labels.counts() > 0
        numbers = np.flatnonzero((self.kinds == NUMBER) & labelled)
        means = BestMeans(len(self.kinds), 1 + len(self.by_kernel))
        parts = []
        for tasks, rows, Y, weight in chunks(self.table, numbers):
            errors, read = self._fit_models(tasks, rows, Y, weight)
            out = self.folds[rows] >= 0
            shared = np.full(Y.shape, np.nan)
            for fold, heads in enumerate(self.heads):
                at = self.folds[rows] == fold
                W, b = (part[tasks, : Y.shape[2]] for part in heads)
                scores = np.einsum("nk,tok->nto", self.Z[rows[at]], W) + b
                shared[at] = Y[at] - scores
            both = shared
            if self.readable:
                both = (1 - READOUT) * shared + READOUT * read
            variance = np.nanvar(Y, 0).mean(-1)
            means.add(tasks, errors, weight, variance)
            own = None if weight is None else weight[out]
            parts.append(
                (tasks, Y[out], errors[:, out], shared[out], both[out], own, variance)
            )
        weights = means.weights()
        self._average_kernels(weights, numbers)
        alone, judged = (HeldOutErrors(len(self.kinds)) for _ in range(2))
        for tasks, Y, errors, shared, both, own, variance in parts:
            of_inputs = np.einsum("tm,mnto->nto", weights[tasks], errors)
            alone.add(tasks, Y, errors[0], shared, own, variance)
            judged.add(tasks, Y, of_inputs, both, own, variance)
        return alone, judged

    def _fit_models(self, tasks, rows, Y, weight):
        """Fit the models of some tasks of numbers.

        Returns
        -------
        errors : ndarray of shape (1 + n_kernels, n, n_tasks, n_outputs)
            Leave-one-out errors of the linear models, and with each kernel.

        read : ndarray of shape (n, n_tasks, n_outputs)
            Errors of the readouts on held-out rows.
        """
        errors = np.full((1 + len(self.by_kernel), *Y.shape), np.nan)
        read, width = np.full(Y.shape, np.nan), Y.shape[2]
        X = self.inputs
        how = {"fit_intercept": self.fit_intercept}
        for some, at, own in _patterns(Y, weight):
            cell, fitted = np.ix_(at, some), tasks[some]
            W, b, errors[0][cell] = ridge(X[rows[at]], Y[cell], own, **how)
            self.coef[fitted, :width], self.intercept[fitted, :width] = W, b
            if self.of_kernels is not None:
                found = self.of_kernels.fit(rows[at], Y[cell], own, **how)
                for i, (W, b, left_out) in enumerate(found):
                    self.by_kernel[i, fitted, :width] = W
                    self.intercept_by_kernel[i, fitted, :width] = b
                    errors[1 + i][cell] = left_out
            if self.readable:
                J, folds = self.J[rows[at]], self.folds[rows[at]]
                W, b, read[cell] = readouts(J, Y[cell], folds, own, **how)
                self.readout[fitted, :width] = W / self.unit
                self.readout_intercept[fitted, :width] = b
        return errors, read

    def _average_kernels(self, weights, numbers):
        """Average the models with each kernel.

        Parameters
        ----------
        weights : ndarray of shape (n_tasks, 1 + n_kernels)
            Of the linear models, and with each kernel.

        numbers : ndarray of int
            Tasks that have them.
        """
        own = np.zeros((weights.shape[1] - 1, len(weights), 1))
        own[:, numbers, 0] = weights[numbers, 1:].T
        share = own.sum(0)
        own /= np.where(share > 0, share, 1.0)
        self.kernel_share = share[:, 0]
        self.kernel_intercept = (own * self.intercept_by_kernel).sum(0)
        coef = own[..., None] * self.by_kernel
        if self.of_kernels is not None:
            coef = self.of_kernels.coefficients(coef)
        coef = np.moveaxis(coef, 0, 2)
        self.kernel = coef.reshape(*coef.shape[:2], coef.shape[2] * coef.shape[3])

    @torch.no_grad()
    def fit_others(self):
        """Fit models of counts and of classes, and readouts of classes.

        Returns
        -------
        dict of tuple of HeldOutDeviance
            Of counts, by `COUNT`, and of classes, by the number 2: of the heads, and of
            their means with the readouts.
        """
        table = self.table
        found = {
            kind: [HeldOutDeviance(len(self.kinds)) for _ in range(2)]
            for kind in (COUNT, 2)
        }
        inputs, back, mean = _standardised(self.inputs, self.fit_intercept)
        m, k = inputs.shape[1], self.Z.shape[1]
        parts = [inputs, self.Z, self.folds]
        if self.readable:
            parts.append(self.J)
        columns = np.column_stack(parts)
        for tasks, own, y, options in task_batches(columns, table, skip=(NUMBER, 1)):
            own = own if own.ndim == 3 else own.unsqueeze(0)
            n_classes = int(self.kinds[tasks[0]])
            loss = Poisson() if n_classes == COUNT else log_loss(n_classes)
            weight = options["weight"]
            weight = torch.ones_like(y) if weight is None else weight
            if options["mask"] is not None:
                weight = torch.where(options["mask"], weight, 0.0)
            unit = weight.sum(-1, keepdim=True) / (weight > 0).sum(-1, keepdim=True)
            fitted = loss, own[..., :m], y, weight / unit
            W, b, left_out = penalised_models(*fitted, fit_intercept=self.fit_intercept)
            coef, intercept = self._outputs(loss, W, b)
            coef, width = coef @ back, intercept.shape[-1]
            self.coef[tasks, :width] = coef
            self.intercept[tasks, :width] = intercept - coef @ mean
            shared, folds = torch.full_like(left_out, torch.nan), own[..., m + k]
            for fold, heads in enumerate(self.heads):
                known = _known(loss, y, weight * (folds != fold)) & (folds == fold)
                scores = head_scores(heads, tasks, own[..., m : m + k], loss)
                shared = torch.where(known.unsqueeze(-1), scores, shared)
            alone, judged = found[min(n_classes, 2)]
            linear, out = left_out.clamp(-_RANGE, _RANGE), weight * (folds >= 0)
            alone.add(tasks, loss, y, linear, shared.clamp(-_RANGE, _RANGE), out)
            if self.readable and n_classes != COUNT:
                W, b, read = models_by_fold(
                    *(loss, own[..., m + k + 1 :], y, weight / unit, folds, PENALTY),
                    fit_intercept=self.fit_intercept,
                )
                coef, intercept = self._outputs(loss, W, b)
                self.readout[tasks, :width] = coef / self.unit
                self.readout_intercept[tasks, :width] = intercept
                shared = (1 - READOUT) * shared + READOUT * read
            judged.add(tasks, loss, y, linear, shared.clamp(-_RANGE, _RANGE), out)
        return found

    def _outputs(self, loss, coef, intercept):
        """Coefficients of the outputs of heads, from those of scores.

        Returns
        -------
        coef : ndarray of shape (n_tasks, width, k)

        intercept : ndarray of shape (n_tasks, width)
        """
        coef, intercept = loss.expand(coef), loss.expand(intercept)
        if isinstance(loss, Logistic) and self.coef.shape[1] > 1:
            # Half of the logit for one class, half against the other, as in heads.
            halves = coef.new_tensor([-0.5, 0.5])
            coef, intercept = coef * halves, intercept * halves
        return np.swapaxes(coef.numpy(), 1, 2), intercept.numpy()


def head_scores(heads, tasks, Z, loss):
    """Scores of the heads of some tasks."""
    coef, intercept = (torch.from_numpy(part[tasks]) for part in heads)
    scores = Z @ coef.mT + intercept.unsqueeze(1)
    if isinstance(loss, Multinomial):
        return scores[..., : loss.n_classes] @ contrasts(loss.n_classes, scores)
    if isinstance(loss, Logistic) and scores.shape[-1] > 1:
        return scores[..., 1:2] - scores[..., :1]
    return scores[..., :1]


def _known(loss, y, weight):
    """Labels that heads can predict, after a fit with these weights.

    Without a label of some class, or a count above 0, a head has no finite solution.
    """
    if isinstance(loss, Poisson):
        return ((weight * y).sum(-1, keepdim=True) > 0).expand_as(y)
    y = y.long()
    seen = (weight.unsqueeze(-1) * torch.nn.functional.one_hot(y)).sum(1) > 0
    return seen.gather(1, y) & (seen.sum(-1, keepdim=True) > 1)


def _standardised(X, centred):
    """Inputs of unit variance, in no more columns than rows.

    Parameters
    ----------
    X : ndarray of shape (n, p)

    centred : bool
        Whether to subtract the mean.

    Returns
    -------
    Z : ndarray of shape (n, m)

    back : ndarray of shape (m, p)
        Coefficients of X from those of Z.

    mean : ndarray of shape (p,)
        What was subtracted.
    """
    mean = X.mean(0) if centred else np.zeros(X.shape[1])
    X = X - mean
    unit = np.sqrt((X**2).mean(0))
    unit = np.where(unit > 1e-12 * np.abs(mean), unit, np.inf)
    X = X / unit
    if len(X) >= X.shape[1]:
        return X, np.diag(1 / unit), mean
    # The penalty does not depend on the directions.
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    return U * s, Vt / unit, mean


def _patterns(Y, weight):
    """Groups of tasks that label the same rows, with the same weights.

    Yields
    ------
    tasks : ndarray of int

    rows : ndarray of int

    weight : ndarray of shape (n_rows,) or None
        Positive.
    """
    shares = (~np.isnan(Y[..., 0])).astype(float)
    if weight is not None:
        shares *= weight
    distinct, which = np.unique(shares, axis=1, return_inverse=True)
    for i in np.flatnonzero(distinct.any(0)):
        rows = np.flatnonzero(distinct[:, i])
        own = None if weight is None else distinct[rows, i]
        yield np.flatnonzero(which.ravel() == i), rows, own
