"""Directions of features, as seen from where the boundaries of the tasks meet."""

import numpy as np
import torch

from sparsedis.bilevel._objective import Step
from sparsedis.bilevel._sharing import own_tasks
from sparsedis.multitask._objective import TaskObjective


def directions_from_centre(Z, coef, intercept):
    """Directions of features from the point where the boundaries of tasks meet.

    Without noise, labels do not change if a row moves along the ray from there: they
    determine its direction, and say nothing about its distance.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features.

    coef : ndarray of shape (n_tasks, n_outputs, k)
        Coefficients of heads; NaN for tasks without.

    intercept : ndarray of shape (n_tasks, n_outputs)
        Their intercepts; not finite where a task lacks a class.

    Returns
    -------
    directions : ndarray of shape (n_rows, k)
        Of unit length. Their inner products are the cosines between the vectors of
        distances of the rows from all boundaries, moved to the centre.

    spread : float
        Distance of the boundaries from the centre, relative to that of the rows from
        the boundaries; medians. 0 if all meet in the centre. Infinite for a single
        feature, if boundaries are hardly more than features, which then meet somewhere
        in any case, or if the centre is not among the rows.
    """
    k = Z.shape[1]
    coef, intercept = coef.reshape(-1, k), intercept.reshape(-1)
    length = np.linalg.norm(coef, axis=1)
    known = (length > 0) & np.isfinite(length) & np.isfinite(intercept)
    if k == 1 or known.sum() <= 2 * k:
        return np.zeros_like(Z), np.inf
    normals = coef[known] / length[known, None]
    offsets = intercept[known] / length[known]
    centre = np.linalg.lstsq(normals, -offsets, rcond=None)[0]
    moved = Z - centre
    away = np.median(np.abs(moved @ normals.T))
    spread = np.median(np.abs(normals @ centre + offsets)) / away
    if np.sum((centre - Z.mean(0)) ** 2) > Z.var(0).sum():
        spread = np.inf
    values, vectors = np.linalg.eigh(normals.T @ normals / len(normals))
    moved = moved @ (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    size = np.linalg.norm(moved, axis=1, keepdims=True)
    return moved / np.maximum(size, np.finfo(float).tiny), float(spread)


class Directions(TaskObjective):
    """One minus the cosine between features and the vectors that are to be learned.

    A batch has a single task, whose labels are these vectors.
    """

    def forward(self, Z, batch, warmth, step):
        _, size, share = own_tasks(1)
        record = {"active": 1.0, "alpha": 0.0}
        return Step(share * _one_minus_cosine(Z, batch), size, record)

    def judge(self, Z, inner, Z_outer, outer):
        return _one_minus_cosine(Z_outer, outer)


def _one_minus_cosine(Z, batch):
    due = torch.as_tensor(batch.y[0], dtype=Z.dtype, device=Z.device)
    return 1 - torch.nn.functional.cosine_similarity(Z, due).mean()
