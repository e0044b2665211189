"""Newton systems of one group Lasso SVM, reduced to the coefficients."""

import torch

# Rows of a Gram matrix that are computed at a time.
_STRIP = 256
# Passes of iterative refinement, and how far each brings the residual down.
_PASSES = 2
_REDUCTION = 1e-6
_MAX_CG = 60


class PrimalSystem:
    """Newton systems of one problem, factorised for several right-hand sides.

    With ``R = s Z`` (n, q), ``C_i = diag(z_i / beta_i)`` on the vectors that sum to
    zero (one block per sample) and ``P_j = M_j^-1`` (one block per feature), a step
    solves

        P w - R'x = g,        C x + R w = r,

    for ``w = dW`` and ``x = dX Q'`` by Cholesky of ``K = P + R' C^-1 R``, whose size is
    the number of coefficients and not that of samples. With ``d = beta / z``, the block
    of a sample in C^-1 is the Laplacian of a graph on the classes, ``sum_{k<l} d_k d_l
    / sum(d) (e_k - e_l)(e_k - e_l)'``, so that K is a sum of one weighted Gram matrix
    of the features per pair of classes.

    For most samples the weight of a pair soon is almost zero. The Gram matrices leave
    out samples whose contribution is small against P; conjugate gradients on the full
    system, with the factor of K as preconditioner, correct for that.

    Parameters
    ----------
    R : tensor of shape (n_samples, q)
        The first k columns are features, any others intercepts, not penalised.
    d : tensor of shape (n_samples, n_classes)
        ``beta / z``, positive.
    basis : tensor of shape (n_classes, m)
        Orthonormal basis of the vectors that sum to zero.
    penalty : tuple of tensors (a, b, direction)
        ``P_j = a_j I + b_j w_j w_j'``, of shapes (k,), (k,) and (m, k): ``w_j`` is a
        column of the direction, and ``b_j <= 0``.
    """

    def __init__(self, R, d, basis, penalty):
        self.R, self.d, self.basis, self.penalty = R, d, basis, penalty
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
            Required value of ``R'x`` for intercepts.

        Returns
        -------
        x : tensor of shape (n_samples, n_classes)
        w : tensor of shape (m, k)
        intercept : tensor of shape (1, m) or None
            Steps of the intercepts.
        """
        k = g.shape[1]
        w = r.new_zeros(self.basis.shape[1], self.R.shape[1])
        for _ in range(_PASSES):
            # Large terms cancel sample by sample, before they are summed over samples.
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
        (n_classes, m), q = self.basis.shape, self.R.shape[1]
        first, second = torch.tril_indices(n_classes, n_classes, -1)
        weight = self.d[:, first] * self.d[:, second] / self.total
        keep = self._matters(weight)
        grams = self.R.new_empty(len(first), q, q)
        for pair, gram in enumerate(grams):
            rows = keep[:, pair]
            part = self.R[rows] * weight[rows, pair].sqrt().unsqueeze(-1)
            for start in range(0, q, _STRIP):
                stop = min(q, start + _STRIP)
                gram[start:stop, :stop] = part[:, start:stop].T @ part[:, :stop]
                gram[:start, start:stop] = gram[start:stop, :start].T
        a, b, direction = self.penalty
        # Intercepts have no penalty: no contribution to them is small.
        for j in range(len(a), q):
            grams[:, j, j] += (weight * ~keep).T @ self.R[:, j].square()
        apart = (self.basis[first] - self.basis[second]).T
        mix = (apart[:, None] * apart).flatten(0, 1)
        K = self.R.new_empty(m, q, m, q)
        for start in range(0, q, _STRIP):
            part = grams[:, start : start + _STRIP]
            blocks = (mix @ part.flatten(1)).view(m, m, -1, q)
            K[:, start : start + _STRIP] = blocks.permute(0, 2, 1, 3)
        blocks = torch.diag_embed(a.expand(m, -1).T).permute(1, 2, 0)
        blocks = blocks + b * direction[:, None] * direction
        K.diagonal(dim1=1, dim2=3)[..., : len(a)].add_(blocks)
        return K.view(m * q, m * q)

    def _matters(self, weight):
        """Return which samples a pair of classes keeps, (n_samples, n_pairs) of bool.

        The contributions of the others add up to no more than the least eigenvalue of
        P.
        """
        a, b, _ = self.penalty
        load = weight * self.R.square().mean(-1, keepdim=True)
        floor = (a + b).amin() if len(a) else 0.0
        ordered = load.flatten().sort().values
        dropped = int((ordered.cumsum(0) <= floor).sum())
        return load > (ordered[dropped - 1] if dropped else -1.0)

    def _relax(self, r):
        """Return ``C^-1 r = d (r - <d, r> / sum(d))``, row by row."""
        level = (self.d * r).sum(-1, keepdim=True) / self.total
        x = ((r - level) * self.d).scatter_(1, self.stiffest, 0.0)
        # The stiffest entry is minus the sum of the others, to full precision.
        return x.scatter_(1, self.stiffest, -x.sum(-1, keepdim=True))

    def _pull(self, x):
        """Return ``R'x`` in coordinates, (m, q)."""
        return self.basis.T @ (x.T @ self.R)

    def _push(self, w):
        """Return ``R w`` in classes, (n_samples, n_classes)."""
        return (self.R @ w.T) @ self.basis.T

    def _penalise(self, w):
        """Return ``P w``."""
        a, b, direction = self.penalty
        return a * w + b * (direction * w).sum(0) * direction

    def _precondition(self, residual):
        """Return ``K^-1`` times the residual."""
        x = (self.scale * residual.flatten()).unsqueeze(-1)
        x = torch.cholesky_solve(x, self.factor).squeeze(-1)
        return (self.scale * x).view(residual.shape)

    def _conjugate_gradients(self, residual):
        """Solve ``(P + R' C^-1 R) w = residual``, up to a reduction by 1e-6."""
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
    """Return the Cholesky factor of ``K + shift I`` with the smallest shift that works.

    K has a unit diagonal; shifts are 0, 1e-15 and its multiples by powers of 100.
    """
    shift = 0.0
    while True:
        factor, failed = torch.linalg.cholesky_ex(K)
        more = max(1e-15, 100 * shift)
        # Rounding errors do not need a shift of 1: the matrix is not finite.
        if not int(failed) or more > 1:
            return factor
        K.diagonal().add_(more - shift)
        shift = more
