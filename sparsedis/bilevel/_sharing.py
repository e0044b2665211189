"""The part of a training step that each of several processes takes."""

from contextlib import contextmanager
from functools import partial
from zlib import crc32

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from sparsedis._randomness import TorchRandomness
from sparsedis.bilevel._objective import Step
from sparsedis.distributed import processes


def check_same_batch(batch, step, device):
    """Refuse a step for which the processes have different batches.

    Parameters
    ----------
    batch : TaskBatch or EpisodeBatch

    step : int
        Number of the step.

    device : torch.device or str

    Raises
    ------
    ValueError
        In all processes.
    """
    if processes().size == 1:
        return
    number = 0
    for name, value in vars(batch).items():
        if value is not None:
            number = crc32(np.ascontiguousarray(value), crc32(name.encode(), number))
    processes().check_same(
        number,
        device,
        f"The processes have different batches at step {step}: random_state must be "
        "the same int in all, and a source must yield the same batches.",
    )


@contextmanager
def shared_encoding(module, rows, step):
    """Let a module encode some of the rows, and return the features of all.

    Parameters
    ----------
    module : Representation
        In the block it takes the rows of this process. Its normalisation, and batch
        normalisation within the encoder, use the rows of all.

    rows : tensor of shape (n_rows, ...)

    step : int
        Number of the step, for different random numbers in each process.

    Yields
    ------
    tensor
        The rows of this process.
    """
    here = processes()
    if here.size == 1:
        yield rows
        return
    n_rows = len(rows)
    first, last = here.block(n_rows)
    if any(map(is_lazy, module.parameters())):
        # The first inputs create weights, which must be the same in all processes.
        with torch.no_grad():
            module.eval().encode(rows[:2])
        module.train()

    def gather(_, inputs):
        padding = 0, 0, first, n_rows - last
        return here.sum(torch.nn.functional.pad(inputs[0], padding))

    within = [
        layer
        for layer in module.encoder.modules()
        # Not SyncBatchNorm, and others with a rule of their own.
        if type(layer).forward is _BatchNorm.forward
    ]
    seed = torch.initial_seed() + 1 + step * here.size + here.rank
    for layer in within:
        layer.forward = partial(_batch_norm, layer)
    try:
        with (
            TorchRandomness(seed, rows.device).lent(),
            module.normalization.register_forward_pre_hook(gather),
        ):
            yield rows[first:last]
    finally:
        for layer in within:
            del layer.forward


def _batch_norm(layer, inputs):
    """Batch normalisation over the inputs of all processes."""
    if not layer.training:
        return type(layer).forward(layer, inputs)
    layer._check_input_dim(inputs)
    axes = [0, *range(2, inputs.ndim)]
    wide = inputs if inputs.dtype == torch.float64 else inputs.float()
    n = wide.new_tensor([wide.numel() / wide.shape[1]])
    total = processes().sum(torch.cat([wide.sum(axes), n]))
    n = total[-1].detach()
    mean = total[:-1] / n
    shape = [1, -1] + [1] * (inputs.ndim - 2)
    centred = wide - mean.view(shape)
    variance = processes().sum(centred.square().sum(axes)) / n
    if layer.track_running_stats:
        layer.num_batches_tracked.add_(1)
        rate = layer.momentum
        if rate is None:
            rate = 1.0 / float(layer.num_batches_tracked)
        layer.running_mean.lerp_(mean.detach(), rate)
        layer.running_var.lerp_(variance.detach() * n / (n - 1), rate)
    scaled = centred * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.affine:
        scaled = scaled * layer.weight.view(shape) + layer.bias.view(shape)
    return scaled.to(inputs.dtype)


def own_tasks(n_tasks, weight=None):
    """Tasks of a step that belong to this process.

    Parameters
    ----------
    n_tasks : int
        Number of tasks of the step.

    weight : ndarray of shape (n_tasks,), default=None
        Positive weights of the tasks.

    Returns
    -------
    tasks : ndarray of int
        One of another process if there are fewer tasks than processes.

    size : int
        Number of tasks that belong to this process.

    share : float
        Their share of the weights of all.
    """
    tasks = processes().part(n_tasks)
    size = len(tasks)
    share = size / n_tasks if weight is None else weight[tasks].sum() / weight.sum()
    return tasks if size else np.zeros(1, dtype=int), size, share


def joined(step, device):
    """Outcome of a step, from its parts in all processes, without a gradient.

    Parameters
    ----------
    step : Step
        Part of this process.

    device : torch.device or str

    Returns
    -------
    Step
    """
    loss = step.loss.detach()
    if processes().size == 1:
        return step._replace(loss=loss)
    counts = [np.size(value) for value in step.record.values()]
    own = np.concatenate([np.ravel(value) for value in step.record.values()])
    own = [float(loss), step.size, *(step.size * own)]
    loss, size, *rest = processes().sum(
        torch.tensor(own, dtype=torch.float64, device=device)
    )
    means = torch.stack(rest).cpu().numpy() / float(size)
    parts = np.split(means, np.cumsum(counts)[:-1])
    record = {
        name: part.tolist() if np.ndim(value) else float(part[0])
        for (name, value), part in zip(step.record.items(), parts, strict=True)
    }
    return Step(loss, int(size), record)


def sum_gradients(parameters):
    """Add the gradients of all processes, in place.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
    """
    if processes().size == 1:
        return
    parameters = [p for p in parameters if p.requires_grad]
    # A parameter may have a gradient in some processes only, or in none.
    seen = [p.grad is not None for p in parameters]
    own = [
        (p.grad if there else torch.zeros_like(p)).flatten()
        for p, there in zip(parameters, seen, strict=True)
    ]
    flags = torch.tensor(seen, dtype=own[0].dtype, device=own[0].device)
    *total, flags = (
        processes().sum(torch.cat([*own, flags])).split([*map(len, own), len(own)])
    )
    for p, gradient, there in zip(parameters, total, flags.tolist(), strict=True):
        if there and p.grad is None:
            p.grad = torch.empty_like(p)
        if there:
            p.grad.copy_(gradient.view_as(p))
