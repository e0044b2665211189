"""Outer loss of a batch of episodes: heads on supports, and a loss on queries."""

from dataclasses import replace

import torch
from torch import nn

from sparsedis.bilevel._objective import Objective, Step
from sparsedis.bilevel._sharing import own_tasks
from sparsedis.meta_learning._augment import crop_and_flip
from sparsedis.meta_learning._learned_head import active_features


class EpisodeObjective(Objective):
    """Cross-entropy on the queries, through heads fitted to the supports (Eqs. 5-8).

    Parameters
    ----------
    head : LearnedHead

    X : ndarray of shape (n_samples, ...)
        Inputs; each step copies only its rows.

    label_smoothing : float

    crop_padding : int

    horizontal_flip : bool
    """

    dtype = torch.float32

    def __init__(self, head, X, *, label_smoothing, crop_padding, horizontal_flip):
        super().__init__()
        self.head = head
        self.X = X
        self.label_smoothing = label_smoothing
        self.crop_padding = crop_padding
        self.horizontal_flip = horizontal_flip

    def inputs(self, batch):
        return self.X[batch.rows]

    def augment(self, rows):
        if rows.ndim != 4:
            return rows
        return crop_and_flip(rows, self.crop_padding, self.horizontal_flip)

    def penalties(self):
        return [*self.head.log_penalty.values()]

    def forward(self, Z, batch, warmth, step):
        tasks, size, share = own_tasks(batch.n_episodes)
        if size < batch.n_episodes:
            names = "support", "query", "classes"
            own = {name: getattr(batch, name)[tasks] for name in names}
            batch = replace(batch, **own)
        support, query, labels, answers = episode_tensors(batch, Z.device)
        W, b = self.head.fit(Z[support], labels, batch.classes.shape[1], warmth)
        logits = self.head.logits(Z[query], W, b).flatten(0, 1)
        answers = answers.flatten()
        loss = nn.functional.cross_entropy(
            logits, answers, label_smoothing=self.label_smoothing
        )
        right = logits.detach().argmax(-1) == answers
        record = {
            "accuracy": float(right.double().mean()),
            "active": float(active_features(W).double().mean()),
        }
        return Step(share * loss, size, record)


def episode_tensors(batch, device):
    """Positions and labels of a batch of episodes, as tensors.

    Parameters
    ----------
    batch : EpisodeBatch

    device : torch.device or str

    Returns
    -------
    support, query : tensor of shape (n_episodes, n_samples) of int64

    support_labels, query_labels : tensor of the same shapes
    """
    arrays = batch.support, batch.query, batch.support_labels, batch.query_labels
    support, query, *labels = (torch.as_tensor(a, device=device) for a in arrays)
    return support, query, labels[0].expand_as(support), labels[1].expand_as(query)
