"""Path of one Lasso problem on a grid of penalties, by its signs, on a CPU.

While its signs remain, the solution is a linear function of the penalty. This predicts
the signs for the next penalty, and those that prove wrong change at once, as in block
principal pivoting [1]_. With many features, several change between two penalties, so
that this takes far fewer steps than the homotopy method, which changes one at a time.

References
----------
.. [1] J. Kim and H. Park, "Fast active-set-type algorithms for l1-regularized linear
   regression", AISTATS 2010.
"""

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtrs

# Smallest share of a feature's square that the active features must leave unexplained
# for it to enter, and with others that have left, which costs digits.
_DISTINCT, _CLEAR = 1e-10, 1e-6

# Excess of a correlation over the penalty that rounding errors can explain.
_ROUNDING = 1e-10

# Largest step to a smaller penalty, as a factor.
_DOWN = 0.5

# Features that may leave before their factor is computed again.
_LEFT = 20

# Changes of signs for a penalty, and steps to it, which are shorter after too many.
_CHANGES, _STEPS = 15, 10


class GridPath:
    """Where a problem is on its path, on features that may become more.

    Parameters
    ----------
    alpha : float
        Penalty at which the path starts, where all coefficients are zero.

    positive : bool
        Whether coefficients must not be negative.

    Attributes
    ----------
    alpha : float
        Penalty that is reached.

    sign : ndarray of shape (k,)
        Signs of the coefficients; 0 for features that are not active.
    """

    def __init__(self, alpha, positive):
        self.alpha, self.lowest = alpha, 0.0 if positive else -1.0
        self.factor, self.sign, self.lines = _Factor(), np.zeros(0), None

    def extend(self, gram, corr):
        """Add features that are not active.

        Parameters
        ----------
        gram : ndarray of shape (m, k + m)
            Products of the new features with all features, ``Z'Z / n``.

        corr : ndarray of shape (m,)
            ``Z'y / n``.
        """
        self.factor.extend(gram, corr)
        self.sign = np.concatenate([self.sign, np.zeros_like(corr)])
        self.lines = None

    def go(self, alpha):
        """Move to a smaller penalty; return whether that succeeds."""
        target = max(alpha, _DOWN * self.alpha)
        for _ in range(_STEPS):
            start = self.sign
            if self._solve(target):
                self.alpha = target
                if target == alpha:
                    return True
                target = max(alpha, _DOWN * target)
            else:
                self._use(start)
                target = np.sqrt(target * self.alpha)
        return False

    def rewind(self, alpha, sign):
        """Return to a penalty at which these were the signs of the first features."""
        self.alpha = alpha
        self._use(np.pad(sign, (0, len(self.sign) - len(sign))))

    def coef(self):
        """Coefficients at the penalty that is reached."""
        return np.where(self.sign != 0, self._values(self.alpha), 0.0)

    def _solve(self, alpha):
        """Change signs until none is wrong."""
        wanted = self._signs(alpha)
        for _ in range(_CHANGES):
            self._use(wanted)
            last, wanted = wanted, self._signs(alpha)
            right = (wanted == self.sign).all()
            # Features that depend on others do not enter.
            if right or (wanted == last).all():
                break
        return right

    def _values(self, alpha):
        """Coefficients of active features, and correlations of the others."""
        if self.lines is None:
            self.lines = self.factor.lines()
        level, slope = self.lines
        return level + alpha * slope

    def _signs(self, alpha):
        """Signs that agree with these at a penalty."""
        value = self._values(alpha)
        side = np.sign(value)
        enters = np.abs(value) > (1 + _ROUNDING) * alpha
        enters &= side >= self.lowest
        return np.where(self.sign != 0, self.sign * (side == self.sign), side * enters)

    def _use(self, sign):
        """Let features enter and leave, unless they depend on others that enter."""
        self.sign, self.lines = self.factor.use(sign), None


class _Factor:
    """Cholesky factor of the products of active features, and its solutions.

    Features that leave remain in the factor until they are many, with a coefficient of
    zero, since all after them would have to enter again.
    """

    def __init__(self):
        # Tables have room for more features than these.
        self.corr, self.gram = np.zeros(0), np.zeros((0, 0))
        # Features of the factor, with signs and rows, and positions of those that left.
        self.order, self.left = np.zeros(0, dtype=int), []
        self.sign, self.rows = np.zeros(0), np.zeros((0, 0))
        self.upper = np.zeros((0, 0), order="F")
        # Solutions of the transpose: for `corr`, minus the signs, and units of `left`.
        self.half = np.zeros((0, 2 + _LEFT), order="F")

    def extend(self, gram, corr):
        """Add features, as for :class:`GridPath`."""
        k, n, self.corr = len(self.corr), len(self.order), np.append(self.corr, corr)
        size = len(self.corr)
        if size > len(self.gram):
            shape = 2 * size, 2 * size
            self.gram, self.rows = _room(self.gram, shape), _room(self.rows, shape)
            self.upper = _room(self.upper, shape)
            self.half = _room(self.half, (2 * size, 2 + _LEFT))
        self.gram[k:size, :size], self.gram[:k, k:size] = gram, gram[:, :k].T
        self.rows[:n, k:size] = self.gram[self.order, k:size]

    def use(self, sign):
        """Let features enter and leave; return the signs of those in use."""
        sign, missing = sign.copy(), sign != 0
        wanted = sign[self.order]
        same = wanted == self.sign
        missing[self.order[same]] = False
        new, left = missing.nonzero()[0], (~same).nonzero()[0]
        if len(left) > _LEFT or wanted[left].any():
            new = np.concatenate([self._cut(left[0], same), new])
        else:
            self._leave(left.tolist())
        entered = self._enter(new, sign)
        if len(entered) < len(new) and self.left:
            # They may depend on features that left.
            new = np.concatenate([self._cut(left[0], same), new])
            entered = self._enter(new, sign)
        if len(entered) < len(new):
            sign[np.setdiff1d(new, entered)] = 0.0
        return sign

    def _cut(self, first, same):
        """Drop all from the first position that is not the same; return the others."""
        later = self.order[first : len(same)][same[first:]]
        self.order, self.sign, self.left = self.order[:first], self.sign[:first], []
        return later

    def _leave(self, left):
        """Let the features at these positions have left, and no others."""
        kept = [j for j, i in enumerate(self.left) if i in left]
        new = [i for i in left if i not in self.left]
        if len(kept) < len(self.left):
            self.half[:, 2 : 2 + len(kept)] = self.half[:, [2 + j for j in kept]]
            self.left = [self.left[j] for j in kept]
        if new:
            n, before = len(self.order), 2 + len(kept)
            units = np.zeros((n, len(new)), order="F")
            units[new, range(len(new))] = 1.0
            units = dtrtrs(self.upper[:, :n], units, trans=1)[0]
            self.half[:n, before : before + len(new)] = units
            self.left = self.left + new

    def _enter(self, new, sign):
        """Let features enter up to one that depends on others; return those that do."""
        if not len(new):
            return new
        n, size, columns = len(self.order), len(self.corr), slice(2 + len(self.left))
        rows = self.gram[new, :size]
        half = np.zeros((len(new), columns.stop), order="F")
        half[:, 0], half[:, 1] = self.corr[new], -sign[new]
        own, cross = rows[:, new], rows[:, self.order].T
        least = np.sqrt((_CLEAR if self.left else _DISTINCT) * own.diagonal())
        if n:
            cross = dtrtrs(self.upper[:, :n], cross, trans=1)[0]
            half -= cross.T @ self.half[:n, columns]
            own -= cross.T @ cross
        factor, failed = dpotrf(own)
        poor = factor.diagonal() <= least
        if failed:
            poor[failed - 1] = True
        m = int(poor.argmax()) if poor.any() else len(new)
        new, at = new[:m], slice(n, n + m)
        if m:
            self.upper[:n, at], self.upper[at, at] = cross[:, :m], factor[:m, :m]
            self.half[at, columns] = dtrtrs(factor[:m, :m], half[:m], trans=1)[0]
            self.rows[at, :size] = rows[:m]
            self.order = np.concatenate([self.order, new])
            self.sign = np.concatenate([self.sign, sign[new]])
        return new

    def lines(self):
        """Coefficients, or correlations of the others, as functions of alpha."""
        n, order = len(self.order), self.order
        if not n:
            return self.corr, np.zeros_like(self.corr)
        half = self.half[:n, :2]
        if self.left:
            # Without what gives the features that left a coefficient.
            units = self.half[:n, 2 : 2 + len(self.left)]
            half = half - units @ np.linalg.solve(units.T @ units, units.T @ half)
        found = dtrtrs(self.upper[:, :n], half)[0]
        found[self.left] = 0.0
        level, slope = found.T @ self.rows[:n, : len(self.corr)]
        level, slope = self.corr - level, -slope
        if self.left:
            active = np.ones(n, dtype=bool)
            active[self.left] = False
            found, order = found[active], order[active]
        level[order], slope[order] = found.T
        return level, slope


def _room(table, shape):
    """The same table with room for more, in the order of its entries."""
    larger = np.zeros(shape, order="F" if table.flags.f_contiguous else "C")
    larger[: table.shape[0], : table.shape[1]] = table
    return larger
