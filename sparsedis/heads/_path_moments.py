"""Sums over the labels of many tasks, and the Gram form of their problems."""

from dataclasses import dataclass, fields

import torch

# Entries of products of features that are in memory at a time.
_BLOCK = 2**22

# Share of a feature's variance below which it is constant among the labels of a task.
_CONSTANT = 1e-12


@dataclass(frozen=True, eq=False)
class Sums:
    """Weighted sums over the labels of each task.

    Attributes
    ----------
    n, y, yy : tensor of shape (n_tasks,)
        Sums of the weights, of the targets and of their squares.

    x, xy : tensor of shape (n_tasks, p)

    xx : tensor of shape (n_tasks, p, p)
    """

    n: torch.Tensor
    y: torch.Tensor
    yy: torch.Tensor
    x: torch.Tensor
    xy: torch.Tensor
    xx: torch.Tensor

    @classmethod
    def of(cls, X, Y, share):
        """Add up the labels.

        Parameters
        ----------
        X : tensor of shape (n, p)

        Y : tensor of shape (n, n_tasks)
            0 where missing.

        share : tensor of shape (n, n_tasks)
            Weights of the labels, 0 where missing.
        """
        # Labels of a fold are often in a part of the rows.
        rows = (share > 0).any(1)
        X, Y, share = X[rows], Y[rows], share[rows]
        weighted = share * Y
        return cls(
            share.sum(0),
            weighted.sum(0),
            (weighted * Y).sum(0),
            share.T @ X,
            weighted.T @ X,
            _products(X, share),
        )

    def _with(self, other, sign):
        parts = (
            getattr(self, field.name) + sign * getattr(other, field.name)
            for field in fields(self)
        )
        return Sums(*parts)

    def __add__(self, other):
        return self._with(other, 1)

    def __sub__(self, other):
        return self._with(other, -1)

    def means(self, fit_intercept):
        """Means of features and targets; 0 without an intercept."""
        if not fit_intercept:
            return torch.zeros_like(self.x), torch.zeros_like(self.y)
        n = self.n.clamp_min(1e-300)
        return self.x / n[:, None], self.y / n

    def gram_form(self, variance, fit_intercept):
        """The Lasso problem of each task.

        Parameters
        ----------
        variance : tensor of shape (p,)
            Variances of the features.

        fit_intercept : bool

        Returns
        -------
        gram, corr, y_sq : tensor
            See :func:`sparsedis.solvers.lasso_path.solve_lasso_path`.
        """
        n = self.n.clamp_min(1e-300)
        x, y = self.means(fit_intercept)
        gram = self.xx / n[:, None, None] - x[:, :, None] * x[:, None, :]
        corr = self.xy / n[:, None] - x * y[:, None]
        varies = gram.diagonal(dim1=-2, dim2=-1) > _CONSTANT * variance
        gram = gram * varies[:, :, None] * varies[:, None, :]
        return gram, corr * varies, (self.yy / n - y * y).clamp_min(0)

    def errors(self, coef, intercept):
        """Mean squared errors of several heads of each task.

        Parameters
        ----------
        coef : tensor of shape (n_tasks, n_heads, p)

        intercept : tensor of shape (n_tasks, n_heads)

        Returns
        -------
        tensor of shape (n_tasks, n_heads)
            NaN for tasks without labels.
        """
        fitted = (torch.bmm(coef, self.xx) * coef).sum(-1)
        product = torch.bmm(coef, self.xy[..., None])[..., 0]
        total = torch.bmm(coef, self.x[..., None])[..., 0]
        square = self.yy[:, None] - 2 * (product + intercept * self.y[:, None]) + fitted
        square = square + intercept * (2 * total + intercept * self.n[:, None])
        return square.clamp_min(0) / torch.where(self.n > 0, self.n, torch.nan)[:, None]


def _products(X, share):
    """Weighted sums of the products of features, of shape (n_tasks, p, p)."""
    n, p = X.shape
    if bool((share == share[:, :1]).all()):
        gram = (X.T * share[:, 0]) @ X
        return gram.expand(share.shape[1], p, p)
    row, column = torch.triu_indices(p, p, device=X.device)
    total = torch.zeros(share.shape[1], len(row), dtype=X.dtype, device=X.device)
    step = max(1, _BLOCK // len(row))
    for first in range(0, n, step):
        part = X[first : first + step]
        total += share[first : first + step].T @ (part[:, row] * part[:, column])
    gram = torch.empty(share.shape[1], p, p, dtype=X.dtype, device=X.device)
    gram[:, row, column] = total
    gram[:, column, row] = total
    return gram
