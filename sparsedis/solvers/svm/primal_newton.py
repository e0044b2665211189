"""Newton systems of one group Lasso SVM, reduced to the coefficients.

Symbols are those of :mod:`sparsedis.solvers.svm`, with the M of :mod:`.group_pairs`.
"""

import torch

# Number of rows of a Gram matrix that are computed at a time.
_STRIP = 256
# Passes of iterative refinement. In each, conjugate gradients reduce the squared norm
# of the residual, in the metric of the preconditioner, by the factor _REDUCTION, in at
# most _MAX_CG iterations.
_PASSES = 2
_REDUCTION = 1e-6
_MAX_CG = 60


class PrimalSystem:
    """Newton systems of one problem, factorised for several right-hand sides.

    Let ``C_i = diag(z_i / beta_i)`` on the vectors that sum to zero, with one block per
    sample. A step solves

        M^-1 w - S'x = g,        C x + S w = r,

    for ``w = dW`` and ``x = dX Q'``. Eliminating x leaves ``K = M^-1 + S' C^-1 S``,
    whose size is the number of coefficients and does not depend on the number of
    samples. With ``d = beta / z``, the block of a sample in C^-1 is the Laplacian of a
    graph on the classes, ``sum_{k<l} d_k d_l / sum(d) (e_k - e_l)(e_k - e_l)'``. The
    second term of K is therefore a sum of weighted Gram matrices of the features, one
    per pair of classes.

    After a few iterations, most samples have almost no weight in most pairs. The Gram
    matrices leave out samples whose contribution is small compared with M^-1. Conjugate
    gradients on the full system correct this, with the Cholesky factor of K as
    preconditioner.

    Parameters
    ----------
    S : tensor of shape (n_samples, q)
        The first k columns are features; any others are intercepts, which have no
        penalty.
    d : tensor of shape (n_samples, n_classes)
        ``beta / z``, positive.
    basis : tensor of shape (n_classes, m)
        ``Q``.
    penalty : tuple of tensors (a, b, direction)
        ``M_j^-1 = a_j I + b_j w_j w_j'``, of shapes (k,), (k,) and (m, k). ``w_j`` is a
        column of the direction, and ``b_j <= 0``.
    """

    def __init__(self, S, d, basis, penalty):
        self.S, self.d, self.basis, self.penalty = S, d, basis, penalty
        self.total = d.sum(-1, keepdim=True)
        self.stiffest = d.argmax(-1, keepdim=True)
        K = self._assemble()
        diagonal = K.diagonal()
        self.scale = torch.where(diagonal > 0, diagonal, 1.0).rsqrt()
        K *= self.scale
        K *= self.scale.unsqueeze(-1)
        self.factor = _factorise(K)

    def solve(self, r, g, balance=None):
        """Solve for one right-hand side.

        Parameters
        ----------
        r : tensor of shape (n_samples, n_classes)
            Only differences within a row matter. For accuracy, the entry with the
            largest ``d`` should be close to zero.
        g : tensor of shape (m, k)
        balance : tensor of shape (m,), default=None
            Required value of ``s'x`` in coordinates; None without intercepts.

        Returns
        -------
        x : tensor of shape (n_samples, n_classes)
        w : tensor of shape (m, k)
        intercept : tensor of shape (1, m) or None
            Steps of the intercepts.
        """
        k = g.shape[1]
        w = r.new_zeros(self.basis.shape[1], self.S.shape[1])
        for _ in range(_PASSES):
            # Large terms of a sample cancel here, before the sum over the samples.
            x = self._relax(r - self._push(w))
            residual = self._pull(x)
            residual[:, :k] += g - self._penalise(w[:, :k])
            if balance is not None:
                residual[:, -1] -= balance
            w += self._conjugate_gradients(residual)
        x = self._relax(r - self._push(w))
        return x, w[:, :k], None if balance is None else w[:, -1:].T

    def _assemble(self):
        """Return K, (m * q, m * q), from one Gram matrix per pair of classes."""
        (n_classes, m), q = self.basis.shape, self.S.shape[1]
        first, second = torch.tril_indices(n_classes, n_classes, -1)
        weight = self.d[:, first] * self.d[:, second] / self.total
        keep = self._matters(weight)
        grams = self.S.new_empty(len(first), q, q)
        for pair, gram in enumerate(grams):
            rows = keep[:, pair]
            part = self.S[rows] * weight[rows, pair].sqrt().unsqueeze(-1)
            for start in range(0, q, _STRIP):
                stop = min(q, start + _STRIP)
                gram[start:stop, :stop] = part[:, start:stop].T @ part[:, :stop]
                gram[:start, start:stop] = gram[start:stop, :start].T
        a, b, direction = self.penalty
        # Intercepts have no penalty, so that all contributions to them matter.
        for j in range(len(a), q):
            grams[:, j, j] += (weight * ~keep).T @ self.S[:, j].square()
        apart = (self.basis[first] - self.basis[second]).T
        mix = (apart[:, None] * apart).flatten(0, 1)
        K = self.S.new_empty(m, q, m, q)
        for start in range(0, q, _STRIP):
            part = grams[:, start : start + _STRIP]
            blocks = (mix @ part.flatten(1)).view(m, m, -1, q)
            K[:, start : start + _STRIP] = blocks.permute(0, 2, 1, 3)
        blocks = torch.diag_embed(a.expand(m, -1).T).permute(1, 2, 0)
        blocks = blocks + b * direction[:, None] * direction
        K.diagonal(dim1=1, dim2=3)[..., : len(a)].add_(blocks)
        return K.view(m * q, m * q)

    def _matters(self, weight):
        """Return the samples to keep for each pair, of shape (n_samples, n_pairs).

        The contributions of the others, in any pair, add up to at most the smallest
        eigenvalue of M^-1.
        """
        a, b, _ = self.penalty
        load = weight * self.S.square().mean(-1, keepdim=True)
        floor = (a + b).amin() if len(a) else 0.0
        ordered = load.flatten().sort().values
        dropped = int((ordered.cumsum(0) <= floor).sum())
        return load > (ordered[dropped - 1] if dropped else -1.0)

    def _relax(self, r):
        """Return ``C^-1 r``, which is ``d (r - <d, r> / sum(d))`` for every row."""
        level = (self.d * r).sum(-1, keepdim=True) / self.total
        x = ((r - level) * self.d).scatter_(1, self.stiffest, 0.0)
        # Rows sum to zero. The entry with the largest d is computed from the others,
        # which keeps its digits.
        return x.scatter_(1, self.stiffest, -x.sum(-1, keepdim=True))

    def _pull(self, x):
        """Return ``S'x`` in coordinates, (m, q)."""
        return self.basis.T @ (x.T @ self.S)

    def _push(self, w):
        """Return ``S w`` for all classes, (n_samples, n_classes)."""
        return (self.S @ w.T) @ self.basis.T

    def _penalise(self, w):
        """Return ``M^-1 w``."""
        a, b, direction = self.penalty
        return a * w + b * (direction * w).sum(0) * direction

    def _precondition(self, residual):
        """Return ``K^-1`` times the residual."""
        x = (self.scale * residual.flatten()).unsqueeze(-1)
        x = torch.cholesky_solve(x, self.factor).squeeze(-1)
        return (self.scale * x).view(residual.shape)

    def _conjugate_gradients(self, residual):
        """Return an approximate solution w of ``(M^-1 + S' C^-1 S) w = residual``."""
        k = len(self.penalty[0])
        w, p, energy, aim = torch.zeros_like(residual), 0.0, 1.0, None
        for _ in range(_MAX_CG):
            y = self._precondition(residual)
            previous, energy = energy, float((residual * y).sum())
            aim = _REDUCTION * energy if aim is None else aim
            p = y + (energy / previous) * p
            if not energy > 0:
                break
            Kp = self._pull(self._relax(self._push(p)))
            Kp[:, :k] += self._penalise(p[:, :k])
            length = energy / float((p * Kp).sum())
            w += length * p
            residual = residual - length * Kp
            if energy <= aim:
                break
        return w


def _factorise(K):
    """Return the Cholesky factor of ``K + shift I``, with the first shift that works.

    K has a unit diagonal. Shifts are 0, 1e-15, 1e-13 and so on, by factors of 100.
    """
    shift = 0.0
    while True:
        factor, failed = torch.linalg.cholesky_ex(K)
        more = max(1e-15, 100 * shift)
        # Only a matrix with NaN or inf fails with shifts up to 1.
        if not int(failed) or more > 1:
            return factor
        K.diagonal().add_(more - shift)
        shift = more
