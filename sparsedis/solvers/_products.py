"""Products of features that all tasks may share, in few and large matrix products."""

from functools import cached_property, lru_cache

import torch

# Maximal size of an array of products of features.
_BLOCK = 2**22


def forward(Z, W):
    """``Z @ W``, of shape (n_tasks, n_samples, d).

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)

    W : tensor of shape (n_tasks, k, d)

    Returns
    -------
    tensor of shape (n_tasks, n_samples, d)
        With shared features the samples are contiguous, the last axis is not.
    """
    if len(Z) != 1:
        return Z @ W
    n_tasks, k, d = W.shape
    product = W.mT.reshape(n_tasks * d, k) @ Z[0].T
    return product.reshape(n_tasks, d, product.shape[-1]).mT


def pull(Z, X):
    """``Z' X``, of shape (n_tasks, k, d), for X of shape (n_tasks, n_samples, d)."""
    if len(Z) != 1:
        return Z.mT @ X
    n_tasks, n, d = X.shape
    product = X.mT.reshape(n_tasks * d, n) @ Z[0]
    return product.reshape(n_tasks, d, product.shape[-1]).mT


def spread(Z, X, W):
    """``X W'``, with the shape of Z but for its last axis: summed if Z is shared.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, ...) or (1, n_samples, ...)

    X : tensor of shape (n_tasks, n_samples, d)

    W : tensor of shape (n_tasks, k, d)

    Returns
    -------
    tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
    """
    if len(Z) != 1:
        return X @ W.mT
    n_tasks, n, d = X.shape
    rows = W.mT.reshape(n_tasks * d, W.shape[1])
    return (X.mT.reshape(n_tasks * d, n).T @ rows).unsqueeze(0)


class Curvature:
    """Second derivative of a loss of scores ``Z W``, for the features of a batch.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
    """

    def __init__(self, Z):
        self.Z = Z

    def clear(self):
        """Forget the products of features, which are many times as large as these."""
        vars(self).pop("_block", None)

    def take(self, Z):
        """The same for some of the tasks, whose features are ``Z``."""
        return self if len(self.Z) == 1 else Curvature(Z)

    def __call__(self, bends):
        """Sums over the samples of the products of features, times `bends`.

        Parameters
        ----------
        bends : tensor of shape (n_tasks, n_samples, d, d)
            Symmetric; weighted second derivatives of each sample in its scores.

        Returns
        -------
        tensor of shape (n_tasks, d * k, d * k)
            By scores, then by features.
        """
        n_tasks, n, d = bends.shape[:3]
        Z, k = self.Z, self.Z.shape[-1]
        if d == 1:
            weight = bends.reshape(n_tasks, 1, n)
        else:
            a, b = torch.tril_indices(d, d, device=Z.device)
            weight = bends.movedim(1, -1)[:, a, b]
        if len(Z) == n_tasks == 1 and weight.numel() * k <= _BLOCK:
            columns = weight[0].T.unsqueeze(-1) * Z[0].unsqueeze(1)
            gram = (Z[0].T @ columns.flatten(1)).unflatten(1, (-1, k))
            at = _symmetric(d, Z.device).reshape(d, d)
            return gram[:, at].permute(1, 0, 2, 3).reshape(1, d * k, d * k)
        if len(Z) != 1 or 2 * n_tasks <= k:
            pairs = weight.unsqueeze(-1).unbind(1)
            gram = torch.stack([Z.mT @ (share * Z) for share in pairs], 1)
            at = _symmetric(d, Z.device).reshape(d, d)
            return gram[:, at].transpose(2, 3).reshape(n_tasks, d * k, d * k)
        # One matrix product serves all tasks.
        shares = weight.reshape(-1, n).split(self._size, 1)
        first, *rest = zip(shares, self._products, strict=True)
        flat = first[0] @ first[1]
        for share, products in rest:
            flat += share @ products
        place = _place(k, d, Z.device)
        # Three times as fast as index_select.
        flat = flat.reshape(n_tasks, -1).gather(1, place.expand(n_tasks, -1))
        return flat.reshape(n_tasks, d * k, d * k)

    @property
    def _size(self):
        k = self.Z.shape[-1]
        return max(1, _BLOCK // (k * (k + 1) // 2))

    @property
    def _products(self):
        """Products of all pairs of features, in blocks of samples."""
        if self.Z.shape[1] <= self._size:
            return [self._block]
        return map(self._pairs, self.Z[0].split(self._size))

    @cached_property
    def _block(self):
        return self._pairs(self.Z[0])

    def _pairs(self, rows):
        i, j = torch.tril_indices(*[self.Z.shape[-1]] * 2, device=rows.device)
        # Whole rows of the transpose are copied several times faster than columns.
        columns = rows.T.contiguous()
        return (columns[i] * columns[j]).T


@lru_cache(maxsize=8)
def _place(k, d, device):
    """Position of each entry of the matrix among those that are computed."""
    block = _symmetric(d, device).reshape(d, 1, d, 1) * (k * (k + 1) // 2)
    return (block + _symmetric(k, device).reshape(k, 1, k)).flatten()


@lru_cache(maxsize=8)
def _symmetric(k, device):
    """Position of each entry of a symmetric matrix in its lower triangle."""
    i, j = torch.tril_indices(k, k, device=device)
    place = i.new_empty(k, k)
    place[i, j] = place[j, i] = torch.arange(len(i), device=device)
    return place.flatten()
