"""Interface of the outer losses of the estimators."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import nn


class Step(NamedTuple):
    """Outcome of one step.

    Parameters
    ----------
    loss : tensor
        Scalar, with a gradient.

    size : int
        Number of tasks in the batch: the weight of the step in the mean of an epoch.

    record : dict
        Numbers for the history.
    """

    loss: torch.Tensor
    size: int
    record: dict


class Objective(nn.Module, ABC):
    """Base class of outer losses through the heads of a batch of tasks.

    It is the criterion of :class:`~sparsedis.bilevel._net.BilevelNet`. Its parameters
    are trained together with the encoder. A subclass defines `forward`, and `judge` if
    training uses a "valid_loss".

    Attributes
    ----------
    dtype : torch.dtype
        Dtype of the heads. The squares of features must not overflow it.
    """

    dtype = torch.float64

    def inputs(self, batch):
        """Inputs of a batch, as an array of shape (n_rows, ...)."""
        return batch.rows

    def augment(self, rows):
        """Inputs for a training step, with or without random augmentation."""
        return rows

    @abstractmethod
    def forward(self, Z, batch, warmth, step):
        """Solve the heads of a batch, and compute their loss.

        Parameters
        ----------
        Z : tensor of shape (n_rows, k)
            Features of the inputs of the batch.

        batch : TaskBatch or EpisodeBatch

        warmth : float
            Fraction of the penalty that applies at this step.

        step : int
            Number of the step, for error messages.

        Returns
        -------
        Step
        """

    def pass_over(self, batch):
        """Draw the random numbers that `forward` draws for a batch."""

    def penalties(self):
        """Parameters that are penalties.

        Returns
        -------
        list of torch.nn.Parameter
        """
        return []

    def bears(self, Z):
        """Whether features and their squares are finite.

        Parameters
        ----------
        Z : tensor of shape (n, k)

        Returns
        -------
        bool
        """
        return squares_are_finite(Z, self._dtype(Z))

    def _dtype(self, Z):
        # MPS has no float64.
        return torch.float32 if Z.device.type == "mps" else self.dtype


def squares_are_finite(Z, dtype):
    """Whether numbers, and the sum of their squares in a dtype, are finite.

    Parameters
    ----------
    Z : tensor

    dtype : torch.dtype

    Returns
    -------
    bool
    """
    return bool(torch.isfinite(Z.detach().to(dtype).square().sum()))
