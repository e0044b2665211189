"""The features of one group Lasso SVM with many samples, and those that matter."""

import numpy as np
import scipy.sparse as sp
import torch

from sparsedis.solvers._svm_cones import Cones
from sparsedis.solvers._svm_dense import Dense
from sparsedis.solvers._svm_rows import conjugate, dot, fenchel_gap, link, pull, push

# A feature joins once its ||V_j|| exceeds this share of l1.
_JOIN = 0.9
# Features to begin with; later they may double.
_START = 32


class Features:
    """Matrix of features, dense or sparse, minus the means of its columns.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, p)
        In float64.
    mean : ndarray of shape (p,), default=None
    """

    def __init__(self, X, mean=None):
        self.mean, self.shape = mean, X.shape
        # A dense matrix is centred at once: products of what is far from zero cancel.
        # A sparse one would no longer be sparse.
        self.shift = mean if sp.issparse(X) else None
        if sp.issparse(X):
            self.X = X.tocsc()
        else:
            self.X = X if mean is None else X - mean

    def pull(self, D):
        """``X'D`` of an (n_samples, m) tensor, (m, p)."""
        D = D.numpy()
        V = np.asarray((self.X.T @ D).T)
        if self.shift is not None:
            V = V - D.sum(0)[:, None] * self.shift
        return torch.from_numpy(np.ascontiguousarray(V))

    def columns(self, index=slice(None)):
        """Some columns, (n_samples, q)."""
        part = self.X[:, index]
        part = part.toarray() if sp.issparse(part) else np.array(part)
        if self.shift is not None:
            part -= self.shift[index]
        return torch.from_numpy(np.ascontiguousarray(part))


class WorkingSet(Cones):
    """Group penalty on the features that may be active.

    Every other feature has ``W_j = 0`` and costs no more than its ``||V_j||``.

    Parameters
    ----------
    features : Features
    weight : tensor of shape (n_samples,)
    l1, l2 : float
        Penalties, positive.
    X : tensor of shape (1, n_samples, m)
        Start, from which the first features are chosen.
    """

    def __init__(self, features, weight, l1, l2, X):
        l1, l2 = weight.new_tensor([l1]), weight.new_tensor([l2])
        super().__init__(weight.unsqueeze(0), l1, l2, X.shape[-1])
        self.features = features
        self.index = torch.zeros(0, dtype=torch.long)
        self.member = torch.zeros(features.shape[1], dtype=torch.bool)
        self._let_in(X, self._reach(X), self.weight.mean())

    def grow(self, X, mu, inner):
        """Let features join once they matter more than what is left to do.

        Parameters
        ----------
        X : tensor of shape (1, n_samples, m)
        mu : tensor
            Complementarity.
        inner : tensor
            Duality gap without the features outside.
        """
        if bool(self.member.all()):
            return
        reach = self._reach(X)
        if self._cost(reach) >= inner:
            reach = self._let_in(X, reach, mu)
        self.outside = self._cost(reach)

    def gap(self):
        """What the penalty contributes to the duality gap."""
        return super().gap() + self.outside

    def conjugate(self):
        """Conjugate of the penalty."""
        return super().conjugate() + self.outside

    def design(self):
        """Features times weights, (n_samples, q)."""
        return self.rows[0] * self.weight.T

    def curvature(self):
        """Blocks ``a I + b u u'`` of the features, as PrimalSystem wants them."""
        across, along = self.M
        return 1 / across[0], 1 / along[0] - 1 / across[0], self.direction[0]

    def drive(self, target=None, predictor=None):
        """Right-hand side of a step, see :meth:`Cones.shift`."""
        if predictor is None:
            self.rc_t, self.rc_W = -self.t, -self.W
        else:
            self.rc_t, self.rc_W = self._corrected(target.unsqueeze(-1), predictor)
        across = self.root_W / self.root_u
        scaling = 1 / across, 1 / (across * self.stretch)
        return (self.infeasible + self._apply(scaling, self.rc_W))[0]

    def complete(self, dX, dW):
        """Steps in t, W and u that go with steps in X and W."""
        dW = dW.unsqueeze(0)
        drive = pull(self.rows, self.weight, dX) + self.infeasible
        # The difference of the two would lose u's last digits.
        drive = drive - self.l2.unsqueeze(1) * self.rc_W
        along = dot(self.direction, drive).unsqueeze(1) * self.direction
        across, factor = self.N
        du = across.unsqueeze(1) * (drive - along) + factor.unsqueeze(1) * along
        dt = 2 * self.w0 / self.stretch * dot(self.w1, dW - self.rc_W) + self.rc_t
        return dt, dW, du

    def solutions(self):
        """Yield W, (m, q), with exact zeros, its scores and what it adds to the gap."""
        for W in (self.W * self.active().unsqueeze(1), link(self.V, self.l1, self.l2)):
            gap = fenchel_gap(self.V, W, self.l1, self.l2).sum()
            yield W[0], push(self.rows, self.weight, W), gap + self.outside

    def _reach(self, X):
        reach = self.features.pull((self.weight.unsqueeze(-1) * X)[0])
        return reach.square_().sum(0).sqrt_().masked_fill_(self.member, 0.0)

    def _cost(self, reach):
        return conjugate(reach, self.l1[0], self.l2[0]).sum()

    def _let_in(self, X, reach, mu):
        room = max(_START, len(self.index))
        wanted = int((reach > _JOIN * self.l1).sum())
        index = reach.topk(min(max(wanted, 1), room)).indices
        self.member[index] = True
        self.index = torch.cat([self.index, index])
        rows = self.features.columns(index.numpy()).unsqueeze(0)
        real = torch.ones(1, len(index), dtype=torch.bool)
        self.join(rows, pull(rows, self.weight, X), real, mu.reshape(1))
        reach = reach.masked_fill(self.member, 0.0)
        self.outside = self._cost(reach)
        return reach


class AllFeatures(Dense):
    """The penalty without l1, on all features.

    Parameters
    ----------
    features : Features
    weight : tensor of shape (n_samples,)
    l2 : float
    """

    def __init__(self, features, weight, l2):
        rows = features.columns() * (weight / l2**0.5).unsqueeze(-1)
        super().__init__(rows.unsqueeze(0), None, rotated=False)
        self.index = torch.arange(features.shape[1])
        self.root = l2**0.5

    def grow(self, X, mu, inner):
        """Every feature is in."""

    def design(self):
        """Features times weights, (n_samples, q), in units in which l2 is 1."""
        return self.factor[0]

    def curvature(self):
        """Blocks ``a I + b u u'`` of the features, as PrimalSystem wants them."""
        zeros = torch.zeros_like(self.W[0].T)
        return torch.ones_like(zeros[0]), zeros[0], zeros

    def drive(self, target=None, predictor=None):
        """Right-hand side of a step."""
        return (self.V - self.W)[0].T

    def complete(self, dX, dW):
        """The step in W."""
        return dW.T.unsqueeze(0)

    def solutions(self):
        """Yield W, (m, q), its scores and what it adds to the gap."""
        for W in (self.W, self.V):
            gap = 0.5 * (self.V - W).square().sum()
            yield W[0].T / self.root, self.factor @ W, gap
