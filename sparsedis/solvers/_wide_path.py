"""Path of one Lasso problem with many features, on those that enter it."""

import numpy as np
import torch

from sparsedis.solvers._grid_path import GridPath
from sparsedis.solvers._working_path import follow_wide_path

# Share of the penalty from which a correlation makes a feature a candidate.
_NEAR = 0.9

# Largest step down to the next penalty, as a factor.
_STEP = 0.9

# Penalties that are solved before the correlations of all features are computed, and
# number of features up to which all are candidates, if twice the rows are as many.
_AHEAD, _FEW = 4, 1024

# Excess of a correlation over the penalty that rounding errors can explain.
_ROUNDING = 1e-9


def solve_wide_path(Z, y, alphas, *, positive=False, tol=1e-10):
    """Solve a Lasso problem with many features for several penalties, on the CPU.

    The path is that of candidates: features whose correlations with the residual are
    predicted to reach the next penalties. If others do reach one, they become
    candidates, and the path is followed again from the penalty before.

    Parameters
    ----------
    Z : tensor of shape (n, k)
        Features, centred and weighted, divided by ``sqrt(n)``.

    y : tensor of shape (n,)
        Targets, likewise.

    alphas : tensor of shape (n_alphas,)
        Penalties, positive and in decreasing order.

    positive : bool, default=False
        Whether coefficients must not be negative.

    tol : float, default=1e-10
        Gap above which the homotopy method follows the path instead, since features are
        nearly dependent.

    Returns
    -------
    coef : tensor of shape (n_alphas, k)

    gap : tensor of shape (n_alphas,)
        Duality gaps, relative to the objective at zero.
    """
    path = _Candidates(*(part.cpu().numpy() for part in (Z, y)), positive)
    coef, gap = np.zeros((len(alphas), Z.shape[1])), np.zeros(len(alphas))
    # Without all candidates, there are more penalties where steps are too large.
    places, steps, last = [], [], path.reached
    whole = len(path.at) > 0
    for i, alpha in enumerate(alphas.tolist()):
        while last > alpha / _STEP and not whole:
            last *= _STEP
            places, steps = [*places, None], [*steps, last]
        places, steps, last = [*places, i], [*steps, alpha], alpha
    ahead = len(steps) if whole else _AHEAD
    while steps:
        found, gaps = path.go(np.array(steps[:ahead]))
        if not (gaps <= tol).all():
            return follow_wide_path(Z, y, alphas, positive=positive, tol=tol)
        for i, own, left in zip(places, found, gaps, strict=False):
            if i is not None:
                coef[i, path.at[: len(own)]], gap[i] = own, left
        places, steps = places[len(found) :], steps[len(found) :]
    return tuple(torch.from_numpy(part).to(Z) for part in (coef, gap))


class _Candidates:
    """A path on some of the features, `at`, down to the penalty that is `reached`."""

    def __init__(self, Z, y, positive):
        # Rows are features, which are contiguous when some are taken.
        self.Z, self.y, self.positive = np.ascontiguousarray(Z.T), y, positive
        self.y_sq, self.corr = y @ y, self.Z @ y
        # Correlations of all features, at the penalty that is reached, and their
        # slopes.
        self.line = self.corr, np.zeros_like(self.corr)
        self.reached = max(0.0, self._size(self.corr).max())
        # Their rows, with room for more.
        self.at, self.rows = np.zeros(0, dtype=int), self.Z[:0]
        self.path = GridPath(self.reached, positive)
        self._let_in(np.full(len(self.Z), len(self.Z) <= min(_FEW, 2 * len(y))))

    def _size(self, values):
        return values if self.positive else np.abs(values)

    def go(self, alphas):
        """Follow the path to several penalties, or to those before a missing candidate.

        Returns
        -------
        coef : ndarray of shape (m, n_candidates)
            Coefficients for the first m penalties.

        gap : ndarray of shape (m,)
            Infinite for penalties that the path did not reach.
        """
        ahead = self.line[0] + (alphas[-1] - self.reached) * self.line[1]
        self._let_in(self._size(ahead) > _NEAR * alphas[-1])
        coef, signs, reached = [], [self.path.sign], []
        for alpha in alphas:
            reached.append(self.path.go(alpha))
            coef.append(self.path.coef())
            signs.append(self.path.sign)
            if not reached[-1]:
                break
        coef, alphas = np.array(coef), alphas[: len(coef)]
        corr, gap = self._check(coef, alphas)
        gap = np.where(reached, gap, np.inf)
        missed = self._size(corr) > (1 + _ROUNDING) * alphas[:, None]
        missed[:, self.at] = False
        right = ~missed.any(1)
        n = len(alphas) if right.all() else int(right.argmin())
        points = [self.reached, *alphas[:n]]
        if n < len(alphas):
            self._let_in(missed[n:].any(0))
            self.path.rewind(points[-1], signs[n])
        if n:
            step = points[-1] - points[-2]
            change = corr[n - 1] - (corr[n - 2] if n > 1 else self.line[0])
            self.line = corr[n - 1], change / step if step else np.zeros_like(change)
            self.reached = points[-1]
        return coef[:n], gap[:n]

    def _let_in(self, features):
        """Add candidates."""
        features[self.at] = False
        new = features.nonzero()[0]
        if len(new):
            k, self.at = len(self.at), np.append(self.at, new)
            if len(self.at) > len(self.rows):
                size = min(2 * len(self.at), len(self.Z))
                self.rows = np.resize(self.rows, (size, len(self.y)))
            self.rows[k : len(self.at)] = self.Z[new]
            rows = self.rows[: len(self.at)]
            self.path.extend(rows[k:] @ rows.T, self.corr[new])

    def _check(self, coef, alphas):
        """Correlations of all features with the residuals, and duality gaps."""
        k = coef.shape[1]
        residual = self.y - coef @ self.rows[:k]
        corr = residual @ self.Z.T
        largest = self._size(corr).max(1)
        share = np.minimum(1.0, alphas / np.maximum(largest, 1e-300))
        square = (residual * residual).sum(1)
        gap = 0.5 * square * (1 + share * share) + alphas * np.abs(coef).sum(1)
        gap = np.maximum(gap - share * (residual @ self.y), 0.0)
        return corr, gap / (0.5 * self.y_sq if self.y_sq > 0 else 1.0)
