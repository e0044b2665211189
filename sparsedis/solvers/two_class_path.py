"""Paths of sparse logistic regression problems with two classes, of several tasks."""

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._cholesky import CholeskyFactors
from sparsedis.solvers._descent import descend
from sparsedis.solvers.logistic import Logistic
from sparsedis.solvers.logistic_path import (
    DESCENT,
    DOWN,
    FALL,
    HOPEFUL,
    LEAST,
    NARROW,
    PROXIMAL,
    ROUNDING,
    SHARE,
    STEPS,
)

# Share of the penalty from which a candidate with that gradient has second derivatives.
_NEAR = 0.9

# Diagonal entry that keeps a feature where it is, in the units of the problem.
_FIXED = 1e20


class TwoClassPath:
    """Solutions of problems of several tasks, for smaller and smaller penalties.

    A task has problems on the same rows, such as those without each fold. They are
    those of :func:`~sparsedis.solvers.logistic.solve_logistic` without l2. Each penalty
    starts from the solution of the last one, and semismooth Newton steps solve it, or
    steps with a line search where these cycle. Steps keep the Hessian of an earlier
    penalty unless the same features stay in use and the violation of the optimality
    conditions hardly falls. With many features, those that the strong rule [1]_ keeps
    are candidates, and all others are checked afterwards. All problems take their steps
    together, since each alone is small.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k)
        Features.

    labels : tensor of shape (n_tasks, n_samples)
        1 for the second class, else 0.

    weight : tensor of shape (n_tasks, n_problems, n_samples)
        Weights of the samples, non-negative; sum to 1 in every problem, and hold both
        classes.

    fit_intercept : bool
        Add an unpenalised intercept.

    tol : float
        Relative duality gap to aim at.

    Attributes
    ----------
    alpha : tensor of shape (n_tasks, n_problems)
        Current penalties; first the smallest ones at which coefficients are zero.

    scores : tensor of shape (n_tasks, n_problems, n_samples)
        Logits of the second class at the current solutions.

    References
    ----------
    .. [1] R. Tibshirani et al., "Strong rules for discarding predictors in lasso-type
       problems", Journal of the Royal Statistical Society B 74, 2012.
    """

    def __init__(self, Z, labels, weight, fit_intercept, tol):
        self.k, self.fit_intercept, self.tol = Z.shape[-1], fit_intercept, tol
        y = labels.to(Z).unsqueeze(1)
        self.y, self.weight = y, weight
        if fit_intercept:
            Z = torch.nn.functional.pad(Z, (0, 1), value=1.0)
        self.Z = Z
        # Units in which the curvature of each coefficient is at most about 1.
        lipschitz = 0.25 * torch.bmm(weight, Z * Z)
        self.scale = torch.where(lipschitz > 0, lipschitz.rsqrt(), 1.0)
        share = (weight * y).sum(-1, keepdim=True)
        self.at_zero = torch.zeros_like(self.scale)
        if fit_intercept:
            self.at_zero[..., self.k :] = share.logit() / self.scale[..., self.k :]
        else:
            share = torch.full_like(share, 0.5)
        corr = torch.bmm(weight * (y - share), Z)[..., : self.k]
        self.alpha = self.largest = corr.abs().amax(-1)
        self.V, self.gradient = self.at_zero, -corr * self.scale[..., : self.k]
        self.hessian = None
        every = torch.ones(self.k, dtype=torch.bool, device=Z.device)
        self._choose(every & (self.k <= NARROW))

    def go(self, alpha):
        """Move to smaller penalties, or stay at zero.

        Parameters
        ----------
        alpha : tensor of shape (n_tasks,)
        """
        alpha = alpha.unsqueeze(1).expand_as(self.largest)
        enough = SHARE * (self.tol**0.5 * alpha).clamp_max(self.tol)
        self.enough = enough.clamp_min(LEAST)
        while bool((alpha < DOWN * self.alpha).any()):
            self._go(torch.maximum(alpha, DOWN * self.alpha))
        self._go(alpha)
        # Rounding errors must not decide which solutions are zero.
        zero = alpha >= (1 - ROUNDING) * self.largest
        self.V = torch.where(zero.unsqueeze(-1), self.at_zero, self.V)

    def losses(self):
        """Log losses of the samples, (n_tasks, n_problems, n_samples)."""
        return torch.nn.functional.softplus(self.scores) - self.y * self.scores

    def coefficients(self, V):
        """Coefficients and intercepts of solutions of the first problems.

        Parameters
        ----------
        V : tensor of shape (n_tasks, k)

        Returns
        -------
        W : tensor of shape (n_tasks, n_features)

        intercept : tensor of shape (n_tasks,)
        """
        W = V * self.scale[:, 0]
        return W[:, : self.k], W[:, self.k :].sum(1)

    def gap(self, V, alpha):
        """Relative duality gaps of points of the first problems.

        Parameters
        ----------
        V : tensor of shape (n_tasks, k)

        alpha : tensor of shape (n_tasks,)

        Returns
        -------
        tensor of shape (n_tasks,)
        """
        data = self.Z[..., : self.k], self.y[:, 0].long(), self.weight[:, 0]
        return self._problem(*data, alpha).gap(V.unsqueeze(-1))

    def _problem(self, Z, labels, weight, alpha):
        """Problems for solvers of single penalties, in the same units."""
        l2 = torch.zeros_like(alpha)
        return Logistic(Z, labels, weight, alpha, l2, 2, self.fit_intercept)

    def _go(self, alpha):
        self._let_in(self._sizes() > (2 * alpha - self.alpha).unsqueeze(-1))
        self.alpha = alpha
        while True:
            gradient = self._solve()
            if bool(self.chosen.all()):
                self.gradient = gradient[..., : self.k]
                break
            slopes = self.weight * (self.scores.sigmoid() - self.y)
            self.gradient = torch.bmm(slopes, self.Z[..., : self.k])
            self.gradient *= self.scale[..., : self.k]
            least = (1 + ROUNDING) * alpha.unsqueeze(-1)
            if not self._let_in(self._sizes() > least):
                break

    def _sizes(self):
        """Gradients of all features, in the features' own units."""
        return self.gradient.abs() / self.scale[..., : self.k]

    def _let_in(self, features):
        """Add candidates, and return whether there are new ones."""
        features = features.flatten(0, 1).any(0)
        new = bool((features & ~self.chosen).any())
        if new:
            self._choose(self.chosen | features)
        return new

    def _choose(self, chosen):
        self.chosen = chosen
        rows = torch.nn.functional.pad(chosen, (0, int(self.fit_intercept)), value=1)
        self.at = rows.nonzero().flatten()
        self.part = self.Z.index_select(2, self.at)
        self.across = self.part.mT.contiguous()
        self.unit = self.scale.index_select(2, self.at)
        if self.hessian is not None:
            self._place()

    def _derivatives(self, V):
        """Gradient in V; the scores and the probabilities are kept."""
        self.scores = torch.bmm(V * self.unit, self.across)
        self.p = self.scores.sigmoid()
        slopes = (self.p - self.y).mul_(self.weight)
        return torch.bmm(slopes, self.part).mul_(self.unit)

    def _solve(self):
        """Solve the problems on the candidates, and return their gradients."""
        V = self.V.index_select(2, self.at)
        if not len(self.at):
            self.scores = torch.zeros_like(self.weight)
            return V
        bound = self.alpha.unsqueeze(-1) * self.unit
        if self.fit_intercept:
            bound[..., -1] = 0.0
        before = torch.full_like(self.alpha, torch.inf)
        failed, last = torch.zeros_like(before, dtype=torch.bool), V != 0
        for i in range(STEPS + 1):
            gradient = self._derivatives(V)
            reach = V - gradient
            towards = reach.clamp(-bound, bound)
            moved, slope = reach - towards, gradient + towards
            # This is V - moved, without rounding errors of a large V.
            left = slope.abs().amax(-1)
            solved = left <= self.enough
            if i > HOPEFUL:
                failed |= ~(solved | (left < before))
            going = ~(solved | failed)
            if i == STEPS or not bool(going.any()):
                break
            active, used = moved != 0, V != 0
            if self.fit_intercept:
                active[..., -1] = used[..., -1] = True
            if i == 0:
                # Others may no longer enter after those in use have moved.
                active &= used | ~used.any(-1, keepdim=True)
            # Where other features are active, the violation may rise by itself.
            same = (active == last).all(-1)
            stale = (going & same & (FALL * left > before)).any(-1)
            if self.hessian is None or self._leads_outside(active, going):
                near = gradient.abs() > _NEAR * bound
                self._span((near | active | used).flatten(0, 1).any(0))
                stale = torch.ones_like(stale)
            self._update(stale.nonzero().flatten().tolist())
            V = self._step(V, slope, active, going)
            before, last = left, active
        if not bool(solved.all()):
            task, part = (~solved).nonzero().unbind(1)
            V[task, part] = self._descend(task, part)
            gradient = self._derivatives(V)
            if bool(V[..., self.outside].any()):
                self.hessian = None
        self.V = self.V.index_copy(2, self.at, V)
        return gradient

    def _descend(self, task, part):
        """Solve problems by descent, or by the general solver if that fails."""
        features = self.at[: len(self.at) - self.fit_intercept]
        problem = self._problem(
            *(self.Z[task][..., features], self.y[task, 0].long()),
            *(self.weight[task, part], self.alpha[task, part]),
        )
        start = self.V[task, part][:, self.at].unsqueeze(-1)
        enough = float(self.enough[task, part].min())
        V, left = descend(problem, start, enough=enough, max_iter=DESCENT)
        missed = (~(left <= enough)).nonzero().flatten()
        if len(missed):
            V[missed], _ = _composite.solve(
                problem.take(missed), start[missed], tol=self.tol, max_iter=1000
            )
        return V.squeeze(-1)

    def _leads_outside(self, active, going):
        """Whether problems that are going need other second derivatives."""
        outside = active.index_select(2, self.outside)
        return bool((outside & going.unsqueeze(-1)).any())

    def _span(self, inside):
        """Choose the candidates whose second derivatives are kept."""
        self.spanned = torch.zeros_like(self.V[0, 0], dtype=torch.bool)
        self.spanned[self.at] = inside | (len(self.chosen) <= NARROW)
        self._place()
        shape = *self.alpha.shape, len(self.inside)
        self.on = self.V.new_empty(shape)
        self.hessian = self.V.new_empty(*shape, shape[-1])
        self.factors = CholeskyFactors(self.V, self.alpha.numel(), shape[-1])

    def _place(self):
        """Positions of these among the candidates, and of the others."""
        inside = self.spanned[self.at]
        self.inside, self.outside = (
            part.nonzero().flatten() for part in (inside, ~inside)
        )

    def _update(self, tasks):
        """Second derivatives of the losses of some tasks."""
        for t in tasks:
            rows, unit = self.across[t, self.inside], self.unit[t][:, self.inside]
            bends = self.weight[t] * self.p[t] * (1 - self.p[t])
            hessian = torch.stack([(rows * part) @ rows.T for part in bends])
            hessian *= unit.unsqueeze(2) * unit.unsqueeze(1)
            hessian.diagonal(dim1=1, dim2=2).add_(PROXIMAL)
            # No active set has this value: the factors are those of another matrix.
            self.hessian[t], self.on[t] = hessian, torch.nan

    def _step(self, V, slope, active, going):
        """Newton step of the problems that are going, on their active features.

        See :func:`~sparsedis.solvers._composite.solve`.
        """
        inside = self.inside
        on = active.index_select(2, inside).to(V)
        old, rhs = V.index_select(2, inside), -slope.index_select(2, inside)
        leaving = old * (1 - on)
        if bool(leaving.any()):
            rhs += (self.hessian @ leaving.unsqueeze(-1)).squeeze(-1)
        at = going.flatten().nonzero().flatten()
        on, old, rhs = (part.flatten(0, 1)[at] for part in (on, old, rhs))
        before = self.on.view(-1, len(inside))
        changed = (on != before[at]).any(1).nonzero().flatten()
        if len(changed):
            anew = at[changed]
            matrices = self.hessian.flatten(0, 1)[anew]
            fixed = _FIXED * (1 - on[changed])
            matrices.diagonal(dim1=1, dim2=2).add_(fixed)
            self.factors.replace(anew, matrices)
            before[anew] = on[changed]
        # A singular matrix gives NaN, which the caller discards.
        step = self.factors.solve(at, rhs.mul_(on))
        new = torch.zeros_like(V.flatten(0, 1)[at])
        new[:, inside] = (old + step).mul_(on)
        return V.flatten(0, 1).index_copy(0, at, new).view_as(V)
