"""Products and errors of a task for all folds at once."""

from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from sparsedis.heads._task_rows import ROUNDING

# Share of a square about the mean of all tasks that must be left about the part's own.
_LEFT = 0.1


class FoldRows:
    """Labelled rows of a task, divided into folds.

    The parts of a task are all its rows, and those outside of each fold. Their products
    are sums over folds, about the mean of all tasks, from which the part's own mean is
    taken afterwards. That leaves correct digits where the squares remain of the same
    size. If not, as for constant features, :class:`~sparsedis.heads._task_rows
    .TaskRows` is for the task.

    Parameters
    ----------
    Z : tensor of shape (n, p)

    weight, fold : tensor of shape (n,)
        Weights of the labels, 0 where missing, and their folds.

    n_folds : int

    fit_intercept : bool

    Attributes
    ----------
    valid : tensor of shape (1 + n_folds,) of bool
        False for folds that hold no label, or all.

    gram : tensor of shape (1 + n_folds, p, p)
        Mean products of features in each part; 0 if it is not valid, here and below.

    x_mean : tensor of shape (1 + n_folds, p)

    sound : bool
        Whether these are exact up to rounding errors.

    held_out : HeldOut
        What errors on the folds need, which is less than all of this.
    """

    def __init__(self, Z, weight, fold, n_folds, fit_intercept):
        self.fit_intercept, n_tables = fit_intercept, max(1, n_folds)
        rows = (weight > 0).nonzero().flatten()
        own, order = fold[rows].sort(stable=True)
        counts = torch.bincount(own, minlength=n_tables)
        rows = rows[order].split(counts.tolist())
        self.rows = pad_sequence(rows, batch_first=True)
        inside = torch.arange(self.rows.shape[1], device=Z.device) < counts[:, None]
        self.weight = weight[self.rows] * inside
        mass = self.weight.sum(1)
        # Sums over the folds of each part.
        self.parts = torch.ones(1 + n_folds, n_tables, dtype=Z.dtype, device=Z.device)
        self.parts[1:] -= torch.eye(n_tables, dtype=Z.dtype, device=Z.device)[:n_folds]
        total = self.parts @ mass
        self.valid = total > 0
        self.valid[1:] &= mass[:n_folds] > 0
        self.parts *= torch.where(self.valid, 1 / total, 0.0)[:, None]
        share = self.weight / mass[:, None]
        self.held_out = HeldOut(self.rows, share, self.valid[1:])
        table, self.root = Z[self.rows], self.weight.sqrt().unsqueeze(-1)
        self.R = self.root * table
        gram = (self.R.mT @ self.R).flatten(1)
        self.gram = (self.parts @ gram).unflatten(1, (-1, Z.shape[1]))
        self.x_mean = self._mean(table)
        before = self.gram.diagonal(dim1=1, dim2=2).clone()
        self.gram.addcmul_(self.x_mean.unsqueeze(2), self.x_mean.unsqueeze(1), value=-1)
        after = self.gram.diagonal(dim1=1, dim2=2)
        least = (_LEFT * before).maximum((ROUNDING * Z.abs().amax(0)).square())
        self.sound = bool(((after > least) | (before == 0)).all())

    def _mean(self, table):
        """Means over each part, or 0 without an intercept."""
        if not self.fit_intercept:
            return table.new_zeros(len(self.parts), table.shape[-1])
        return self.parts @ torch.bmm(self.weight.unsqueeze(1), table).squeeze(1)

    def targets(self, y):
        """Products with targets of shape (n,).

        Returns
        -------
        corr : tensor of shape (1 + n_folds, p)

        y_sq, y_mean : tensor of shape (1 + n_folds,)

        sound : bool
            Whether these are exact up to rounding errors.
        """
        y = y[self.rows].unsqueeze(-1)
        weighted = self.root * y
        corr = self.parts @ (self.R.mT @ weighted).squeeze(-1)
        before = (self.parts @ weighted.square().sum(1)).squeeze(-1)
        mean = self._mean(y)
        corr.addcmul_(self.x_mean, mean, value=-1)
        mean = mean.squeeze(-1)
        y_sq = before - mean.square()
        sound = (y_sq > _LEFT * before) | (before == 0)
        return corr, y_sq, mean, bool(sound.all())


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows of a task in each fold.

    Attributes
    ----------
    rows : tensor of shape (n_folds, m) of int
        Padded with other rows.

    share : tensor of shape (n_folds, m)
        Their weights, which add up to 1 in each fold; 0 for padding.

    valid : tensor of shape (n_folds,) of bool
        False for folds that hold no label, or all.
    """

    rows: torch.Tensor
    share: torch.Tensor
    valid: torch.Tensor

    def errors(self, Z, y, coef, intercept):
        """Mean squared errors on each fold, of shape (n_heads, n_folds).

        Parameters
        ----------
        Z : tensor of shape (n, p)

        y : tensor of shape (n,)

        coef : tensor of shape (n_folds, n_heads, p)

        intercept : tensor of shape (n_folds, n_heads)
        """
        if not len(coef):
            return coef.new_empty(coef.shape[1], 0)
        left = y[self.rows].unsqueeze(-1) - intercept.unsqueeze(1)
        left = torch.baddbmm(left, Z[self.rows], coef.mT, alpha=-1).square_()
        error = torch.bmm(self.share.unsqueeze(1), left).squeeze(1)
        return error.masked_fill(~self.valid[:, None], torch.nan).T
