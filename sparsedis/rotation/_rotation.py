"""The rotation of heads to the sparsest ones: Eq. 2, solved on the heads."""

import numbers
from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from sparsedis.rotation._directions import Heads, lean, sharpen
from sparsedis.rotation._refine import refine
from sparsedis.rotation._search import Pool, explore, polish
from sparsedis.rotation._starts import head_starts, ica_starts, random_starts, unit_rows

# Rounds of the search by subsets, and those without progress after which it ends.
_ROUNDS, _PATIENCE = 40, 12

# Criteria of two kinds of starts that agree differ by less, per task and direction.
_AGREE = 1e-3


@dataclass(frozen=True, eq=False)
class RotationResult:
    """The coordinates in which heads are sparsest, and how they were found.

    Attributes
    ----------
    components : ndarray of shape (k, m)
        New features are ``Z @ components.T``, of unit variance where those of Z are
        white.

    rotation : ndarray of shape (m, k)
        New heads are ``heads @ rotation``.

    heads : ndarray of shape (n_tasks, k) or (n_tasks, n_outputs, k)
        The new heads.

    criterion : float
        Negative log-likelihood of the heads under a sparse density, per output of a
        task and per direction; the lower, the sparser.

    criteria : dict of str to float
        The criterion that each kind of start has reached by itself: "heads", "random",
        "ica" and, for the search that goes on from all of them, "subsets".

    n_agree : int
        Kinds of starts that reached the best criterion.

    spike : ndarray of shape (k,)
        Standard deviation of the coefficients that count as zero, beyond their errors,
        in the units of `heads`.
    """

    components: np.ndarray
    rotation: np.ndarray
    heads: np.ndarray
    criterion: float
    criteria: dict
    n_agree: int
    spike: np.ndarray

    def __repr__(self):
        found = ", ".join(f"{kind} {value:.3f}" for kind, value in self.criteria.items())
        return (
            f"RotationResult(n_components={len(self.components)}, "
            f"criterion={self.criterion:.3f}, n_agree={self.n_agree} of "
            f"{len(self.criteria)} ({found}))"
        )


def sparsest_rotation(
    heads, variance=None, *, n_rounds=_ROUNDS, patience=_PATIENCE, random_state=None
):
    heads = np.asarray(heads, dtype=float)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
    if variance is None:
        variance = np.zeros(len(heads))
    flat = heads[:, None, :] if heads.ndim == 2 else heads
    n_outputs = np.maximum((np.abs(flat).sum(-1) > 0).sum(1), 1)
    used = np.isfinite(flat).all((1, 2))
    found = rotate(flat[used], np.asarray(variance)[used], n_outputs[used], rng,
                   n_rounds=n_rounds, patience=patience)
    return found


def rotate(heads, variance, n_outputs, rng, *, n_rounds, patience, starts=None):
    """Rotate validated heads.

    Parameters
    ----------
    heads : ndarray of shape (n_tasks, n_outputs, k)

    variance : ndarray of shape (n_tasks,)

    n_outputs : ndarray of shape (n_tasks,)

    rng : Generator

    n_rounds, patience : int
        See :func:`~sparsedis.rotation._search.explore`.

    starts : ndarray of shape (n, k), default=None
        Further directions to start from, as columns of a `rotation` transposed.

    Returns
    -------
    RotationResult
    """
    white, whitening = whiten(heads, variance, n_outputs)
    kinds = {
        "heads": head_starts(white, 100, rng),
        "random": random_starts(white, 60, rng),
        "ica": ica_starts(white, 3, rng),
    }
    kinds["ica"] = np.concatenate([kinds["ica"], lean(white, kinds["ica"])])
    if starts is not None:
        kinds["given"] = unit_rows(np.linalg.solve(whitening, starts.T).T)
    pools = {kind: Pool(white, sharpen(white, A)) for kind, A in kinds.items()}
    criteria = {
        kind: refine(white, pool.A[pool.basis()[0]], n_iter=30)[1]
        for kind, pool in pools.items()
    }
    pool = Pool(white, np.concatenate([pool.A for pool in pools.values()]))
    best = min(criteria.values())
    if sum(value < best + _AGREE for value in criteria.values()) > 1:
        patience = -(-patience // 3)
    explore(white, pool, rng, n_rounds=n_rounds, patience=patience)
    A, criterion, density = polish(white, pool, n_tries=12)
    criteria["subsets"] = criterion
    rotation = whitening @ A.T
    components = np.linalg.inv(rotation)
    scale = np.linalg.norm(components, axis=1)
    components, rotation = components / scale[:, None], rotation * scale
    new = heads @ rotation
    order = np.argsort(-(new**2).sum((0, 1)), kind="stable")
    sign = np.where(new.sum((0, 1)) < 0, -1.0, 1.0)
    components, rotation = (components * sign[:, None])[order], (rotation * sign)[:, order]
    new = (new * sign)[..., order]
    spike = density.spike() * np.sqrt((new**2).sum((0, 1)) / n_outputs.sum())
    best = min(criteria.values())
    return RotationResult(
        components=components,
        rotation=rotation,
        heads=new,
        criterion=criterion,
        criteria=criteria,
        n_agree=sum(value < best + _AGREE for value in criteria.values()),
        spike=spike,
    )


def whiten(heads, variance, n_outputs):
    """Whiten heads by their second moment.

    Parameters
    ----------
    heads : ndarray of shape (n_tasks, n_outputs, k)

    variance : ndarray of shape (n_tasks,)

    n_outputs : ndarray of shape (n_tasks,)

    Returns
    -------
    white : Heads

    whitening : ndarray of shape (k, k)
        White heads are ``heads @ whitening``.
    """
    second = np.einsum("tci,tcj->ij", heads, heads) / n_outputs.sum()
    size, axes = np.linalg.eigh(second)
    root = np.sqrt(np.maximum(size, 1e-12 * size[-1]))
    whitening = (axes / root) @ axes.T
    scale = np.trace(whitening @ whitening) / heads.shape[-1]
    return Heads(heads @ whitening, variance * scale, n_outputs), whitening
