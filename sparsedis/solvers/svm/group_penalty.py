"""The penalty ``P(W) = alpha sum_j ||W_j|| + l2/2 ||W||^2``, its conjugate and link.

``W`` and ``V`` have shape (n_tasks, m, q): each column is a feature, so that sums over
its m coordinates add rows of contiguous memory. Symbols are those of
:mod:`sparsedis.solvers.svm`.
"""

import dataclasses
from dataclasses import dataclass, fields

import torch

from sparsedis.solvers.svm.faces import project_gram

# Maximal number of elements in an intermediate array of `weighted_gram`.
_CHUNK = 1 << 23
# From this number of elements in a matrix of features on, a product of its own costs
# less than a copy.
_COPY = 1 << 14


def dot(a, b):
    """``<a_j, b_j>`` for every feature j of two (n_tasks, m, q) tensors."""
    return (a * b).sum(1)


def norm(a):
    """``||a_j||`` for every feature j of an (n_tasks, m, q) tensor."""
    # Several times faster than vector_norm, which is slow along an outer axis.
    return (a * a).sum(1).sqrt()


def unit(a, length):
    """``a_j / ||a_j||``, given the norms; columns of zeros stay zero."""
    return a / length.clamp_min(torch.finfo(length.dtype).tiny).unsqueeze(1)


def gather_columns(a, index):
    """Return the columns `index`, (n_tasks, k), of an (n_tasks, m, q) tensor."""
    return a.gather(2, index.unsqueeze(1).expand(-1, a.shape[1], -1))


def take_features(Z, tasks, index):
    """Return the features `index`, (n_tasks, k), of some tasks, (n_tasks, n, k).

    `Z` and `tasks` are those of :func:`pull`.
    """
    if len(Z) == 1 or len(Z) == len(tasks):
        # Several times faster than with indices for all axes.
        columns = index.unsqueeze(1).expand(-1, Z.shape[1], -1)
        return Z.expand(len(tasks), -1, -1).gather(2, columns)
    sample = torch.arange(Z.shape[1], device=Z.device)[None, :, None]
    return Z[tasks[:, None, None], sample, index.unsqueeze(1)]


def pull(Z, weight, X, tasks=None):
    """Return ``V = Z'(s X)`` in the dtype of Z.

    Parameters
    ----------
    Z : tensor of shape (n_all, n_samples, q) or (1, n_samples, q)
    weight : tensor of shape (n_tasks, n_samples)
    X : tensor of shape (n_tasks, n_samples, m)
    tasks : tensor of shape (n_tasks,) of int, default=None
        Index in Z of each task, in ascending order. By default, all matrices of Z.

    Returns
    -------
    tensor of shape (n_tasks, m, q)
    """
    X = (weight.unsqueeze(-1) * X).mT.to(Z.dtype)
    if len(Z) == 1:
        return (X.reshape(-1, X.shape[-1]) @ Z[0]).reshape(*X.shape[:2], -1)
    if tasks is None or len(tasks) == len(Z):
        return torch.bmm(X, Z)
    if Z[0].numel() < _COPY:
        return torch.bmm(X, Z[tasks])
    return torch.stack([x @ Z[t] for x, t in zip(X, tasks.tolist(), strict=True)])


def link(V, alpha, l2):
    """Link from V to W, the minimiser of ``P(W) - <V, W>``.

    It is ``W_j = (1 - alpha / ||V_j||)_+ V_j / l2`` for every feature j.
    """
    kept = (1 - alpha / norm(V).clamp_min(torch.finfo(V.dtype).tiny)).clamp_min(0)
    return V * (kept / l2).unsqueeze(1)


def conjugate(reach, alpha, l2):
    """Conjugate of P, ``(||V_j|| - alpha)_+^2 / (2 l2)``, for ``reach = ||V_j||``."""
    return (reach - alpha).clamp_min(0).square() / (2 * l2)


def fenchel_gap(V, W, alpha, l2):
    """``P(W_j) + P*(V_j) - <V_j, W_j>``: zero if and only if W_j is the link of V_j."""
    w = norm(W)
    gap = w * (alpha + 0.5 * l2 * w) + conjugate(norm(V), alpha, l2) - dot(V, W)
    return gap.clamp_min(0)


def link_curvature(W, alpha, l2):
    """Jacobian M of the link at its value W, ``M_j = a_j I + d_j w_j w_j'``.

    With ``w_j = W_j / ||W_j||`` it is ``a_j = ||W_j|| / (alpha + l2 ||W_j||)`` and
    ``d_j = alpha / (l2 (alpha + l2 ||W_j||))``. Both are zero if ``W_j = 0``.

    Returns
    -------
    a, d : tensor of shape (n_tasks, q)

    direction : tensor of shape (n_tasks, m, q)
    """
    w = norm(W)
    active = (w > 0).to(w.dtype)
    slope = torch.where(w > 0, alpha + l2 * w, 1.0)
    return w / slope, active * alpha / (l2 * slope), unit(W, w)


def apply_curvature(a, d, direction, V):
    """``M_j V_j`` with ``M_j = a_j I + d_j w_j w_j'``, for every feature j."""
    return a.unsqueeze(1) * V + (d * dot(direction, V)).unsqueeze(1) * direction


def weighted_gram(S, a, d, direction, blocks=None):
    """Return ``s Z M Z's``, which is ``sum_j (s Z_j)(s Z_j)' (x) M_j``.

    ``(x)`` is the Kronecker product. The blocks are ``M_j = a_j I + d_j w_j w_j'``.
    Given the blocks of a projection Pi, see :mod:`.faces`, return ``Pi s Z M Z's Pi``.

    Parameters
    ----------
    S : tensor of shape (n_tasks, n_samples, q)
    a, d : tensor of shape (n_tasks, q)
        Non-negative.
    direction : tensor of shape (n_tasks, m, q)
        ``w_j``.
    blocks : tensor of shape (n_tasks, n_samples, m, m), default=None

    Returns
    -------
    tensor of shape (n_tasks, n_samples * m, n_samples * m)
    """
    n_tasks, n, q = S.shape
    m = direction.shape[1]
    plain = S.new_empty(n_tasks, n, n)
    full = S.new_empty(n_tasks, n * m, n * m)
    radial = direction * d.sqrt().unsqueeze(1)
    size = max(1, _CHUNK // max(1, n_tasks * n * m))
    for start in range(0, max(q, 1), size):
        # The first part overwrites what the memory holds.
        part, kept = slice(start, start + size), min(start, 1)
        rows = S[:, :, part]
        plain.baddbmm_(rows * a[:, None, part], rows.mT, beta=kept)
        turned = radial[:, None, :, part]
        if blocks is not None:
            turned = blocks.flatten(1, 2) @ radial[..., part]
            turned = turned.view(n_tasks, n, m, -1)
        rows = (rows.unsqueeze(2) * turned).flatten(1, 2)
        full.baddbmm_(rows, rows.mT, beta=kept)
    if blocks is not None:
        return full.add_(project_gram(plain, blocks))
    full.view(n_tasks, n, m, n, m).diagonal(dim1=2, dim2=4).add_(plain.unsqueeze(-1))
    return full


@dataclass
class GroupIterate:
    """W in Newton's method on the active set, see :mod:`.active_set`.

    The active rows solve ``R_j = V_j - alpha w_j - l2 W_j = 0``; all others are zero. A
    Newton step is ``dW = M (dV + R)``.

    Attributes
    ----------
    S : tensor of shape (n_tasks, n_samples, q)
    W : tensor of shape (n_tasks, m, q)
    alpha, l2 : tensor of shape (n_tasks, 1)
    index : tensor of shape (n_tasks, q)
        Feature in each column; -1 for padding.
    """

    S: torch.Tensor
    W: torch.Tensor
    alpha: torch.Tensor
    l2: torch.Tensor
    index: torch.Tensor

    def take(self, at):
        """Return the iterate of the tasks ``at``."""
        return GroupIterate(*(getattr(self, field.name)[at] for field in fields(self)))

    def replace(self, other, where):
        """Return this iterate, with the W of ``other`` in the tasks of ``where``."""
        W = torch.where(where[:, None, None], other.W, self.W)
        return dataclasses.replace(self, W=W)

    def put(self, at, other):
        """Return this iterate, with the W of ``other`` as that of the tasks ``at``."""
        return dataclasses.replace(self, W=self.W.index_copy(0, at, other.W))

    def scores(self):
        """Return ``s Z W``."""
        return torch.bmm(self.S, self.W.mT)

    def linearise(self, X):
        """Return ``s Z W`` and ``s Z M R``.

        This sets M (`curvature`) and R (`residual`) for :meth:`hessian` and
        :meth:`advance`.
        """
        V = torch.bmm(X.mT, self.S)
        w = norm(self.W)
        # Rows of zeros with ||V_j|| > alpha become active.
        self.W = torch.where(
            (w == 0).unsqueeze(1), link(V, self.alpha, self.l2), self.W
        )
        self.curvature = link_curvature(self.W, self.alpha, self.l2)
        pushed_back = self.alpha.unsqueeze(1) * self.curvature[2]
        residual = V - pushed_back - self.l2.unsqueeze(1) * self.W
        self.residual = residual * (norm(self.W) > 0).unsqueeze(1)
        fixed = apply_curvature(*self.curvature, self.residual)
        return self.scores(), torch.bmm(self.S, fixed.mT)

    def hessian(self, blocks):
        """Return ``Pi s Z M Z's Pi``, the matrix of a step in X on a face."""
        a, d, direction = self.curvature
        # Only rows that are not zero contribute.
        size = a + d
        at = size.topk(int((size > 0).sum(-1).amax()), -1).indices
        a, d = a.gather(1, at), d.gather(1, at)
        S, direction = gather_columns(self.S, at), gather_columns(direction, at)
        return weighted_gram(S, a, d, direction, blocks)

    def advance(self, dX):
        """Add ``M (Z'(s dX) + R)`` to W.

        Rows that would turn by 90 degrees or more become zero.
        """
        drive = torch.bmm(dX.mT, self.S) + self.residual
        W = self.W + apply_curvature(*self.curvature, drive)
        stays = dot(W, self.W) > 0
        return dataclasses.replace(self, W=W * stays.unsqueeze(1))

    def measure(self, X):
        """Yield the scores, the penalty's part of the gap, and the iterate.

        The first iterate is this one, the second has the link of V as W.
        """
        V = torch.bmm(X.mT, self.S)
        gap = fenchel_gap(V, self.W, self.alpha, self.l2)
        yield self.scores(), gap.sum(-1), self
        linked = dataclasses.replace(self, W=link(V, self.alpha, self.l2))
        yield linked.scores(), 0.0, linked
