"""Rows of a task, centred and weighted, with and without each fold."""

from dataclasses import dataclass

import torch

# Values with a smaller spread, relative to their size, are constant.
ROUNDING = 1e-13


def task_parts(Z, weight, fold, n_folds, fit_intercept, free):
    """Rows of a task: all, and those outside of each fold that holds some.

    Parameters
    ----------
    Z : tensor of shape (n, p)

    weight, fold : tensor of shape (n,)
        Weights of the labels, 0 where missing, and their folds.

    n_folds : int

    fit_intercept : bool

    free : tensor of shape (p,) of bool
        Features without a penalty.

    Returns
    -------
    list of TaskRows or None
        None for folds that hold no label, or all.
    """
    labelled = weight > 0
    parts = [TaskRows(Z, weight, labelled, fit_intercept, free)]
    for f in range(n_folds):
        out = labelled & (fold == f)
        rows = labelled & ~out
        judged = bool(out.any()) and bool(rows.any())
        own = TaskRows(Z, weight, rows, fit_intercept, free) if judged else None
        parts.append(own)
    return parts


def fold_error(Z, y, weight, fold, f, coef, intercept):
    """Mean squared error of several heads on a fold that holds labels.

    Parameters
    ----------
    Z, weight, fold : tensor
        As for :func:`task_parts`.

    y : tensor of shape (n,)

    f : int
        The fold.

    coef : tensor of shape (n_alphas, p)

    intercept : tensor of shape (n_alphas,)

    Returns
    -------
    tensor of shape (n_alphas,)
    """
    out = (weight > 0) & (fold == f)
    left = y[out, None] - Z[out] @ coef.T - intercept
    return weight[out] / weight[out].sum() @ left.square()


class TaskRows:
    """Some labelled rows of a task, centred and weighted.

    Sums over them are means. Each part of the rows has its own centre, since the
    difference of sums about another one may have no correct digit. Features without a
    penalty are explained away, by least squares: `Z` is what they leave of the others,
    and 0 for themselves. The Lasso on that has the same coefficients (the theorem of
    Frisch, Waugh and Lovell).
    """

    def __init__(self, Z, weight, rows, fit_intercept, free):
        self.rows, self.fit_intercept, self.free = rows, fit_intercept, free
        Z, weight = Z[rows], weight[rows]
        self.share = weight / weight.sum()
        self.root = self.share.sqrt()
        self.x_mean = self.share @ Z if fit_intercept else torch.zeros_like(Z[0])
        self.Z = self.root[:, None] * (Z - self.x_mean)
        # Features that are constant up to rounding errors.
        largest = Z.abs().amax(0)
        self.Z[:, self.Z.square().sum(0) <= (ROUNDING * largest) ** 2] = 0.0
        if bool(free.any()):
            self._explain_away()

    def _explain_away(self):
        """Take the features without a penalty out of the others."""
        own = self.Z[:, self.free]
        size = own.norm(dim=0)
        size = torch.where(size > 0, size, 1.0)
        basis, values, right = torch.linalg.svd(own / size, full_matrices=False)
        kept = values > ROUNDING * max(own.shape) * values.max().clamp_min(1e-300)
        self._basis = basis[:, kept]
        self._inverse = right[kept].T / values[kept] / size[:, None]
        self._on_free = self._basis.T @ self.Z
        self.Z = self._left(self.Z, self._on_free)
        self.Z[:, self.free] = 0.0

    def _left(self, table, on_free):
        """What the features without a penalty leave of columns; 0 for rounding."""
        left = table - self._basis @ on_free
        return left * (left.norm(dim=0) > 10 * ROUNDING * table.norm(dim=0))

    def centre(self, y):
        """Centre targets, and explain them by the features without a penalty.

        Parameters
        ----------
        y : tensor of shape (n,)
            Of all rows.

        Returns
        -------
        y : tensor of shape (n_rows,)

        completion : Completion
        """
        y = y[self.rows]
        mean = self.share @ y if self.fit_intercept else y.new_zeros(())
        y, free = self.root * (y - mean), None
        if bool(self.free.any()):
            on_free = self._basis.T @ y
            y = self._left(y[:, None], on_free[:, None])[:, 0]
            free = self.free, self._inverse @ on_free, self._inverse @ self._on_free
        return y, Completion(self.x_mean, mean, free)


@dataclass(frozen=True, eq=False)
class Completion:
    """Gives heads on the centred features of a task what they lack.

    Attributes
    ----------
    x_mean : tensor of shape (p,)

    y_mean : scalar tensor

    free : tuple or None
        Which features have no penalty, a tensor of shape (p,) of bool; their
        coefficients if all others are 0, of shape (n_free,); and how much less they are
        for each unit of the others, of shape (n_free, p).
    """

    x_mean: torch.Tensor
    y_mean: torch.Tensor
    free: tuple | None

    def __call__(self, coef):
        """Set the coefficients without a penalty, and compute intercepts.

        Parameters
        ----------
        coef : tensor of shape (n_alphas, p)
            Changed in place.

        Returns
        -------
        tensor of shape (n_alphas,)
        """
        if self.free is not None:
            at, alone, shared = self.free
            coef[:, at] = alone - coef @ shared.T
        return self.y_mean - coef @ self.x_mean
