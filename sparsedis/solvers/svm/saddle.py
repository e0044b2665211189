"""Positive semi-definite linear systems, with or without equality constraints."""

import torch


class SaddlePoint:
    """Solve ``A x + E a = r``, ``E'x = q`` for a batch of tasks.

    ``A`` is positive semi-definite. The system is scaled to a unit diagonal and
    factorised, by Cholesky without ``E`` and by LU with it. If the factorisation fails,
    a shift is added to the diagonal of ``A`` and subtracted from that of the corner.
    The shift starts at N times the unit roundoff, or at ``singular``, and grows by
    factors of 100 until the factorisation succeeds. Solutions are refined with the
    system without the shift: once, or twice if any system of the batch has a shift.
    Unknowns with a zero row in ``A`` and ``E``, or a zero column in ``E``, are set to
    zero.

    Parameters
    ----------
    A : tensor of shape (n_tasks, N, N)
        Overwritten.
    E : tensor of shape (n_tasks, N, m), default=None
    singular : float, default=None
        First shift of systems that are singular to working precision. Solutions
        contain the rounding errors of the right-hand side divided by it.
    """

    def __init__(self, A, E=None, *, singular=None):
        diagonal = A.diagonal(dim1=-2, dim2=-1)
        self.size, sign = diagonal.shape[-1], None
        alive, scale = diagonal > 0, diagonal
        if E is not None:
            columns = (
                E.square() / torch.where(alive, diagonal, 1.0).unsqueeze(-1)
            ).sum(1)
            alive = torch.cat([alive | (E != 0).any(-1), columns > 0], 1)
            scale = torch.cat([diagonal, columns], 1)
            corner = E.new_zeros(len(E), E.shape[-1], E.shape[-1])
            A = torch.cat([torch.cat([A, E], 2), torch.cat([E.mT, corner], 2)], 1)
            sign = torch.ones_like(scale[:1])
            sign[:, self.size :] = -1
        scale = torch.where(scale > 0, scale, 1.0).rsqrt() * alive
        self.matrix, self.scale = A, scale.unsqueeze(-1)
        self.matrix.mul_(self.scale).mul_(self.scale.mT)
        self.matrix.diagonal(dim1=-2, dim2=-1).add_(~alive)
        self.factor, self.shift, self.passes = _factorise(self.matrix, sign, singular)

    def singular(self):
        """Return a mask of systems that needed a shift, of shape (n_tasks,)."""
        return self.shift > 0

    def solve(self, r, q=None, *, refine=True):
        """Return ``x``, of the shape of ``r`` (n_tasks, ...), and ``a`` or None."""
        right = r.flatten(1)
        right = (right if q is None else torch.cat([right, q], 1)).unsqueeze(-1)
        right = right * self.scale
        x = self._apply(right)
        for _ in range(self.passes if refine else 0):
            x = x + self._apply(torch.baddbmm(right, self.matrix, x, alpha=-1))
        x = (x * self.scale).squeeze(-1)
        a = None if q is None else x[:, self.size :]
        return x[:, : self.size].reshape(r.shape), a

    def _apply(self, r):
        """Solve with the factors, in the units of the scaled system."""
        if isinstance(self.factor, torch.Tensor):
            # Faster than cholesky_solve, which copies the factor.
            r = torch.linalg.solve_triangular(self.factor, r, upper=False)
            return torch.linalg.solve_triangular(self.factor.mT, r, upper=True)
        return torch.linalg.lu_solve(*self.factor, r)


def _factorise(A, sign, singular):
    """Return factors of ``A + shift diag(sign)``, the shifts, and the refinements.

    The shifts are the first that work, and there are two refinements with a shift.
    """
    least = 100 * A.shape[-1] * torch.finfo(A.dtype).eps
    factor, pivot = _factor(A, sign)
    failed = ~(pivot > (0.0 if singular is None else least))
    shift, more = A.new_zeros(len(A)), least / 100 if singular is None else singular
    passes = 1
    while bool(failed.any()):
        at, passes = failed.nonzero().flatten(), 2
        direction = torch.ones_like(A[0, :1]) if sign is None else sign
        again, pivot = _factor(A[at] + torch.diag_embed(more * direction), sign)
        for old, new in zip(_parts(factor), _parts(again), strict=True):
            old[at] = new
        shift[at], more = more, 100 * more
        # Only a matrix with NaN or inf fails with shifts up to 1.
        failed[at] = ~(pivot > 0) & (more < 1)
    return factor, shift, passes


def _factor(A, sign):
    """Return the Cholesky or, with constraints, LU factors and the smallest pivot."""
    if sign is None:
        factor, failed = torch.linalg.cholesky_ex(A)
        pivot = factor.diagonal(dim1=-2, dim2=-1).amin(-1) ** 2
        return factor, torch.where(failed > 0, 0.0, pivot)
    LU, pivots, _ = torch.linalg.lu_factor_ex(A)
    return (LU, pivots), LU.diagonal(dim1=-2, dim2=-1).abs().amin(-1)


def _parts(factor):
    """Return the tensors of a factorisation, by Cholesky or LU."""
    return (factor,) if isinstance(factor, torch.Tensor) else factor
