"""The problem of a group Lasso SVM, solved for several penalties."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight

from sparsedis.solvers.svm.dual import solve_svm_dual
from sparsedis.solvers.svm.features import Features
from sparsedis.solvers.svm.null import null_beta
from sparsedis.solvers.svm.primal import solve_svm_primal
from sparsedis.solvers.svm.simplices import Simplices

# Largest number of dual variables for which a Newton step in them is cheap, and for
# which a batch of such steps is cheaper than steps in the coefficients, one by one.
_MAX_DUAL, _MAX_BATCHED = 1000, 400

# Relative rounding errors of products with the features.
_ROUNDING = 1e-12

# Entries of the Newton systems of a batch of penalties.
_BLOCK = 2**24


@dataclass(frozen=True, eq=False)
class Solution:
    """Classifier with a penalty.

    Attributes
    ----------
    coef : ndarray of shape (1, n_features) or (n_classes, n_features)

    intercept : ndarray of shape (1,) or (n_classes,)

    active : ndarray of int
        Features with a coefficient that is not zero.

    gap : float

    n_iter : int
    """

    coef: np.ndarray
    intercept: np.ndarray
    active: np.ndarray
    gap: float
    n_iter: int


class SVMProblem:
    """Samples whose classes a linear function is to tell apart.

    Parameters
    ----------
    X : ndarray or csr matrix of shape (n_samples, n_features)

    y : ndarray of shape (n_samples,)
        Labels.

    weight : ndarray of shape (n_samples,)
        Weights, not negative and not all 0. Samples without a weight take no part.

    class_weight : dict, "balanced" or None

    fit_intercept : bool

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Labels of the classes that have a weight.

    Raises
    ------
    ValueError
        When a class has a weight that is not positive and finite.
    """

    def __init__(self, X, y, weight, class_weight, fit_intercept):
        counts = weight > 0
        if not counts.all():
            X, y, weight = X[counts], y[counts], weight[counts]
        self.classes, labels = np.unique(y, return_inverse=True)
        factor = compute_class_weight(
            class_weight, classes=self.classes, y=y, sample_weight=weight
        )
        if not (factor > 0).all() or np.isinf(factor).any():
            raise ValueError(
                f"class_weight={class_weight!r} must be positive and finite. To "
                "leave out a class, leave out its samples."
            )
        weight = weight * factor[labels]
        # With an intercept, centring only reduces rounding errors.
        mean = np.asarray(weight @ X) / weight.sum() if fit_intercept else None
        self._features, self._fit_intercept = Features(X, mean), fit_intercept
        self._labels = torch.from_numpy(labels.astype(np.int64))
        self._weight = torch.from_numpy(weight)

    def alpha_max(self):
        """``max_j ||V_j||`` of a dual solution at W = 0, see :func:`alpha_bound`."""
        n_classes, weight = len(self.classes), self._weight
        sizes = weight.new_zeros(1, n_classes)
        sizes.index_add_(1, self._labels, weight.unsqueeze(0))
        # Samples of one class have the same dual variables.
        simplices = Simplices.build(
            torch.arange(n_classes).unsqueeze(0),
            sizes,
            n_classes,
            fit_intercept=self._fit_intercept,
        )
        X = simplices.coordinates(null_beta(simplices))[0][self._labels]
        V = self._features.pull(weight.unsqueeze(-1) * X)
        # Rounding errors must not let a feature in.
        return float(V.square().sum(0).amax().sqrt()) * (1 + _ROUNDING)

    def solve(self, alphas, l2, *, tol, max_iter, batched=False):
        """Solve the problem for each penalty.

        Parameters
        ----------
        alphas : ndarray of shape (n_alphas,)
            Absolute penalties, all positive or all zero.

        l2, tol : float

        max_iter : int

        batched : bool, default=False
            Whether problems of few samples are solved in the dual variables, which
            batches of them share, even if there are fewer features.

        Returns
        -------
        list of Solution
        """
        how = {"fit_intercept": self._fit_intercept, "tol": tol, "max_iter": max_iter}
        data = self._labels, self._weight, len(self.classes)
        primal = self._prefers_primal(bool(alphas.any()), batched)
        solve = _solve_primal if primal else _solve_dual
        return [
            self._solution(*found)
            for found in solve(self._features, *data, alphas, float(l2), how)
        ]

    def _prefers_primal(self, sparse, batched):
        n_samples, n_features = self._features.shape
        n_dual = n_samples * (len(self.classes) - 1)
        if n_features <= n_samples:
            return not batched or n_dual > _MAX_BATCHED
        # Without alpha, the working set would hold all features: more than the samples.
        return sparse and n_dual > _MAX_DUAL

    def _solution(self, W, intercept, gap, n_iter):
        coef, intercept = W.T.numpy(), intercept.numpy()
        if self._features.mean is not None:
            intercept = intercept - coef @ self._features.mean
        active = np.flatnonzero(coef.any(0))
        if len(self.classes) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        coef = np.ascontiguousarray(coef)
        return Solution(coef, intercept, active, float(gap), int(n_iter))


def _solve_primal(features, labels, weight, n_classes, alphas, l2, how):
    """One problem after the other.

    If steps stall before the last iteration, those in the dual variables are tried.
    """
    few = len(labels) * (n_classes - 1) <= _MAX_DUAL
    for alpha in alphas:
        data = features, labels, weight
        found = solve_svm_primal(*data, float(alpha), l2, n_classes, **how)
        *_, gap, n_iter = found
        if few and gap > how["tol"] and n_iter < how["max_iter"]:
            (found,) = _solve_dual(*data, n_classes, np.array([alpha]), l2, how)
        yield found


def _solve_dual(features, labels, weight, n_classes, alphas, l2, how):
    """Batches of problems on the same features."""
    Z, alphas = features.columns().unsqueeze(0), torch.from_numpy(alphas)
    size = max(1, _BLOCK // (len(labels) * (n_classes - 1)) ** 2)
    for part in alphas.split(size):
        solution = solve_svm_dual(
            Z,
            labels.expand(len(part), -1),
            weight.expand(len(part), -1),
            part,
            torch.full_like(part, l2),
            n_classes,
            **how,
        )
        info = solution.info
        yield from zip(
            solution.W, solution.intercept, info.gap, info.n_iter, strict=True
        )
