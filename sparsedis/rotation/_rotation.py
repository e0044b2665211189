"""Rotation of heads to the sparsest ones: Eq. 2, solved on the heads."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from sparsedis._openblas import one_for_openblas
from sparsedis.rotation._directions import WIDTHS, Heads, lean, sharpen
from sparsedis.rotation._refine import Density, refine
from sparsedis.rotation._search import Pool, explore, polish
from sparsedis.rotation._slabs import SlabDensity, similar_sizes
from sparsedis.rotation._starts import (
    head_starts,
    ica_starts,
    minimal_starts,
    random_starts,
    unit_rows,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState

# Rounds of the search by subsets, and rounds without progress after which it ends.
_ROUNDS, _PATIENCE = 80, 10

# Largest difference of the criteria of starts that agree, per task and direction.
_AGREE = 1e-3

# Maximal number of tasks for the search; the last refinement uses all.
_TASKS = 500

# Mean square, relative to the largest, below which heads do not use a direction.
_RANK = 1e-10


@dataclass(frozen=True, eq=False)
class RotationResult:
    """Coordinates in which heads are sparsest, and results of the search.

    Parameters
    ----------
    components : ndarray of shape (k, m)
        New features are ``Z @ components.T``, of unit variance if those of Z are white.

    rotation : ndarray of shape (m, k)
        New heads are ``heads @ rotation``.

    heads : ndarray of shape (n_tasks, k) or (n_tasks, n_outputs, k)
        The new heads.

    criterion : float
        Negative log-likelihood of the heads under a sparse density, per output of a
        task and per direction; lower is sparser.

    criteria : dict of str to float
        Criterion reached from each kind of start alone: "heads", "random", "ica",
        "minimal" (null vectors of minimal subsets of the heads) and "subsets", the
        search that continues from all of them. With more than 500 tasks, it is that of
        500 of them. "sizes", if it is there, is the result: a basis in which the
        coefficients that are not zero have similar sizes, with a likelihood for that.

    n_agree : int
        Number of kinds of starts that reached the best criterion.

    spike : ndarray of shape (k,)
        Standard deviation of the coefficients that count as zero, beyond their errors,
        in the units of `heads`.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.rotation import sparsest_rotation
    >>> found = sparsest_rotation(np.eye(3), random_state=0)
    >>> found.rotation.shape, found.heads.shape
    ((3, 3), (3, 3))
    """

    components: np.ndarray
    rotation: np.ndarray
    heads: np.ndarray
    criterion: float
    criteria: dict
    n_agree: int
    spike: np.ndarray

    def __repr__(self):
        found = ", ".join(
            f"{kind} {value:.3f}" for kind, value in self.criteria.items()
        )
        return (
            f"RotationResult(n_components={len(self.components)}, "
            f"criterion={self.criterion:.3f}, n_agree={self.n_agree} of "
            f"{len(self.criteria)} ({found}))"
        )


def sparsest_rotation(
    heads: ArrayLike,
    variance: ArrayLike | None = None,
    *,
    n_rounds: int = _ROUNDS,
    patience: int = _PATIENCE,
    random_state: RandomState = None,
) -> RotationResult:
    """Find the coordinates in which the heads of tasks are sparsest.

    If features are an invertible linear map of the true factors, their heads are the
    true heads, which use few factors each, times the inverse of that map. The heads are
    sparsest in the coordinates of the factors.

    Parameters
    ----------
    heads : array-like of shape (n_tasks, m) or (n_tasks, n_outputs, m)
        Linear heads on m features, preferably white ones. Tasks whose heads are not
        finite are left out. Rows of zeros at the end are outputs that a task does not
        have.

    variance : array-like of shape (n_tasks,), default=None
        Variance of the error of a coefficient of each task; None means no error.

    n_rounds : int, default=80
        Largest number of rounds of the search.

    patience : int, default=10
        Number of rounds without improvement after which the search ends.

    random_state : int, RandomState instance or None, default=None
        Draws the starts and subsets of the search.

    Returns
    -------
    RotationResult
        Result with the new heads of all tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.rotation import sparsest_rotation
    >>> rng = np.random.default_rng(0)
    >>> true = rng.standard_normal((40, 3)) * (rng.random((40, 3)) < 0.5)
    >>> found = sparsest_rotation(true @ rng.standard_normal((3, 3)), random_state=0)
    >>> zeros = abs(found.heads) < 0.05 * abs(found.heads).max()
    >>> bool(zeros.sum() >= (true == 0).sum())
    True
    """
    heads, *usable = usable_heads(heads, variance)
    if not len(usable[0]):
        raise ValueError("heads must be finite in some tasks; got none.")
    check_scalar(n_rounds, "n_rounds", numbers.Integral, min_val=0)
    check_scalar(patience, "patience", numbers.Integral, min_val=1)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
    found = rotate(*usable, rng, n_rounds=int(n_rounds), patience=int(patience))
    return replace(found, heads=heads @ found.rotation)


def usable_heads(heads, variance):
    """Check heads and their variances, and leave out tasks whose heads are not finite.

    Parameters
    ----------
    heads : array-like of shape (n_tasks, m) or (n_tasks, n_outputs, m)

    variance : array-like of shape (n_tasks,) or None

    Returns
    -------
    heads : ndarray
        All of them, as an array.

    usable : ndarray of shape (n_usable, n_outputs, m)

    variance : ndarray of shape (n_usable,)

    n_outputs : ndarray of shape (n_usable,)
        Outputs up to the last that is not zero, at least 1.
    """
    heads = np.asarray(heads, dtype=float)
    if heads.ndim not in (2, 3) or 0 in heads.shape:
        raise ValueError(
            "heads must have shape (n_tasks, m) or (n_tasks, n_outputs, m), without a "
            f"0; got {heads.shape}."
        )
    variance = np.zeros(len(heads)) if variance is None else np.asarray(variance, float)
    if variance.shape != heads.shape[:1]:
        raise ValueError(
            f"variance must have shape ({len(heads)},), as heads have; got "
            f"{variance.shape}."
        )
    flat = heads[:, None, :] if heads.ndim == 2 else heads
    used = np.isfinite(flat).all((1, 2))
    flat, variance = flat[used], variance[used]
    # Also false for NaN.
    wrong = ~((variance >= 0) & np.isfinite(variance))
    if wrong.any():
        raise ValueError(
            f"variance must be finite and not negative; got {variance[wrong][0]}."
        )
    present = np.abs(flat).sum(-1) > 0
    last = flat.shape[1] - np.argmax(present[:, ::-1], axis=1)
    return heads, flat, variance, np.where(present.any(1), last, 1)


@one_for_openblas()
def rotate(
    heads,
    variance,
    n_outputs,
    rng,
    *,
    n_rounds,
    patience,
    starts=None,
    compare_starts=True,
):
    """Rotate validated heads.

    Parameters
    ----------
    heads : ndarray of shape (n_tasks, n_outputs, m)

    variance : ndarray of shape (n_tasks,)

    n_outputs : ndarray of shape (n_tasks,)

    rng : Generator

    n_rounds, patience : int
        See :func:`~sparsedis.rotation._search.explore`.

    starts : ndarray of shape (n, m), default=None
        Additional starting directions: the columns of a `rotation`, transposed.

    compare_starts : bool, default=True
        Whether to refine the best basis of each kind of starts on its own. Otherwise
        the result is the same if ``n_rounds=0``, but `criteria` has a single entry.

    Returns
    -------
    RotationResult
    """
    # A power of 2, since squares of large heads overflow, and of small ones vanish.
    unit = np.ldexp(1.0, np.frexp(np.abs(heads).max())[1] - 1)
    heads = heads / unit
    white, axes, root = whiten(heads, variance / unit / unit, n_outputs)
    k = white.k
    span = axes[:, :k]
    if k:
        own = None
        if starts is not None:
            own = unit_rows(starts @ span * root)
            # Without directions that the heads do not use.
            own = own[(own != 0).any(1)]
        few = white
        if len(white) > _TASKS:
            few = white.take(np.sort(rng.choice(len(white), _TASKS, replace=False)))
        A, criteria = _search(few, own, rng, n_rounds, patience, compare_starts)
        density = SlabDensity(k) if "sizes" in criteria else None
        A, criterion, density = refine(white, A, density=density)
    else:
        A, criterion, density, criteria = np.eye(0), 0.0, Density(), {"subsets": 0.0}
    # Axes that the heads do not use are not rotated.
    rest = axes[:, k:]
    rotation = np.concatenate([span / root @ A.T, rest], 1)
    inverse = np.linalg.inv(A).T @ (root[:, None] * span.T)
    components = np.concatenate([inverse, rest.T])
    scale = np.linalg.norm(components, axis=1)
    components, rotation = components / scale[:, None], rotation * scale
    new = heads @ rotation
    square = (new**2).sum((0, 1))
    order = np.argsort(-square, kind="stable")
    sign = np.where(new.sum((0, 1)) < 0, -1.0, 1.0)
    best = min(criteria.values())
    return RotationResult(
        components=(components * sign[:, None])[order],
        rotation=(rotation * sign)[:, order],
        heads=(new * sign)[..., order] * unit,
        criterion=criterion,
        criteria=criteria,
        n_agree=sum(value < best + _AGREE for value in criteria.values()),
        spike=density.spike() * np.sqrt(square / n_outputs.sum())[order] * unit,
    )


def _search(white, starts, rng, n_rounds, patience, compare_starts):
    """The best basis, and the criteria of all kinds of starts."""
    kinds = {
        "heads": head_starts(white, 100, rng),
        "random": random_starts(white, 60, rng),
        "ica": ica_starts(white, 3, rng),
    }
    kinds["ica"] = np.concatenate([kinds["ica"], lean(white, kinds["ica"])])
    if starts is not None:
        kinds["given"] = starts
    pools = {kind: Pool(white, sharpen(white, A)) for kind, A in kinds.items()}
    # From directions with exact zeros, a wide penalty would move away.
    minimal = minimal_starts(white, 600, rng)
    pools["minimal"] = Pool(white, sharpen(white, minimal, widths=WIDTHS[-1:]))
    criteria = {}
    if compare_starts:
        criteria = {
            kind: refine(white, pool.A[pool.basis()[0]], n_iter=30)[1]
            for kind, pool in pools.items()
        }
        best = min(criteria.values())
        if sum(value < best + _AGREE for value in criteria.values()) > 1:
            patience = -(-patience // 3)
    pool = Pool(white, np.concatenate([pool.A for pool in pools.values()]))
    explore(white, pool, rng, n_rounds=n_rounds, patience=patience)
    A, criteria["subsets"] = polish(white, pool, rng, n_tries=12)
    # Signs of heads with several outputs are those of each output.
    if white.heads.shape[1] == 1 and white.k > 1:
        own = kinds["ica"] if starts is None else np.concatenate([kinds["ica"], starts])
        other = rng.spawn(1)[0]
        found = similar_sizes(white, A, own, other, n_rounds=n_rounds)
        if found is not None:
            A, criteria["sizes"] = found
    return A, criteria


def whiten(heads, variance, n_outputs):
    """Whiten heads by their second moment, within their span.

    Parameters
    ----------
    heads : ndarray of shape (n_tasks, n_outputs, m)

    variance : ndarray of shape (n_tasks,)

    n_outputs : ndarray of shape (n_tasks,)

    Returns
    -------
    white : Heads
        On k <= m coordinates, ``heads @ axes[:, :k] / root``.

    axes : ndarray of shape (m, m)
        Principal axes of the heads, in decreasing order.

    root : ndarray of shape (k,)
        Root mean squares of the heads along the axes.
    """
    second = np.einsum("tci,tcj->ij", heads, heads) / n_outputs.sum()
    size, axes = np.linalg.eigh(second)
    size, axes = size[::-1], axes[:, ::-1]
    root = np.sqrt(size[size > _RANK * size[0]])
    white = heads @ axes[:, : len(root)] / root
    scale = (1 / root**2).mean() if len(root) else 1.0
    return Heads(white, variance * scale, n_outputs), axes, root
