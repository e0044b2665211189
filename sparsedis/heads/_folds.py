"""Folds of the labels of each task, and the choice among heads by errors on them."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn.model_selection import GroupKFold, check_cv


@dataclass(frozen=True, eq=False)
class Folds:
    """A division of labels into folds.

    Attributes
    ----------
    n_folds : int
        Number of folds; 0: nothing is held out.

    rows : ndarray of shape (n,) of int, or None
        Fold of each row. None: the labels of each task are divided, in their order, as
        :class:`~sklearn.model_selection.KFold` divides rows.
    """

    n_folds: int
    rows: np.ndarray | None = None

    @classmethod
    def read(cls, cv, X, groups, strata=None):
        """Folds of a `cv` parameter.

        Parameters
        ----------
        cv : int, cross-validation generator, iterable or None

        X : ndarray of shape (n, p)

        groups : array-like of shape (n,) or None

        strata : ndarray of shape (n,), default=None
            Classes of the rows, for generators that need them.

        Raises
        ------
        ValueError
            When `cv` fails, as those that divide by classes do without `strata`, when
            a split has no rows of X, when a row is in no test set or in several, when a
            training set is not the rest, or when `groups` has another shape.
        """
        if groups is not None and np.shape(groups) != (len(X),):
            raise ValueError(
                f"groups must hold the group of each of the {len(X)} rows of X, got "
                f"shape {np.shape(groups)}."
            )
        cv = 5 if cv is None else cv
        if isinstance(cv, Integral):
            if groups is None:
                return cls(int(cv))
            cv = GroupKFold(int(cv))
        try:
            splits = list(check_cv(cv).split(X, strata, groups))
        except (TypeError, ValueError) as error:
            hint = "only the classes of a single classification task can divide them"
            raise ValueError(
                f"cv={cv!r} failed to divide the rows"
                f"{f' ({hint})' if strata is None else ''}: {error}"
            ) from error
        rows, times = np.full(len(X), -1), np.zeros(len(X), dtype=int)
        for f, split in enumerate(splits):
            # Heads are fitted to all rows outside the fold.
            fitted, held = np.zeros((2, len(X)), dtype=bool)
            try:
                train, test = split
                fitted[train], held[test] = True, True
            except (IndexError, TypeError, ValueError) as error:
                raise ValueError(
                    f"cv must give pairs of positions among the {len(X)} rows of X; "
                    f"split {f} does not: {error}."
                ) from error
            rows[held] = f
            times += held
            wrong = np.flatnonzero(fitted == held)
            if len(wrong):
                raise ValueError(
                    f"cv must train on the rows that it does not hold out; split {f} "
                    f"does not for {len(wrong)} rows, first row {wrong[0]}."
                )
        if (times != 1).any():
            i = int((times != 1).argmax())
            raise ValueError(
                "cv must hold out each row of X once, such as KFold or GroupKFold; "
                f"{cv!r} holds out row {i} {times[i]} times."
            )
        return cls(len(splits), rows)

    def assign(self, labelled):
        """Fold of each label.

        Parameters
        ----------
        labelled : ndarray of shape (n, n_tasks) of bool

        Returns
        -------
        ndarray of shape (n, n_tasks) of int
        """
        if self.rows is not None:
            return np.broadcast_to(self.rows[:, None], labelled.shape)
        if not self.n_folds:
            return np.zeros(labelled.shape, dtype=int)
        # The first folds are one label larger than the others.
        size, n_larger = np.divmod(labelled.sum(0), self.n_folds)
        first = n_larger * (size + 1)
        rank = np.cumsum(labelled, axis=0) - 1
        small = n_larger + (rank - first) // np.maximum(size, 1)
        return np.where(rank < first, rank // (size + 1), small)


def choose(errors, rule):
    """Position of the penalty of each task with the smallest held-out error.

    Parameters
    ----------
    errors : ndarray of shape (n_tasks, n_alphas, n_folds)
        NaN for folds without labels.

    rule : {"cv", "1se"}
        "1se": the largest penalty whose error is within a standard error of the
        smallest.

    Returns
    -------
    ndarray of shape (n_tasks,) of int
        0, the largest penalty, for tasks without any held-out label.
    """
    known = ~np.isnan(errors)
    n = np.maximum(known.sum(-1), 1)
    mean = np.where(known, errors, 0.0).sum(-1) / n
    best = mean.argmin(1)
    if rule == "1se":
        square = np.where(known, errors - mean[..., None], 0.0) ** 2
        variance = square.sum(-1) / n / np.maximum(n - 1, 1)
        at = np.arange(len(best)), best
        best = (mean <= (mean[at] + np.sqrt(variance[at]))[:, None]).argmax(1)
    return best
