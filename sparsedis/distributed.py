"""Training on several processes, started with torchrun."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["share_training"]


@contextmanager
def share_training() -> Iterator[None]:
    """Share the steps of each fit in the block among all processes.

    Every process runs the same script, as ``torchrun`` starts it, and calls the same
    fits with the same data. In each step, a process encodes its part of the rows, and
    fits the heads of its part of the tasks. Features are exchanged before they are
    normalised, and gradients are summed, so that all processes have the weights that a
    single process would have. What follows the training, such as the heads of all
    tasks, each process computes itself.

    Batch normalisation within an encoder also uses the rows of all processes. Other
    layers must treat each row by itself. Layers that draw random numbers, such as
    dropout, draw others than in a single process.

    Yields
    ------
    None

    Raises
    ------
    RuntimeError
        When there is no process group; in a fit, when another process has failed or
        stopped.
    ValueError
        In a fit, when the processes do not fit the same: `random_state` must be the
        same int, and a stream must yield the same batches.

    Notes
    -----
    Nothing is shared outside of the block, since processes may as well fit different
    models. The block creates a process group of its own, and all processes must enter
    and leave it. If a fit fails in one process, it leaves the group, so that the others
    do not wait for it. Processes and threads that are started in the block, such as
    those of ``n_jobs=2``, fit alone.

    Examples
    --------
    A group of one process, for illustration; ``torchrun`` sets the addresses and
    numbers of several, and ``init_process_group()`` needs no arguments:

    >>> import torch.distributed as dist
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> from sparsedis.distributed import share_training
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> X, Y = make_sparse_tasks(60, 10, n_factors=2, random_state=0)
    >>> est = SparseMultiTaskRepresentation(
    ...     2, rotation=None, max_iter=5, random_state=0
    ... )
    >>> with share_training():
    ...     est.fit(X, Y).n_iter_
    5
    >>> dist.destroy_process_group()
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            "share_training needs torch.distributed.init_process_group(), called "
            "before it in a script that torchrun starts."
        )
    shared = Processes(dist.new_group())
    token = _CURRENT.set(shared)
    try:
        yield
    finally:
        _CURRENT.reset(token)
        shared.close()


def processes():
    """Processes that share the training of this thread.

    Returns
    -------
    Processes
    """
    return _CURRENT.get() or _ALONE


class Processes:
    """Processes that share a training, or this process alone.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup, default=None
        None: this process alone.

    Attributes
    ----------
    rank : int
        Number of this process.

    size : int
        Number of all.
    """

    def __init__(self, group=None):
        self._group = group
        alone = group is None
        self.rank = 0 if alone else dist.get_rank(group)
        self.size = 1 if alone else dist.get_world_size(group)

    def part(self, n):
        """Numbers below n that belong to this process."""
        return np.arange(self.rank, n, self.size)

    def block(self, n):
        """First and last one, plus one, of the rows that belong to this process."""
        if n < self.size:
            raise ValueError(
                f"A step needs at least a row for each process; got {n} rows for "
                f"{self.size} processes: raise batch_size, or start fewer processes."
            )
        return n * self.rank // self.size, n * (self.rank + 1) // self.size

    def sum(self, tensor):
        """Sum of the tensors of all processes, with its gradient."""
        return tensor if self.size == 1 else _Sum.apply(tensor, self)

    def first(self, number, device):
        """Number of the first process, as a tensor if there are several."""
        if self.size == 1:
            return number
        value = torch.as_tensor(number, dtype=torch.float64, device=device)
        return self.sum(value if self.rank == 0 else torch.zeros_like(value))

    def check_same(self, number, device, message):
        """Raise a ValueError in all processes unless they have the same number."""
        if self.size == 1:
            return
        extremes = torch.tensor([number, -number], dtype=torch.int64, device=device)
        self.reduce(extremes, dist.ReduceOp.MAX)
        if int(extremes.sum()) != 0:
            raise ValueError(message)

    def fail(self):
        """Give the others an error in `check_same`, until all have failed or left."""
        nccl = self._group is not None and dist.get_backend(self._group) == "nccl"
        device = "cuda" if nccl else "cpu"
        while True:
            try:
                # Numbers of data and batches are not negative.
                self.check_same(-1, device, "")
            except ValueError:
                continue
            except RuntimeError:
                pass
            return

    def reduce(self, tensor, op=dist.ReduceOp.SUM):
        """Combine the tensors of all processes in place."""
        if self._group is None:
            raise RuntimeError(
                "A fit in this block of share_training has failed, so that training "
                "is no longer shared: all processes must start a new block."
            )
        try:
            dist.all_reduce(tensor, op, self._group)
        except RuntimeError as error:
            raise RuntimeError(
                f"Another of the {self.size} processes that share this training has "
                "failed or stopped: its own error says why."
            ) from error

    def close(self):
        """Leave the group: whoever waits for this process gets an error."""
        if self._group is not None:
            dist.destroy_process_group(self._group)
            self._group = None


class _Sum(torch.autograd.Function):
    """Sum over processes, each of which has a part of the loss."""

    @staticmethod
    def forward(ctx, tensor, processes):
        ctx.processes = processes
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        processes.reduce(total)
        return total

    @staticmethod
    def backward(ctx, slope):
        return _Sum.apply(slope, ctx.processes), None


_ALONE, _CURRENT = Processes(), ContextVar("processes", default=None)
