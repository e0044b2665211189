"""Weighted means of models with the least squared error."""

import itertools

import numpy as np

# Weight of the common mean, in labels of a task.
_PRIOR_LABELS = 40.0


class BestMeans:
    """Products of the errors of several models on the same labels, by task.

    Parameters
    ----------
    n_tasks, n_models : int
    """

    def __init__(self, n_tasks, n_models):
        self._products = np.zeros((n_tasks, n_models, n_models))
        self._n_labels = np.zeros(n_tasks, dtype=int)

    def add(self, tasks, errors, weight, variance):
        """Add the labels of some tasks.

        Parameters
        ----------
        tasks : ndarray of int

        errors : ndarray of shape (n_models, n, n_tasks, n_outputs)
            NaN where missing.

        weight : ndarray of shape (n, n_tasks) or None

        variance : ndarray of shape (n_tasks,)
            Variance of the labels of each task.
        """
        known = ~np.isnan(errors).any((0, -1))
        share = known.astype(float) if weight is None else np.where(known, weight, 0.0)
        n = (share > 0).sum(0)
        share = share * n / np.maximum(share.sum(0), 1e-300)
        share = share / np.where(variance > 0, variance, np.inf)
        errors = np.where(known[..., None], errors, 0.0)
        products = np.einsum("nt,anto,bnto->tab", share, errors, errors, optimize=True)
        self._products[tasks], self._n_labels[tasks] = products, n

    def weights(self):
        """Weights of the models, which sum to 1, shrunk to those for all tasks.

        Returns
        -------
        ndarray of shape (n_tasks, n_models)
        """
        mean = self._products.sum(0) / max(1, self._n_labels.sum())
        return simplex_weights(self._products + _PRIOR_LABELS * mean)


def simplex_weights(products):
    """Minimise w' P w over positive weights w that sum to 1.

    Parameters
    ----------
    products : ndarray of shape (n, k, k)
        Positive semidefinite matrices P, with few rows.

    Returns
    -------
    ndarray of shape (n, k)
        The first models where others are not better.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.multitask._best_means import simplex_weights
    >>> simplex_weights(np.array([[[1.0, 0.0], [0.0, 3.0]], [[1.0, 2.0], [2.0, 9.0]]]))
    array([[0.75, 0.25],
           [1.  , 0.  ]])
    """
    n, k = products.shape[:2]
    size = np.trace(products, axis1=1, axis2=2)[:, None, None]
    best, found = np.full(n, np.inf), np.zeros((n, k))
    for m in range(1, k + 1):
        for some in itertools.combinations(range(k), m):
            own = products[:, some][:, :, some]
            # Errors may be the same.
            own = own + (1e-12 * size + 1e-300) * np.eye(m)
            solved = np.linalg.solve(own, np.ones((n, m, 1)))[..., 0]
            w = np.zeros((n, k))
            w[:, some] = solved / solved.sum(1, keepdims=True)
            loss = np.einsum("na,nab,nb->n", w, products, w)
            better = (w >= 0).all(1) & (loss < best)
            best, found[better] = np.where(better, loss, best), w[better]
    return found
