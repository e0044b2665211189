"""Search for the basis in which heads are sparsest."""

import numpy as np

from sparsedis.rotation._basis import choose_basis
from sparsedis.rotation._directions import distinct, lean, sharpen
from sparsedis.rotation._refine import refine
from sparsedis.rotation._starts import random_starts, subset_starts, unit_rows

# Number of directions in a pool.
_POOL = 400

# Number of random subsets of tasks, and of random directions, per round.
_SUBSETS, _RANDOM = 400, 8

# Smaller improvements of the criterion of a basis, summed over directions, do not
# count.
_GAIN = 1e-3

# Exchanges that increase the criterion by more than this are not refined.
_RISE = 0.5

# Number of times to choose the best basis under the likelihood.
_CHOICES = 4

# Number of directions per round to improve.
_KEPT = 32

# Number of random bases to refine, and the largest number of dimensions in which some
# of them reach the best one.
_BASES, _FEW = 10, 6


class Pool:
    """Directions, best first, with their scores.

    Parameters
    ----------
    heads : Heads

    A : ndarray of shape (n, k)
        Directions of unit norm.
    """

    def __init__(self, heads, A):
        self.heads = heads
        # The axes, so that there is always a basis.
        A = np.concatenate([A, np.eye(heads.k)])
        self.A, self.scores = A, self.scores_of(A)
        self._sort()

    def add(self, A):
        """Add directions; copies of better ones are dropped."""
        self.A = np.concatenate([self.A, A])
        self.scores = np.concatenate([self.scores, self.scores_of(A)])
        self._sort()

    def scores_of(self, A):
        """Scores of directions; lower is better."""
        return self.heads.scores(A)

    def search(self, known, rng):
        """Directions that differ from known ones, of shape (n_known, k)."""
        found = _open_directions(self.heads, known, rng)
        if len(known):
            found = lean(self.heads, found)
        return sharpen(self.heads, found, widths=(0.1, 0.03), n_iter=8)

    def _sort(self):
        kept = distinct(self.A, self.scores)
        axes = kept[(np.abs(self.A[kept]) == 1).any(1)]
        kept = np.concatenate([kept[:_POOL], np.setdiff1d(axes, kept[:_POOL])])
        self.A, self.scores = self.A[kept], self.scores[kept]

    def basis(self):
        """The best basis: positions, and its criterion."""
        centred = self.heads.centre(self.A)
        at = choose_basis(centred, self.scores)
        return at, self.scores[at].sum() - np.linalg.slogdet(centred[at])[1]


def explore(heads, pool, rng, *, n_rounds, patience):
    """Search for directions that are missing in a pool.

    Each round keeps some directions of the best basis, more often those that few heads
    use, and searches the remaining dimensions with random starts and random subsets of
    the tasks.

    Parameters
    ----------
    heads : Heads

    pool : Pool
        Pool to add the directions to.

    rng : Generator

    n_rounds : int
        Largest number of rounds.

    patience : int
        Number of rounds without a better basis after which to stop.

    Returns
    -------
    int
        Number of rounds done.
    """
    k = heads.k
    at, best = pool.basis()
    A, scores = pool.A[at], pool.scores[at]
    n_open = [n for n in dict.fromkeys((k, 3, 2, k // 2, 4, 2 * k // 3, 6)) if n > 1]
    n_open = [n for n in n_open if n <= k]
    idle = 0
    for done in range(n_rounds if k > 1 else 0):
        n = n_open[done % len(n_open)]
        rank = 1 + np.argsort(np.argsort(scores))
        out = np.argsort(-(rng.random(k) ** (1 / rank**2)))[:n]
        known = heads.centre(np.delete(A, out, axis=0)) @ heads.centring
        pool.add(pool.search(known, rng))
        at, criterion = pool.basis()
        idle += 1
        if criterion < best - _GAIN:
            best, idle = criterion, 0
            A, scores = pool.A[at], pool.scores[at]
        if idle == patience:
            break
    return done + 1 if k > 1 and n_rounds else 0


def _open_directions(heads, known, rng):
    """Promising directions that differ from the known ones."""
    found = random_starts(heads, _RANDOM, rng, known)
    if heads.k - len(known) < 3:
        return found
    n_free = int(rng.choice([2, 3]))
    starts = subset_starts(heads, _SUBSETS, known, rng, n_free=n_free)
    scores = heads.scores(starts, width=0.1)
    starts = starts[distinct(starts, scores, cosine=0.95)[:_KEPT]]
    return np.concatenate([found, starts])


def polish(heads, pool, rng, *, n_tries):
    """Exchange directions of the best basis as long as the likelihood increases.

    In few dimensions random bases are refined too. They find maxima of which not all
    directions are in the pool: with errors of the features in every head, a direction
    that few heads use need not score better than all those near it.

    Parameters
    ----------
    heads : Heads

    pool : Pool

    rng : Generator

    n_tries : int
        Largest number of exchanges to try.

    Returns
    -------
    A : ndarray of shape (k, k)
        Directions in rows.

    criterion : float
        See :func:`~sparsedis.rotation._refine.refine`.
    """
    at, _ = pool.basis()
    best = refine(heads, pool.A[at], n_iter=20)
    for _ in range(_CHOICES):
        before, at = set(at), choose_basis(pool.A, best[2].scores(heads, pool.A))
        if set(at) == before:
            break
        other = refine(heads, pool.A[at], n_iter=20)
        if other[1] > best[1] - 1e-6:
            break
        best = other
    if 1 < heads.k <= _FEW:
        # Another stream, so that the draws that follow do not depend on it.
        draws = rng.spawn(1)[0].standard_normal((_BASES, heads.k, heads.k))
        bases = np.linalg.qr(draws)[0]
        found = [refine(heads, basis, n_iter=20) for basis in bases]
        best = min([best, *found], key=lambda result: result[1])
    tried = set()
    for _ in range(n_tries):
        A = unit_rows(best[0])
        height = np.abs(pool.A @ np.linalg.inv(A))
        scores, own = best[2].scores(heads, pool.A), best[2].scores(heads, A)
        change = scores[:, None] - own - np.log(np.maximum(height, 1e-300))
        change[(np.abs(pool.A @ A.T) > 0.99).any(1)] = np.inf
        for i, j in tried:
            change[i, j] = np.inf
        i, j = np.unravel_index(np.argmin(change), change.shape)
        if not change[i, j] < _RISE:
            break
        tried.add((i, j))
        start = A.copy()
        start[j] = pool.A[i]
        other = refine(heads, start, n_iter=15)
        if other[1] < best[1] - 1e-6:
            best = other
    return refine(heads, best[0])[:2]
