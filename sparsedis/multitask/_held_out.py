"""Errors of heads and of linear models on held-out rows, and their shares."""

import numpy as np
import torch

from sparsedis.solvers.losses import Poisson

# Weight of the common share, in held-out labels of a task.
_PRIOR_LABELS = 40.0

# Standard errors by which to reduce the common share.
_DEVIATIONS = 2.0

# Minimal number of held-out labels to score a task.
_SCORED = 5

# Times to halve the interval of a share.
_HALVINGS = 40


class HeldOutErrors:
    """Sums of squared errors on held-out rows, by task."""

    def __init__(self, n_tasks):
        self.n_labels = np.zeros(n_tasks, dtype=int)
        # For linear models; for their differences to heads; and products of both.
        self.square, self.step, self.product = np.zeros((3, n_tasks))
        # Squared slopes of the labels in the share: a polynomial.
        self.scatter = np.zeros((3, n_tasks))
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
        slope = share[..., 0] * (linear * (shared - linear)).mean(-1)
        bend = share[..., 0] * ((shared - linear) ** 2).mean(-1)
        parts = slope**2, 2 * slope * bend, bend**2
        self.scatter[:, tasks] = [part.sum(0) for part in parts]
        self.spread[tasks] = mean((Y - (share * Y).sum(0)) ** 2)
        self.variance[tasks] = variance
        if Y.shape[2] == 1:
            for i, t in enumerate(tasks):
                at = known[:, i]
                self.pairs[t] = np.stack([linear[at, i, 0], shared[at, i, 0]])

    def share(self):
        """Shares of the heads with the least squared error, shrunk to a common one.

        The common share is reduced by two standard errors: these rows also stopped the
        training of the heads, so their errors are too small.
        """
        unit = np.where(self.variance > 0, self.variance, np.inf)
        n = self.n_labels
        step, product = n * self.step / unit, n * self.product / unit
        total, common = step.sum(), 1.0
        if total > 0:
            common = np.clip(product.sum() / total, 0.0, 1.0)
            squares = (n / unit) ** 2 * (common ** np.arange(3) @ self.scatter)
            common = _reduced(common, squares.sum(), total)
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
        """Errors with these shares, and their sizes.

        Returns
        -------
        errors : list of n_tasks ndarray

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
        return errors, np.where(unit > 0, unit, 1.0)


class HeldOutDeviance:
    """Losses of heads and of linear models on held-out rows, by task.

    Like :class:`HeldOutErrors`, which has closed forms, for any other loss.
    """

    def __init__(self, n_tasks):
        self.n_labels = np.zeros(n_tasks, dtype=int)
        # Mean loss of the best constant.
        self.null = np.zeros(n_tasks)
        # Held-out labels without scores.
        self.n_lost = np.zeros(n_tasks, dtype=int)
        self.parts = []

    def add(self, tasks, loss, y, linear, shared, weight):
        """Add held-out labels of some tasks.

        Parameters
        ----------
        tasks : ndarray of int

        loss : Loss

        y : tensor of shape (n_tasks, n)
            Valid targets, also where the weight is 0.

        linear, shared : tensor of shape (n_tasks, n, c)
            Scores of the linear models and of the heads. NaN where missing.

        weight : tensor of shape (n_tasks, n)
            0 for labels that are missing or not held out.
        """
        known = (weight > 0) & torch.isfinite(linear + shared).all(-1)
        self.n_lost[tasks] = ((weight > 0) & ~known).sum(-1).numpy()
        n = known.sum(-1)
        # Labels first that count.
        order = torch.argsort(known.int(), dim=1, descending=True)[:, : n.max()]
        y, weight, known = (part.gather(1, order) for part in (y, weight, known))
        order = order.unsqueeze(-1).expand(-1, -1, linear.shape[-1])
        linear, shared = (
            part.gather(1, order).nan_to_num(0.0, 0.0, 0.0) for part in (linear, shared)
        )
        weight = torch.where(known, weight, 0.0)
        weight = weight / weight.sum(-1, keepdim=True).clamp_min(1e-300)
        self.n_labels[tasks] = n.numpy()
        self.null[tasks] = _null(loss, y, weight).numpy()
        weight = weight * n.unsqueeze(-1)
        self.parts.append((tasks, loss, y, linear, shared - linear, weight))

    def share(self):
        """Shares of the heads with the least loss, shrunk to a common one.

        It is reduced as that of :class:`HeldOutErrors`.
        """
        every = np.ones(len(self.n_labels))
        (common,) = _root(
            lambda share: self._sum(_slope, share * every).sum(), every[:1]
        )
        bend = self._sum(_bend, common * every).sum()
        if bend <= 0:
            return every
        squares = self._sum(_slope, common * every, power=2).sum()
        common = _reduced(common, squares, bend)
        prior = _PRIOR_LABELS * bend / self.n_labels.sum()
        return _root(
            lambda share: self._sum(_slope, share) + prior * (share - common), every
        )

    def d2(self, share):
        """Explained deviance of the heads, of the linear models, and of both."""
        known = (self.n_labels >= _SCORED) & (self.null > 0)
        null = np.where(known, self.n_labels * self.null, np.nan)
        every = np.ones(len(null))
        return [1 - self._sum(_value, s * every) / null for s in (1.0, 0.0, share)]

    def errors(self, share):
        """Errors with these shares: log losses, or differences of roots of counts.

        They are infinite for labels without scores.

        Returns
        -------
        list of n_tasks ndarray
        """
        errors = [np.full(n, np.inf) for n in self.n_lost]
        for tasks, loss, y, linear, step, weight in self.parts:
            scores = linear + torch.from_numpy(share[tasks])[:, None, None] * step
            if isinstance(loss, Poisson):
                each = y.sqrt() - loss.predict(scores)[..., 0].sqrt()
            else:
                each = loss.value(scores, y)
            for t, own, known in zip(tasks, each, weight > 0, strict=True):
                errors[t] = np.append(own[known].numpy(), errors[t])
        return errors

    def _sum(self, of, share, power=1):
        """Sum over the labels of each task of a function of the joint scores.

        With a power of the weighted function.
        """
        found = np.zeros(len(share))
        for tasks, loss, y, linear, step, weight in self.parts:
            scores = linear + torch.from_numpy(share[tasks])[:, None, None] * step
            each = torch.where(weight > 0, weight * of(loss, scores, y, step), 0.0)
            found[tasks] = (each**power).sum(-1).numpy()
        return found


def _reduced(share, squares, bend):
    """A share less two standard errors.

    Parameters
    ----------
    share : float
        Root of a sum of slopes over labels.

    squares : float
        Sum of the squared slopes there.

    bend : float
        Derivative of the sum there.
    """
    return max(0.0, share - _DEVIATIONS * np.sqrt(squares) / bend)


def _null(loss, y, weight):
    """Mean loss of the best constant."""
    if isinstance(loss, Poisson):
        mean = (weight * y).sum(-1, keepdim=True).clamp_min(1e-300)
        return (weight * torch.xlogy(y, y / mean)).sum(-1)
    shares = ((weight * (y == label)).sum(-1) for label in y.unique())
    return sum(map(torch.special.entr, shares), weight.new_zeros(len(y)))


def _value(loss, scores, y, step):
    return loss.value(scores, y)


def _slope(loss, scores, y, step):
    return (loss.gradient(scores, y) * step).sum(-1)


def _bend(loss, scores, y, step):
    bend = step.unsqueeze(-2) @ loss.hessian(scores, y) @ step.unsqueeze(-1)
    return bend[..., 0, 0]


def _root(slope, high):
    """Zeros of increasing functions in [0, 1], or the ends next to them."""
    low, whole = np.zeros_like(high), slope(high) <= 0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = slope(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.where(whole, 1.0, low)
