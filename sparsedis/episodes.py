"""Few-shot episodes: small classification tasks drawn from many classes."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

from sparsedis.inputs._values import check_discrete, complete_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState

__all__ = ["EpisodeBatch", "EpisodeSampler"]


@dataclass(frozen=True, eq=False)
class EpisodeBatch:
    """Several episodes as positions of samples, each distinct sample listed once.

    In episode ``e``, the class ``classes[e, l]`` has label ``l``. Samples are sorted by
    class, so all episodes of a batch have the same labels in the same order.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,) of int
        Distinct samples of all episodes, in increasing order.

    support : ndarray of shape (n_episodes, n_ways * n_shots) of int
        Positions in ``rows`` of the labelled samples of each episode.

    query : ndarray of shape (n_episodes, n_ways * n_queries) of int
        Positions in ``rows`` of the samples to predict.

    classes : ndarray of shape (n_episodes, n_ways)
        Classes of each episode, as labels of the data.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.episodes import EpisodeSampler
    >>> y = np.repeat(["ant", "bee", "cat"], 4)
    >>> sampler = EpisodeSampler(y, n_ways=2, n_shots=1, n_queries=2, random_state=0)
    >>> batch = sampler.sample(3)
    >>> batch
    EpisodeBatch(n_episodes=3, n_ways=2, n_shots=1, n_queries=2, n_rows=11)
    >>> batch.query_labels
    array([0, 0, 1, 1])
    """

    rows: np.ndarray
    support: np.ndarray
    query: np.ndarray
    classes: np.ndarray

    @property
    def n_episodes(self) -> int:
        """Number of episodes."""
        return len(self.classes)

    @property
    def support_labels(self) -> np.ndarray:
        """Labels of the support of any episode, of shape (n_ways * n_shots,)."""
        return self._labels(self.support)

    @property
    def query_labels(self) -> np.ndarray:
        """Labels of the queries of any episode, of shape (n_ways * n_queries,)."""
        return self._labels(self.query)

    def _labels(self, samples):
        n_ways = self.classes.shape[1]
        return np.repeat(np.arange(n_ways), samples.shape[1] // n_ways)

    def __repr__(self):
        n_ways = self.classes.shape[1]
        return (
            f"EpisodeBatch(n_episodes={self.n_episodes}, n_ways={n_ways}, "
            f"n_shots={self.support.shape[1] // n_ways}, "
            f"n_queries={self.query.shape[1] // n_ways}, n_rows={len(self.rows)})"
        )


class EpisodeSampler:
    """Draws episodes of ``n_ways`` classes with ``n_shots`` labelled samples each.

    Within an episode, classes and samples are drawn without replacement, so no sample
    is in both the support and the queries. Only positions are drawn, so
    the data may be on disk.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels, of any type; none may be missing.

    n_ways : int, default=5
        Number of classes of an episode.

    n_shots : int, default=5
        Samples per class in the support.

    n_queries : int, default=15
        Samples per class to predict.

    classes : array-like, default=None
        Classes to draw from. None: all classes in `y`.

    random_state : int, RandomState instance or None, default=None
        Determines the episodes.

    Raises
    ------
    ValueError
        When there are fewer classes than `n_ways`, a class has fewer than
        ``n_shots + n_queries`` samples, or `classes` has a label that is not in `y`.

    References
    ----------
    .. [1] O. Vinyals et al., "Matching Networks for One Shot Learning", NeurIPS 2016,
       Section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.episodes import EpisodeSampler
    >>> y = np.repeat(["ant", "bee", "cat"], 4)
    >>> sampler = EpisodeSampler(y, n_ways=2, n_shots=1, n_queries=2, random_state=0)
    >>> batch = sampler.sample(1)
    >>> batch.classes.tolist()
    [['cat', 'bee']]
    >>> y[batch.rows[batch.query]].tolist()
    [['cat', 'cat', 'bee', 'bee']]
    """

    def __init__(
        self,
        y: ArrayLike,
        *,
        n_ways: int = 5,
        n_shots: int = 5,
        n_queries: int = 15,
        classes: ArrayLike | None = None,
        random_state: RandomState = None,
    ) -> None:
        for name, value, least in (
            ("n_ways", n_ways, 2),
            ("n_shots", n_shots, 1),
            ("n_queries", n_queries, 1),
        ):
            _check_int(value, name, least)
        y = complete_labels(y)
        check_discrete(y)
        self.n_ways = n_ways
        self.n_shots = n_shots
        self.n_queries = n_queries
        self.random_state = check_random_state(random_state)
        self.classes, code = np.unique(y, return_inverse=True)
        order = np.argsort(code, kind="stable")
        self._samples = np.split(order, np.cumsum(np.bincount(code))[:-1])
        if classes is not None:
            self._keep(np.unique(classes))
        self._check_counts()

    def sample(self, n_episodes: int) -> EpisodeBatch:
        """Draw the next episodes.

        Parameters
        ----------
        n_episodes : int
            Number of episodes.

        Returns
        -------
        EpisodeBatch
            Positions of samples in `y`.
        """
        _check_int(n_episodes, "n_episodes", 1)
        n_taken = self.n_shots + self.n_queries
        drawn = np.empty((n_episodes, self.n_ways, n_taken), dtype=np.int64)
        ways = np.empty((n_episodes, self.n_ways), dtype=np.int64)
        for e in range(n_episodes):
            ways[e] = self.random_state.permutation(len(self.classes))[: self.n_ways]
            for w, at in enumerate(ways[e]):
                drawn[e, w] = self.random_state.permutation(self._samples[at])[:n_taken]
        rows, position = np.unique(drawn, return_inverse=True)
        position = position.reshape(drawn.shape)
        return EpisodeBatch(
            rows,
            position[..., : self.n_shots].reshape(n_episodes, -1),
            position[..., self.n_shots :].reshape(n_episodes, -1),
            self.classes[ways],
        )

    def _keep(self, classes):
        unknown = np.setdiff1d(classes, self.classes)
        if len(unknown):
            raise ValueError(
                "classes must be labels in y, which does not have "
                f"{unknown[:5].tolist()}{', ...' if len(unknown) > 5 else ''}."
            )
        kept = np.isin(self.classes, classes).nonzero()[0]
        self.classes = self.classes[kept]
        self._samples = [self._samples[at] for at in kept]

    def _check_counts(self):
        if len(self.classes) < self.n_ways:
            raise ValueError(
                f"Episodes of n_ways={self.n_ways} need at least {self.n_ways} "
                f"classes, got {len(self.classes)}."
            )
        counts = np.array([len(some) for some in self._samples])
        needed = self.n_shots + self.n_queries
        short = np.flatnonzero(counts < needed)
        if len(short):
            fewest = short[np.argmin(counts[short])]
            raise ValueError(
                f"An episode needs shots + queries = {self.n_shots} + "
                f"{self.n_queries} = {needed} samples of a class, and {len(short)} of "
                f"{len(counts)} classes have fewer: {self.classes.tolist()[fewest]!r} "
                f"has {counts[fewest]}. Lower the shots or the queries, or leave these "
                "classes out."
            )


def _check_int(value, name, least):
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an int >= {least}, got {value!r}.")
