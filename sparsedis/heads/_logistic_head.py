"""Sparse logistic heads of tasks, chosen from their paths by held-out log losses."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from sparsedis._threads import threads_for
from sparsedis.heads._folds import choose
from sparsedis.heads._strata import stratify
from sparsedis.solvers.logistic import class_basis, solve_logistic
from sparsedis.solvers.logistic_path import NARROW, LogisticPath
from sparsedis.solvers.two_class_path import TwoClassPath

# Features with a smaller spread, relative to their size, are constant. Features whose
# gradients are smaller, relative to the largest feature, say nothing about the labels.
_ROUNDING = 1e-13

# Penalties that rounding errors may hide, if the largest feature is 1.
_TINY = 1e-9

# Penalty of heads that are zero whatever it is, as in scikit-learn.
_SMALLEST = float(np.finfo(float).resolution)

# Entries of the features of tasks whose paths are followed together.
_BLOCK = 2**18


@dataclass(frozen=True)
class LogisticProblem:
    """What the heads of all tasks have in common.

    Attributes
    ----------
    eps : float
        Smallest penalty, relative to the largest, if none are given.

    rule : {"cv", "1se", "bic"}
        Choice among several penalties.

    relaxed : bool
        Whether to fit the chosen heads again, on their features and without the
        penalty.

    fit_intercept : bool

    tol : float

    device : torch.device
        Device that follows the path.
    """

    eps: float
    rule: str
    relaxed: bool
    fit_intercept: bool
    tol: float
    device: torch.device


@dataclass(frozen=True, eq=False)
class LogisticHead:
    """Chosen head of a task.

    Attributes
    ----------
    coef : ndarray of shape (c, p)
        Of the logit of the second of two classes, or of the logits of all classes.

    intercept : ndarray of shape (c,)

    alpha, gap : float

    tiny : bool
        Whether rounding errors may hide the penalty.

    alphas : ndarray of shape (n_alphas,)

    errors : ndarray of shape (n_alphas, n_folds)
        Mean log losses on each fold of heads fitted without it; NaN if it has no labels
        of classes that the other folds have, or these have a single class.

    criterion : ndarray of shape (n_alphas,)
        Bayesian information criterion.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alpha: float
    gap: float
    tiny: bool
    alphas: np.ndarray
    errors: np.ndarray
    criterion: np.ndarray


def blocks_of_tasks(tasks, p):
    """Divide tasks into those whose paths are followed together.

    Parameters
    ----------
    tasks : list of (rows, labels, weight, alphas)
        As for :func:`fit_logistic_heads`.

    p : int
        Number of features.

    Returns
    -------
    list of list
    """
    blocks, largest = [], 0
    for task in tasks:
        n, alone = len(task[0]), p > NARROW or task[1].max() > 1
        largest = max(largest, n)
        room = bool(blocks) and (len(blocks[-1]) + 1) * largest * p <= _BLOCK
        if room and not alone and blocks[-1][-1][1].max() == 1:
            blocks[-1].append(task)
        else:
            blocks.append([task])
            largest = n
    return blocks


# Many small operations: with `n_jobs`, other tasks use the other cores.
@threads_for(1)
def fit_logistic_heads(X, tasks, folds, problem):
    """Follow the paths of some tasks, and choose a head from each.

    Parameters
    ----------
    X : ndarray of shape (n_rows, p)

    tasks : list of (rows, labels, weight, alphas)
        A task with more than two classes is alone.

        rows : ndarray of shape (n,) of int
            Rows with labels.

        labels : ndarray of shape (n,) of int
            From 0; each class has one at least.

        weight : ndarray of shape (n,)
            Weights of the labels, positive.

        alphas : int or ndarray of shape (n_alphas,)
            Number of penalties, or penalties in decreasing order.

    folds : Folds

    problem : LogisticProblem

    Returns
    -------
    list of LogisticHead
    """
    data = [_Task.read(X, *task, folds, problem) for task in tasks]
    two = data[0].n_classes == 2
    return (_heads_of_two_classes if two else _heads_of_classes)(data, problem)


@dataclass(frozen=True, eq=False)
class _Task:
    """Data of a task.

    Attributes
    ----------
    Z : tensor of shape (n, p)
        Centred features, of which the largest entry is 1.

    mean : ndarray of shape (p,)

    unit : float

    labels : tensor of shape (n,) of int

    size : float
        Sum of the weights.

    shares, judged : tensor of shape (1 + n_folds, n)
        Shares of the labels in the fit to all and in those without a fold, and in the
        losses of these.

    used : ndarray of shape (n_folds,) of bool
        Folds that are judged. In place of the others there are all labels.

    alphas : int or ndarray of shape (n_alphas,)
    """

    Z: torch.Tensor
    mean: np.ndarray
    unit: float
    labels: torch.Tensor
    size: float
    shares: torch.Tensor
    judged: torch.Tensor
    used: np.ndarray
    alphas: object

    @classmethod
    def read(cls, X, rows, labels, weight, alphas, folds, problem):
        """Centre the features, and divide the labels."""
        Z, mean, unit = _scaled(X[rows], problem.fit_intercept)
        own = folds.rows
        fold = stratify(labels, folds.n_folds) if own is None else own[rows]
        shares, judged, used = _parts(labels, weight, fold, folds.n_folds)
        Z, labels, shares, judged = (
            torch.from_numpy(part).to(problem.device)
            for part in (Z, labels, shares, judged)
        )
        size = float(weight.sum())
        return cls(Z, mean, unit, labels, size, shares, judged, used, alphas)

    @property
    def n_classes(self):
        return int(self.labels.max()) + 1

    def penalties(self, largest, eps):
        """Penalties for features in their own unit."""
        if not isinstance(self.alphas, Integral):
            return self.alphas
        largest = float(largest) * self.unit
        grid = largest * np.logspace(0, np.log10(eps), self.alphas)
        return grid if largest > 0 else np.full(self.alphas, _SMALLEST)

    def choose(self, lost, n_used, n_logits, rule):
        """Position of the head, errors on the folds, and information criterion.

        Parameters
        ----------
        lost : ndarray of shape (n_alphas, 1 + n_folds)
            Losses of `judged`.

        n_used : ndarray of shape (n_alphas,)
            Features in use.
        """
        errors = np.where(self.used, lost[:, 1:], np.nan)
        # The weights of all labels add up to their number.
        n = len(self.labels)
        criterion = 2 * n * lost[:, 0] + np.log(n) * n_logits * n_used
        i = criterion.argmin() if rule == "bic" else choose(errors[None], rule)[0]
        return i, errors, criterion

    def head(self, i, W, intercept, gap, alphas, errors, criterion, problem):
        """The head of the penalty at position i.

        Parameters
        ----------
        W : tensor of shape (p, d)

        intercept : tensor of shape (d,)
        """
        if problem.relaxed:
            l2 = 1 / (self.size * self.unit**2)
            W, intercept = self._relaxed(W, l2, problem.fit_intercept)
        if self.n_classes > 2:
            basis = class_basis(self.n_classes, W)
            W, intercept = W @ basis.T, intercept @ basis.T
        coef, intercept = W.T.cpu().numpy() / self.unit, intercept.cpu().numpy()
        return LogisticHead(
            *(coef, intercept - coef @ self.mean),
            *(float(alphas[i]), float(gap), alphas[i] < _TINY * self.unit),
            *(alphas, errors, criterion),
        )

    def _relaxed(self, W, l2, fit_intercept):
        """Fit again on the features in use, with an l2 penalty only.

        If classes are separable, there is no solution without any penalty.
        """
        used = (W != 0).any(-1)
        if not bool(used.any()) and not fit_intercept:
            return W, torch.zeros_like(W[0])
        penalties = W.new_zeros(1), W.new_full((1,), l2)
        found, intercept, _ = solve_logistic(
            *(self.Z[None, :, used], self.labels[None], self.shares[:1], *penalties),
            n_classes=self.n_classes,
            fit_intercept=fit_intercept,
        )
        new = torch.zeros_like(W)
        new[used] = found[0]
        return new, intercept[0]


def _heads_of_two_classes(tasks, problem):
    """Heads of tasks with two classes, whose paths are followed together."""
    Z, labels = (
        pad_sequence([getattr(task, name) for task in tasks], batch_first=True)
        for name in ("Z", "labels")
    )
    shares, judged = (
        pad_sequence([getattr(task, name).T for task in tasks], batch_first=True).mT
        for name in ("shares", "judged")
    )
    path = TwoClassPath(
        *(Z, labels, shares.contiguous(), problem.fit_intercept, problem.tol)
    )
    alphas = np.stack(
        [
            task.penalties(largest, problem.eps)
            for task, largest in zip(tasks, path.alpha[:, 0], strict=True)
        ]
    )
    unit = np.array([[task.unit] for task in tasks])
    scaled = torch.from_numpy(alphas / unit).to(Z)
    points, lost = [], []
    for alpha in scaled.unbind(1):
        path.go(alpha)
        points.append(path.V[:, 0])
        lost.append((judged * path.losses()).sum(-1))
    points, lost = torch.stack(points, 1), torch.stack(lost, 1).cpu().numpy()
    n_used = (points[..., : Z.shape[-1]] != 0).sum(-1).cpu().numpy()
    chosen = [
        task.choose(*own, 1, problem.rule)
        for task, *own in zip(tasks, lost, n_used, strict=True)
    ]
    at = torch.tensor([[i] for i, *_ in chosen], device=Z.device)
    points = points.take_along_dim(at.unsqueeze(-1), 1).squeeze(1)
    W, intercept = path.coefficients(points)
    gap = path.gap(points, scaled.take_along_dim(at, 1).squeeze(1))
    return [
        task.head(
            i, W[t, :, None], intercept[t, None], gap[t], alphas[t], *own, problem
        )
        for t, (task, (i, *own)) in enumerate(zip(tasks, chosen, strict=True))
    ]


def _heads_of_classes(tasks, problem):
    """Head of a task with more than two classes."""
    (task,) = tasks
    # All labels are in place of folds that are not judged.
    codes = task.labels.expand(len(task.shares), -1)
    path = LogisticPath(
        *(task.Z, codes, task.shares, task.n_classes),
        *(problem.fit_intercept, problem.tol),
    )
    alphas = task.penalties(path.alpha[0], problem.eps)
    points, lost = [], []
    for alpha in alphas / task.unit:
        path.go(torch.full_like(path.alpha, alpha))
        points.append(path.V[:1].clone())
        loss = -path.log_probability().gather(-1, codes.unsqueeze(-1)).squeeze(-1)
        # Classes without a label in a part have an infinite loss, but no weight.
        loss = torch.where(task.judged > 0, loss, 0.0)
        lost.append((task.judged * loss).sum(-1))
    used = [(V[0, : task.Z.shape[1]] != 0).any(-1).sum() for V in points]
    lost, used = (torch.stack(part).cpu().numpy() for part in (lost, used))
    n_logits = path.V.shape[-1]
    i, errors, criterion = task.choose(lost, used, n_logits, problem.rule)
    W, intercept = path.coefficients(points[i])
    gap = path.gap(points[i], path.alpha.new_tensor([alphas[i] / task.unit]))
    how = alphas, errors, criterion, problem
    return [task.head(i, W[0], intercept[0], gap, *how)]


def _scaled(X, centred):
    """Features with a largest entry of 1, their mean and their unit.

    A large mean would make the intercept depend on all coefficients.
    """
    size = np.abs(X).max(0)
    mean = X.mean(0) if centred else np.zeros(X.shape[1])
    Z = X - mean
    Z[:, np.abs(Z).max(0) <= _ROUNDING * size] = 0.0
    unit = np.abs(Z).max(initial=0.0) or 1.0
    return Z / unit, mean, unit


def _parts(labels, weight, fold, n_folds):
    """Shares of the labels in the fits and in the losses.

    Returns
    -------
    shares : ndarray of shape (1 + n_folds, n)
        All labels, and those outside of each fold. Each row adds up to 1.

    judged : ndarray of shape (1 + n_folds, n)
        All labels, and those of each fold, of classes that others have. Likewise.

    used : ndarray of shape (n_folds,) of bool
        Folds with both, and with more than one class outside. In the others' place
        there are all labels.
    """
    shares = np.tile(weight / weight.sum(), (1 + n_folds, 1))
    judged, used = shares.copy(), np.zeros(n_folds, dtype=bool)
    for f in range(n_folds):
        out = fold == f
        known = np.unique(labels[~out])
        own = out & np.isin(labels, known)
        used[f] = len(known) > 1 and own.any()
        if used[f]:
            for table, of in ((shares, ~out), (judged, own)):
                share = np.where(of, weight, 0.0)
                table[1 + f] = share / share.sum()
    return shares, judged, used
