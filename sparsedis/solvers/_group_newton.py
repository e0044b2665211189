"""Semismooth Newton steps for group Lasso problems, whose factors are kept.

A problem is ``min_w  1/2 w' G w - c' w + alpha sum_g ||w_g||``. Its solution is a fixed
point of a proximal gradient step whose length for each group is the inverse of the
trace of its block in G. A Newton step solves a system in the groups that this leaves,
with the matrix G plus the curvature of the norms. From penalty to penalty it changes
little, so most steps use the last factor.
"""

import torch

from sparsedis.solvers._cholesky import CholeskyFactors

# Steps for a penalty.
_STEPS = 20

# While a step divides the violation by at least this, the factor is kept.
_FALL = 10.0

# Entries of a matrix from which it is not copied to take a product.
_LARGE = 2**14

# Diagonal entry that keeps a feature at zero, and of a proximal term, with which no
# system is singular, relative to the trace.
_FIXED, _PROXIMAL = 1e20, 1e-12


class GroupNewton:
    """Several problems with the same groups, solved for one penalty after the other.

    Parameters
    ----------
    gram : tensor of shape (n_problems, k, k)
        ``G``.

    corr : tensor of shape (n_problems, k)
        ``c``.

    groups : tensor of shape (k,) of int
        Group of each feature, from 0.
    """

    def __init__(self, gram, corr, groups):
        self.n_groups = 0
        self.gram, self.corr, self.groups = gram[:, :0, :0], corr[:, :0], groups[:0]
        self.factors = CholeskyFactors(corr, len(corr), 0)
        self.ready = torch.zeros_like(corr[:, 0], dtype=torch.bool)
        self.active = self.ready[:, None][:, :0]
        self.extend(gram, corr, groups)

    def extend(self, gram, corr, groups):
        """Add features, as whole groups.

        Parameters
        ----------
        gram : tensor of shape (n_problems, m, k + m)
            Products of the new features with all features.

        corr : tensor of shape (n_problems, m)

        groups : tensor of shape (m,) of int
            Their groups, which continue the numbers of those before.
        """
        k, m = self.corr.shape[1], corr.shape[1]
        upper = torch.cat([self.gram, gram[:, :, :k].mT], 2)
        self.gram = torch.cat([upper, gram], 1) if k else gram
        self.corr = torch.cat([self.corr, corr], 1)
        self.groups = torch.cat([self.groups, groups])
        new = int(groups.max()) + 1 - self.n_groups
        self.n_groups += new
        # Positions of pairs of features in the same group.
        i, j = (self.groups[:, None] == self.groups).nonzero().unbind(1)
        self.first, self.second, self.pairs = i, j, i * (k + m) + j
        self.same = (i == j).to(corr)
        trace = self._sums(self.gram.diagonal(dim1=1, dim2=2))
        self.curvature = torch.where(trace > 0, trace, 1.0)
        self.unit = self.curvature.sqrt()[:, self.groups]
        # The last factors keep the new features at zero.
        self.active = torch.nn.functional.pad(self.active, (0, new))
        factors = CholeskyFactors(corr, len(corr), k + m)
        factors.upper[:, :k, :k] = self.factors.upper
        self.factors = factors

    def norms(self, x):
        """Norms of groups: (n_problems, k) to (n_problems, n_groups)."""
        return self._sums(x * x).sqrt()

    def _sums(self, x):
        return x.new_zeros(len(x), self.n_groups).index_add_(1, self.groups, x)

    def solve(self, W, alpha, enough, guessed):
        """Solve the problems for other penalties.

        Parameters
        ----------
        W : tensor of shape (n_problems, k)
            Where to start.

        alpha : tensor of shape (n_problems,)

        enough : float
            Violation of the optimality conditions at which to stop, relative to that at
            zero.

        guessed : tensor of shape (n_problems,) of bool
            Whether W is a guess of the solution. If not, it is the solution for the
            last penalty: the first step then keeps the factor, and the groups in use.

        Returns
        -------
        W : tensor of shape (n_problems, k)

        gradient : tensor of shape (n_problems, k)
            ``G W - c``.
        """
        groups, found, slopes = self.groups, W.clone(), torch.empty_like(W)
        at, alpha = torch.arange(len(W), device=W.device), alpha.unsqueeze(1)
        curvature, unit = self.curvature, self.unit
        enough = enough * torch.linalg.vector_norm(self.corr / unit, dim=1)
        before, anew = torch.full_like(enough, torch.inf), guessed | ~self.ready
        for n in range(_STEPS + 1):
            gradient = self._product(at, W) - self.corr[at]
            reach = W - gradient / curvature[:, groups]
            size = self.norms(reach)
            beyond = size - alpha / curvature
            active = beyond > 0
            kept = torch.where(active, beyond / size, 0.0)[:, groups]
            change = torch.addcmul(W, kept, reach, value=-1)
            violation = (change * unit).abs().amax(1)
            found[at], slopes[at] = W, gradient
            going = ~(violation <= enough)
            n_going = int(going.sum())
            if n == _STEPS or not n_going:
                break
            if 2 * n_going <= len(at):
                left = going.nonzero().flatten()
                state = at, alpha, curvature, unit, enough, anew, before
                at, alpha, curvature, unit, enough, anew, before = (
                    part[left] for part in state
                )
                state = W, reach, size, beyond, active, change, violation, going
                W, reach, size, beyond, active, change, violation, going = (
                    part[left] for part in state
                )
            if n == 0:
                # Others may no longer enter after those in use have moved.
                active &= anew.unsqueeze(1) | (self._sums(W.abs()) > 0)
            used = active[:, groups]
            strength = torch.where(active, alpha / beyond, 0.0)[:, groups]
            towards = reach / torch.where(size > 0, size, 1.0)[:, groups]
            rhs = towards * self._sums(towards * change)[:, groups]
            rhs = strength * (rhs - change) - curvature[:, groups] * change
            leaving = W.masked_fill(used, 0.0)
            if bool(leaving.any()):
                rhs += self._product(at, leaving)
            stale = (self.active[at] != active).any(1)
            if n < 2:
                stale |= anew == (n == 0)
            if n > 0:
                stale |= _FALL * violation > before
            stale = (stale & going).nonzero().flatten()
            if len(stale):
                parts = active, used, strength, towards, curvature
                self._factorise(at[stale], *(part[stale] for part in parts))
            new = W + self.factors.solve(at, rhs * used)
            W = torch.where(going.unsqueeze(1), new.masked_fill(~used, 0.0), W)
            before = violation
        return found, slopes

    def _product(self, at, W):
        """``G W`` of some problems."""
        if len(at) < len(self.gram) and self.gram[0].numel() > _LARGE:
            pairs = zip(at.tolist(), W, strict=True)
            return torch.stack([self.gram[i] @ w for i, w in pairs])
        gram = self.gram if len(at) == len(self.gram) else self.gram.index_select(0, at)
        return torch.bmm(gram, W.unsqueeze(-1)).squeeze(-1)

    def _factorise(self, at, active, used, strength, towards, curvature):
        """Replace the factors of problems."""
        i, j, matrices = self.first, self.second, self.gram.index_select(0, at)
        bend = strength[:, i] * (self.same - towards[:, i] * towards[:, j])
        matrices.flatten(1).index_add_(1, self.pairs, bend)
        extra = torch.where(used, _PROXIMAL, _FIXED) * curvature[:, self.groups]
        matrices.diagonal(dim1=1, dim2=2).add_(extra)
        # Steps with undefined factors are discarded.
        self.factors.replace(at, matrices)
        self.active[at], self.ready[at] = active, True
