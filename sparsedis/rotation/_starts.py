"""Starting points of the search for sparse directions."""

import warnings

import numpy as np
from sklearn.decomposition import FastICA

from sparsedis.rotation._directions import distinct

# Smallest and largest preference for heads near the span of others in draws.
_GREED = 8.0, 32.0

# Maximal number of heads to draw subsets from.
_ROWS = 1000

# Number of eigenproblems in the dimensions that a subset leaves open.
_STEPS = 8

# Maximal number of directions to keep of those in which most heads vanish.
_KEPT = 60


def unit_rows(A):
    """Scale rows to unit norm."""
    return A / np.maximum(np.linalg.norm(A, axis=1, keepdims=True), 1e-300)


def head_starts(heads, n, rng):
    """Heads of tasks; the head of a task with a single factor is its direction."""
    rows = heads.rows[np.linalg.norm(heads.rows, axis=1) > 0]
    if len(rows) > n:
        rows = rows[rng.choice(len(rows), n, replace=False)]
    return unit_rows(rows)


def random_starts(heads, n, rng, known=()):
    """Random directions, uniform on the sphere, orthogonal to known ones."""
    found = unit_rows(rng.standard_normal((n, heads.k)))
    if len(known):
        q = np.linalg.qr(known.T)[0]
        found = unit_rows(found - found @ q @ q.T)
    return found


def ica_starts(heads, n_runs, rng):
    """Independent components of the heads minus their mean.

    Coefficients with a nonzero mean may be independent too; their components are found
    if the mean is subtracted.
    """
    if len(heads.rows) < 2:
        return unit_rows(heads.rows)
    rows = heads.rows - heads.rows.mean(0)
    size, axes = np.linalg.eigh(rows.T @ rows / len(rows))
    root = np.sqrt(np.maximum(size, 1e-6 * size[-1]))
    white = axes / np.where(root > 0, root, 1.0) @ axes.T
    found = []
    for run in range(n_runs):
        ica = FastICA(
            fun=("exp", "logcosh")[run % 2],
            whiten=False,
            max_iter=100,
            random_state=int(rng.integers(2**31)),
        )
        with warnings.catch_warnings():
            # It is a starting point, improved afterwards.
            warnings.simplefilter("ignore")
            found.append(ica.fit(rows @ white).components_ @ white)
    found = np.concatenate(found)
    return unit_rows(found[np.isfinite(found).all(1)])


def minimal_starts(heads, n, rng):
    """Directions in which as many heads as possible vanish, from many subsets.

    Parameters
    ----------
    heads : Heads

    n : int
        Number of subsets.

    rng : Generator

    Returns
    -------
    ndarray of shape (n_kept, k)
        Distinct directions of unit norm, best first.
    """
    A = subset_starts(heads, n, np.zeros((0, heads.k)), rng, n_free=1)
    return A[distinct(A, heads.scores(A))[:_KEPT]]


def subset_starts(heads, n, known, rng, *, n_free=3):
    """Directions in which subsets of the heads vanish exactly.

    A subset of heads without a factor lies in the hyperplane orthogonal to the
    direction of the factor. Uniformly random subsets rarely do. Instead, heads are
    added one by one, and those close to the span of the previous ones, which add few
    factors, are drawn more often. Subsets leave `n_free` dimensions open, in which the
    other tasks determine the direction.

    Parameters
    ----------
    heads : Heads

    n : int
        Number of subsets.

    known : ndarray of shape (n_known, k)
        Directions found already. Others are orthogonal to them if the coefficients are
        uncorrelated.

    rng : Generator

    n_free : int
        Number of dimensions left open.

    Returns
    -------
    ndarray of shape (n, k)
        Directions of unit norm.
    """
    k = heads.k
    n_free = min(n_free, k - len(known))
    error = np.repeat(heads.variance, heads.heads.shape[1])
    rows = heads.rows
    used = np.flatnonzero((rows**2).sum(1) > 0)
    if len(used) > _ROWS:
        used = np.sort(rng.choice(used, _ROWS, replace=False))
    rows, error = rows[used], error[used]
    span, drawn = _grow(rows, n, known, k - n_free, rng)
    free = np.linalg.qr(np.swapaxes(span, 1, 2), mode="complete")[0][:, :, k - n_free :]
    if n_free == 1:
        return free[:, :, 0]
    inside = rows @ free
    weight = 1 / ((inside**2).sum(-1) + 1e-3)
    np.put_along_axis(weight, drawn, 0.0, axis=1)
    for step in range(_STEPS):
        gram = np.swapaxes(inside * weight[:, :, None], 1, 2) @ inside
        a = np.linalg.eigh(gram)[1][:, :, :1]
        size = (inside @ a)[:, :, 0] ** 2
        # Absolute values first: their minimum depends less on the starting point.
        flat = step < _STEPS - 3
        weight = 1 / np.sqrt(size + 1e-6 + error) if flat else 1 / (size + 0.01)
    return (free @ a)[:, :, 0]


def _grow(rows, n, known, size, rng):
    """Orthonormal bases of known directions and grown subsets, and the subsets."""
    k = rows.shape[1]
    q = np.linalg.qr(known.T)[0].T
    span = np.zeros((n, size, k))
    span[:, : len(q)] = q
    norm = (rows**2).sum(1)
    # Residual shares of the heads outside of the span.
    left = 1 - ((rows @ q.T) ** 2).sum(1) / norm
    left = np.tile(left.astype(np.float32), (n, 1))
    greed = np.exp(rng.uniform(*np.log(_GREED), (n, 1))).astype(np.float32)
    drawn = np.zeros((n, size - len(q)), dtype=int)
    each = np.arange(n)
    for s in range(len(q), size):
        # The smallest of exponential variables is a draw with their rates as weights.
        time = np.log(rng.standard_exponential(left.shape, dtype=np.float32) + 1e-30)
        if s > len(q):
            time += greed * (k / (k - s)) * left
        time[left < 1e-5] = np.inf
        pick = time.argmin(1)
        new = rows[pick]
        # If the others span all heads, none is left.
        none = ~np.isfinite(time[each, pick])
        new[none] = rng.standard_normal((none.sum(), k))
        for _ in range(2):
            new = new - np.einsum(
                "ns,nsk->nk", np.einsum("nsk,nk->ns", span[:, :s], new), span[:, :s]
            )
        new /= np.linalg.norm(new, axis=1, keepdims=True)
        span[:, s] = new
        left -= (new @ rows.T) ** 2 / norm
        left[each, pick] = 0.0
        drawn[:, s - len(q)] = pick
    return span, drawn
