"""Path of one Lasso problem with many features, from breakpoint to breakpoint."""

import torch

from sparsedis.solvers._homotopy import Position
from sparsedis.solvers.lasso import solve_lasso

# Share of the penalty from which a correlation makes a feature a candidate.
_NEAR = 0.97

# Largest step down to the next penalty, as a factor.
_STEP = 0.9

# Excess of a correlation over the penalty that rounding errors can explain.
_ROUNDING = 1e-9


def follow_wide_path(Z, y, alphas, *, positive=False, tol=1e-10):
    """Solve a Lasso problem with many features for several penalties, one by one.

    The homotopy runs on candidates: features whose correlations with the residual are
    predicted to reach the next penalty. If others do reach it, they become candidates,
    and the last part of the path is followed again.

    Parameters
    ----------
    Z, y, alphas, positive : object
        As for :func:`~sparsedis.solvers._wide_path.solve_wide_path`.

    tol : float, default=1e-10
        Gap above which a problem is solved again without the homotopy (not if
        `positive`).

    Returns
    -------
    coef : tensor of shape (n_alphas, k)

    gap : tensor of shape (n_alphas,)
        Duality gaps, relative to the objective at zero.
    """
    path = _Candidates(Z, y, positive)
    coef = torch.zeros(len(alphas), Z.shape[1], dtype=Z.dtype, device=Z.device)
    gap = torch.zeros(len(alphas), dtype=Z.dtype, device=Z.device)
    for i, alpha in enumerate(alphas):
        while bool(path.reached > alpha / _STEP):
            path.go(_STEP * path.reached)
        path.go(alpha)
        coef[i, path.at], gap[i] = path.solution(alpha)
        if not bool(gap[i] <= tol) and not positive:
            coef[i, path.at], gap[i] = path.solution(alpha, tol)
    return coef, gap


def solve_wide_sizes(Z, y, sizes, eps, *, positive=False):
    """Solve a Lasso problem at the last points of its path with few features.

    Parameters
    ----------
    Z, y, positive : object
        As for :func:`follow_wide_path`.

    sizes, eps : object
        As for :func:`~sparsedis.solvers.lasso_path.solve_lasso_sizes`.

    Returns
    -------
    coef : tensor of shape (n_sizes, k)

    alphas, gap : tensor of shape (n_sizes,)
    """
    path = _Candidates(Z, y, positive)
    last = eps * path.reached
    coef = torch.zeros(len(sizes), Z.shape[1], dtype=Z.dtype, device=Z.device)
    alphas, gap = coef.new_zeros(2, len(sizes))
    for i, size in enumerate(sizes.tolist()):
        while bool(path.reached > last):
            if path.go(last.maximum(_STEP * path.reached), size):
                break
        alphas[i] = path.reached
        coef[i, path.at], gap[i] = path.solution(path.reached)
    return coef, alphas, gap


class _Candidates:
    """A path on some of the features: `at` are these, and `state` is their path."""

    def __init__(self, Z, y, positive):
        # Rows are features, which are contiguous when some are taken.
        self.Z, self.y, self.positive = Z.T.contiguous(), y, positive
        self.corr, self.y_sq = self.Z @ y, y.square().sum()
        self.at = self._size(self.corr).argmax().reshape(1)
        self.part = self.Z[self.at]
        gram, corr = self.part @ self.part.T, self.corr[self.at]
        self.state = Position(gram[None], corr[None], positive)

        # Penalty down to which the path is that of all features.
        self.reached = self.state.alpha[0]
        self.line = self._correlations()

    def _size(self, values):
        return values if self.positive else values.abs()

    def go(self, alpha, size=None):
        """Follow the path to a penalty, or until it has more than `size` features.

        Returns
        -------
        bool
            Whether another feature would be too many.
        """
        self._let_in(self._beyond(_NEAR * alpha, alpha))
        while True:
            start = self.state.copy()
            end = self._advance(alpha, size)
            if full := bool(end > alpha):
                self.state = start.copy()
                self._advance(end)
            self.line = self._correlations()
            missed = self._beyond((1 + _ROUNDING) * end, end)
            if not len(missed):
                break
            self.state = start
            self._let_in(missed)
        self.reached = end
        return full

    def _advance(self, alpha, size=None):
        """Take steps to a penalty, or past the one with more than `size` features."""
        end = self.state.alpha[0]
        for _ in self.state.steps(alpha.reshape(1)):
            if size is not None and int(self.state.active.sum()) > size:
                return end
            end = self.state.alpha[0]
        return alpha

    def _correlations(self):
        """Correlations of all features with the residual, as a function of alpha.

        Returns
        -------
        tensor of shape (2, k)
            The part without alpha, and the part times alpha, as long as no feature
            enters or leaves.
        """
        state = self.state
        lines = torch.stack([state.level[0], state.slope[0]])
        lines = lines * (state.active * state.scale)
        residuals = -(lines @ self.part)
        residuals[0] += self.y
        return residuals @ self.Z.T

    def _beyond(self, threshold, alpha):
        """Other features whose correlations at a penalty exceed a threshold."""
        beyond = self._size(self.line[0] + alpha * self.line[1]) > threshold
        beyond[self.at] = False
        return beyond.nonzero().flatten()

    def _let_in(self, features):
        """Add candidates."""
        if len(features):
            new = self.Z[features]
            self.at, self.part = (
                torch.cat([self.at, features]),
                torch.cat([self.part, new]),
            )
            self.state.extend((new @ self.part.T)[None], self.corr[None, features])

    def solution(self, alpha, tol=None):
        """Coefficients of the candidates, and their duality gap for all features.

        Parameters
        ----------
        alpha : scalar tensor
            Penalty that is reached.

        tol : float, default=None
            If given, the problem is solved again without the homotopy, which needs
            features that are clearly independent.
        """
        coef = self.state.coef_at(alpha.reshape(1)) * self.state.scale
        if tol is not None:
            problem = (self.part @ self.part.T)[None], self.corr[None, self.at]
            penalties = alpha[None], torch.zeros_like(alpha[None])
            how = {"start": torch.nan_to_num(coef, 0.0, 0.0, 0.0), "tol": tol}
            coef, _ = solve_lasso(*problem, self.y_sq[None], *penalties, **how)
        coef = coef[0]
        residual = self.y - coef @ self.part
        largest = self._size(self.Z @ residual).max()
        share = torch.where(largest > alpha, alpha / largest, 1.0)
        square = residual.square().sum()
        gap = 0.5 * square * (1 + share * share) + alpha * coef.abs().sum()
        gap = gap - share * (residual @ self.y)
        return coef, gap.clamp_min(0) / torch.where(self.y_sq > 0, 0.5 * self.y_sq, 1.0)
