"""The implicit gradient of the group Lasso SVM, through its dual."""

import torch

from sparsedis.solvers.svm.faces import face_system, project_gram
from sparsedis.solvers.svm.group_penalty import (
    apply_curvature,
    link_curvature,
    norm,
    take_features,
    unit,
    weighted_gram,
)
from sparsedis.solvers.svm.saddle import SaddlePoint

# Singular values below this share of the largest count as zero.
_RANK = 1e-12


def svm_adjoint(Z, solution, alpha, l2, grad_W, grad_intercept, *, needs=(True, True)):
    """Return the cotangents of the features and of the penalties.

    Symbols are those of :mod:`sparsedis.solvers.svm`. With the projector Pi on the
    directions in which X may move on its face, the solution satisfies ``Pi s Z W(V) =
    const`` with ``V = Z's X``. The adjoint system

        Pi s Z M Z's Pi a = Pi s Z M G

    has as many unknowns as the dual, for any number of features. With ``U = M
    (G - Z's a)``:

        dL/dZ = s X U' - s a W'    dL/dalpha = -<U, W / ||W||>    dL/dl2 = -<U, W>

    Intercepts, with cotangent g, add the constraint ``E'a = g``. For singular systems,
    for example with duplicate or zero samples, the solution is that of minimum norm.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, p) or (1, n_samples, p)
    solution : SVMSolution
    alpha, l2 : tensor of shape (n_tasks,)
    grad_W : tensor of shape (n_tasks, p, n_classes)
    grad_intercept : tensor of shape (n_tasks, n_classes)
    needs : pair of bool, default=(True, True)
        Whether the cotangents of alpha and of l2 are needed; otherwise they are zero.

    Returns
    -------
    grad_Z : tensor of the shape of Z

    grad_alpha, grad_l2 : tensor of shape (n_tasks,)
    """
    grad_alpha, grad_l2 = torch.zeros_like(alpha), torch.zeros_like(l2)
    used = solution.info.support.any(-1)
    whole = len(Z) > 1 and bool((used & (alpha == 0)).all())
    grad_Z = torch.empty_like(Z) if whole else torch.zeros_like(Z)
    # Without alpha all features are active: do not copy them to float64.
    for kind, chosen in ((_AllRows, alpha == 0), (_ActiveRows, alpha > 0)):
        at = (chosen & used).nonzero().flatten()
        if not len(at):
            continue
        part = solution.simplices.take(at)
        rows = kind(Z, solution, part, alpha, l2, at, grad_W)
        g = (grad_intercept[at].unsqueeze(1) @ part.basis).squeeze(1)
        a = _solve(part, solution.active[at], rows, g)
        X = part.coordinates(solution.beta[at])
        weight = part.weight.unsqueeze(-1)
        rows.finish(grad_Z, weight * X, weight * a)
        if needs[0]:
            grad_alpha[at] = -rows.along_unit().to(alpha)
        if needs[1]:
            grad_l2[at] = -rows.along().to(l2)
    return grad_Z, grad_alpha, grad_l2


class _ActiveRows:
    """Features with a non-zero row in W, gathered task by task, in float64.

    ``M_j = a_j I + d_j w_j w_j'`` is block-diagonal, see `link_curvature`.
    """

    def __init__(self, Z, solution, part, alpha, l2, at, grad_W):
        support = solution.info.support[at]
        count = int(support.sum(-1).max())
        index = support.to(torch.uint8).topk(count, -1).indices
        real = support.gather(1, index).to(alpha).unsqueeze(1)
        self.index, self.at = index, at
        self.where = (
            (at if len(Z) > 1 else torch.zeros_like(at))[:, None, None],
            torch.arange(Z.shape[1], device=Z.device)[None, :, None],
            index[:, None],
        )
        self.Z = take_features(Z, at, index).to(alpha) * real
        self.S = part.weight.unsqueeze(-1) * self.Z
        basis, task = part.basis.mT, at.unsqueeze(-1)
        self.W = basis @ solution.W[task, index].mT.to(alpha) * real
        self.G = basis @ grad_W[task, index].mT.to(alpha) * real
        self.curvature = link_curvature(self.W, alpha[at, None], l2[at, None])

    def hessian(self, blocks):
        """Return ``Pi s Z M Z's Pi``, given the blocks of Pi."""
        return weighted_gram(self.S, *self.curvature, blocks)

    def drive(self):
        """Return ``s Z M G``."""
        self.driven = apply_curvature(*self.curvature, self.G)
        return torch.bmm(self.S, self.driven.mT)

    def factor(self, i):
        """Return ``L = s Z M^(1/2)`` and ``t = M^(1/2) G`` of task i."""
        across, more, along = (part[i] for part in self.curvature)
        more = (across + more).sqrt() - across.sqrt()
        eye = torch.eye(len(along), dtype=along.dtype, device=along.device)
        root = eye.unsqueeze(-1) * across.sqrt() + more * along[:, None] * along
        S, target = self.S[i][:, None, None], (root * self.G[i]).sum(1)
        return (S * root).flatten(2).flatten(0, 1), target.flatten()

    def finish(self, grad_Z, sX, sa):
        """Set ``U = M (G - Z's a)`` and add ``s X U' - s a W'`` to the cotangent."""
        self.U = self.driven - apply_curvature(*self.curvature, sa.mT @ self.Z)
        change = sX @ self.U - sa @ self.W
        # The features of a task are distinct, except for padding with zeros.
        grad_Z.index_put_(self.where, change.to(grad_Z), accumulate=True)

    def along(self):
        """Return ``<U, W>``."""
        return (self.U * self.W).sum((1, 2))

    def along_unit(self):
        """Return ``sum_j <U_j, W_j / ||W_j||>``."""
        return (self.U * unit(self.W, norm(self.W))).sum((1, 2))


class _AllRows:
    """All features of tasks without alpha, where ``M = I / l2``, by class."""

    def __init__(self, Z, solution, part, alpha, l2, at, grad_W):
        whole = len(at) == len(alpha)
        self.Z = Z if whole or len(Z) == 1 else Z[at]
        self.W = solution.W if whole else solution.W[at]
        self.G = grad_W if whole else grad_W[at]
        self.gram = solution.gram[at]
        self.part, self.at, self.l2 = part, at, l2[at, None, None]

    def hessian(self, blocks):
        """Return ``Pi s Z M Z's Pi``, given the blocks of Pi."""
        return project_gram(self.gram, blocks)

    def drive(self):
        """Return ``s Z M G``."""
        # Stored by feature, a few numbers each, G would take twice as long.
        self.pushed = (self.Z @ self.G.mT.contiguous().mT).to(self.l2)
        driven = self.pushed @ self.part.basis / self.l2
        return self.part.weight.unsqueeze(-1) * driven

    def factor(self, i):
        """Return ``L = s Z / sqrt(l2)`` and ``t = G / sqrt(l2)``, rotated features."""
        Z = self.Z[0 if len(self.Z) == 1 else i].to(self.l2)
        features, factor = torch.linalg.qr((Z * self.part.weight[i].unsqueeze(-1)).mT)
        target = features.mT @ self.G[i].to(factor) @ self.part.basis[i]
        eye = torch.eye(target.shape[1], dtype=factor.dtype, device=factor.device)
        scale = self.l2[i].sqrt()
        factor = torch.kron(factor.mT.contiguous() / scale, eye)
        return factor, (target / scale).flatten()

    def finish(self, grad_Z, sX, sa):
        """Add ``s X U' - s a W'`` to the cotangent, without forming U.

        With ``U = (G - Z's a) / l2`` and ``W = Z's X / l2`` it is ``s X G' / l2 - B Z``
        for ``B = (s X (s a)' + s a (s X)') / l2``, an (n, n) matrix.
        """
        # By class: since the rows of X sum to zero, those of G need not.
        self.sX, self.sa = (self.part.expand(part) / self.l2 for part in (sX, sa))
        own = self.l2 * self.sX @ self.sa.mT
        own, sX, Z = (own + own.mT).to(self.Z), self.sX.to(self.Z), self.Z
        if len(grad_Z) == 1:
            grad_Z += (sX @ self.G.mT).sum(0) - own.sum(0) @ Z
        elif len(self.at) == len(grad_Z):
            torch.bmm(sX, self.G.mT, out=grad_Z).baddbmm_(own, Z, alpha=-1)
        else:
            grad_Z[self.at] = sX @ self.G.mT - own @ Z

    def along(self):
        """Return ``<U, W>``."""
        weight = self.part.weight.unsqueeze(-1)
        X, a = (
            torch.where(weight > 0, part / weight, 0.0) for part in (self.sX, self.sa)
        )
        along = self.sX * self.pushed / self.l2 - self.l2 * a * (self.gram @ X)
        return along.sum((1, 2))

    def along_unit(self):
        """Return ``sum_j <U_j, W_j / ||W_j||>``."""
        W, l2 = self.W, self.l2.to(self.W)
        length = W.square().sum(-1, keepdim=True).sqrt()
        U = self.G / l2 - self.Z.mT @ self.sa.to(W)
        return (U * W / torch.where(length > 0, length, 1.0)).sum((1, 2))


def _solve(simplices, face, rows, g):
    """Solve for a, (n_tasks, n_samples, m); singular systems by least squares."""
    matrix, border, blocks = face_system(simplices, face, rows.hessian)
    rhs = (blocks @ rows.drive().unsqueeze(-1)).squeeze(-1)
    # The system overwrites its matrix, which the errors need.
    system = SaddlePoint(matrix.clone(), border, singular=1e-10)
    a, multiplier = system.solve(rhs, None if border is None else g)
    left, right = a.flatten(1).unsqueeze(-1), rhs.flatten(1).unsqueeze(-1)
    product = matrix @ left
    if border is not None:
        product = product + border @ multiplier.unsqueeze(-1)
        product = torch.cat([product, border.mT @ left], 1)
        right = torch.cat([right, g.unsqueeze(-1)], 1)
    error = (product - right).square().sum((1, 2)).sqrt()
    scale = right.square().sum((1, 2)).sqrt()
    bad = system.singular() | ~(error <= 1e-8 * scale)
    for i in bad.nonzero().flatten().tolist():
        start = None if border is None else (border[i], g[i])
        a[i] = _minimum_norm(blocks[i], *rows.factor(i), start).reshape(a[i].shape)
    return a


def _minimum_norm(blocks, factor, target, bound):
    """Solve ``L L' a = L t`` on a face, with ``E'a = g``, as a least-squares problem.

    With ``E_face = Pi E`` and ``L_face = (I - E_face E_face^+) Pi L``, the solution of
    minimum norm is ``a_0 + L_face'^+ (t - L'a_0)`` with ``a_0 = E_face'^+ g``. Unlike
    in the normal equations, small singular values are not lost to rounding.
    """
    n, m, _ = blocks.shape

    def on_face(columns):
        return (blocks @ columns.reshape(n, m, -1)).reshape(n * m, -1)

    factor, start = on_face(factor), 0.0
    if bound is not None:
        border, g = bound
        inverse = torch.linalg.pinv(border, rtol=_RANK)
        start = inverse.mT @ g
        target = target - factor.mT @ start
        factor = factor - border @ (inverse @ factor)
    return start + torch.linalg.pinv(factor.mT, rtol=_RANK) @ target
