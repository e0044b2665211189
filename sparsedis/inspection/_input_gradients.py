"""Gradients of features with respect to the input columns."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch

from sparsedis.inspection._estimators import (
    check_table,
    final_estimator,
    final_inputs,
)

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

# Rows of a block: the backward pass needs memory for the activations of one block.
_ROWS = 1024


def input_gradients(estimator: Any, X: ArrayLike) -> Any:
    """Mean gradients of each feature with respect to each input column.

    Gradients are in units of standard deviations: multiplied by that of the column and
    divided by that of the feature, both in X. For a linear encoder of uncorrelated
    columns, the squared gradients of a feature sum to 1.

    Parameters
    ----------
    estimator : estimator
        Estimator with `module_`, fitted on tables. In a pipeline or search, columns are
        those that reach this estimator.

    X : array-like of shape (n_samples, n_features)
        Inputs, over whose rows the gradients are averaged.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        Two kinds of gradients:

        mean_absolute : ndarray of shape (n_components, n_features)
            Mean absolute gradients: the strength of an effect.
        mean : ndarray of shape (n_components, n_features)
            Mean gradients with their signs: the direction of an effect. They are much
            smaller than `mean_absolute` if the direction depends on the row.

    Raises
    ------
    ValueError
        When X is not a table, the estimator has no `module_`, or its encoder has no
        gradient.

    See Also
    --------
    input_importance : Effects on features and tasks, of any encoder.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> from sparsedis.inspection import input_gradients
    >>> X, Y = make_sparse_tasks(200, 40, n_factors=2, random_state=0)
    >>> X = np.column_stack([X, np.random.default_rng(0).standard_normal(200)])
    >>> est = SparseMultiTaskRepresentation(
    ...     encoder="identity", max_iter=1, random_state=0
    ... ).fit(X, Y)
    >>> gradients = input_gradients(est, X)
    >>> gradients.mean.shape
    (2, 3)
    >>> bool(gradients.mean_absolute[:, 2].max() < 0.1)
    True
    """
    # Displays that do not need torch must not load it.
    import torch

    final = final_estimator(estimator)
    if not hasattr(final, "module_"):
        raise ValueError(
            "estimator must have one encoder, module_; got "
            f"{final!r}. For an ensemble, pass one of its estimators_."
        )
    X = check_table(final_inputs(estimator, X))
    # A copy, since torch cannot share the read-only memory of a frame.
    X = np.array(final._validate_X(X, reset=False), dtype=np.float64)
    device = final._device()
    dtype = torch.float32 if device.type == "mps" else torch.float64
    module = copy.deepcopy(final.module_).to(device, dtype).eval().requires_grad_(False)
    n, k = len(X), final.n_components_
    total, absolute, features = np.zeros((k, X.shape[1])), np.zeros((k, X.shape[1])), []
    with torch.enable_grad():
        for first in range(0, n, _ROWS):
            rows = torch.as_tensor(X[first : first + _ROWS], dtype=dtype, device=device)
            Z = module(rows.requires_grad_())
            if not Z.requires_grad:
                raise ValueError(
                    f"estimator must have an encoder with gradients; the features of "
                    f"{final.module_.encoder!r} have none. Use input_importance."
                )
            features.append(Z.detach().cpu().numpy())
            for j, column in enumerate(Z.T):
                (gradient,) = torch.autograd.grad(
                    column.sum(), rows, retain_graph=j < k - 1
                )
                total[j] += gradient.sum(0).cpu().numpy()
                absolute[j] += gradient.abs().sum(0).cpu().numpy()
    spread = np.concatenate(features).std(0, dtype=np.float64)
    # The gradients of a constant feature are zero.
    unit = X.std(0) / np.where(spread > 0, spread, np.inf)[:, None]
    return Bunch(mean_absolute=absolute / n * unit, mean=total / n * unit)
