"""Paths of one task on many features."""

import torch
from torch.nn.utils.rnn import pad_sequence

from sparsedis.heads._least_squares import relax_points
from sparsedis.heads._path_problem import SMALLEST, units
from sparsedis.heads._task_rows import ROUNDING, fold_error, task_parts
from sparsedis.solvers._wide_path import solve_wide_path
from sparsedis.solvers._working_path import solve_wide_sizes
from sparsedis.solvers.group_path import solve_wide_group_path

# Entries of the features of parts that are solved together.
_BLOCK = 2**23


def follow_wide_paths(Z, Y, share, fold, weights, problem):
    """Follow the paths of one task, on the features that enter them.

    Parameters
    ----------
    Z, Y, share, fold, weights, problem : object
        As for :func:`~sparsedis.heads._gram_paths.follow_gram_paths`, with one task.

    Returns
    -------
    alphas, coef, intercept, gap, errors : tensor
        As from that function.
    """
    y, weight, fold = Y[:, 0], share[:, 0], fold[:, 0]
    how = problem.fit_intercept, weights[0, 0] == 0
    parts = task_parts(Z, weight, fold, len(weights) - 1, *how)
    used = [i for i, part in enumerate(parts) if part is not None]
    targets, completions = zip(*(parts[i].centre(y) for i in used), strict=True)
    unit = units(weights[used, 0])
    data = [parts[i].Z * own for i, own in zip(used, unit, strict=True)], targets
    paths = _lassos if problem.groups is None else _groups
    alphas, coef, gap = paths(problem, *data)
    intercept = Z.new_empty(len(used), len(alphas))
    errors = Z.new_full((len(alphas), len(parts) - 1), torch.nan)
    for j, i in enumerate(used):
        coef[j] *= unit[j]
        intercept[j] = completions[j](coef[j])
        if i:
            data, head = (Z, y, weight, fold, i - 1), (coef[j], intercept[j])
            if problem.relaxes_points:
                head = relax_points(*data, coef[j], problem.fit_intercept)
            errors[:, i - 1] = fold_error(*data, *head)
    return tuple(part[None] for part in (alphas, coef[0], intercept[0], gap, errors))


def _lassos(problem, Zs, ys):
    """Penalties of a task, coefficients of all its parts, and gaps of the first."""
    how = {"positive": problem.positive}
    if problem.sizes is None:
        alphas, tol = _penalties(problem, Zs[0], ys[0]), problem.tol
        found = [
            solve_wide_path(Z, y, alphas, tol=tol, **how)
            for Z, y in zip(Zs, ys, strict=True)
        ]
        return alphas, torch.stack([coef for coef, _ in found]), found[0][1]
    sizes, found = torch.from_numpy(problem.sizes).to(Zs[0].device), []
    for Z, y in zip(Zs, ys, strict=True):
        # Rounding errors are no correlations.
        scale = Z.norm(dim=0).max() * y.norm()
        y = y * ((Z.T @ y).abs().max() > ROUNDING * scale)
        found.append(solve_wide_sizes(Z, y, sizes, problem.eps, **how))
    coef, alphas, gap = zip(*found, strict=True)
    alphas = torch.where(alphas[0] > 0, alphas[0], SMALLEST)
    return alphas, torch.stack(coef), gap[0]


def _groups(problem, Zs, ys):
    """The same with groups, for all parts together if they are small."""
    alphas = _penalties(problem, Zs[0], ys[0])
    size, found = max(1, _BLOCK // Zs[0].numel()), []
    for first in range(0, len(Zs), size):
        some = slice(first, first + size)
        Z, y = (pad_sequence(part[some], batch_first=True) for part in (Zs, ys))
        each = alphas.expand(len(Z), -1)
        found.append(solve_wide_group_path(Z, y, each, **problem.of_groups()))
    coef, gap = (torch.cat(part) for part in zip(*found, strict=True))
    return alphas, coef, gap[0]


def _penalties(problem, Z, y):
    """Penalties of a task, from those of all its rows."""
    scale = Z.norm(dim=0).max() * y.norm()
    return problem.penalties((Z.T @ y)[None], scale[None])[0]
