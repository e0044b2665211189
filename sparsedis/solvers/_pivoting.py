"""Principal pivoting for the Lasso: the signs of the solutions of many problems.

A sign for each coefficient (-1, 0 or 1) determines coefficients and correlations. A
sign is wrong if its coefficient has the other one, or if the correlation of a feature
outside of the support exceeds the penalty. The method visits the features in turn and
corrects wrong signs, each by a principal pivot of a table (Cottle, Pang and Stone, "The
Linear Complementarity Problem", 1992, chapter 4). Since later features see the result
of earlier pivots, two to four rounds mostly suffice even if features are strongly
correlated, where an exchange of all wrong signs at once cycles.

Rounds may cycle too, which is rare. After several rounds, only the first wrong sign of
a task changes in each (the least-index rule of Murty, 1974). This ends for any positive
definite matrix. By induction, the features before the last one reach the solution for a
given state of the last. If its sign is then wrong, the objective along the optimal
values of the others decreases towards its next state, so that no state comes back.
"""

import torch

# Rounds in which all wrong signs may change, and rounds after which a task is left to
# another method.
_FREE_ROUNDS, _MAX_ROUNDS = 10, 200

# Smallest share of a feature's square that the active features must leave unexplained
# for it to enter.
_DISTINCT = 1e-10

# Rounding errors of correlations, relative to the largest one.
_ROUNDING = 1e-14

# Entries of the tables of tasks that take their steps together: they fit in the cache.
_TABLE = 2**18


def find_signs(hessian, corr, penalty, signs=None):
    """Find the signs of the solutions of ``min_v v'Hv / 2 - c'v + sum_j t_j |v_j|``.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
        ``H``, with a unit diagonal.

    corr, penalty : tensor of shape (n_tasks, k, 1)
        ``c`` and ``t``.

    signs : tensor of shape (n_tasks, k, 1), default=None
        Signs from which to start; none is active by default.

    Returns
    -------
    signs : tensor of shape (n_tasks, k, 1)
        Those of the solution; NaN for tasks in which features that could enter depend
        on active ones. The solution may then not be unique.

    n_iter : tensor of shape (n_tasks,) of int
        Rounds of pivots.
    """
    n_tasks, k = corr.shape[:2]
    size = max(1, _TABLE // (k * k))
    found = []
    for first in range(0, n_tasks, size):
        at = slice(first, first + size)
        own = None if signs is None else signs[at]
        found.append(_pivot_in_turn(hessian[at], corr[at], penalty[at], own))
    signs, n_iter = zip(*found, strict=True)
    return torch.cat(signs), torch.cat(n_iter)


def _pivot_in_turn(hessian, corr, penalty, signs):
    table = _Table(hessian, corr, penalty, signs)
    found = torch.zeros_like(corr)
    n_iter = torch.zeros(len(corr), dtype=torch.long, device=corr.device)
    at = torch.arange(len(corr), device=corr.device)
    for n in range(_MAX_ROUNDS):
        table.visit(only_first=n >= _FREE_ROUNDS)
        n_iter[at] += 1
        wrong, unsure = table.check()
        found[at] = torch.where(unsure[:, None, None], torch.nan, table.signs())
        left = wrong.nonzero().flatten()
        if len(left) == 0:
            break
        if len(left) < len(at):
            at = at[left]
            table.take(left)
    return found, n_iter


class _Table:
    """Systems of tasks, swept by their active features; tasks are the last axis.

    The first k columns are minus the inverse of the active block, the coefficients of
    other features on the active ones, and what these leave of the others' products.
    The last column is the reach: the coefficient of a feature plus its correlation with
    the residual, which is within the penalty if and only if the feature is not active.
    """

    def __init__(self, hessian, corr, penalty, signs):
        if signs is None:
            signs, reach = torch.zeros_like(corr), corr
        else:
            keep, other = signs.abs(), 1 - signs.abs()
            masked = hessian * (keep * keep.mT)
            masked.diagonal(dim1=-2, dim2=-1).add_(other.squeeze(-1))
            inverse = torch.linalg.inv_ex(masked)[0] * (keep * keep.mT)
            v = inverse @ (corr - penalty * signs)
            reach = v + corr - hessian @ v
            cross = inverse @ hessian * other.mT
            rest = other * (hessian - hessian @ cross) * other.mT
            hessian = rest + cross + cross.mT - inverse
        noise = _ROUNDING * corr.abs().amax(1, keepdim=True)
        arrays = (hessian, reach), (signs,), (penalty,), (penalty + noise,)
        arrays = [torch.cat(part, -1).permute(1, 2, 0) for part in arrays]
        self._view(*(array.contiguous() for array in arrays))

    def _view(self, table, signs, penalty, limit):
        self.arrays = table, signs, penalty, limit
        self.table, self.columns = table, table.unbind(1)
        # The parts of each feature: unbinding all at once costs less than indexing.
        bounds = (part.squeeze(1) for part in (signs, penalty, limit, -limit))
        self.parts = [part.unbind() for part in (table, self.columns[-1], *bounds)]
        self.diagonal = table.diagonal().unbind(1)

    def take(self, at):
        """Keep the tasks with indices ``at``."""
        self._view(*(array[..., at] for array in self.arrays))

    def signs(self):
        """Signs, of shape (n_tasks, k, 1)."""
        return self.arrays[1].permute(2, 0, 1)

    def check(self):
        """Tasks with wrong signs, and tasks whose solution may not be unique."""
        _, signs, penalty, limit = (array.squeeze(1) for array in self.arrays)
        reach = self.columns[-1]
        distinct = torch.stack(self.diagonal).abs() > _DISTINCT
        wrong = (reach - reach.clamp(-limit, limit)).sign() != signs
        # A feature that depends on active ones might share their coefficients.
        shares = reach.abs() >= 2 * penalty - limit
        return (wrong & distinct).any(0), (shares & ~distinct).any(0)

    def visit(self, *, only_first):
        """Correct the signs in turn, or only the first wrong one of each task."""
        may = torch.ones_like(self.diagonal[0], dtype=torch.bool)
        for j in range(len(self.table)):
            going = self._correct(j, may)
            if only_first:
                may = may & ~going

    def _correct(self, j, may):
        """Let feature j enter or leave the support of tasks where it should and may."""
        row, reach, sign, penalty, upper, lower = (part[j] for part in self.parts)
        pivot = self.diagonal[j]
        wanted = (reach - reach.clamp(lower, upper)).sign()
        size = pivot.abs()
        going = (wanted != sign).logical_and_(size > _DISTINCT).logical_and_(may)
        if not bool(going.any()):
            return going
        # The sign of the feature while it is active, before or after the pivot.
        own = torch.add(wanted, sign, alpha=2).sign_()
        edge = own * penalty
        reach.sub_(edge)
        new = row * torch.where(going, size.reciprocal(), 1.0)
        now = torch.where(going, -pivot.reciprocal(), pivot)
        step = new * torch.where(going, pivot, 0.0)
        # Pivots of active features are negative.
        inner = new[:-1]
        self.table.addcmul_(inner.unsqueeze(1), step.unsqueeze(0), value=-1)
        row.copy_(new)
        reach.add_(edge)
        self.columns[j].copy_(inner)
        self.diagonal[j].copy_(now)
        sign.copy_(torch.where(going, own - sign, sign))
        return going
