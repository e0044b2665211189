"""The group penalty in the interior-point method: one pair of cones per feature.

A row W_j and its dual ``u_j = V_j - l2 W_j`` are in the second-order cones
``||W_j|| <= t_j`` and ``||u_j|| <= alpha``. They are complementary at a solution:
``t_j alpha - <W_j, u_j> = 0``. The square of the Nesterov-Todd scaling is a matrix
``T_j`` on the rows. With the right-hand side ``rc_W`` of the linearised
complementarity, a Newton step solves

    l2 dW + du = dV + R,    dW - T du = rc_W,    R = V - u - l2 W.

With ``M = T (I + l2 T)^-1`` and ``N = (I + l2 T)^-1``, its solution is

    dW = M dV + M (R - l2 rc_W) + rc_W,    du = N (dV + R - l2 rc_W).

Both W and u are variables, so that a small l2 does not increase the number of steps. A
method with the exact link from V to W would need more, because the link has a slope of
1/l2 and a kink.

The distances to the boundary, ``slack_W = t - ||W||`` and ``slack_u = alpha - ||u||``,
are also variables: near the solution, the differences have no correct digits. Other
symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import torch

from sparsedis.solvers.svm.group_penalty import (
    apply_curvature,
    conjugate,
    dot,
    fenchel_gap,
    norm,
    pull,
    push,
    unit,
    weighted_gram,
)


class Cones:
    """Pairs of cones of a working set of features, padded to the largest of a batch.

    Parameters
    ----------
    weight : tensor of shape (n_tasks, n_samples)
    alpha, l2 : tensor of shape (n_tasks,)
        Penalties, positive.
    m : int
        Number of coordinates of a row of W.

    Attributes
    ----------
    rows : tensor of shape (n_tasks, n_samples, q)
        Columns of ``Z``: the features of the working set.
    real : tensor of shape (n_tasks, q) of bool
        False for padding: zero features, with cones of radius one.
    W, u : tensor of shape (n_tasks, m, q)
    slack_W, slack_u : tensor of shape (n_tasks, q)
        Distances to the boundary.
    outside : tensor of shape (n_tasks,)
        Sum of the conjugates of the features outside of the working set, which have
        ``W_j = 0``.
    """

    def __init__(self, weight, alpha, l2, m):
        self.weight = weight
        self.alpha, self.l2 = alpha.unsqueeze(-1), l2.unsqueeze(-1)
        n_tasks, n = weight.shape
        self.rows = weight.new_zeros(n_tasks, n, 0)
        self.W = self.u = weight.new_zeros(n_tasks, m, 0)
        self.slack_W = self.slack_u = self.radius = weight.new_zeros(n_tasks, 0)
        self.real = self.slack_W.bool()
        self.outside = torch.zeros_like(alpha)

    def join(self, rows, V, real, mu):
        """Add features, with W = 0 and u inside of its cone.

        Parameters
        ----------
        rows : tensor of shape (n_tasks, n_samples, k)
        V : tensor of shape (n_tasks, m, k)
            ``Z'(s X)`` of these features.
        real : tensor of shape (n_tasks, k) of bool
        mu : tensor of shape (n_tasks,)
            Smallest initial complementarity, ``slack_W alpha``.
        """
        rows, V = rows * real.unsqueeze(1), V * real.unsqueeze(1)
        reach, inside = norm(V), 0.95 * self.alpha
        u = V * (inside / torch.maximum(reach, inside)).unsqueeze(1)
        radius = torch.where(real, self.alpha, 1.0)
        # Features with ||V_j|| > alpha get wider cones; otherwise the steps are short.
        violation = conjugate(reach, self.alpha, self.l2)
        violation = torch.minimum(violation, self.weight.mean(-1, keepdim=True))
        mu = torch.maximum(violation, mu.unsqueeze(-1))
        slack_W = torch.where(real, mu / self.alpha, 1.0)
        for name, new in (
            *(("rows", rows), ("real", real), ("radius", radius)),
            *(("W", torch.zeros_like(u)), ("u", u)),
            *(("slack_W", slack_W), ("slack_u", radius - norm(u))),
        ):
            setattr(self, name, torch.cat([getattr(self, name), new], -1))

    def evaluate(self, X):
        """Return the scores ``s Z W``, (n_tasks, n_samples, m), and set the scalings.

        T has the eigenvalue ``root_W / root_u`` across `direction`, and `stretch` times
        this value along it. M and N are stored as pairs of eigenvalues: across, along.
        """
        self.V = pull(self.rows, self.weight, X)
        W, u, alpha, l2 = self.W, self.u, self.radius, self.l2
        self.infeasible = self.V - u - l2.unsqueeze(1) * W
        self.norm_W, self.norm_u = norm(W), norm(u)
        self.t = self.norm_W + self.slack_W
        apart = unit(W, self.norm_W) - unit(u, self.norm_u)
        self.products = (
            self.slack_W * alpha
            + self.norm_W * self.slack_u
            + 0.5 * self.norm_W * self.norm_u * dot(apart, apart)
        )
        # The scaling point is eta (w0, w1) with w0^2 - |w1|^2 = 1; root_W and root_u
        # are the roots of the determinants t^2 - |W|^2 and alpha^2 - |u|^2.
        self.root_W = (self.slack_W * (self.t + self.norm_W)).sqrt()
        self.root_u = (self.slack_u * (alpha + self.norm_u)).sqrt()
        self.size = self.root_W * self.root_u
        self.gamma = (0.5 + 0.5 * self.products / self.size).sqrt()
        self.x0, self.y0 = self.t / self.root_W, alpha / self.root_u
        half = 0.5 / self.gamma
        self.w0 = (self.x0 + self.y0) * half
        self.w1 = W * (half / self.root_W).unsqueeze(1)
        self.w1 = self.w1 + u * (half / self.root_u).unsqueeze(1)
        k = dot(self.w1, self.w1)
        self.stretch = 1 + 2 * k
        self.direction = unit(self.w1, k.sqrt())
        across = self.root_W / self.root_u
        self.eta = across.sqrt()
        along = across * self.stretch
        self.N = (1 / (1 + l2 * across), 1 / (1 + l2 * along))
        self.M = (across * self.N[0], along * self.N[1])
        return push(self.rows, self.weight, W)

    def gap(self):
        """Return ``sum_j P(W_j) + P*(V_j) - <V_j, W_j>`` over all features.

        Features outside of the working set contribute ``P*(V_j)``.
        """
        inside = fenchel_gap(self.V, self.W, self.alpha, self.l2)
        return (inside * self.real).sum(-1) + self.outside

    def conjugate(self):
        """Return ``sum_j (||V_j|| - alpha)_+^2 / (2 l2)`` over all features."""
        return conjugate(norm(self.V), self.alpha, self.l2).sum(-1) + self.outside

    def hessian(self):
        """Return ``s Z M Z's``, the matrix of a step in X after eliminating dW."""
        across, along = self.M
        # Negative only by rounding errors.
        more = (along - across).clamp_min(0)
        return weighted_gram(self.rows, self.weight, across, more, self.direction)

    def shift(self, target=None, predictor=None):
        """Return ``s Z (M (R - l2 rc_W) + rc_W)``, the change of scores for ``dX = 0``.

        Parameters
        ----------
        target : tensor of shape (n_tasks,), default=None
            Complementarity ``mu`` per pair that the step aims at; zero by default.

        predictor : tuple, default=None
            Steps in t, W and u of the predictor, for the second-order correction. None
            for the predictor itself.
        """
        self._aim(target, predictor)
        inner = self.infeasible - self.l2.unsqueeze(1) * self.rc_W
        self.fixed = self._apply(self.M, inner) + self.rc_W
        return push(self.rows, self.weight, self.fixed)

    def _aim(self, target, predictor):
        """Set rc_t and rc_W, the right-hand sides of the linearised complementarity.

        They are ``-t`` and ``-W`` for the predictor, whose target is zero.
        """
        if predictor is None:
            self.rc_t, self.rc_W = -self.t, -self.W
        else:
            self.rc_t, self.rc_W = self._corrected(target.unsqueeze(-1), predictor)

    def _apply(self, eigenvalues, V):
        """Multiply V by the matrix with these eigenvalues across and along."""
        across, along = eigenvalues
        return apply_curvature(across, along - across, self.direction, V)

    def _corrected(self, target, predictor):
        """Return rc_t and rc_W of Mehrotra's corrector.

        Let ``lambda`` be the scaled point in its Jordan algebra, ``a`` the scaled
        predictor step of (t, W), and ``b = -lambda - a`` that of (alpha, -u). The
        result is ``lambda^-1 o (target e - a o b) - lambda``, without the scaling.
        """
        step_t, step_W, _ = predictor
        eta, w0, w1 = self.eta, self.w0, self.w1
        # lambda = (point0, point1) is the scaled image of (t, W) and of (alpha, -u).
        root = self.size.sqrt()
        spread = root / (self.x0 + self.y0 + 2 * self.gamma)
        point0 = root * self.gamma
        point1 = (spread * (self.gamma + self.y0) / self.root_W).unsqueeze(1) * self.W
        other1 = (spread * (self.gamma + self.x0) / self.root_u).unsqueeze(1) * self.u
        point1 = point1 - other1
        inner = dot(w1, step_W)
        step0 = (w0 * step_t - inner) / eta
        step1 = step_W - (step_t - inner / (1 + w0)).unsqueeze(1) * w1
        step1 = step1 / eta.unsqueeze(1)
        # other = -b: the scaled steps of the predictor add up to -lambda.
        other0, other1 = point0 + step0, point1 + step1
        goal0 = target + step0 * other0 + dot(step1, other1)
        goal1 = step0.unsqueeze(1) * other1 + other0.unsqueeze(1) * step1
        back0 = (point0 * goal0 - dot(point1, goal1)) / self.size
        back1 = (goal1 - back0.unsqueeze(1) * point1) / point0.unsqueeze(1)
        inner = dot(w1, back1)
        rc_W = back1 + (back0 + inner / (1 + w0)).unsqueeze(1) * w1
        return eta * (w0 * back0 + inner) - self.t, eta.unsqueeze(1) * rc_W - self.W

    def step(self, dX):
        """Return the steps in t, W and u for a step in X."""
        dV = pull(self.rows, self.weight, dX)
        return self._complete(dV, self._apply(self.M, dV) + self.fixed)

    def _complete(self, dV, dW):
        """Return the steps in t, W and u, given those in V and W."""
        # du is computed with N, because dV + R - l2 dW loses its last digits.
        drive = dV + self.infeasible - self.l2.unsqueeze(1) * self.rc_W
        along = dot(self.direction, drive).unsqueeze(1) * self.direction
        across, factor = self.N
        du = across.unsqueeze(1) * (drive - along) + factor.unsqueeze(1) * along
        dt = 2 * self.w0 / self.stretch * dot(self.w1, dW - self.rc_W) + self.rc_t
        return dt, dW, du

    def max_rate(self, step):
        """Return the inverse of the longest step that leaves no cone, 0 for inf."""
        if self.W.shape[-1] == 0:
            return torch.zeros_like(self.alpha[:, 0])
        dt, dW, du = step
        # Both cones of a pair at once.
        x1, d1 = torch.stack([self.W, self.u]), torch.stack([dW, du])
        x0 = torch.stack([self.t, self.radius])
        d0 = torch.stack([dt, torch.zeros_like(dt)])
        det = torch.stack([self.root_W, self.root_u]).square()
        b, a = x0 * d0 - (x1 * d1).sum(2), d0 * d0 - (d1 * d1).sum(2)
        # A point leaves its cone at the smallest positive root of ``det + 2 b length +
        # a length^2``. The square root is NaN if there is none. fmax ignores it.
        rate = ((b * b - a * det).sqrt() - b) / det
        return torch.fmax(rate, torch.zeros_like(rate)).amax((0, 2))

    def complementarity(self):
        """Return ``sum_j t_j alpha - <W_j, u_j>`` and the number of terms."""
        return (self.products * self.real).sum(-1), self.real.sum(-1)

    def curved(self, step):
        """Return the second-order change of the sum of the products by a step."""
        _, dW, du = step
        return -(dW * du).sum((1, 2))

    def advance(self, step, length):
        """Add ``length`` times a step to W, u and the distances to the boundary."""
        dt, dW, du = step
        length = length.unsqueeze(-1)
        W, grown_W = _advance(self.W, self.norm_W, length.unsqueeze(1) * dW)
        u, grown_u = _advance(self.u, self.norm_u, length.unsqueeze(1) * du)
        least = 1e-3 * torch.finfo(W.dtype).eps
        slack_W = torch.maximum(self.slack_W + length * dt - grown_W, least * self.t)
        slack_u = torch.maximum(self.slack_u - grown_u, least * self.radius)
        self.slack_W, self.slack_u = slack_W, slack_u
        self.W, self.u = W, u

    def active(self):
        """Guess the active features: ``||W_j|| / scale > slack_u / alpha``."""
        if self.W.shape[-1] == 0:
            return self.real
        # The scale, here times alpha, is the largest norm of a row, unless all rows
        # converge to zero.
        total, mu = (
            self.weight.sum(-1, keepdim=True),
            self.products.amin(-1, keepdim=True),
        )
        scale = self.norm_W.amax(-1, keepdim=True) * self.alpha
        scale = torch.maximum(scale, (total * mu).sqrt())
        return self.real & (
            self.norm_W * self.alpha * self.alpha > self.slack_u * scale
        )


def _advance(x, length, step):
    """Return ``x + step`` and ``|x + step| - |x|`` without cancellation."""
    moved = x + step
    total = norm(moved) + length
    total = total.clamp_min(torch.finfo(x.dtype).tiny)
    return moved, dot(step, x + moved) / total
