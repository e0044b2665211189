"""Heads of a block of tasks, chosen from their paths by held-out errors."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from sparsedis._threads import threads_for
from sparsedis.heads._fold_rows import FoldRows
from sparsedis.heads._folds import choose
from sparsedis.heads._least_squares import bic, relax
from sparsedis.heads._task_rows import ROUNDING, fold_error, task_parts
from sparsedis.solvers._grouped import Groups
from sparsedis.solvers._wide_path import solve_wide_path
from sparsedis.solvers._working_path import solve_wide_sizes
from sparsedis.solvers.group_path import solve_group_path, solve_wide_group_path
from sparsedis.solvers.lasso_path import solve_lasso_path, solve_lasso_sizes
from sparsedis.solvers.penalties import MCP

# Numbers of features, without and with groups, up to which tasks are solved together.
_NARROW, _NARROW_GROUPS = 256, 64

# Entries of the Gram matrices of a block.
_BLOCK = 2**23

# Penalty of heads that are zero whatever it is, as in scikit-learn.
_SMALLEST = float(np.finfo(float).resolution)


@dataclass(frozen=True, eq=False)
class HeadProblem:
    """What the heads of all tasks have in common.

    Attributes
    ----------
    alphas : int, or ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Number of penalties of each task, or penalties in decreasing order.

    eps : float
        Smallest penalty of a task, relative to the largest, if `alphas` is a number.

    sizes : ndarray of shape (n_sizes,) of int, or None
        Numbers of features, in increasing order, to choose from instead of penalties.

    feature_weights : ndarray of shape (p,) or (n_tasks, p)
        Factors of the penalty: 0 for features without a penalty, inf for those to
        leave out.

    groups : ndarray of shape (p,) of int, or None
        Group of each feature, from 0. None: the penalty is that of the Lasso, on each
        feature alone.

    mcp : MCP or None
        Penalty of the norms of the groups; None: the norms themselves.

    adaptive : bool
        Whether to weight features by the coefficients of a first fit.

    rule : {"cv", "1se", "bic"}
        Choice among several penalties.

    relaxed : bool
        Whether to fit the chosen heads again, on their features and without penalty.

    fit_intercept, positive : bool

    tol : float

    device : torch.device
        Device that follows the paths.
    """

    alphas: object
    eps: float
    sizes: np.ndarray | None
    feature_weights: np.ndarray
    groups: np.ndarray | None
    mcp: MCP | None
    adaptive: bool
    rule: str
    relaxed: bool
    fit_intercept: bool
    positive: bool
    tol: float
    device: torch.device

    def take(self, tasks):
        """The same for some of the tasks."""
        alphas, weights = self.alphas, self.feature_weights
        alphas = alphas[tasks] if np.ndim(alphas) == 2 else alphas
        weights = weights[tasks] if weights.ndim == 2 else weights
        return replace(self, alphas=alphas, feature_weights=weights)

    @property
    def relaxes_points(self):
        """Whether heads with given numbers of features are chosen after a fit again."""
        return self.relaxed and self.sizes is not None

    def norms(self, x):
        """Sizes of what the penalty acts on, for vectors of shape (..., p).

        They are absolute values, or norms of groups.
        """
        if self.groups is None:
            return x.abs()
        return Groups(torch.from_numpy(self.groups).to(x.device)).norms(x)


@dataclass(frozen=True, eq=False)
class Heads:
    """Chosen heads of some tasks.

    Attributes
    ----------
    coef : ndarray of shape (n_tasks, p)

    intercept, alpha, gap : ndarray of shape (n_tasks,)

    chosen : ndarray of shape (n_tasks,) of int
        Position of the head on the path.

    weights : ndarray of shape (n_tasks, p)
        Weights of the features, after a first fit if they are adapted.

    alphas : ndarray of shape (n_tasks, n_alphas)

    errors : ndarray of shape (n_tasks, n_alphas, n_folds)
        Mean squared errors on each fold of heads fitted without it; NaN if either part
        has no labels.

    criterion : ndarray of shape (n_tasks, n_alphas)
        BIC; NaN for other rules.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alpha: np.ndarray
    gap: np.ndarray
    chosen: np.ndarray
    weights: np.ndarray
    alphas: np.ndarray
    errors: np.ndarray
    criterion: np.ndarray


def block_size(n, p, n_folds, problem):
    """Number of tasks whose paths are followed together."""
    if not _is_narrow(p, problem):
        return 1
    alphas = problem.alphas if problem.sizes is None else problem.sizes
    n_alphas = alphas if np.ndim(alphas) == 0 else alphas.shape[-1]
    if problem.groups is not None:
        # The table of groups has empty places, if their sizes differ.
        counts = np.bincount(problem.groups)
        p = len(counts) * counts.max()
    return max(1, _BLOCK // max(n, (n_folds + 1) * p * max(p, n_alphas)))


def _is_narrow(p, problem):
    """Whether tasks with p features are solved together."""
    return p <= (_NARROW if problem.groups is None else _NARROW_GROUPS)


# Many small operations: with `n_jobs`, blocks of tasks use the other cores.
@threads_for(1)
def fit_heads(X, Y, share, folds, problem):
    """Follow the paths of a block of tasks, and choose a head from each.

    Parameters
    ----------
    X : ndarray of shape (n, p)

    Y : ndarray of shape (n, n_tasks)
        Targets, 0 where missing.

    share : ndarray of shape (n, n_tasks)
        Weights of the labels, 0 where missing. Each task has one at least.

    folds : Folds

    problem : HeadProblem

    Returns
    -------
    Heads
    """
    fold, used = folds.assign(share > 0), share.any(1)
    # Sums of weights must not overflow.
    share = share / share.max(0)
    data = X[used], Y[used], share[used], fold[used]
    parts = folds.n_folds + 1, Y.shape[1], X.shape[1]
    weights = np.broadcast_to(problem.feature_weights, parts).copy()
    if problem.adaptive:
        weights = _adapted(*data, weights, problem)
    return _fit_heads(*data, weights, problem)


def _adapted(X, Y, share, fold, weights, problem):
    """Weights of the features by pilot heads, which know nothing of their fold."""
    rule = "bic" if problem.rule == "bic" else "cv"
    pilot = replace(problem, rule=rule, sizes=None, relaxed=False)
    adapted = []
    for i, own in enumerate(weights):
        inside = np.where(fold == i - 1, 0.0, share) if i else share
        # Nothing is fitted without a fold that holds all labels.
        inside = np.where(inside.any(0), inside, share)
        coef = _fit_heads(X, Y, inside, fold, weights, pilot).coef
        penalised = (own > 0) & np.isfinite(own)
        size = problem.norms(torch.from_numpy(np.where(penalised, coef, 0.0))).numpy()
        size = size if problem.groups is None else size[:, problem.groups]
        factor = np.full(size.shape, np.inf)
        np.divide(size.max(1, keepdims=True), size, out=factor, where=size > 0)
        adapted.append(np.multiply(own, factor, out=own.copy(), where=penalised))
    return np.stack(adapted)


def coef_paths(X, Y, share, problem):
    """Coefficients of some tasks for all their penalties.

    Parameters
    ----------
    X, Y, share, problem : object
        As for :func:`fit_heads`.

    Returns
    -------
    ndarray of shape (n_tasks, n_alphas, p)
    """
    weights = np.broadcast_to(problem.feature_weights, (1, Y.shape[1], X.shape[1]))
    fold, share = np.zeros(share.shape, dtype=int), share / share.max(0)
    _, _, (_, coef, *_) = _follow(X, Y, share, fold, weights.copy(), problem)
    return coef


def _fit_heads(X, Y, share, fold, weights, problem):
    """The same with weights of the features, for all labels and without each fold."""
    (Z, Y), (centre, middle), found = _follow(X, Y, share, fold, weights, problem)
    alphas, coef, intercept, gap, errors = found
    criterion = np.full(alphas.shape, np.nan)
    if problem.rule == "bic":
        if problem.relaxes_points:
            for i in range(len(problem.sizes)):
                support = coef[:, i] != 0
                coef[:, i], intercept[:, i] = relax(
                    Z, Y, share, support, problem.fit_intercept
                )
        criterion = bic(Z, Y, share, coef, intercept, problem.fit_intercept)
        chosen = criterion.argmin(1)
    else:
        chosen = choose(errors, problem.rule)
    at = np.arange(len(chosen)), chosen
    coef, intercept = coef[at], intercept[at]
    if problem.relaxed:
        coef, intercept = relax(Z, Y, share, coef != 0, problem.fit_intercept)
    intercept = middle + intercept - coef @ centre
    penalties = alphas[at], gap[at]
    how = chosen, weights[0]
    return Heads(coef, intercept, *penalties, *how, alphas, errors, criterion)


def _follow(X, Y, share, fold, weights, problem):
    """Centre the data and follow the paths; data, centres and results."""
    centre, middle = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
    if problem.fit_intercept:
        mass = share.sum(0)
        centre, middle = X.mean(0), (share * Y).sum(0) / mass
        spread = np.sqrt((share * (Y - middle) ** 2).sum(0) / mass)
        varies = spread > ROUNDING * np.abs(Y).max(0)
        Y = np.where((share > 0) & varies, Y - middle, 0.0)
    Z = X - centre
    data = (
        torch.from_numpy(np.ascontiguousarray(part)).to(problem.device)
        for part in (Z, Y, share, fold, weights)
    )
    paths = _narrow if _is_narrow(Z.shape[1], problem) else _wide
    found = [part.cpu().numpy() for part in paths(*data, problem)]
    return (Z, Y), (centre, middle), found


def _penalties(problem, corr, scale):
    """Penalties of each task, of shape (n_tasks, n_alphas).

    `scale` bounds the correlations of each task: less than its rounding errors is 0.
    """
    alphas = problem.alphas
    if isinstance(alphas, np.ndarray):
        alphas = torch.from_numpy(alphas).to(corr)
        return alphas.expand(len(corr), -1)
    largest = (corr if problem.positive else problem.norms(corr)).amax(1)
    end = np.log10(problem.eps)
    grid = torch.logspace(0, end, alphas, dtype=corr.dtype, device=corr.device)
    grid = largest[:, None] * grid
    return torch.where((largest > ROUNDING * scale)[:, None], grid, _SMALLEST)


def _narrow(Z, Y, share, fold, weights, problem):
    """All tasks together, each in Gram form."""
    n_parts, n_tasks, p = weights.shape
    gram = Z.new_empty(n_parts, n_tasks, p, p)
    corr, x_mean = Z.new_empty(2, n_parts, n_tasks, p)
    y_sq, y_mean = Z.new_empty(2, n_parts, n_tasks)
    free, held_out, completions = weights[0] == 0, [], {}
    for t in range(n_tasks):
        # Tasks with the same labels and weights have the same Gram matrices.
        if not t or not all(torch.equal(a[t], a[t - 1]) for a in (share.T, free)):
            how = n_parts - 1, problem.fit_intercept
            labels = share[:, t], fold[:, t]
            rows, parts = FoldRows(Z, *labels, *how), None
        held_out.append(rows.held_out)
        gram[:, t], x_mean[:, t] = rows.gram, rows.x_mean
        corr[:, t], y_sq[:, t], y_mean[:, t], sound = rows.targets(Y[:, t])
        if rows.sound and sound and not bool(free[t].any()):
            continue
        if parts is None:
            parts = task_parts(Z, *labels, *how, free[t])
            grams = [None if part is None else part.Z.T @ part.Z for part in parts]
        for i, part in enumerate(parts):
            if part is not None:
                y, completions[i, t] = part.centre(Y[:, t])
                gram[i, t], corr[i, t], y_sq[i, t] = grams[i], part.Z.T @ y, y @ y
    unit = _units(weights)
    if bool((unit != 1).any()):
        # In units in which all features have the same penalty.
        gram *= unit[..., None, :]
        gram *= unit[..., None]
        corr *= unit
    scale = gram.diagonal(dim1=-2, dim2=-1).amax(-1).sqrt() * y_sq.sqrt()
    form = gram.flatten(0, 1), corr.flatten(0, 1), y_sq.flatten()
    how = {"positive": problem.positive}
    if problem.sizes is None:
        alphas = _penalties(problem, corr[0], scale[0])
        each = alphas.repeat(n_parts, 1)
        if problem.groups is None:
            coef, info = solve_lasso_path(*form, each, tol=problem.tol, **how)
            gap = info.gap
        else:
            coef, gap = solve_group_path(*form, each, **_grouped(problem))
    else:
        # Rounding errors are no correlations.
        corr[corr.abs().amax(-1) <= ROUNDING * scale] = 0.0
        sizes = torch.from_numpy(problem.sizes).to(Z.device)
        coef, alphas, gap = solve_lasso_sizes(*form, sizes, problem.eps, **how)
        alphas = torch.where(alphas > 0, alphas, _SMALLEST)[:n_tasks]
    coef = coef.reshape(n_parts, n_tasks, -1, p).mul_(unit[:, :, None])
    intercept = y_mean[..., None] - (coef @ x_mean[..., None]).squeeze(-1)
    for at, complete in completions.items():
        intercept[at] = complete(coef[at])
    errors = Z.new_empty(*alphas.shape, n_parts - 1)
    for t, own in enumerate(held_out):
        if problem.relaxes_points:
            data = Z, Y[:, t], share[:, t], fold[:, t]
            for i in range(1, n_parts):
                head = _relaxed_points(problem, *data, i - 1, coef[i, t])
                coef[i, t], intercept[i, t] = head
        errors[t] = own.errors(Z, Y[:, t], coef[1:, t], intercept[1:, t])
    return alphas, coef[0], intercept[0], gap[:n_tasks], errors


def _wide(Z, Y, share, fold, weights, problem):
    """One task, on the features that enter its paths."""
    y, weight, fold = Y[:, 0], share[:, 0], fold[:, 0]
    how = problem.fit_intercept, weights[0, 0] == 0
    parts = task_parts(Z, weight, fold, len(weights) - 1, *how)
    used = [i for i, part in enumerate(parts) if part is not None]
    targets, completions = zip(*(parts[i].centre(y) for i in used), strict=True)
    unit = _units(weights[used, 0])
    data = [parts[i].Z * own for i, own in zip(used, unit, strict=True)], targets
    paths = _wide_lassos if problem.groups is None else _wide_groups
    alphas, coef, gap = paths(problem, *data)
    intercept = Z.new_empty(len(used), len(alphas))
    errors = Z.new_full((len(alphas), len(parts) - 1), torch.nan)
    for j, i in enumerate(used):
        coef[j] *= unit[j]
        intercept[j] = completions[j](coef[j])
        if i:
            data, head = (Z, y, weight, fold, i - 1), (coef[j], intercept[j])
            if problem.relaxes_points:
                head = _relaxed_points(problem, *data, coef[j])
            errors[:, i - 1] = fold_error(*data, *head)
    return tuple(part[None] for part in (alphas, coef[0], intercept[0], gap, errors))


def _wide_lassos(problem, Zs, ys):
    """Penalties of a task, coefficients of all its parts, and gaps of the first."""
    scale, corr = Zs[0].norm(dim=0).max() * ys[0].norm(), Zs[0].T @ ys[0]
    how = {"positive": problem.positive}
    if problem.sizes is None:
        alphas, tol = _penalties(problem, corr[None], scale[None])[0], problem.tol
        found = [
            solve_wide_path(Z, y, alphas, tol=tol, **how)
            for Z, y in zip(Zs, ys, strict=True)
        ]
        return alphas, torch.stack([coef for coef, _ in found]), found[0][1]
    sizes, found = torch.from_numpy(problem.sizes).to(corr.device), []
    for Z, y in zip(Zs, ys, strict=True):
        # Rounding errors are no correlations.
        scale = Z.norm(dim=0).max() * y.norm()
        y = y * ((Z.T @ y).abs().max() > ROUNDING * scale)
        found.append(solve_wide_sizes(Z, y, sizes, problem.eps, **how))
    coef, alphas, gap = zip(*found, strict=True)
    alphas = torch.where(alphas[0] > 0, alphas[0], _SMALLEST)
    return alphas, torch.stack(coef), gap[0]


def _wide_groups(problem, Zs, ys):
    """The same with groups, for all parts together if they are small."""
    scale, corr = Zs[0].norm(dim=0).max() * ys[0].norm(), Zs[0].T @ ys[0]
    alphas = _penalties(problem, corr[None], scale[None])[0]
    size, found = max(1, _BLOCK // Zs[0].numel()), []
    for first in range(0, len(Zs), size):
        some = slice(first, first + size)
        Z, y = (pad_sequence(part[some], batch_first=True) for part in (Zs, ys))
        each = alphas.expand(len(Z), -1)
        found.append(solve_wide_group_path(Z, y, each, **_grouped(problem)))
    coef, gap = (torch.cat(part) for part in zip(*found, strict=True))
    return alphas, coef, gap[0]


def _grouped(problem):
    """Arguments of the solvers of groups."""
    groups = torch.from_numpy(problem.groups).to(problem.device)
    return {"groups": groups, "mcp": problem.mcp, "tol": problem.tol}


def _relaxed_points(problem, Z, y, weight, fold, f, coef):
    """Fit several heads again without a fold, on the features that they use."""
    inside = torch.where(fold == f, 0.0, weight)
    columns = (part[:, None].expand(-1, len(coef)) for part in (y, inside))
    data = (part.cpu().numpy() for part in (Z, *columns, coef != 0))
    head = relax(*data, problem.fit_intercept)
    return tuple(torch.from_numpy(part).to(Z) for part in head)


def _units(weights):
    """Factors of features for a penalty without weights; 0 for those without any."""
    return torch.where(weights > 0, 1 / weights, 0.0)
