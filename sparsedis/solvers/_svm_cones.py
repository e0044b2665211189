"""The group penalty in the interior-point method: one second-order cone per feature.

A row W_j and its dual u_j, with ``l2 W_j + u_j = V_j`` and ``V = Z'(s X)``, complement
each other in the cones ``||W_j|| <= t_j`` and ``||u_j|| <= l1``. Keeping both, and
scaling them as Nesterov and Todd do, is what makes the method indifferent to how small
l2 is: the exact link from V to W has a slope of 1/l2 and a kink.

The distances to the boundary ``t - ||W||`` and ``l1 - ||u||`` are variables of their
own: as differences they would have no correct digit towards the end.
"""

import torch

from sparsedis.solvers._svm_rows import (
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
    """Pairs of cones, those of a batch of tasks padded to one length.

    Parameters
    ----------
    weight : tensor of shape (n_tasks, n_samples)
    l1, l2 : tensor of shape (n_tasks,)
        Penalties, positive.
    m : int
        Length of the rows.

    Attributes
    ----------
    rows : tensor of shape (n_tasks, n_samples, q)
        Features.
    real : tensor of shape (n_tasks, q) of bool
        False for padding, which has zero features and cones of radius one.
    W, u : tensor of shape (n_tasks, m, q)
    slack_W, slack_u : tensor of shape (n_tasks, q)
        Distances to the boundary.
    """

    def __init__(self, weight, l1, l2, m):
        self.weight = weight
        self.l1, self.l2 = l1.unsqueeze(-1), l2.unsqueeze(-1)
        n_tasks, n = weight.shape
        self.rows = weight.new_zeros(n_tasks, n, 0)
        self.W = self.u = weight.new_zeros(n_tasks, m, 0)
        self.slack_W = self.slack_u = self.radius = weight.new_zeros(n_tasks, 0)
        self.real = self.slack_W.bool()

    def join(self, rows, V, real, mu):
        """Add features, well inside of their cones and with W = 0.

        Parameters
        ----------
        rows : tensor of shape (n_tasks, n_samples, k)
        V : tensor of shape (n_tasks, m, k)
            Where they are now.
        real : tensor of shape (n_tasks, k) of bool
        mu : tensor of shape (n_tasks,)
            Complementarity that they get.
        """
        rows, V = rows * real.unsqueeze(1), V * real.unsqueeze(1)
        reach = norm(V)
        inside = 0.95 * self.l1
        shrink = torch.where(reach > inside, inside / reach, 1.0)
        u = V * shrink.unsqueeze(1)
        radius = torch.where(real, self.l1, 1.0)
        # The larger the violation, the more room to move: small steps else.
        violation = conjugate(reach, self.l1, self.l2)
        violation = torch.minimum(violation, self.weight.mean(-1, keepdim=True))
        mu = torch.maximum(violation, mu.unsqueeze(-1))
        slack_W = torch.where(real, mu / self.l1, 1.0)
        for name, new in (
            *(("rows", rows), ("real", real), ("radius", radius)),
            *(("W", torch.zeros_like(u)), ("u", u)),
            *(("slack_W", slack_W), ("slack_u", radius - norm(u))),
        ):
            setattr(self, name, torch.cat([getattr(self, name), new], -1))

    def evaluate(self, X):
        """Scores ``s Z W``, (n_tasks, n_samples, m), and all scalings."""
        self.V = pull(self.rows, self.weight, X)
        W, u, l1, l2 = self.W, self.u, self.radius, self.l2
        self.infeasible = self.V - u - l2.unsqueeze(1) * W
        self.norm_W, self.norm_u = norm(W), norm(u)
        self.t = self.norm_W + self.slack_W
        apart = unit(W, self.norm_W) - unit(u, self.norm_u)
        self.products = (
            self.slack_W * l1
            + self.norm_W * self.slack_u
            + 0.5 * self.norm_W * self.norm_u * dot(apart, apart)
        )
        # Scaling point: eta (w0, w1) with w0^2 - |w1|^2 = 1. The roots are those of
        # the determinants t^2 - |W|^2 and l1^2 - |u|^2.
        self.root_W = (self.slack_W * (self.t + self.norm_W)).sqrt()
        self.root_u = (self.slack_u * (l1 + self.norm_u)).sqrt()
        self.size = self.root_W * self.root_u
        self.gamma = (0.5 + 0.5 * self.products / self.size).sqrt()
        self.x0, self.y0 = self.t / self.root_W, l1 / self.root_u
        half = 0.5 / self.gamma
        self.w0 = (self.x0 + self.y0) * half
        self.w1 = W * (half / self.root_W).unsqueeze(1)
        self.w1 = self.w1 + u * (half / self.root_u).unsqueeze(1)
        k = dot(self.w1, self.w1)
        self.stretch = 1 + 2 * k
        self.direction = unit(self.w1, k.sqrt())
        # M = T (I + l2 T)^-1 and N = (I + l2 T)^-1, T the scaling squared, by their
        # eigenvalues across and along the direction.
        across = self.root_W / self.root_u
        self.eta = across.sqrt()
        along = across * self.stretch
        self.N = (1 / (1 + l2 * across), 1 / (1 + l2 * along))
        self.M = (across * self.N[0], along * self.N[1])
        return push(self.rows, self.weight, W)

    def gap(self):
        """What the rows contribute to the duality gap."""
        inside = fenchel_gap(self.V, self.W, self.l1, self.l2)
        return (inside * self.real).sum(-1)

    def conjugate(self):
        """Conjugate of the penalty."""
        return conjugate(norm(self.V), self.l1, self.l2).sum(-1)

    def hessian(self):
        """Newton matrix of the penalty, without the rows' own variables."""
        across, along = self.M
        # Never negative, but for rounding.
        more = (along - across).clamp_min(0)
        return weighted_gram(self.rows, self.weight, across, more, self.direction)

    def shift(self, target=None, predictor=None):
        """Scores that the step contributes whatever the step in X is.

        Parameters
        ----------
        target : tensor of shape (n_tasks,), default=None
            Complementarity to aim at.

        predictor : tuple, default=None
            Affine step, for the second-order correction. Without it, the affine step is
            prepared.
        """
        if predictor is None:
            self.rc_t, self.rc_W = -self.t, -self.W
        else:
            self.rc_t, self.rc_W = self._corrected(target.unsqueeze(-1), predictor)
        inner = self.infeasible - self.l2.unsqueeze(1) * self.rc_W
        self.fixed = self._apply(self.M, inner) + self.rc_W
        return push(self.rows, self.weight, self.fixed)

    def _apply(self, eigenvalues, V):
        across, along = eigenvalues
        return apply_curvature(across, along - across, self.direction, V)

    def _corrected(self, target, predictor):
        """Mehrotra's right-hand side, in the Jordan algebra of the scaled point."""
        step_t, step_W, _ = predictor
        eta, w0, w1 = self.eta, self.w0, self.w1
        # The scaled point, to which both members of the pair are mapped.
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
        # The affine steps of the pair add up to minus the point in scaled coordinates.
        other0, other1 = point0 + step0, point1 + step1
        goal0 = target + step0 * other0 + dot(step1, other1)
        goal1 = step0.unsqueeze(1) * other1 + other0.unsqueeze(1) * step1
        back0 = (point0 * goal0 - dot(point1, goal1)) / self.size
        back1 = (goal1 - back0.unsqueeze(1) * point1) / point0.unsqueeze(1)
        inner = dot(w1, back1)
        rc_W = back1 + (back0 + inner / (1 + w0)).unsqueeze(1) * w1
        return eta * (w0 * back0 + inner) - self.t, eta.unsqueeze(1) * rc_W - self.W

    def step(self, dX):
        """Steps in t, W and u that go with a step in X."""
        dV = pull(self.rows, self.weight, dX)
        dW = self._apply(self.M, dV) + self.fixed
        # Written out along and across: the difference of the two loses u's last digits.
        drive = dV + self.infeasible - self.l2.unsqueeze(1) * self.rc_W
        along = dot(self.direction, drive).unsqueeze(1) * self.direction
        across, factor = self.N
        du = across.unsqueeze(1) * (drive - along) + factor.unsqueeze(1) * along
        dt = 2 * self.w0 / self.stretch * dot(self.w1, dW - self.rc_W) + self.rc_t
        return dt, dW, du

    def max_step(self, step):
        """Longest step that stays in every cone."""
        if self.W.shape[-1] == 0:
            return torch.full_like(self.l1[:, 0], torch.inf)
        dt, dW, du = step
        length = torch.minimum(
            _to_boundary(self.t, self.W, self.root_W, dt, dW),
            _to_boundary(self.radius, self.u, self.root_u, None, du),
        )
        return torch.where(self.real, length, torch.inf).amin(-1)

    def complementarity(self, step=None, length=None):
        """Sum over the cones, now or after a step, and their number."""
        if step is None:
            products = self.products
        else:
            length = length.unsqueeze(-1)
            dt, dW, du = step
            W = self.W + length.unsqueeze(1) * dW
            u = self.u + length.unsqueeze(1) * du
            products = (self.t + length * dt) * self.radius - dot(W, u)
        return (products * self.real).sum(-1), self.real.sum(-1)

    def advance(self, step, length):
        """Take a step."""
        dt, dW, du = step
        length = length.unsqueeze(-1)
        W, grown_W = _advance(self.W, self.norm_W, length.unsqueeze(1) * dW)
        u, grown_u = _advance(self.u, self.norm_u, length.unsqueeze(1) * du)
        least = 1e-3 * torch.finfo(W.dtype).eps
        slack_W = torch.maximum(self.slack_W + length * dt - grown_W, least * self.t)
        slack_u = torch.maximum(self.slack_u - grown_u, least * self.radius)
        self.slack_W = torch.where(self.real, slack_W, 1.0)
        self.slack_u = torch.where(self.real, slack_u, 1.0)
        self.W, self.u = W, u

    def active(self):
        """Features that the solution seems to use."""
        if self.W.shape[-1] == 0:
            return self.real
        # Of the pair ||W_j||, l1 - ||u_j||, which one is the larger on its own scale?
        # Rows are as long as the longest, unless that one is vanishing too.
        total, mu = (
            self.weight.sum(-1, keepdim=True),
            self.products.amin(-1, keepdim=True),
        )
        scale = self.norm_W.amax(-1, keepdim=True) * self.l1
        scale = torch.maximum(scale, (total * mu).sqrt())
        return self.real & (self.norm_W * self.l1 * self.l1 > self.slack_u * scale)


def _to_boundary(x0, x1, root, d0, d1):
    """Smallest positive root of ``det((x0, x1) + length (d0, d1))``."""
    det = root * root
    b, a = -dot(x1, d1), -dot(d1, d1)
    if d0 is not None:
        b, a = b + x0 * d0, a + d0 * d0
    inside = b * b - a * det
    reached = inside.clamp_min(0).sqrt() - b
    met = (reached > 0) & (inside >= 0)
    return torch.where(met, det / torch.where(met, reached, 1.0), torch.inf)


def _advance(x, length, step):
    """``x + step``, and by how much its norm grows, to full relative precision."""
    moved = x + step
    total = norm(moved) + length
    return moved, dot(step, x + moved) / torch.where(total > 0, total, 1.0)
