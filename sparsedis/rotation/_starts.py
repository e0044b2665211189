"""Where the search for sparse directions starts."""

import warnings

import numpy as np
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning


def unit_rows(A):
    """Scale rows to unit norm."""
    return A / np.maximum(np.linalg.norm(A, axis=1, keepdims=True), 1e-300)


def head_starts(heads, n, rng):
    """Heads of tasks themselves: with uncorrelated coefficients, a task with a single
    factor points in its direction."""
    rows = heads.rows[np.linalg.norm(heads.rows, axis=1) > 0]
    if len(rows) > n:
        rows = rows[rng.choice(len(rows), n, replace=False)]
    return unit_rows(rows)


def random_starts(heads, n, rng):
    """Directions uniform on the sphere."""
    return unit_rows(rng.standard_normal((n, heads.k)))


def ica_starts(heads, n_runs, rng):
    """Independent components of the heads."""
    found = []
    for _ in range(n_runs):
        ica = FastICA(whiten=False, max_iter=100, random_state=rng.integers(2**31))
        with warnings.catch_warnings():
            # It is a start, sharpened afterwards.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found.append(ica.fit(heads.rows).components_)
    return unit_rows(np.concatenate(found))


def subset_starts(heads, n, known, rng, *, n_free=3):
    """Directions in which random subsets of the heads vanish exactly.

    A subset without a factor lies in the hyperplane of that factor's direction. Subsets
    leave `n_free` dimensions open, and the other tasks decide there: small subsets are
    much more often without a factor than those that determine a direction.

    Parameters
    ----------
    heads : Heads

    n : int
        Number of subsets.

    known : ndarray of shape (n_known, k)
        Directions found already: others are orthogonal to them, as far as the
        coefficients are uncorrelated.

    rng : Generator

    n_free : int
        Dimensions left open.

    Returns
    -------
    ndarray of shape (n, k)
        Directions of unit norm.
    """
    n_tasks, n_outputs, k = heads.heads.shape
    n_free = min(n_free, k - len(known))
    size = min(k - len(known) - n_free, n_tasks)
    tasks = rng.random((n, n_tasks)).argpartition(max(size - 1, 0), axis=1)[:, :size]
    rows = tasks * n_outputs + (rng.random(tasks.shape) * heads.n_outputs[tasks]).astype(
        int
    )
    constraints = np.concatenate(
        [np.broadcast_to(known, (n, *known.shape)), heads.rows[rows]], 1
    )
    if constraints.shape[1]:
        full = np.linalg.qr(np.swapaxes(constraints, 1, 2), mode="complete")[0]
        free = full[:, :, constraints.shape[1] :]
    else:
        free = np.linalg.qr(rng.standard_normal((n, k, k)))[0]
    inside = heads.rows @ free
    weight = 1 / ((inside**2).sum(-1) + 1e-3)
    np.put_along_axis(weight, rows, 0.0, axis=1)
    error = np.repeat(heads.variance, n_outputs)
    for step in range(12):
        gram = np.swapaxes(inside * weight[:, :, None], 1, 2) @ inside
        a = np.linalg.eigh(gram)[1][:, :, :1]
        size = (inside @ a)[:, :, 0] ** 2
        # Absolute values first, whose minimum depends less on the start.
        weight = 1 / np.sqrt(size + 1e-6 + error) if step < 9 else 1 / (size + 0.01)
    return (free @ a)[:, :, 0]
