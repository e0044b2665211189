"""Accuracy over episodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from sparsedis.bilevel._net import UNSOUND, NonFiniteError
from sparsedis.bilevel._objective import squares_are_finite
from sparsedis.meta_learning._learned_head import active_features
from sparsedis.meta_learning._objective import episode_tensors

# Largest size of the features in memory, and of those of the episodes solved at a time.
_HELD = 2**28
_SOLVED = 2**22


@dataclass(frozen=True, eq=False)
class FewShotEvaluation:
    """Accuracy of heads on unseen classes, and the features they use.

    Parameters
    ----------
    accuracies : ndarray of shape (n_episodes,)
        Share of the queries of each episode that were labelled correctly.

    feature_usage : ndarray of shape (n_features,)
        Share of the episodes whose head used each feature.

    setting : str
        Description of the episodes, as in ``"5-way 1-shot"``.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.meta_learning import FewShotEvaluation
    >>> FewShotEvaluation(
    ...     np.array([1.0, 0.8, 0.9]), np.array([0.5, 1.0]), "2-way 1-shot"
    ... )
    FewShotEvaluation(2-way 1-shot: accuracy 0.9000 +- 0.1132 over 3 episodes,
                      active share 0.75)
    """

    accuracies: np.ndarray
    feature_usage: np.ndarray
    setting: str

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the episodes."""
        return float(self.accuracies.mean())

    @property
    def confidence_interval(self) -> float:
        """Half-width of the 95 % interval of the mean accuracy."""
        n = len(self.accuracies)
        return float(1.96 * self.accuracies.std(ddof=1) / np.sqrt(n))

    @property
    def active_share(self) -> float:
        """Mean share of the features that a head uses."""
        return float(self.feature_usage.mean())

    def __repr__(self):
        return (
            f"FewShotEvaluation({self.setting}: accuracy {self.accuracy:.4f} +- "
            f"{self.confidence_interval:.4f} over {len(self.accuracies)} episodes, "
            f"active share {self.active_share:.2f})"
        )


@torch.no_grad()
def evaluate_episodes(encode, head, batch, n_components):
    """Fit and score the head of every episode, encoding as little as possible.

    Each distinct row is encoded once if the features of all rows fit in memory;
    otherwise, once for each group of episodes whose features do.

    Parameters
    ----------
    encode : callable
        Maps positions of rows, an array of int, to a tensor of features.

    head : LearnedHead

    batch : EpisodeBatch

    n_components : int
        Number of features.

    Returns
    -------
    FewShotEvaluation

    Raises
    ------
    NonFiniteError
        When features, or their squares, are not finite.
    """
    per_episode = batch.support.shape[1] + batch.query.shape[1]
    n_together = batch.n_episodes
    if len(batch.rows) * n_components > _HELD:
        n_together = max(1, _HELD // (per_episode * n_components))
    n_solved = max(1, _SOLVED // (per_episode * n_components))
    accuracies, used = [], 0
    for group in _split(batch, n_together):
        Z = encode(group.rows)
        if not squares_are_finite(Z, torch.float32):
            raise NonFiniteError(f"{UNSOUND}.")
        support, query, labels, answers = episode_tensors(group, Z.device)
        for first in range(0, group.n_episodes, n_solved):
            at = slice(first, first + n_solved)
            W, b = head.fit(Z[support[at]], labels[at], group.classes.shape[1])
            logits = head.logits(Z[query[at]], W, b)
            accuracies.append((logits.argmax(-1) == answers[at]).double().mean(-1))
            used = used + active_features(W).sum(0)
    n_ways = batch.classes.shape[1]
    return FewShotEvaluation(
        torch.cat(accuracies).cpu().numpy(),
        used.cpu().numpy() / batch.n_episodes,
        f"{n_ways}-way {batch.support.shape[1] // n_ways}-shot",
    )


def _split(batch, n_together):
    """Episodes in groups, each with its own distinct rows."""
    if n_together >= batch.n_episodes:
        yield batch
        return
    for first in range(0, batch.n_episodes, n_together):
        at = slice(first, first + n_together)
        support, query = batch.support[at], batch.query[at]
        positions = np.concatenate([support, query], 1)
        rows, inverse = np.unique(positions, return_inverse=True)
        inverse = inverse.reshape(positions.shape)
        yield replace(
            batch,
            rows=batch.rows[rows],
            support=inverse[:, : support.shape[1]],
            query=inverse[:, support.shape[1] :],
            classes=batch.classes[at],
        )
