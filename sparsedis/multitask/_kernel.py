"""Kernel Ridge regressions of each task on the inputs, beside the linear ones."""

import numpy as np
import torch
from scipy.linalg import solve_triangular
from torch import nn

from sparsedis.encoders import prepare_rows
from sparsedis.multitask._ridge import leave_one_out

# Kernels of each row.
N_KERNELS = 2

# Penalties to try, in units of the mean eigenvalue of the kernel.
_ALPHAS = np.logspace(-4, 3, 15)

# Rows from which a table has no kernel: an encoder needs none, and it takes long.
_MOST_ROWS = 3000

# Numbers of rows to which inputs may be compared: the first one for which the
# multiplications take little time.
_LANDMARKS, _WORK = (800, 600, 400, 300, 200, 100), 1.2e10

# Multiplications that take as long as the difference of two numbers in a distance,
# which predictions need as well.
_DISTANCE = 10

# Added to the diagonal of the kernel, since rows may be almost the same.
_JITTER = 1e-8


class Kernels(nn.Module):
    """Laplacian kernels of inputs and of some rows of a fit.

    They are exp(-d / 2), where d is the root of the mean of the squared differences of
    the columns, in standard deviations, or the mean of their sizes: the first one does
    not depend on directions, the second one suits targets that add up functions of
    single columns. Unlike hidden units they need no training, and near rows of the fit
    they follow their labels.

    Parameters
    ----------
    rows : ndarray of shape (m, n_features)

    unit : ndarray of shape (n_features,)
        Standard deviations; infinite for constant columns.
    """

    def __init__(self, rows, unit):
        super().__init__()
        rows, unit = (torch.from_numpy(part) for part in (rows, unit))
        self.n_columns = max(1, int(torch.isfinite(unit).sum()))
        # From the same centre in single precision, so that distances stay exact.
        self.register_buffer("centre", rows.mean(0).float())
        self.register_buffer("scale", (1 / unit).float())
        self.register_buffer("rows", self._in_units(rows.double()).float())

    def forward(self, X):
        """Map inputs of shape (n, n_features) to (n, 2 * m)."""
        X = self._in_units(prepare_rows(X))
        p = self.n_columns
        parts = [-0.5 * _distances(X, self.rows, 2) / p**0.5]
        parts.append(-0.5 * _distances(X, self.rows, 1) / p)
        return torch.cat(parts, 1).exp()

    def _in_units(self, X):
        return (X - self.centre) * self.scale


def _distances(X, rows, order):
    if torch.compiler.is_compiling():
        # ONNX knows no other way.
        return torch.linalg.vector_norm(X.unsqueeze(1) - rows, order, dim=-1)
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(X, rows, p=float(order), compute_mode=exact)


class Beside(nn.Module):
    """Outputs of several modules for the same inputs, one after the other.

    Parameters
    ----------
    *parts : torch.nn.Module
        From inputs of shape (n, ...) to (n, k).
    """

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, X):
        return torch.cat([part(X) for part in self.parts], 1)


class KernelRidge:
    """Kernel Ridge regressions of the tasks of a table, with each of the kernels.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Distinct rows.

    n_landmarks : int
        Number of rows to which inputs are compared. With fewer than there are, this is
        Nystroem's method.

    Attributes
    ----------
    rows : ndarray of shape (m, n_features)

    unit : ndarray of shape (n_features,)
        See :class:`Kernels`.
    """

    def __init__(self, X, n_landmarks):
        spread = X.std(0)
        varies = spread > 1e-12 * np.abs(X.mean(0))
        # The inverse of a smaller unit may be infinite.
        varies &= spread >= np.finfo(np.float32).tiny
        self.unit = np.where(varies, spread, np.inf)
        chosen = np.random.default_rng(0).permutation(len(X))[:n_landmarks]
        self.rows = X[np.sort(chosen)]
        kernels = Kernels(self.rows, self.unit).double()
        inner, outer = (
            np.split(kernels(torch.from_numpy(part)).numpy(), N_KERNELS, axis=1)
            for part in (self.rows, X)
        )
        self._parts = []
        for within, of_all in zip(inner, outer, strict=True):
            root = np.linalg.cholesky(within + _JITTER * np.eye(len(within)))
            # Products of these columns are the kernel.
            columns = solve_triangular(root, of_all.T, lower=True).T
            self._parts.append((root, columns))

    def fit(self, rows, Y, weight=None, *, fit_intercept=True):
        """Fit tasks that have labels on the same rows.

        The penalty of each task minimises the leave-one-out error, where a row that
        occurs several times is left out as a whole.

        Parameters
        ----------
        rows : ndarray of shape (n,) of int
            Numbers of the rows.

        Y : ndarray of shape (n, n_tasks, n_outputs)

        weight : ndarray of shape (n,), default=None
            Positive weights.

        fit_intercept : bool, default=True

        Yields
        ------
        coef : ndarray of shape (n_tasks, n_outputs, m)
            For each of the kernels, see `coefficients`.

        intercept : ndarray of shape (n_tasks, n_outputs)

        errors : ndarray of shape (n, n_tasks, n_outputs)
            Label minus prediction without the row; NaN if no other row is left.
        """
        y = Y.reshape(len(rows), -1)
        weight = np.ones(len(rows)) if weight is None else weight
        distinct, which = np.unique(rows, return_inverse=True)
        share, mean = np.bincount(which, weight)[:, None], y
        if len(distinct) < len(rows):
            mean = np.zeros((len(distinct), y.shape[1]))
            np.add.at(mean, which, weight[:, None] * y)
            mean /= share
        else:
            mean = y[np.argsort(which)]
        share = share / share.mean()
        y_mean = fit_intercept * (share * mean).mean(0)
        centred = (mean - y_mean).reshape(len(mean), *Y.shape[1:])
        for _, columns in self._parts:
            columns = columns[distinct]
            centre = fit_intercept * (share * columns).mean(0)
            columns = np.sqrt(share) * (columns - centre)
            U, s = _left(columns)
            dual, errors = leave_one_out(
                *(U, s, centred, share, _ALPHAS * (s**2).sum() / len(mean)),
                fit_intercept=fit_intercept,
            )
            coef = columns.T @ (U @ dual)
            intercept = (y_mean - centre @ coef).reshape(Y.shape[1:])
            errors = (y - mean[which] + errors[which]).reshape(Y.shape)
            yield coef.T.reshape(*Y.shape[1:], -1), intercept, errors

    def coefficients(self, fitted):
        """Coefficients of the kernels, for those of `fit`.

        Parameters
        ----------
        fitted : ndarray of shape (n_kernels, n_tasks, n_outputs, m)

        Returns
        -------
        ndarray of the same shape
        """
        # Of all tasks at once, which is faster.
        return np.stack(
            [
                solve_triangular(
                    root, own.reshape(-1, len(root)).T, lower=True, trans=1
                ).T.reshape(own.shape)
                for (root, _), own in zip(self._parts, fitted, strict=True)
            ]
        )


def _left(columns):
    """Left singular vectors, and singular values that are not zero."""
    few = columns.shape[1] < len(columns)
    gram = columns.T @ columns if few else columns @ columns.T
    square, vectors = np.linalg.eigh(gram)
    kept = square > 1e-12 * square[-1]
    s, vectors = np.sqrt(square[kept]), vectors[:, kept]
    return columns @ (vectors / s) if few else vectors, s


def label_counts(table, tasks):
    """Numbers of labels, once for all tasks that have a label on every row.

    Parameters
    ----------
    table : TaskTable

    tasks : ndarray of shape (n_tasks,) of bool

    Returns
    -------
    ndarray of float
        Tasks that share their rows and weights can share decompositions.
    """
    counts = table.labels.counts()[tasks].astype(float)
    weight = table.labels.weight if table.rows_first else None
    if table.rows_first and (weight is None or (weight == weight[:, :1]).all()):
        whole = counts == table.n_rows
        counts = np.append(counts[~whole], counts[whole][:1])
    return counts


def kernel_ridge(table, tasks):
    """Kernel Ridge regressions of a table, if they take little time.

    Parameters
    ----------
    table : TaskTable

    tasks : ndarray of shape (n_tasks,) of bool
        Tasks to fit.

    Returns
    -------
    KernelRidge or None
    """
    n = table.n_rows
    if n > _MOST_ROWS or not tasks.any():
        return None
    counts, p = label_counts(table, tasks), table.X.shape[1]
    labels = table.labels.counts()[tasks].sum()
    for m in _LANDMARKS:
        most = min(m, n)
        least = np.minimum(counts, most)
        work = (counts * most * least + 5 * least**3).sum()
        work += most * (n * most + len(_ALPHAS) * labels + _DISTANCE * n * p)
        if N_KERNELS * work < _WORK:
            return KernelRidge(table.X[table.at].astype(float), most)
    return None
