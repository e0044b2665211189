"""The homotopy method for the Lasso: many problems follow their paths together.

The solution of a problem is a piecewise linear function of the penalty alpha. The
homotopy method (Osborne, Presnell, Turlach 2000; Efron et al. 2004) follows it from one
breakpoint, where a feature enters or leaves, to the next. All problems take their steps
together.
"""

import copy

import torch

# Smallest share of a feature's square that the active features must leave unexplained
# for it to enter.
_DISTINCT = 1e-10

# Smallest difference of the slopes of a correlation and the penalty, as a share of the
# latter, with which they meet.
_SLOW = 1e-12

# Added to it, against divisions by zero.
_TINY = 1e-300

# Relative difference of a correlation and the penalty within which they may be equal.
_NEAR = 1e-9

# Entries of the tables of problems that take their steps together, so few that they fit
# in the cache. With fewer entries, it saves nothing to leave out problems at their end.
_TABLE, _LARGE = 2**18, 2**15

# What changes along the path, and what is different for each problem.
_STATE = (
    *("scale", "penalty", "table", "left", "level", "slope"),
    *("sign", "alpha", "n_iter"),
)


def find_signs(gram, corr, alpha):
    """Signs of Lasso solutions, whose paths are followed down to `alpha`.

    Parameters
    ----------
    gram : tensor of shape (n_problems, k, k)
        ``Z'Z / n``, plus the squared penalty on its diagonal.

    corr : tensor of shape (n_problems, k)
        ``Z'y / n``.

    alpha : tensor of shape (n_problems,)
        Penalties, positive.

    Returns
    -------
    signs : tensor of shape (n_problems, k)
        NaN for problems whose solution may not be unique, since a feature that could
        be active depends on active ones.

    n_iter : tensor of shape (n_problems,) of int
        Numbers of steps.
    """
    n_problems, k = corr.shape
    signs, n_iter = (
        torch.zeros_like(corr),
        alpha.new_zeros(n_problems, dtype=torch.long),
    )
    size = max(1, _TABLE // (k * k))
    for first in range(0, n_problems, size):
        at = torch.arange(first, min(first + size, n_problems), device=corr.device)
        state = Position(gram[at], corr[at], positive=False)
        while len(at):
            last = alpha[at]
            for _, n_going in state.steps(last):
                if 2 * n_going < len(at) and state.is_large:
                    going = state.alpha > last
                    break
            else:
                going = torch.zeros_like(at, dtype=torch.bool)
            found = torch.where(state.dependent().unsqueeze(-1), torch.nan, state.sign)
            left, done = (part.nonzero().flatten() for part in (going, ~going))
            signs[at[done]], n_iter[at[done]] = found[done], state.n_iter[done]
            at, state = at[left], state.take(left)
    return signs, n_iter


class Position:
    """Where each problem is on its path.

    Features have a unit diagonal in the Gram matrix; `penalty` makes up for it. The
    table is the Gram matrix after sweeps of the active features: minus the inverse of
    their block, the coefficients of the others on them, and what they leave of the
    others' products; `left` is its diagonal. As functions of alpha, ``level + alpha *
    slope`` are the coefficients of active features, and the correlations of the others
    with the residual. `sign` is the sign of the former, and 0 for the others.

    Masks are numbers, since products of numbers are several times as fast as choices.
    """

    def __init__(self, gram, corr, positive):
        self.scale = _inverse_roots(gram.diagonal(dim1=-2, dim2=-1))
        self.table = gram * (self.scale.unsqueeze(2) * self.scale.unsqueeze(1))
        self.penalty = self.scale
        self.left = (self.scale > 0).to(corr)
        self.level = corr * self.scale
        self.slope, self.sign = torch.zeros_like(corr), torch.zeros_like(corr)
        self.rows = torch.arange(len(corr), device=corr.device)
        # Smallest sign of a coefficient.
        self.lowest = 0.0 if positive else -1.0
        # Largest alpha with a solution that is not zero.
        size = self.level if positive else self.level.abs()
        share = torch.where(self.penalty > 0, size / self.penalty, 0.0)
        self.alpha = share.amax(-1).clamp_min(0)
        self.n_iter = torch.zeros_like(self.rows)

    def steps(self, last):
        """Go from breakpoint to breakpoint until alpha is `last`, of each problem.

        Yields the feature that enters or leaves at the current alpha, if that is above
        `last`, before it does, and the number of problems in which one does. This is
        the only number that is read from the device at each step.
        """
        for _ in range(8 * self.level.shape[1] + 100):
            alpha, j = self._next()
            self.alpha = alpha.maximum(last)
            going = self.alpha > last
            n_going = int(going.sum())
            yield j, n_going
            if n_going == 0:
                break
            self.n_iter += going
            self._pivot(j, going)

    def _next(self):
        """The next breakpoint, and the feature that enters or leaves there."""
        # As alpha decreases, a correlation reaches the penalty on the side of its
        # level, and a coefficient reaches zero against its sign.
        active = self.sign.square()
        others = 1.0 - active
        side = self.level.sign().clamp_min_(self.lowest).mul_(others).sub_(self.sign)
        room = others.mul_(self.penalty).addcmul_(side, self.slope, value=-1)
        least = self.penalty * _SLOW + _TINY
        may = active.maximum(self.left.clone().gt_(_DISTINCT))
        may.mul_(room.clone().gt_(least))
        side.mul_(self.level).div_(room.clamp_min_(least)).mul_(may)
        reached, j = side.max(-1)
        return reached.clamp_min(0).minimum(self.alpha), j

    def copy(self):
        """An independent copy."""
        return self._map(torch.clone)

    def take(self, at):
        """The positions of the problems with indices ``at``."""
        other = self._map(lambda part: part[at])
        other.rows = torch.arange(len(at), device=at.device)
        return other

    @property
    def active(self):
        """Features in use, of shape (n_problems, k)."""
        return self.sign != 0

    @property
    def is_large(self):
        """Whether it pays to leave out problems."""
        return self.table.numel() >= _LARGE

    def dependent(self):
        """Problems in which a feature that depends on active ones could be active too.

        Its correlation is as large as theirs, and the solution may not be unique.
        """
        bound = self.alpha.unsqueeze(-1) * self.penalty
        corr = torch.addcmul(self.level, self.alpha.unsqueeze(-1), self.slope).abs()
        reached = (corr >= (1 - _NEAR) * bound) & (bound > 0)
        return (reached & ~self.active & (self.left <= _DISTINCT)).any(-1)

    def _map(self, function):
        other = copy.copy(self)
        for name in _STATE:
            setattr(other, name, function(getattr(self, name)))
        return other

    def extend(self, gram, corr):
        """Add features that are not active.

        Parameters
        ----------
        gram : tensor of shape (n_problems, m, k + m)
            Products of the new features with all features.

        corr : tensor of shape (n_problems, m)
        """
        k = self.level.shape[1]
        square = gram[:, :, k:].diagonal(dim1=-2, dim2=-1)
        scale = _inverse_roots(square)
        self.scale = torch.cat([self.scale, scale], 1)
        gram = gram * scale.unsqueeze(2) * self.scale.unsqueeze(1)
        active = self.active.unsqueeze(1)
        on_active = gram[:, :, :k] * active
        # Rows of active features in the table are minus those of the inverse.
        cross = gram[:, :, :k] * ~active - on_active @ self.table
        own = gram[:, :, k:] - cross @ (active.mT * gram[:, :, :k].mT)
        upper, lower = torch.cat([self.table, cross.mT], 2), torch.cat([cross, own], 2)
        self.table = torch.cat([upper, lower], 1)
        self.left = self.table.diagonal(dim1=-2, dim2=-1).clone()
        level, slope = (
            (on_active @ part.unsqueeze(-1)).squeeze(-1)
            for part in (self.level, self.slope)
        )
        self.level = torch.cat([self.level, corr * scale - level], 1)
        self.slope = torch.cat([self.slope, -slope], 1)
        self.penalty = self.scale
        self.sign = torch.cat([self.sign, torch.zeros_like(scale)], 1)

    def coef_at(self, alpha, rows=slice(None)):
        """Coefficients of some problems, in the units of the table."""
        parts = self.level[rows], alpha.unsqueeze(-1), self.slope[rows]
        coef = torch.addcmul(*parts)
        # Rounding errors must not keep a feature that leaves.
        return (coef * self.sign[rows]).gt_(0).mul_(coef)

    def _pivot(self, j, going):
        """Let feature j of the problems that are going enter or leave."""
        at = self.rows, j
        sign, level, slope = self.sign[at], self.level[at], self.slope[at]
        row, pivot, active = self.table[at], self.left[at], sign != 0
        own = torch.where(active, sign, torch.addcmul(level, self.alpha, slope).sign())
        # Inside, a feature's correlation is alpha times this.
        bound = own * self.penalty[at]
        change = slope - bound * ~active
        # Factors with which nothing changes in the other problems.
        inverse = torch.where(going, pivot.reciprocal(), 0.0)
        # Pivots of active features are negative.
        size = torch.where(going, inverse.abs(), 1.0)
        # With this entry, the update is also that of the feature's own row and column.
        row[at] = pivot - pivot.sign()
        ratio = row * inverse.unsqueeze(1)
        self.level.addcmul_(level.unsqueeze(1), ratio, value=-1)
        self.slope.addcmul_(change.unsqueeze(1), ratio, value=-1)
        self.left.addcmul_(row, ratio, value=-1)
        self.table.addcmul_(row.unsqueeze(2), ratio.unsqueeze(1), value=-1)
        self.level[at] = level * size
        self.slope[at] = torch.where(going, change * size + bound * active, slope)
        self.left[at] = torch.where(going, -inverse, pivot)
        self.table[self.rows, j, j] = self.left[at]
        self.sign[at] = torch.where(going, own - sign, sign)


def _inverse_roots(square):
    """Factors that give features a unit diagonal; 0 for constant ones."""
    return torch.where(square > 0, square.clamp_min(1e-300).rsqrt(), 0.0)
