"""Group Lasso multiclass SVMs of a batch of tasks, with Newton steps in the dual.

The number of dual variables does not depend on the number of features. Symbols are
those of :mod:`sparsedis.solvers.svm`.
"""

from dataclasses import dataclass

import torch

from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers.svm.active_set import EXACT
from sparsedis.solvers.svm.bounds import solve_independent
from sparsedis.solvers.svm.certificates import duality_gap
from sparsedis.solvers.svm.group_penalty import norm, pull
from sparsedis.solvers.svm.interior_point import interior_point
from sparsedis.solvers.svm.null import null_beta
from sparsedis.solvers.svm.ridge_penalty import RidgePenalty
from sparsedis.solvers.svm.simplices import Simplices
from sparsedis.solvers.svm.working_set import WorkingSet

# Least share of the largest eigenvalue of the Gram matrix, for independent samples.
_INDEPENDENT = 1e-10

# Number of entries, over all tasks, in a block of features that is cast to float64.
_BLOCK = 1 << 18


@dataclass
class SVMSolution:
    """Solutions of a batch of group Lasso SVMs.

    Attributes
    ----------
    W : tensor of shape (n_tasks, p, n_classes)
        Coefficients, in the dtype of the features. Rows sum to zero.

    intercept : tensor of shape (n_tasks, n_classes)
        Intercepts, which sum to zero; zero without `fit_intercept`. A class without
        samples has the largest intercept that does not change the objective.

    beta : tensor of shape (n_tasks, n_samples, n_classes)
        Dual solution: each row is in the unit simplex.

    active : tensor of shape (n_tasks, n_samples, n_classes) of bool
        Entries of beta that count as positive.

    simplices : Simplices
        Domain of beta.

    gram : tensor of shape (n_tasks, n_samples, n_samples) or None
        ``(s Z)(s Z)' / l2`` of tasks with ``alpha = 0``, zeros for the others. None if
        there are no such tasks.

    info : SolverInfo
        Certificates, with the gap of W before it is rounded to the dtype of the
        features.
    """

    W: torch.Tensor
    intercept: torch.Tensor
    beta: torch.Tensor
    active: torch.Tensor
    simplices: Simplices
    gram: torch.Tensor | None
    info: SolverInfo


def solve_svm_dual(
    Z, y, weight, alpha, l2, n_classes, *, fit_intercept=False, tol=1e-9, max_iter=100
):
    """Solve a batch of group Lasso SVMs.

    The primal-dual interior-point method of Mehrotra runs on a working set of features,
    with one pair of positive scalars per feature. Close to the solution, Newton's
    method on the active set reduces the error to rounding errors. Tasks with ``alpha =
    0`` use only a factor of the Gram matrix of the samples instead of the features. If
    it has an inverse, an active-set method on the bounds of beta comes first.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, p) or (1, n_samples, p)
        Features. Products with all features are computed in their dtype. The features
        of the working set are copied to the dtype of ``weight``.

    y : tensor of shape (n_tasks, n_samples) of int64
        Labels, in ``[0, n_classes)``.

    weight : tensor of shape (n_tasks, n_samples)
        Weights of the samples, 0 for padding.

    alpha, l2 : tensor of shape (n_tasks,)
        Penalties; ``alpha`` non-negative, ``l2`` positive.

    n_classes : int
        Number of classes, at least 2.

    fit_intercept : bool, default=False
        Add an unpenalised intercept to each class.

    tol : float, default=1e-9
        Tolerance on the duality gap, relative to the objective at zero.

    max_iter : int, default=100
        Largest number of interior-point iterations.

    Returns
    -------
    SVMSolution
    """
    batch = _Batch(Z, y, weight, alpha, l2, n_classes, fit_intercept)
    batch.tol, batch.max_iter = tol, max_iter
    dense = alpha == 0
    batch.solve_dense(dense.nonzero().flatten())
    if not bool(dense.all()):
        direction = batch.simplices.coordinates(batch.beta)
        V = pull(Z, weight, direction)
        # W = 0 is optimal if no ||V_j|| exceeds alpha.
        null = ~dense & (norm(V).amax(-1).to(alpha) <= alpha)
        batch.solve_null((null & fit_intercept).nonzero().flatten())
        batch.solve_sparse((~dense & ~null).nonzero().flatten(), direction, V)
    if fit_intercept:
        batch.place_absent_classes()
    support = (batch.W != 0).any(-1)
    batch.certify(support)
    gap = batch.gap
    return SVMSolution(
        batch.W,
        batch.intercept,
        batch.beta,
        batch.active,
        batch.simplices,
        batch.gram,
        SolverInfo(gap, batch.n_iter, gap <= tol, support),
    )


class _Batch:
    """Tasks and their solutions, which start at ``W = 0``."""

    def __init__(self, Z, y, weight, alpha, l2, n_classes, fit_intercept):
        self.Z, self.weight, self.alpha, self.l2 = Z, weight, alpha, l2
        self.simplices = Simplices.build(
            y, weight, n_classes, fit_intercept=fit_intercept
        )
        self.W = Z.new_zeros(len(y), Z.shape[-1], n_classes)
        self.intercept = weight.new_zeros(len(y), n_classes)
        self.beta = null_beta(self.simplices)
        self.active = self.simplices.free & (self.beta > 0)
        self.gap = weight.new_zeros(len(y))
        self.n_iter = torch.zeros(len(y), dtype=torch.long, device=Z.device)
        self.gram = None

    def solve_null(self, at):
        """Set the intercepts of tasks with ``W = 0``, by an SVM without features."""
        if not len(at):
            return
        part = self.simplices.take(at)
        nothing = self.weight.new_zeros(*part.weight.shape, 1)
        penalty = RidgePenalty(nothing, nothing @ nothing.mT, rotated=True)
        self._run(at, penalty, (0.9 * part.uniform(),), None)
        # The gap of W = 0 is that with the beta of `null_beta`, which is kept.
        self.gap[at] = self._gap(at, 0.0)

    def solve_dense(self, at):
        """Solve tasks with ``alpha = 0``, from a factor L of the Gram matrix.

        If there are no more features than samples, ``L = s Z / sqrt(l2)``. Otherwise
        the eigenvectors of the Gram matrix give L. If these lose digits, L is that of a
        QR decomposition of the features.
        """
        if not len(at):
            return
        n, p = self.Z.shape[-2:]
        scale = (self.weight[at] / self.l2[at].sqrt().unsqueeze(-1)).unsqueeze(-1)
        self.gram = self.weight.new_zeros(len(self.weight), n, n)
        start = 0.9 * self.simplices.take(at).uniform()
        if p <= n:
            factor = _take(self.Z, at).to(scale) * scale
            self.gram[at] = factor @ factor.mT
            penalty = RidgePenalty(factor, self.gram[at], rotated=False)
            self._run(at, penalty, (start,), self._emit_features)
            return
        gram = scale.new_zeros(1 if len(self.Z) == 1 else len(at), n, n)
        for block in _blocks(_take(self.Z, at)):
            part = _take(self.Z, at)[..., block].to(gram)
            gram.baddbmm_(part, part.mT)
        gram = self.gram[at] = gram * scale * scale.mT
        values, vectors = torch.linalg.eigh(gram)
        # The Gram matrix is not accurate enough if the rounding errors of its largest
        # eigenvalue exceed eigenvalues that matter.
        eps = torch.finfo(gram.dtype).eps
        largest = values[:, -1:]
        small = (values > 1e3 * eps * largest) & (values < 1e-6 * largest)
        good = ~(small.any(-1) & (largest[:, 0] > 1e-10 / eps))
        if bool(good.any()):
            self._solve_rotated(at[good], values[good], vectors[good], start[good])
            if self.Z.dtype == gram.dtype:
                self.gap[at[good]] = self._gap(at[good], _take(self.Z, at[good]))
            good &= self.gap[at] <= self.tol
        if bool(good.all()):
            return
        at, scale, start = at[~good], scale[~good], start[~good]
        own = _take(self.Z, at).expand(len(at), -1, -1).to(scale) * scale
        features, factor = torch.linalg.qr(own.mT)
        factor = factor.mT
        penalty = RidgePenalty(factor, factor @ factor.mT, rotated=False)

        def emit(tasks, part, iterate):
            chosen = features[torch.isin(at, tasks)]
            self._emit_features(tasks, part, iterate, chosen)

        self._run(at, penalty, (start,), emit)

    def _solve_rotated(self, at, values, vectors, start):
        """Solve tasks from the eigenvalues and eigenvectors of the Gram matrix."""
        root = values.clamp_min(0).sqrt().unsqueeze(-2)
        factor, gram, part = vectors * root, self.gram[at], self.simplices.take(at)
        full = values > _INDEPENDENT * values[:, -1:]
        independent = full.sum(-1) == (part.weight > 0).sum(-1)
        if part.border is None and bool(independent.any()):
            here = independent.nonzero().flatten()
            inverse = vectors * torch.where(full, 1 / values, 0.0).unsqueeze(-2)
            inverse = (inverse @ vectors.mT)[here]
            penalty = RidgePenalty(factor[here], gram[here], rotated=True)
            with torch.inference_mode():
                pair, solved = solve_independent(penalty, part.take(here), inverse)
                solved &= pair.gap <= EXACT
                done = here[solved]
                if len(done):
                    self._emit(at[done], 0, pair.take(solved), self._emit_samples)
            rest = torch.ones_like(independent)
            rest[done] = False
            at, factor, gram, start = at[rest], factor[rest], gram[rest], start[rest]
        if len(at):
            penalty = RidgePenalty(factor, gram, rotated=True)
            self._run(at, penalty, (start,), self._emit_samples)

    def solve_sparse(self, at, direction, V):
        """Solve tasks with positive alpha.

        `direction` is a point X on the boundary of the simplices, along which the start
        is chosen, and `V` is ``Z'(s X)`` there.
        """
        if not len(at):
            return
        part = self.simplices.take(at)
        if part.border is not None:
            # With intercepts, there may be no interior point near the dual solution at
            # W = 0.
            direction = part.uniform()
            V = pull(self.Z, part.weight, direction, at)
        elif len(at) < len(V):
            direction, V = direction[at], V[at]
        slope = (part.cost * part.beta(direction)).sum((1, 2))
        m = direction.shape[-1]
        penalty = WorkingSet(self.Z, at, part.weight, self.alpha[at], self.l2[at], m)
        start = penalty.begin(direction, V, slope)

        def emit(tasks, part, iterate):
            real = iterate.index >= 0
            task, feature = (
                tasks.unsqueeze(-1).expand_as(real)[real],
                iterate.index[real],
            )
            self.W[task, feature] = (part.basis @ iterate.W).mT[real].to(self.W)

        self._run(at, penalty, start, emit)

    def certify(self, support):
        """Compute gaps from the data if rounding errors, divided by l2, may exceed tol.

        The link from V to W divides the rounding errors of V by l2.
        """
        eps = torch.finfo(self.weight.dtype).eps
        # Several times faster than the infinity norm.
        size = torch.maximum(self.Z.amax((1, 2)), -self.Z.amin((1, 2))).to(self.l2)
        errors = eps * size * size * self.weight.sum(-1) / self.l2
        doubtful = (errors > 1e-2 * self.tol) & support.any(1)
        for t in doubtful.nonzero().flatten().tolist():
            gap = duality_gap(
                self.Z[0 if len(self.Z) == 1 else t],
                self.W[t],
                self.beta[t],
                self.intercept[t],
                self.simplices.take(torch.tensor([t], device=self.Z.device)),
                self.alpha[t],
                self.l2[t],
            )
            self.gap[t] = torch.maximum(self.gap[t], gap)

    def place_absent_classes(self):
        """Set the intercepts of classes without samples.

        They are the largest values that do not change the loss of any sample: the score
        of such a class, plus the margin of 1, is at most the largest score of the other
        classes, with their margins.
        """
        simplices = self.simplices
        absent = ~simplices.free.any(1)
        if not bool(absent.any()):
            return
        W, intercept = self.W.to(self.weight), self.intercept
        raised = 1 - simplices.one_hot + intercept.unsqueeze(1)
        raised = raised + self.Z.to(self.weight) @ W
        allowed = torch.where(simplices.free, raised, -torch.inf).amax(-1) - 1
        exists = simplices.weight > 0
        lowest = torch.where(exists, allowed, torch.inf).amin(-1, keepdim=True)
        intercept = torch.where(absent, lowest, intercept)
        self.intercept = intercept - intercept.mean(-1, keepdim=True)

    def _run(self, at, penalty, start, emit_W):
        """Solve the tasks ``at`` and store their solutions.

        ``start`` has X and, with alpha, the pairs of the penalty. ``emit_W`` stores W;
        None leaves W and beta as they are.
        """

        def emit(local, n_iter, pair):
            self._emit(at[local], n_iter, pair, emit_W)

        # Calls cost a tenth less without what autograd would have to know.
        with torch.inference_mode():
            interior_point(
                penalty,
                self.simplices.take(at),
                *start,
                tol=self.tol,
                max_iter=self.max_iter,
                emit=emit,
            )

    def _emit(self, tasks, n_iter, pair, emit_W):
        """Store the solutions of some tasks."""
        part = self.simplices.take(tasks)
        self.gap[tasks] = pair.gap
        self.n_iter[tasks] += n_iter
        if pair.intercept is not None:
            intercept = pair.intercept.unsqueeze(-1)
            self.intercept[tasks] = (part.basis @ intercept).squeeze(-1)
        if emit_W is not None:
            self.beta[tasks], self.active[tasks] = pair.beta, pair.face
            emit_W(tasks, part, pair.iterate)

    def _emit_features(self, tasks, part, iterate, features=None):
        """Store ``W / sqrt(l2)``, multiplied by `features` if these are given."""
        W = iterate.W / self.l2[tasks, None, None].sqrt()
        W = W if features is None else features @ W
        self.W[tasks] = (W @ part.basis.mT).to(self.W)

    def _emit_samples(self, tasks, part, iterate):
        """Store ``W = Z'(s X) / l2``, one block of features at a time."""
        D = part.weight.unsqueeze(-1) * part.expand(iterate.X)
        D = D / self.l2[tasks, None, None]
        Z = _take(self.Z, tasks)
        # The precision of Z is sufficient unless large products cancel.
        trace = iterate.gram.diagonal(dim1=-2, dim2=-1).sum(-1)
        largest = trace.max() * iterate.X.abs().max()
        if float(largest) * torch.finfo(Z.dtype).eps < 1e-6:
            D = D.to(Z)
        W = self.W if len(tasks) == len(self.W) else torch.empty_like(self.W[tasks])
        for block in [slice(None)] if D.dtype == Z.dtype else _blocks(Z):
            # Products with few columns at the end take several times as long.
            W[:, block] = (D.mT @ Z[..., block].to(D)).mT
        if W is not self.W:
            self.W[tasks] = W

    def _gap(self, at, Z):
        """Return ``<beta, shortfall>`` at W: the gap, if W is the link of V."""
        part = self.simplices.take(at)
        scores = self.intercept[at].unsqueeze(1)
        if isinstance(Z, torch.Tensor):
            scores = scores + Z.to(scores) @ self.W[at].to(scores)
        scores = part.weight.unsqueeze(-1) * scores
        return (self.beta[at] * part.shortfall(scores)).sum((1, 2)) / part.total


def _blocks(Z):
    """Return slices of the features, with about _BLOCK entries over all tasks."""
    size = max(1, _BLOCK // Z[..., 0].numel())
    return [slice(start, start + size) for start in range(0, Z.shape[-1], size)]


def _take(Z, at):
    """Return the matrices of some tasks, without a copy if they are all or shared."""
    return Z if len(at) == len(Z) or len(Z) == 1 else Z[at]
