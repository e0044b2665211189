"""The problems, their reference solutions, and how far a solution is from them.

A problem is a dict of arrays, so that it travels through an ``.npz`` file: features
``Z``, targets ``y``, penalties, and the cotangent ``G`` of the solution: what is timed
is the solution ``W`` and the gradient of ``<W, G>`` with respect to ``Z``.
"""

import numpy as np
from sklearn.linear_model import Lasso


def make_lasso(n_tasks, n=50, k=6, relative=0.05, seed=0, correlation=0.0):
    """Lasso tasks with half of the coefficients zero and 10 % of noise.

    All pairs of features have the same correlation.
    """
    rng = np.random.default_rng(seed)
    Z = np.sqrt(1 - correlation) * rng.standard_normal((n_tasks, n, k))
    Z += np.sqrt(correlation) * rng.standard_normal((n_tasks, n, 1))
    w = rng.standard_normal((n_tasks, k)) * (rng.random((n_tasks, k)) < 0.5)
    y = (Z @ w[..., None])[..., 0] + 0.1 * rng.standard_normal((n_tasks, n))
    alpha = relative * np.abs(np.swapaxes(Z, 1, 2) @ y[..., None]).max((1, 2)) / n
    return {"Z": Z, "y": y, "alpha": alpha, "G": rng.standard_normal((n_tasks, k))}


def make_svm(n_tasks, p, relative, n_classes=5, n_shots=5, l2=1.0, seed=0):
    """Few-shot tasks on features as they come out of a ReLU, in float32.

    Samples have a norm of 20 or so whatever p is, so that all sizes are as hard.
    """
    rng = np.random.default_rng(seed)
    y = np.tile(np.repeat(np.arange(n_classes), n_shots), (n_tasks, 1))
    mean = 0.5 * rng.standard_normal((n_tasks, n_classes, p))
    Z = mean[np.arange(n_tasks)[:, None], y]
    Z = np.maximum(Z + rng.standard_normal(Z.shape), 0)
    Z = (20 * Z / np.sqrt((Z**2).sum(-1).mean())).astype(np.float32)
    one_hot = np.eye(n_classes)[y]
    # The closed-form penalty from which the solution is zero.
    spread = one_hot - (1 - one_hot) / (n_classes - 1)
    bound = np.linalg.norm(np.swapaxes(Z, 1, 2) @ spread, axis=-1).max(-1)
    return {
        "Z": Z,
        "y": y,
        "alpha": relative * bound,
        "l2": np.full(n_tasks, l2),
        "G": rng.standard_normal((n_tasks, p, n_classes)).astype(np.float32),
    }


def lasso_gradient(Z, y, w, G):
    """Gradient of ``<w, G>`` for Lasso solutions: one linear system per support."""
    n, k = Z.shape[1:]
    active = w != 0
    both = active[:, :, None] & active[:, None, :]
    hessian = np.where(both, np.swapaxes(Z, 1, 2) @ Z / n, np.eye(k))
    u = np.linalg.solve(hessian, np.where(active, G, 0.0)[..., None])
    residual = y[..., None] - Z @ w[..., None]
    return (residual * np.swapaxes(u, 1, 2) - (Z @ u) * w[:, None]) / n


def lasso_objective(problem, w):
    """Objective of each task."""
    residual = problem["y"] - (problem["Z"] @ w[..., None])[..., 0]
    fit = (residual**2).sum(-1) / (2 * residual.shape[-1])
    return fit + problem["alpha"] * np.abs(w).sum(-1)


def lasso_reference(problem):
    """Solution, gradient and lower bound of the objective, with its relative gap."""
    Z, y, alpha = problem["Z"], problem["y"], problem["alpha"]
    n = Z.shape[1]
    w = np.zeros(problem["G"].shape)
    for t, (features, target) in enumerate(zip(Z, y, strict=True)):
        model = Lasso(alpha[t], fit_intercept=False, tol=1e-14, max_iter=100_000)
        coef = model.fit(features, target).coef_
        # The signs are right, so the values have a closed form.
        on = coef != 0
        part = features[:, on]
        right = part.T @ target / n - alpha[t] * np.sign(coef[on])
        w[t, on] = np.linalg.solve(part.T @ part / n, right)
    residual = y - (Z @ w[..., None])[..., 0]
    largest = np.abs(np.swapaxes(Z, 1, 2) @ residual[..., None]).max((1, 2)) / n
    theta = residual * np.minimum(1, alpha / largest)[:, None]
    dual = ((y**2).sum(-1) - ((y - theta) ** 2).sum(-1)) / (2 * n)
    gap = (lasso_objective(problem, w) - dual).max() / dual.min()
    return w, lasso_gradient(Z, y, w, problem["G"]), dual, gap


def svm_objective(problem, W):
    """Objective of each task."""
    scores = np.asarray(problem["Z"], float) @ W
    one_hot = np.eye(W.shape[-1])[problem["y"]]
    hinge = (1 - one_hot + scores).max(-1) - (one_hot * scores).sum(-1)
    rows = np.linalg.norm(W, axis=-1).sum(-1)
    square = (W**2).sum((1, 2))
    return hinge.sum(-1) + problem["alpha"] * rows + problem["l2"] / 2 * square


def svm_reference(problem):
    """Solution, gradient and lower bound of the objective, with its relative gap.

    The dual variables come from the solver of this package, to rounding errors. The
    gap, computed here, shows that they are right, whoever found them.
    """
    import torch

    from sparsedis.solvers.svm.dual import solve_svm_dual

    Z, y = np.asarray(problem["Z"], float), problem["y"]
    n_classes = problem["G"].shape[-1]
    tensors = (torch.from_numpy(x) for x in (Z, y, np.ones(y.shape)))
    penalties = (torch.from_numpy(problem[name]) for name in ("alpha", "l2"))
    beta = solve_svm_dual(*tensors, *penalties, n_classes, tol=1e-12).beta.numpy()
    beta = np.maximum(beta, 0)
    beta /= beta.sum(-1, keepdims=True)

    one_hot = np.eye(n_classes)[y]
    alpha, l2 = problem["alpha"][:, None, None], problem["l2"][:, None, None]
    V = np.swapaxes(Z, 1, 2) @ (one_hot - beta)
    length = np.linalg.norm(V, axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        W = np.where(length > alpha, (1 - alpha / length) * V, 0.0) / l2
    dual = (beta * (1 - one_hot)).sum((1, 2)) - problem["l2"] / 2 * (W**2).sum((1, 2))
    gap = ((svm_objective(problem, W) - dual) / dual).max()
    grad = [
        _svm_gradient(*args)
        for args in zip(
            Z,
            one_hot,
            beta,
            V,
            W,
            problem["G"],
            problem["alpha"],
            problem["l2"],
            strict=True,
        )
    ]
    return W, np.stack(grad), dual, gap


def _svm_gradient(Z, Y, beta, V, W, G, alpha, l2):
    """Gradient of ``<W, G>`` of one task, through its dual, by dense algebra."""
    n, c = Y.shape
    # Without alpha even a feature that is zero everywhere moves the solution.
    on = (np.abs(W).max(1) > 0) | (alpha == 0)
    length = np.linalg.norm(V[on], axis=1)[:, None, None]
    length = np.where(length > 0, length, 1)
    unit = V[on][:, :, None] / length
    share = alpha / length
    curve = (1 - share) * np.eye(c) + share * unit * np.swapaxes(unit, 1, 2)
    part = Z[:, on]
    P = (curve @ G[on][:, :, None])[..., 0] / l2

    # Directions that keep each row of beta in its face of the simplex.
    free = [np.flatnonzero(row > 1e-8) for row in beta]
    basis = np.zeros((n, c, sum(len(at) - 1 for at in free)))
    column = 0
    for i, at in enumerate(free):
        for other in at[1:]:
            basis[i, [at[0], other], column] = 1, -1
            column += 1
    basis = basis.reshape(n * c, -1)
    # (curve (x) z z') summed over the features, a feature at a time in one product.
    root = np.linalg.cholesky(curve)
    wide = np.einsum("ij,jlm->iljm", part, root).reshape(n * c, -1)
    wide = basis.T @ wide
    right = basis.T @ (part @ P).ravel()
    a = (basis @ np.linalg.lstsq(wide @ wide.T / l2, right, rcond=1e-13)[0]).reshape(
        n, c
    )

    U = np.zeros_like(W)
    U[on] = P - (curve @ (part.T @ a)[:, :, None])[..., 0] / l2
    return (Y - beta) @ U.T - a @ W.T


def errors(kind, problem, reference, solution):
    """Errors of a solution: of W, of the gradient, and of the objective (relative)."""
    W, grad, dual, _ = reference
    objective = {"lasso": lasso_objective, "svm": svm_objective}[kind]
    found, found_grad = (np.asarray(x, float) for x in solution)
    return {
        "w_error": np.abs(found - W).max() / np.abs(W).max(),
        "grad_error": np.abs(found_grad - grad).max() / np.abs(grad).max(),
        "gap": np.maximum((objective(problem, found) - dual) / dual, 0).max(),
    }
