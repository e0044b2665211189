"""Paths of regressions with a penalty on groups of features, penalty by penalty."""

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._descent import descend
from sparsedis.solvers._grouped import Grouped, Groups

# Steps with a line search for a penalty, and rounds of the general solver after those.
_STEPS, _ROUNDS = 100, 100

# Steps for a penalty that is not convex. Most problems need 10; where the objective is
# not convex because of small penalties and few samples, some need hundreds.
_CONCAVE_STEPS = 500

# Violation at which to stop, relative to the tolerance.
_SHARE = 1e-2

# Largest step to a smaller penalty, as a factor.
_DOWN = 0.5

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
    groups = Groups(groups)
    problem = Grouped(gram, corr, y_sq, groups, mcp)
    largest, V = groups.norms(corr).amax(-1), torch.zeros_like(problem.corr)
    found, last = [], largest
    for alpha in alphas.unbind(1):
        while bool((alpha < _DOWN * last).any()):
            last = torch.maximum(alpha, _DOWN * last)
            V, _ = _solve(problem, last, largest, V, tol)
        V, gap = _solve(problem, alpha, largest, V, tol)
        last = alpha
        found.append((groups.flat(V * problem.scale.unsqueeze(-1)), gap))
    return tuple(torch.stack(part, 1) for part in zip(*found, strict=True))


def solve_wide_group_path(Z, y, alphas, groups, *, mcp=None, tol=1e-10):
    """Solve a problem with many features for several penalties.

    Groups that the strong rule [1]_ keeps are candidates, and all others are checked
    afterwards.

    Parameters
    ----------
    Z : tensor of shape (n, k)
        Features, centred and weighted, divided by ``sqrt(n)``.

    y : tensor of shape (n,)
        Targets, likewise.

    alphas : tensor of shape (n_alphas,)
        Penalties, positive and in decreasing order.

    groups, mcp, tol : object
        As for :func:`solve_group_path`.

    Returns
    -------
    coef : tensor of shape (n_alphas, k)

    gap : tensor of shape (n_alphas,)
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
    >>> Z, y = torch.eye(3).double(), torch.tensor([5.0, 2.0, 1.0]).double()
    >>> alphas, groups = torch.tensor([1.0]).double(), torch.arange(3)
    >>> solve_wide_group_path(Z, y, alphas, groups, mcp=MCP())[0]
    tensor([[5.0000, 1.5000, 0.0000]], dtype=torch.float64)
    """
    path = _Candidates(Z, y, groups, mcp)
    coef, gap = Z.new_zeros(len(alphas), Z.shape[1]), Z.new_zeros(len(alphas))
    for i, alpha in enumerate(alphas):
        while bool(alpha < _DOWN * path.alpha):
            path.go(_DOWN * path.alpha, tol)
        gap[i] = path.go(alpha, tol)
        coef[i] = path.coef
    return coef, gap


class _Candidates:
    """A path on some of the groups: `coef` is the solution for the penalty `alpha`."""

    def __init__(self, Z, y, groups, mcp):
        self.Z, self.y, self.mcp, self.every = Z, y, mcp, Groups(groups)
        self.corr, self.coef = Z.T @ y, torch.zeros_like(Z[0])
        self.sizes = self.every.norms(self.corr)
        self.alpha = self.largest = self.sizes.max()
        self.chosen = torch.zeros_like(self.sizes, dtype=torch.bool)

    def go(self, alpha, tol):
        """Move to a smaller penalty, and return the gap of the solution."""
        new = self.sizes > 2 * alpha - self.alpha
        self.alpha = alpha
        while True:
            self._let_in(new & ~self.chosen)
            gap = self._solve(tol)
            new = self.sizes > alpha
            if not bool((new & ~self.chosen).any()):
                return gap

    def _let_in(self, new):
        """Add candidates."""
        if not bool(new.any()):
            return
        self.chosen = self.chosen | new
        self.at = self.chosen[self.every.groups].nonzero().flatten()
        groups = Groups(self.every.groups[self.at].unique(return_inverse=True)[1])
        self.part = self.Z[:, self.at]
        form = (self.part.T @ self.part)[None], self.corr[None, self.at]
        y_sq = self.y.square().sum()[None]
        self.problem = Grouped(*form, y_sq, groups, self.mcp)

    def _solve(self, tol):
        """Solve the problem on the candidates, and return the gap."""
        if not bool(self.chosen.any()):
            return torch.zeros_like(self.alpha)
        groups, scale = self.problem.groups, self.problem.scale.unsqueeze(-1)
        start = groups.rows(self.coef[None, self.at]) / scale
        penalties = self.alpha[None], self.largest[None]
        V, gap = _solve(self.problem, *penalties, start, tol)
        own = groups.flat(V * scale)[0]
        self.coef = torch.zeros_like(self.coef)
        self.coef[self.at] = own
        self.sizes = self.every.norms((self.y - self.part @ own) @ self.Z)
        return gap[0]


def _solve(problem, alpha, largest, start, tol):
    """Solve problems for one penalty each, starting from solutions for larger ones."""
    problem.penalise(alpha)
    convex = problem.penalty.convex
    # A violation has an effect on the gap of its own order.
    unit = torch.linalg.vector_norm(problem.corr, dim=-1).max()
    enough, steps = _SHARE * tol * float(unit), _STEPS if convex else _CONCAVE_STEPS
    V, _ = descend(problem, start, enough=enough, max_iter=steps)
    gap = problem.gap(V)
    missed = (convex & ~(gap <= tol)).nonzero().flatten()
    if len(missed):
        V[missed], info = _composite.solve(
            *(problem.take(missed), start[missed]),
            **{"tol": tol, "max_iter": _ROUNDS, "warm": True},
        )
        gap[missed] = info.gap
    # Rounding errors must not decide which solutions are zero.
    zero = alpha >= (1 - _ROUNDING) * largest
    V = torch.where(zero[:, None, None], 0.0, V)
    return V, torch.where(zero, 0.0, gap)
