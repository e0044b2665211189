"""From an interior point to the exact solution: Newton on the active set."""

from dataclasses import dataclass

import torch

from sparsedis.solvers._saddle import SaddlePoint

# Gap, relative to the objective at zero, of a solution on the right active set.
EXACT = 1e-13
_ROUNDS = 7
_ROUNDING = 1e-15


@dataclass
class Solution:
    """Primal and dual solutions of a batch of tasks.

    Attributes
    ----------
    beta : tensor of shape (n_tasks, n_samples, n_classes)
    face : tensor of shape (n_tasks, n_samples, n_classes) of bool
        Entries of beta that are positive, or would be without rounding.
    alpha : tensor of shape (n_tasks, m) or None
        Intercepts, in coordinates.
    rows : Rows or Coordinates
        W.
    gap : tensor of shape (n_tasks,)
        Relative to the objective at zero.
    """

    beta: torch.Tensor
    face: torch.Tensor
    alpha: torch.Tensor | None
    rows: object
    gap: torch.Tensor

    def take(self, at):
        """Keep some tasks."""
        alpha = None if self.alpha is None else self.alpha[at]
        beta, face = self.beta[at], self.face[at]
        return Solution(beta, face, alpha, self.rows.take(at), self.gap[at])

    def replace(self, other, where):
        """Take another solution in some tasks."""
        alpha = self.alpha
        if alpha is not None:
            alpha = torch.where(where[:, None], other.alpha, alpha)
        return Solution(
            torch.where(where[:, None, None], other.beta, self.beta),
            torch.where(where[:, None, None], other.face, self.face),
            alpha,
            self.rows.replace(other.rows, where),
            torch.where(where, other.gap, self.gap),
        )


def polish(model, simplices, beta, z, alpha, index):
    """Solve on the active set that interior points suggest, and correct it.

    On the right active set this is Newton's method on smooth equations, which ends at
    rounding errors. Whatever happens, what comes back is no worse than the interior
    point.

    Parameters
    ----------
    model : Sparse or Dense
    simplices : Simplices
        Of the tasks to polish.
    beta, z : tensor of shape (n_tasks, n_samples, n_classes)
    alpha : tensor of shape (n_tasks, m) or None
    index : tensor of int
        The tasks to polish, among those of model, beta, z and alpha.

    Returns
    -------
    Solution
    """
    beta, z = beta[index], z[index]
    alpha = None if alpha is None else alpha[index]
    rows = model.restrict(index)

    # Which of beta and z is the larger on its own scale?
    scale = torch.where(simplices.one_hot > 0, 0.0, beta).amax((1, 2), keepdim=True)
    weight = simplices.weight.unsqueeze(-1)
    face = simplices.free & (beta * weight > z * scale.clamp_min(1e-8))
    best = _measure(simplices, beta, face, alpha, rows)
    beta, face = _onto_face(beta, face)
    X = simplices.coordinates(beta)
    last = False
    for _ in range(_ROUNDS):
        scores, fixed, hessian = rows.linearise(X)
        dX, d_alpha = _newton_step(
            simplices, face, hessian, X, simplices.lift(scores + fixed, alpha)
        )
        rows = rows.advance(dX)
        X = X + dX
        alpha = None if alpha is None else alpha + d_alpha
        newton_beta = simplices.beta(X)
        beta, _ = _onto_face(newton_beta, face)
        solution = _measure(simplices, beta, face, alpha, rows)
        # At the level of rounding errors, a further Newton step is the better guess.
        better = solution.gap <= best.gap.clamp_min(_ROUNDING)
        best = best.replace(solution, better)
        if last:
            break
        # The gap is the square of the errors of solution and gradient: one step more.
        last = bool((best.gap <= EXACT).all())
        # Leave the face where beta is negative; join where a score stands out.
        raised = simplices.cost + simplices.expand(simplices.lift(rows.scores(), alpha))
        level = (beta * raised).sum(-1, keepdim=True)
        stands_out = raised - level > 1e-12 * (1 + level.abs())
        face = simplices.free & torch.where(face, newton_beta > 0, stands_out)
        beta, face = _onto_face(newton_beta, face)
        X = simplices.coordinates(beta)
    return best


def project(face_blocks, matrix):
    """``P M P`` for a block-diagonal projector P, given by its (m, m) blocks."""
    n_tasks, n, m, _ = face_blocks.shape
    for _ in range(2):
        matrix = face_blocks @ matrix.mT.reshape(n_tasks, n, m, n * m)
        matrix = matrix.reshape(n_tasks, n * m, n * m)
    return matrix


def face_projector(face, basis):
    """Projectors, one per sample, on the directions that keep beta on its face.

    Parameters
    ----------
    face : tensor of shape (n_tasks, n_samples, n_classes) of bool
        Entries of beta that may be positive.
    basis : tensor of shape (n_tasks, n_classes, m)

    Returns
    -------
    tensor of shape (n_tasks, n_samples, m, m)
    """
    on = face.to(basis.dtype)
    size = on.sum(-1).clamp_min(1)[..., None, None]
    full = torch.diag_embed(on) - on.unsqueeze(-1) * on.unsqueeze(-2) / size
    return basis.mT.unsqueeze(1) @ full @ basis.unsqueeze(1)


def face_system(simplices, face, hessian):
    """Newton matrix on the directions of a face, and on the others a multiple of one.

    Returns
    -------
    matrix : tensor of shape (n_tasks, n_samples * m, n_samples * m)

    border : tensor of shape (n_tasks, n_samples * m, m) or None
        That of the simplices, projected.

    blocks : tensor of shape (n_tasks, n_samples, m, m)
        The projector.
    """
    blocks = face_projector(face, simplices.basis)
    n_tasks, n, m, _ = blocks.shape
    matrix = project(blocks, hessian)
    height = matrix.diagonal(dim1=-2, dim2=-1).amax(-1)
    # Nothing to solve: leave X alone.
    empty = (height <= 0).to(hessian)
    matrix = matrix + torch.diag_embed(empty[:, None].expand(-1, n * m))
    height = torch.where(height > 0, height, 1.0)
    rest = torch.eye(m, dtype=hessian.dtype, device=hessian.device) - blocks
    rest = (height[:, None, None, None] * rest).permute(0, 2, 3, 1)
    matrix.view(n_tasks, n, m, n, m).diagonal(dim1=1, dim2=3).add_(rest)
    border = None
    if simplices.border is not None:
        border = blocks @ simplices.border.reshape(n_tasks, n, m, -1)
        border = border.reshape(n_tasks, n * m, -1)
    return matrix, border, blocks


def _newton_step(simplices, face, hessian, X, scores):
    matrix, border, blocks = face_system(simplices, face, hessian)
    slope = simplices.cost @ simplices.basis + scores
    slope = (blocks @ slope.unsqueeze(-1)).squeeze(-1)
    balance = None if border is None else -simplices.imbalance(X)
    return SaddlePoint(matrix, border, singular=1e-10).solve(-slope, balance)


def _onto_face(beta, face):
    """Nearest point of a face or so, and the face with at least one vertex."""
    face = face | (beta == beta.amax(-1, keepdim=True))
    beta = torch.where(face, beta.clamp_min(0), 0.0)
    return beta / beta.sum(-1, keepdim=True), face


def _measure(simplices, beta, face, alpha, rows):
    best, X = None, simplices.coordinates(beta)
    feasible = torch.ones_like(beta[:, 0, 0], dtype=torch.bool)
    if simplices.border is not None:
        tolerance = 1e-12 * simplices.total
        feasible = simplices.imbalance(X).abs().amax(-1) <= tolerance
    for scores, gap, own in rows.measure(X):
        scores = simplices.expand(simplices.lift(scores, alpha))
        gap = gap + (beta * simplices.shortfall(scores)).sum((1, 2))
        gap = torch.where(feasible, gap / simplices.total, torch.inf)
        solution = Solution(beta, face, alpha, own, gap)
        if best is None:
            best = solution
        else:
            best = best.replace(solution, solution.gap < best.gap)
    return best
