"""Rotation of the features of a trained representation to the factors in them."""

import numpy as np
import torch

from sparsedis.bilevel._module import device_blocks
from sparsedis.encoders import RotatedRepresentation
from sparsedis.multitask._table_moments import class_labels, numeric_chunks
from sparsedis.rotation._class_labels import ClassLabels, Part
from sparsedis.rotation._classes import class_moments
from sparsedis.rotation._mixed import join_moments
from sparsedis.rotation._moments import concatenate, regression_moments
from sparsedis.rotation._stages import MAX_TASKS, Whitening, count_in, find_factors


def factors_of_table(Z, table, *, n_components, rng):
    """Find the factors from the tasks of a table.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, m)
        Features of the rows of the table.

    table : TaskTable

    n_components : int or "auto"

    rng : Generator

    Returns
    -------
    Factors
    """
    moments, whitening = _moments_of_table(Z, table)
    return find_factors(moments, whitening, n_components=n_components, rng=rng)


def directions_of_table(Z, table):
    """Count the factors in features, without a rotation to them.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, m)
        Features of the rows of the table.

    table : TaskTable

    Returns
    -------
    count : FactorCount

    components : ndarray of shape (rank, m)
        Directions, as in `count`: they are ``(Z - mean) @ components.T``.

    mean : ndarray of shape (m,)
    """
    moments, whitening = _moments_of_table(Z, table)
    _, count = count_in(moments)
    return count, count.directions.T @ whitening.matrix.T, whitening.mean


def _moments_of_table(Z, table):
    """Moments of the heads of the tasks of a table, and the whitening."""
    whitening = _whiten(Z)
    white = whitening(Z)
    counts = table.labels.counts()
    useful = (counts >= 2) & table.teaching
    if table.n_classes is not None:
        useful &= table.n_classes != 1
    tasks = np.flatnonzero(useful)
    if len(tasks) > MAX_TASKS:
        tasks = np.sort(tasks[np.argsort(-counts[tasks], kind="stable")[:MAX_TASKS]])
    several = np.zeros(len(tasks), dtype=bool)
    if table.n_classes is not None:
        several = table.n_classes[tasks] >= 2
    parts = [
        regression_moments(Z, Y, weight)[0]
        for _, Z, Y, weight in numeric_chunks(white, table, tasks[~several])
    ]
    labels = None
    if several.any() or (table.n_classes is not None and not parts):
        labels = class_labels(white, table, tasks[several])
    return join_moments(parts, labels, whitening.rank), whitening


def _whiten(Z):
    """Whitening of features that are not all constant."""
    whitening = Whitening(Z)
    if whitening.rank == 0:
        raise ValueError(
            "The encoder gives all rows the same features, up to rounding errors of "
            "float32. If columns vary by less than 1e-6 of their mean, subtract it."
        )
    return whitening


@torch.no_grad()
def factors_of_batches(module, batches, categorical, *, n_components, rng, device):
    """Find the factors from the tasks of the last steps of a stream.

    Parameters
    ----------
    module : Representation

    batches : iterable of TaskBatch

    categorical : bool
        Whether labels are classes.

    n_components : int or "auto"

    rng : Generator

    device : torch.device

    Returns
    -------
    Factors
    """
    batches = list(batches)
    n_tasks = sum(batch.n_tasks for batch in batches)
    while len(batches) > 1 and n_tasks - batches[0].n_tasks >= MAX_TASKS:
        n_tasks -= batches.pop(0).n_tasks
    features = [
        np.concatenate(
            [
                module(rows).double().cpu().numpy()
                for rows in device_blocks([batch.rows], device)
            ]
        )
        for batch in batches
    ]
    whitening = _whiten(np.concatenate(features))
    parts = []
    for batch, Z in zip(batches, features, strict=True):
        white = whitening(Z)
        for tasks, part in _of_shared_rows(batch):
            at = slice(None) if part is None else part
            Y = batch.y[tasks]
            Y = np.where(batch.mask[tasks], Y, np.nan) if batch.mask is not None else Y
            Y = Y if Y.ndim == 3 else Y[..., None]
            weight = None if batch.weight is None else batch.weight[tasks].T
            Y = np.swapaxes(Y, 0, 1)
            if not categorical:
                parts.append(regression_moments(white[at], Y, weight)[0])
                continue
            n_classes = batch.n_classes
            if n_classes is None:
                n_classes = np.full(batch.n_tasks, max(2, int(batch.y.max()) + 1))
            parts.append(Part.of(white[at], Y[..., 0], n_classes[tasks], weight))
    if categorical:
        moments = class_moments(ClassLabels.of(parts), whitening.rank)
    else:
        moments = concatenate(parts, whitening.rank)
    return find_factors(moments, whitening, n_components=n_components, rng=rng)


def _of_shared_rows(batch):
    """Tasks of a batch, and the positions of the rows that they share."""
    if batch.index is None or batch.index.ndim == 1:
        yield np.arange(batch.n_tasks), batch.index
        return
    for t in range(batch.n_tasks):
        yield np.array([t]), batch.index[t]


def rotated(module, factors):
    """Append the rotation to a module.

    Parameters
    ----------
    module : Representation

    factors : Factors

    Returns
    -------
    RotatedRepresentation
    """
    device = next(
        (t.device for t in (*module.parameters(), *module.buffers())),
        torch.device("cpu"),
    )
    components, mean = (
        torch.tensor(array, dtype=torch.float32, device=device)
        for array in (factors.components, factors.mean)
    )
    return RotatedRepresentation(module, components, mean).eval()
