"""Paths of many tasks on few features, all together."""

import torch

from sparsedis.heads._fold_rows import FoldRows
from sparsedis.heads._least_squares import relax_points
from sparsedis.heads._path_problem import SMALLEST, units
from sparsedis.heads._task_rows import ROUNDING, task_parts
from sparsedis.solvers.group_path import solve_group_path
from sparsedis.solvers.lasso_path import solve_lasso_path, solve_lasso_sizes


def follow_gram_paths(Z, Y, share, fold, weights, problem):
    """Follow the paths of some tasks, each in Gram form.

    Parameters
    ----------
    Z : tensor of shape (n, p)
        Centred features.

    Y : tensor of shape (n, n_tasks)
        Centred targets, 0 where missing.

    share, fold : tensor of shape (n, n_tasks)
        Weights of the labels, 0 where missing, and their folds.

    weights : tensor of shape (1 + n_folds, n_tasks, p)
        Weights of the features, for all rows and without each fold.

    problem : HeadProblem

    Returns
    -------
    alphas : tensor of shape (n_tasks, n_alphas)

    coef : tensor of shape (n_tasks, n_alphas, p)

    intercept, gap : tensor of shape (n_tasks, n_alphas)

    errors : tensor of shape (n_tasks, n_alphas, n_folds)
        Mean squared errors of the heads fitted without each fold, on this fold.
    """
    n_parts, n_tasks, p = weights.shape
    form, centres, held_out = _products(
        Z, Y, share, fold, n_parts - 1, problem.fit_intercept, free=weights[0] == 0
    )
    (gram, corr, y_sq), (x_mean, y_mean, completions) = form, centres
    unit = units(weights)
    if bool((unit != 1).any()):
        # In units in which all features have the same penalty.
        gram *= unit[..., None, :]
        gram *= unit[..., None]
        corr *= unit
    scale = gram.diagonal(dim1=-2, dim2=-1).amax(-1).sqrt() * y_sq.sqrt()
    if problem.sizes is not None:
        # Rounding errors are no correlations.
        corr[corr.abs().amax(-1) <= ROUNDING * scale] = 0.0
    form = gram.flatten(0, 1), corr.flatten(0, 1), y_sq.flatten()
    alphas, coef, gap = _solutions(problem, form, scale[0], n_parts)
    coef = coef.reshape(n_parts, n_tasks, -1, p).mul_(unit[:, :, None])
    intercept = y_mean[..., None] - (coef @ x_mean[..., None]).squeeze(-1)
    for at, complete in completions.items():
        intercept[at] = complete(coef[at])
    errors = Z.new_empty(*alphas.shape, n_parts - 1)
    for t, own in enumerate(held_out):
        if problem.relaxes_points:
            data = Z, Y[:, t], share[:, t], fold[:, t]
            for i in range(1, n_parts):
                head = relax_points(*data, i - 1, coef[i, t], problem.fit_intercept)
                coef[i, t], intercept[i, t] = head
        errors[t] = own.errors(Z, Y[:, t], coef[1:, t], intercept[1:, t])
    return alphas, coef[0], intercept[0], gap[:n_tasks], errors


def _products(Z, Y, share, fold, n_folds, fit_intercept, free):
    """Products of all parts of each task, their centres, and the rows of the folds.

    Parts whose products lose their digits have those of their own rows, whose heads
    lack what the completions add.
    """
    n_parts, n_tasks, p = n_folds + 1, Y.shape[1], Z.shape[1]
    gram = Z.new_empty(n_parts, n_tasks, p, p)
    corr, x_mean = Z.new_empty(2, n_parts, n_tasks, p)
    y_sq, y_mean = Z.new_empty(2, n_parts, n_tasks)
    held_out, completions = [], {}
    for t in range(n_tasks):
        # Tasks with the same labels and weights have the same Gram matrices.
        if not t or not all(torch.equal(a[t], a[t - 1]) for a in (share.T, free)):
            own = share[:, t], fold[:, t], n_folds, fit_intercept
            rows, parts = FoldRows(Z, *own), None
        held_out.append(rows.held_out)
        gram[:, t], x_mean[:, t] = rows.gram, rows.x_mean
        corr[:, t], y_sq[:, t], y_mean[:, t], sound = rows.targets(Y[:, t])
        if rows.sound and sound and not bool(free[t].any()):
            continue
        if parts is None:
            parts = task_parts(Z, *own, free[t])
            grams = [None if part is None else part.Z.T @ part.Z for part in parts]
        for i, part in enumerate(parts):
            if part is not None:
                y, completions[i, t] = part.centre(Y[:, t])
                gram[i, t], corr[i, t], y_sq[i, t] = grams[i], part.Z.T @ y, y @ y
    return (gram, corr, y_sq), (x_mean, y_mean, completions), held_out


def _solutions(problem, form, scale, n_parts):
    """Penalties of the tasks, coefficients of all their parts, and gaps."""
    corr, how = form[1], {"positive": problem.positive}
    n_tasks = len(corr) // n_parts
    if problem.sizes is None:
        alphas = problem.penalties(corr[:n_tasks], scale)
        each = alphas.repeat(n_parts, 1)
        if problem.groups is None:
            coef, info = solve_lasso_path(*form, each, tol=problem.tol, **how)
            return alphas, coef, info.gap
        return alphas, *solve_group_path(*form, each, **problem.of_groups())
    sizes = torch.from_numpy(problem.sizes).to(corr.device)
    coef, alphas, gap = solve_lasso_sizes(*form, sizes, problem.eps, **how)
    return torch.where(alphas > 0, alphas, SMALLEST)[:n_tasks], coef, gap
