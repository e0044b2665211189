"""Folds that hold the classes of a task in equal shares."""

import numpy as np


def stratify(labels, n_folds):
    """Divide the labels of a task as :class:`~sklearn.model_selection.StratifiedKFold`.

    Parameters
    ----------
    labels : ndarray of shape (n,) of int
        Classes, from 0.

    n_folds : int

    Returns
    -------
    ndarray of shape (n,) of int
        Fold of each label, without any condition on the sizes of classes.
    """
    # scikit-learn numbers classes by their first label.
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    codes = np.argsort(np.argsort(first))[codes]
    in_order = np.sort(codes)
    fold = np.empty(len(labels), dtype=int)
    counts = [
        np.bincount(in_order[f::n_folds], minlength=len(first)) for f in range(n_folds)
    ]
    for c, each in enumerate(np.transpose(counts)):
        fold[codes == c] = np.repeat(np.arange(n_folds), each)
    return fold
