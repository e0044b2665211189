"""Feature matrix of one SVM with many samples, dense or sparse.

Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import numpy as np
import scipy.sparse as sp
import torch


class Features:
    """Matrix of features, dense or sparse, minus the means of its columns.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, p)
        Features, in float64.
    mean : ndarray of shape (p,), default=None
        Means of the columns; zero by default.
    """

    def __init__(self, X, mean=None):
        self.mean, self.shape = mean, X.shape
        # A dense matrix is centred here, because products of uncentred features lose
        # digits. A sparse matrix would become dense: its products are centred instead.
        self.shift = mean if sp.issparse(X) else None
        if sp.issparse(X):
            self.X = X.tocsc()
        else:
            self.X = X if mean is None else X - mean

    def pull(self, D):
        """Return ``D'Z``, (m, p): with ``D = s X`` it is V, as the code stores it."""
        D = D.numpy()
        V = np.asarray((self.X.T @ D).T)
        if self.shift is not None:
            V = V - D.sum(0)[:, None] * self.shift
        return torch.from_numpy(np.ascontiguousarray(V))

    def columns(self, index=slice(None)):
        """Return some columns of Z as a dense tensor, (n_samples, q)."""
        part = self.X[:, index]
        part = part.toarray() if sp.issparse(part) else np.array(part)
        if self.shift is not None:
            part -= self.shift[index]
        return torch.from_numpy(np.ascontiguousarray(part))
