"""Paths of regressions with a penalty on groups of features, penalty by penalty."""

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._descent import descend
from sparsedis.solvers._group_newton import GroupNewton
from sparsedis.solvers._grouped import Grouped, Groups

# Steps with a line search for a penalty, and rounds of the general solver after those.
_STEPS, _ROUNDS = 100, 100

# Steps for a penalty that is not convex. Most problems need 10; where the objective is
# not convex because of small penalties and few samples, some need hundreds.
_CONCAVE_STEPS = 500

# Entries of the Gram matrices of problems that take their steps together, enough to
# outweigh the cost of calls and few enough for the cache.
_TABLE = 2**19

# Violation at which to stop, relative to the tolerance.
_SHARE = 1e-2

# Largest step to a smaller penalty, as a factor.
_DOWN = 0.5

# Share of the penalty from which the norm of a group makes it a candidate.
_NEAR = 0.97

# Excess of the largest penalty that rounding errors can explain.
_ROUNDING = 1e-10


def solve_group_path(gram, corr, y_sq, alphas, groups, *, mcp=None, tol=1e-10):
    """Solve several problems with groups of features for several penalties each.

    A problem is ``min_w  1/2 w' G w - c' w + sum_g p(||w_g||)``, where p is alpha times
    the norm [1]_, or MCP [2]_. Each penalty starts from the solution of the last one,
    or of one in between if that is twice as large, and Newton steps with a line search
    on the groups in use solve it. With MCP, the start decides on the stationary point.

    Parameters
    ----------
    gram : tensor of shape (n_problems, k, k)
        ``Z'Z / n``.

    corr : tensor of shape (n_problems, k)
        ``Z'y / n``.

    y_sq : tensor of shape (n_problems,)
        ``||y||^2 / n``.

    alphas : tensor of shape (n_problems, n_alphas)
        Penalties, positive and in decreasing order.

    groups : tensor of shape (k,) of int
        Group of each feature, from 0.

    mcp : MCP, default=None
        Penalty of the norms. None: the group Lasso.

    tol : float, default=1e-10
        Duality gap, relative to the objective at zero; with `mcp`, the largest
        violation of the optimality conditions, relative to that at zero.

    Returns
    -------
    coef : tensor of shape (n_problems, n_alphas, k)

    gap : tensor of shape (n_problems, n_alphas)
        As `tol` defines it.

    References
    ----------
    .. [1] M. Yuan, Y. Lin, "Model selection and estimation in regression with grouped
       variables", Journal of the Royal Statistical Society B 68, 2006.
    .. [2] C.-H. Zhang, "Nearly unbiased variable selection under minimax concave
       penalty", Annals of Statistics 38, 2010.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.group_path import solve_group_path
    >>> gram = torch.eye(3).double()[None]
    >>> corr = torch.tensor([[3.0, 4.0, 1.0]]).double()
    >>> y_sq, alphas = corr.square().sum(1), torch.tensor([[2.5, 0.5]]).double()
    >>> solve_group_path(gram, corr, y_sq, alphas, torch.tensor([0, 0, 1]))[0]
    tensor([[[1.5000, 2.0000, 0.0000],
             [2.7000, 3.6000, 0.5000]]], dtype=torch.float64)
    """
    found, size = [], max(1, _TABLE // max(1, gram[0].numel()))
    for first in range(0, len(corr), size):
        some = slice(first, first + size)
        problems = GroupNewton(gram[some], corr[some], groups)
        path = _Path(corr[some], y_sq[some], groups, mcp, problems)
        found.append(_follow(path, alphas[some], tol))
    return tuple(torch.cat(part) for part in zip(*found, strict=True))


def solve_wide_group_path(Z, y, alphas, groups, *, mcp=None, tol=1e-10):
    """Solve problems with many features in common for several penalties each.

    Groups are candidates if they are near the penalty where their path so far leads
    to, as in sequential strong rules [1]_, and all others are checked afterwards.

    Parameters
    ----------
    Z : tensor of shape (n_problems, n, k)
        Features, centred and weighted, divided by ``sqrt(n)``. The problems should use
        similar groups, as those of folds do.

    y : tensor of shape (n_problems, n)
        Targets, likewise.

    alphas : tensor of shape (n_problems, n_alphas)
        Penalties, positive and in decreasing order.

    groups, mcp, tol : object
        As for :func:`solve_group_path`.

    Returns
    -------
    coef : tensor of shape (n_problems, n_alphas, k)

    gap : tensor of shape (n_problems, n_alphas)
        As `tol` defines it.

    References
    ----------
    .. [1] R. Tibshirani et al., "Strong rules for discarding predictors in lasso-type
       problems", Journal of the Royal Statistical Society B 74, 2012.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.group_path import solve_wide_group_path
    >>> from sparsedis.solvers.penalties import MCP
    >>> Z, y = torch.eye(3).double()[None], torch.tensor([[5.0, 2.0, 1.0]]).double()
    >>> alphas, groups = torch.tensor([[1.0]]).double(), torch.arange(3)
    >>> solve_wide_group_path(Z, y, alphas, groups, mcp=MCP())[0]
    tensor([[[5.0000, 1.5000, 0.0000]]], dtype=torch.float64)
    """
    return _follow(_Candidates(Z, y, groups, mcp), alphas, tol)


def _follow(path, alphas, tol):
    """Solutions and gaps for all penalties."""
    found = []
    for alpha in alphas.unbind(1):
        while bool((alpha < _DOWN * path.alpha).any()):
            path.go(torch.maximum(alpha, _DOWN * path.alpha), tol)
        gap = path.go(alpha, tol)
        found.append((path.coef, gap))
    return tuple(torch.stack(part, 1) for part in zip(*found, strict=True))


class _Path:
    """Where several problems are on their paths: `coef` solves them for `alpha`."""

    def __init__(self, corr, y_sq, groups, mcp, problems):
        self.y_sq, self.groups, self.mcp = y_sq, Groups(groups), mcp
        self.problems, self.rows = problems, None
        self.coef, self.past = torch.zeros_like(corr), []
        self.sizes = self.groups.norms(corr)
        self.alpha = self.largest = self.sizes.amax(-1)

    def go(self, alpha, tol):
        """Move to smaller penalties, and return the gaps of the solutions."""
        self.coef, gap = self._solve(self.coef, *self._guess(alpha), alpha, tol)
        self._arrive(alpha)
        return gap

    def _arrive(self, alpha):
        self.alpha = alpha
        self.past = [*self.past[-2:], (alpha.log(), self.coef)]

    def _guess(self, alpha):
        """Continue paths as parabolas in the logarithm of the penalty.

        Returns
        -------
        coef : tensor of shape (n_problems, k)

        guessed : tensor of shape (n_problems,) of bool
            Problems with the same groups in use at the last three penalties. For the
            others, `coef` is the last solution.
        """
        if len(self.past) < 3:
            return self.coef, torch.zeros_like(alpha, dtype=torch.bool)
        at, (first, second, last) = zip(*self.past, strict=True)
        used = last != 0
        same = (((first != 0) == used) & ((second != 0) == used)).all(1)
        x, y, z = (log - alpha.log() for log in at)
        same &= (x > y) & (y > z)
        parabola = zip(
            (first, second, last),
            (y * z / (x - y) / (x - z), x * z / (y - x) / (y - z)),
            strict=False,
        )
        third = x * y / (z - x) / (z - y)
        guess = sum((w * f.unsqueeze(1) for w, f in parabola), last * third[:, None])
        return torch.where(same.unsqueeze(1), guess, last), same

    def _solve(self, last, start, guessed, alpha, tol):
        """Solutions and gaps, on the features of `problems`."""
        if self.mcp is None:
            W, gap = self._step(start, guessed, alpha, tol)
            missed = (~(gap <= tol)).nonzero().flatten()
        else:
            W, gap = last.clone(), torch.zeros_like(alpha)
            missed = torch.arange(len(W), device=W.device)
        if len(missed):
            W[missed], gap[missed] = self._descend(missed, last, alpha, tol)
        # Rounding errors must not decide which solutions are zero.
        zero = alpha >= (1 - _ROUNDING) * self.largest
        return W.masked_fill(zero[:, None], 0.0), gap.masked_fill(zero, 0.0)

    def _step(self, start, guessed, alpha, tol):
        """Take Newton steps; points and their gaps."""
        problems = self.problems
        W, gradient = problems.solve(start, alpha, _SHARE * tol, guessed)
        explained = (W * problems.corr).sum(1)
        left = self.y_sq - explained
        residual_sq = (left + (W * gradient).sum(1)).clamp_min(0)
        largest = problems.norms(gradient).amax(1)
        share = torch.where(largest > alpha, alpha / largest, 1.0)
        gap = 0.5 * residual_sq * (1 + share * share) - share * left
        gap = (gap + alpha * problems.norms(W).sum(1)).clamp_min(0)
        gap = gap / torch.where(self.y_sq > 0, 0.5 * self.y_sq, 1.0)
        problems.ready &= gap <= tol
        return W, gap

    def _descend(self, at, start, alpha, tol):
        """Solve problems by descent, or by the general solver if that fails."""
        problem = self._rows(at)
        unit = problem.unit[:, None, None] * problem.scale.unsqueeze(-1)
        start = problem.groups.rows(start[at]) / unit
        problem.penalise(alpha[at])
        convex = problem.penalty.convex
        # A violation has an effect on the gap of its own order.
        steps = _STEPS if convex else _CONCAVE_STEPS
        V, _ = descend(problem, start, enough=_SHARE * tol, max_iter=steps)
        gap = problem.gap(V)
        missed = (convex & ~(gap <= tol)).nonzero().flatten()
        if len(missed):
            V[missed], info = _composite.solve(
                *(problem.take(missed), start[missed]),
                **{"tol": tol, "max_iter": _ROUNDS, "warm": True},
            )
            gap[missed] = info.gap
        return problem.groups.flat(V * unit), gap

    def _rows(self, at):
        """Some problems, as tables of groups."""
        if self.rows is not None:
            return self.rows
        whole, groups = self.problems, Groups(self.problems.groups)
        parts = (part[at] for part in (whole.gram, whole.corr, self.y_sq))
        rows = Grouped(*parts, groups, self.mcp)
        if self.mcp is not None:
            # All of them, for every penalty.
            self.rows = rows
        return rows


class _Candidates(_Path):
    """Paths on some of the groups, which are the same for all problems."""

    def __init__(self, Z, y, groups, mcp):
        corr = (Z.mT @ y.unsqueeze(-1)).squeeze(-1)
        super().__init__(corr, y.square().sum(1), groups, mcp, None)
        self.Z, self.y, self.corr, self.part = Z, y, corr, Z[..., :0]
        self.line = corr, torch.zeros_like(corr)
        self.chosen = torch.zeros_like(self.sizes[0], dtype=torch.bool)
        self.at = self.groups.groups[:0]

    def go(self, alpha, tol):
        """Move to smaller penalties, and return the gaps of the solutions."""
        ahead = self.line[0] + (alpha - self.alpha).unsqueeze(1) * self.line[1]
        self._let_in(self.groups.norms(ahead) > _NEAR * alpha.unsqueeze(1))
        (start, guessed), gap = self._guess(alpha), torch.zeros_like(alpha)
        while len(self.at):
            some = (part[:, self.at] for part in (self.coef, start))
            own, gap = self._solve(*some, guessed, alpha, tol)
            start = torch.zeros_like(self.coef)
            start[:, self.at] = own
            if bool(self.chosen.all()):
                break
            left = self.y.unsqueeze(-1) - self.part @ own.unsqueeze(-1)
            corr = (left.mT @ self.Z).squeeze(1)
            if not self._let_in(self.groups.norms(corr) > alpha.unsqueeze(1)):
                step = (alpha - self.alpha).unsqueeze(1)
                slope = torch.where(step != 0, (corr - self.line[0]) / step, 0.0)
                self.line = corr, slope
                break
        self.coef = start
        self._arrive(alpha)
        return gap

    def _let_in(self, groups):
        """Add candidates, and return whether there are new ones."""
        new = groups.any(0) & ~self.chosen
        if not bool(new.any()):
            return False
        self.chosen = self.chosen | new
        groups = self.groups.groups
        at = new[groups].nonzero().flatten()
        number = groups[at].unique(return_inverse=True)[1]
        part = self.Z[:, :, at]
        self.at, self.part = torch.cat([self.at, at]), torch.cat([self.part, part], 2)
        form = part.mT @ self.part, self.corr[:, at]
        if self.problems is None:
            self.problems = GroupNewton(*form, number)
        else:
            self.problems.extend(*form, self.problems.n_groups + number)
        self.rows = None
        return True
