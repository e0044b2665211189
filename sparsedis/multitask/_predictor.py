"""Fitted estimators as torch modules from inputs to predictions."""

import torch
from torch import nn

from sparsedis.inputs._arrays import is_8bit_image
from sparsedis.inputs._batch import COUNT, NUMBER


class Predictor(nn.Module):
    """Representation, heads of all tasks, and what is made of their scores.

    Parameters
    ----------
    features : torch.nn.Module
        The representation, maybe with its hidden units.

    coef : ndarray of shape (n_tasks, k) or (n_tasks, n_outputs, k)
        Heads on the features or, with more coefficients than features, on the features
        followed by the inputs.

    intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

    read : callable
        From scores, (n, n_tasks) or (n, n_tasks, n_outputs), to predictions.

    wide : bool
        Whether to compute in float64 instead of float32.
    """

    def __init__(self, features, coef, intercept, read, *, wide):
        super().__init__()
        self.features = features.double() if wide else features
        dtype = torch.float64 if wide else torch.float32
        coef = torch.tensor(coef, dtype=dtype)
        self.shape = coef.shape[:-1]
        self.heads = nn.Linear(coef.shape[-1], self.shape.numel())
        self.heads.weight = nn.Parameter(coef.flatten(0, -2))
        intercept = torch.tensor(intercept, dtype=dtype)
        self.heads.bias = nn.Parameter(intercept.flatten())
        self.read = read

    def forward(self, X):
        """Predictions of inputs of shape (n, ...)."""
        if not is_8bit_image(X):
            X = X.to(self.heads.weight.dtype)
        Z = self.features(X)
        if self.heads.in_features > Z.shape[1]:
            Z = torch.cat([Z, X], 1)
        return self.read(self.heads(Z).unflatten(1, self.shape))


class Numbers(nn.Module):
    """Predictions of a loss from scores.

    Parameters
    ----------
    loss : Loss

    single : bool
        Whether to drop the axis of tasks.
    """

    def __init__(self, loss, single):
        super().__init__()
        self.loss, self.single = loss, single

    def forward(self, scores):
        found = self.loss.predict(scores)
        return found[:, 0] if self.single else found


class Probabilities(nn.Module):
    """Probabilities of the classes of all tasks, in one array.

    Parameters
    ----------
    lone : ndarray of shape (n_tasks,) of bool
        Tasks with a single class.

    single : bool
        Whether to drop the axis of tasks.
    """

    def __init__(self, lone, single):
        super().__init__()
        self.register_buffer("lone", torch.tensor(lone))
        self.single = single

    def forward(self, scores):
        if scores.ndim == 2:
            found = torch.stack([torch.sigmoid(-scores), torch.sigmoid(scores)], -1)
        else:
            found = scores.softmax(-1)
        certain = torch.zeros_like(found[..., :1, :])
        certain[..., 0] = 1
        found = torch.where(self.lone[:, None], certain, found)
        return found[:, 0] if self.single else found


class Outcomes(nn.Module):
    """Predictions of tasks of several types, in a tuple.

    Parameters
    ----------
    n_classes : ndarray of shape (n_tasks,) of int
        Number of classes of each task, or its code for other types.

    types : ndarray of shape (n_tasks,) of str
    """

    def __init__(self, n_classes, types):
        super().__init__()
        self.n_classes = n_classes.tolist()
        self.types = types.tolist()

    def forward(self, scores):
        return tuple(
            self._of_task(scores[:, t], n, kind)
            for t, (n, kind) in enumerate(zip(self.n_classes, self.types, strict=True))
        )

    def _of_task(self, scores, n_classes, kind):
        one = scores if scores.ndim == 1 else scores[:, 0]
        if n_classes == NUMBER and kind == "number":
            return one
        if n_classes == COUNT:
            return one.exp()
        if kind == "count":
            # All counts of the fit were 0.
            return torch.zeros_like(one)
        if n_classes < 2:
            return torch.ones_like(one)[:, None].expand(-1, n_classes)
        if scores.ndim == 1:
            return torch.stack([torch.sigmoid(-one), torch.sigmoid(one)], -1)
        return scores[:, :n_classes].softmax(-1)
