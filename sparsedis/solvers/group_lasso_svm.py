"""Group Lasso multiclass SVM (Crammer-Singer), many small problems at a time.

    min_W  sum_i s_i [max_l (1 - Y_il + (ZW)_il) - (ZW)_{i,y_i}]
           + l1 sum_j ||W_j|| + l2/2 ||W||^2

is solved through its dual, whose size does not depend on the number of features
(Eqs. 6-8 of Lachapelle et al., ICML 2023).
"""

from dataclasses import dataclass

import torch

from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._svm_dense import Dense
from sparsedis.solvers._svm_interior import interior_point
from sparsedis.solvers._svm_null import null_beta
from sparsedis.solvers._svm_rows import norm, pull
from sparsedis.solvers._svm_simplices import Simplices
from sparsedis.solvers._svm_sparse import Sparse

# Features of all tasks together that are cast to float64 at a time.
_BLOCK = 1 << 18


@dataclass
class SVMSolution:
    """Solutions of a batch of group Lasso SVMs.

    Attributes
    ----------
    W : tensor of shape (n_tasks, p, n_classes)
        Rows sum to zero. In the dtype of the features.

    intercept : tensor of shape (n_tasks, n_classes)
        Zero if not asked for; sums to zero. A class without samples has the largest
        intercept that does not change the objective.

    beta : tensor of shape (n_tasks, n_samples, n_classes)
        Dual solution: each row is in the unit simplex.

    active : tensor of shape (n_tasks, n_samples, n_classes) of bool
        Entries of beta that count as positive.

    simplices : Simplices
        Where beta lives.

    gram : tensor of shape (n_tasks, n_samples, n_samples) or None
        ``(s Z)(s Z)' / l2`` of the tasks without l1.

    info : SolverInfo
        The gap is that of W before it is rounded to the dtype of the features.
    """

    W: torch.Tensor
    intercept: torch.Tensor
    beta: torch.Tensor
    active: torch.Tensor
    simplices: Simplices
    gram: torch.Tensor | None
    info: SolverInfo


def solve_group_lasso_svm(
    Z, y, weight, l1, l2, n_classes, *, fit_intercept=False, tol=1e-9, max_iter=100
):
    """Solve a batch of group Lasso SVMs.

    A primal-dual interior-point method (Mehrotra's, with Nesterov-Todd scaling of one
    second-order cone per feature) runs on a working set of features; once the active
    set shows, Newton's method on it takes the solution to rounding errors. Without l1
    the features enter through a factor of the Gram matrix of the samples only.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, p) or (1, n_samples, p)
        Features. What is done with all of them is done in their dtype; those of the
        working set are copied to the dtype of ``weight``.

    y : tensor of shape (n_tasks, n_samples) of int64
        Labels, in ``[0, n_classes)``.

    weight : tensor of shape (n_tasks, n_samples)
        Weights of the samples, 0 for samples that do not exist.

    l1, l2 : tensor of shape (n_tasks,)
        Penalties; ``l1`` non-negative, ``l2`` positive.

    n_classes : int
        At least 2.

    fit_intercept : bool, default=False
        Add an intercept to each class, not penalised.

    tol : float, default=1e-9
        Duality gap, relative to the objective at zero.

    max_iter : int, default=100
        Largest number of interior-point iterations.

    Returns
    -------
    SVMSolution
    """
    batch = _Batch(Z, y, weight, l1, l2, n_classes, fit_intercept)
    batch.tol, batch.max_iter = tol, max_iter
    dense = l1 == 0
    batch.solve_dense(dense.nonzero().flatten())
    if not bool(dense.all()):
        direction = batch.simplices.coordinates(batch.beta)
        V = pull(Z, weight, direction)
        # The null solution is optimal where none of its features exceeds l1.
        null = ~dense & (norm(V).amax(-1).to(l1) <= l1)
        batch.solve_null((null & fit_intercept).nonzero().flatten())
        batch.solve_sparse((~dense & ~null).nonzero().flatten(), direction, V)
    if fit_intercept:
        batch.place_absent_classes()
    batch.certify()
    gap, support = batch.gap, (batch.W != 0).any(-1)
    return SVMSolution(
        batch.W,
        batch.intercept,
        batch.beta,
        batch.active,
        batch.simplices,
        batch.gram,
        SolverInfo(gap, batch.n_iter, gap <= tol, support),
    )


def group_lasso_svm_bound(Z, y, weight, n_classes, *, fit_intercept=False):
    """Upper bound, in closed form, of the l1 from which ``W = 0``.

    Parameters
    ----------
    Z, y, weight, n_classes, fit_intercept
        As in :func:`solve_group_lasso_svm`.

    Returns
    -------
    tensor of shape (n_tasks,)
        In the dtype of ``Z``.
    """
    simplices = Simplices.build(y, weight, n_classes, fit_intercept=fit_intercept)
    V = pull(Z, weight, simplices.coordinates(null_beta(simplices)))
    return norm(V).amax(-1)


class _Batch:
    """Tasks and, once solved, their solutions; to begin with those at W = 0."""

    def __init__(self, Z, y, weight, l1, l2, n_classes, fit_intercept):
        self.Z, self.weight, self.l1, self.l2 = Z, weight, l1, l2
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
        """Intercepts of tasks with W = 0."""
        if not len(at):
            return
        part = self.simplices.take(at)
        nothing = self.weight.new_zeros(*part.weight.shape, 1)
        model = Dense(nothing, nothing @ nothing.mT, rotated=True)
        self._run(at, model, 0.9 * part.uniform(), None)
        # For any l1 from the bound on, with the dual solution that goes with W = 0.
        self.gap[at] = self._gap(at, 0.0)

    def solve_dense(self, at):
        """Tasks without l1."""
        if not len(at):
            return
        n, p = self.Z.shape[-2:]
        scale = (self.weight[at] / self.l2[at].sqrt().unsqueeze(-1)).unsqueeze(-1)
        self.gram = self.weight.new_zeros(len(self.weight), n, n)
        start = 0.9 * self.simplices.take(at).uniform()
        if p <= n:
            factor = _take(self.Z, at).to(scale) * scale
            self.gram[at] = factor @ factor.mT
            model = Dense(factor, self.gram[at], rotated=False)
            self._run(at, model, start, self._emit_features)
            return
        gram = scale.new_zeros(1 if len(self.Z) == 1 else len(at), n, n)
        for block in _blocks(_take(self.Z, at)):
            part = _take(self.Z, at)[..., block].to(gram)
            gram.baddbmm_(part, part.mT)
        gram = self.gram[at] = gram * scale * scale.mT
        values, vectors = torch.linalg.eigh(gram)
        # Where products as large as the largest would drown the smallest that matter,
        # the Gram matrix will not do.
        eps = torch.finfo(gram.dtype).eps
        largest = values[:, -1:]
        small = (values > 1e3 * eps * largest) & (values < 1e-6 * largest)
        good = ~(small.any(-1) & (largest[:, 0] > 1e-10 / eps))
        if bool(good.any()):
            factor = vectors * values.clamp_min(0).sqrt().unsqueeze(-2)
            model = Dense(factor[good], gram[good], rotated=True)
            self._run(at[good], model, start[good], self._emit_samples)
            if self.Z.dtype == gram.dtype:
                self.gap[at[good]] = self._gap(at[good], _take(self.Z, at[good]))
            good &= self.gap[at] <= self.tol
        if bool(good.all()):
            return
        at, scale, start = at[~good], scale[~good], start[~good]
        own = _take(self.Z, at).expand(len(at), -1, -1).to(scale) * scale
        features, factor = torch.linalg.qr(own.mT)
        factor = factor.mT
        model = Dense(factor, factor @ factor.mT, rotated=False)

        def emit(tasks, part, rows):
            self._emit_features(tasks, part, rows, features[torch.isin(at, tasks)])

        self._run(at, model, start, emit)

    def solve_sparse(self, at, direction, V):
        """Tasks with l1."""
        if not len(at):
            return
        part = self.simplices.take(at)
        if part.border is not None:
            # The null solution may be on the boundary.
            direction = part.uniform()
            V = pull(self.Z, part.weight, direction, at)
        elif len(at) < len(V):
            direction, V = direction[at], V[at]
        slope = (part.cost * part.beta(direction)).sum((1, 2))
        m = direction.shape[-1]
        model = Sparse(self.Z, at, part.weight, self.l1[at], self.l2[at], m)
        start = model.begin(direction, V, slope)

        def emit(tasks, part, rows):
            real = rows.index >= 0
            task = tasks.unsqueeze(-1).expand_as(real)[real]
            self.W[task, rows.index[real]] = (part.basis @ rows.W).mT[real].to(self.W)

        self._run(at, model, start, emit)

    def certify(self):
        """Gaps from the data for tasks whose l2 could hide rounding errors.

        ``W = BST(Z's (Y - beta), l1) / l2`` divides them by l2.
        """
        eps = torch.finfo(self.weight.dtype).eps
        size = torch.linalg.vector_norm(self.Z, torch.inf, (1, 2)).to(self.l2)
        errors = eps * size * size * self.weight.sum(-1) / self.l2
        doubtful = (errors > 1e-2 * self.tol) & (self.W != 0).flatten(1).any(1)
        for t in doubtful.nonzero().flatten().tolist():
            self.gap[t] = torch.maximum(self.gap[t], self._gap_of_data(t))

    def _gap_of_data(self, t):
        """Primal objective of W minus dual objective of beta, for one task."""
        part = self.simplices.take(torch.tensor([t], device=self.Z.device))
        l1, l2, weight, one_hot = (
            self.l1[t],
            self.l2[t],
            part.weight[0],
            part.one_hot[0],
        )
        own = self.Z[0 if len(self.Z) == 1 else t]
        Z, W = own.to(l2), self.W[t].to(l2)
        beta, intercept = self.beta[t], self.intercept[t]
        residual = weight.unsqueeze(-1) * (one_hot - beta)
        V = Z.mT @ residual
        length = norm(V).unsqueeze(-1)
        linked = torch.where(length > l1, 1 - l1 / length, 0.0) * V / l2
        dual = (weight.unsqueeze(-1) * beta * (1 - one_hot)).sum()
        dual = dual - 0.5 * l2 * linked.square().sum()
        scores = Z @ W + intercept
        raised = torch.where(part.free[0], scores + 1 - one_hot, -torch.inf)
        hinge = raised.amax(-1) - (one_hot * scores).sum(-1)
        primal = (weight * torch.where(weight > 0, hinge, 0.0)).sum()
        primal = primal + l1 * norm(W).sum() + 0.5 * l2 * W.square().sum()
        # The intercept's dual constraint, in so far as rounding errors break it.
        gap = primal - dual + (residual.sum(0) * intercept).abs().sum()
        if own.dtype != l2.dtype:
            # The gap is that of W before it was rounded, which moved the scores.
            moved = (Z.abs() @ W.abs()).amax(-1)
            gap = gap - 4 * torch.finfo(own.dtype).eps * (weight * moved).sum()
        return gap.clamp_min(0) / weight.sum()

    def place_absent_classes(self):
        """Lower the intercepts of classes without samples to where they do no harm."""
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

    def _run(self, at, model, start, emit_W):
        def emit(local, n_iter, solution):
            tasks = at[local]
            part = self.simplices.take(tasks)
            self.gap[tasks] = solution.gap
            self.n_iter[tasks] += n_iter
            if solution.alpha is not None:
                alpha = solution.alpha.unsqueeze(-1)
                self.intercept[tasks] = (part.basis @ alpha).squeeze(-1)
            if emit_W is not None:
                self.beta[tasks], self.active[tasks] = solution.beta, solution.face
                emit_W(tasks, part, solution.rows)

        interior_point(
            model,
            self.simplices.take(at),
            start,
            tol=self.tol,
            max_iter=self.max_iter,
            emit=emit,
        )

    def _emit_features(self, tasks, part, rows, features=None):
        W = rows.W / self.l2[tasks, None, None].sqrt()
        W = W if features is None else features @ W
        self.W[tasks] = (W @ part.basis.mT).to(self.W)

    def _emit_samples(self, tasks, part, rows):
        D = part.weight.unsqueeze(-1) * part.expand(rows.X)
        D = D / self.l2[tasks, None, None]
        Z = _take(self.Z, tasks)
        # Products that cancel need more digits than W will have.
        largest = (
            rows.gram.diagonal(dim1=-2, dim2=-1).sum(-1).max() * rows.X.abs().max()
        )
        if float(largest) * torch.finfo(Z.dtype).eps < 1e-6:
            D = D.to(Z)
        W = self.W if len(tasks) == len(self.W) else torch.empty_like(self.W[tasks])
        for block in _blocks(Z):
            W[:, block] = Z[..., block].to(D).mT @ D
        if W is not self.W:
            self.W[tasks] = W

    def _gap(self, at, Z):
        """Gap of W and beta as they stand, W being linked to beta up to rounding."""
        part = self.simplices.take(at)
        scores = self.intercept[at].unsqueeze(1)
        if isinstance(Z, torch.Tensor):
            scores = scores + Z.to(scores) @ self.W[at].to(scores)
        scores = part.weight.unsqueeze(-1) * scores
        return (self.beta[at] * part.shortfall(scores)).sum((1, 2)) / part.total


def _blocks(Z):
    size = max(1, _BLOCK // Z[..., 0].numel())
    return [slice(start, start + size) for start in range(0, Z.shape[-1], size)]


def _take(Z, at):
    # All of them, in order: no need of a copy.
    return Z if len(at) == len(Z) or len(Z) == 1 else Z[at]
