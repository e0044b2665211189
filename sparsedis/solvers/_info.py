"""Certificates of solutions."""

from dataclasses import dataclass

import torch
from sklearn.exceptions import ConvergenceWarning

from sparsedis._warn import warn
from sparsedis.solvers._arrays import views

# Names of the two kinds of certificates.
_NAMES = {"gap": "relative gap", "violation": "squared violation"}


@dataclass(frozen=True, eq=False)
class SolverInfo:
    """Certificate of a batch of solutions.

    Attributes
    ----------
    gap : tensor of shape (...)
        Duality gap of each problem, relative to its objective at zero. It is an upper
        bound on the relative suboptimality, up to rounding errors, with two exceptions.
        Without a penalty, the only dual point is that of the solution, and the gap is
        computed from the residual in the range of the features, whose rank is
        determined up to rounding errors. For intercepts, which no penalty bounds, the
        gap assumes that they are within ``1 + |intercept|`` of the solution. With
        ``certificate="violation"``, it is the square of the largest violation of the
        optimality conditions, relative to that at zero. Near a solution this is of the
        order of a relative gap.

    n_iter : tensor of shape (...) of int
        Number of iterations for each problem.

    converged : tensor of shape (...) of bool
        Whether `gap` is at most the tolerance.

    support : tensor of shape (..., n_features) of bool
        Features with nonzero coefficients.

    certificate : {"gap", "violation"}
        Meaning of `gap`. If a problem is not convex, or its dual is not known, only the
        violation is available: it proves a stationary point, not a minimum.
    """

    gap: torch.Tensor
    n_iter: torch.Tensor
    converged: torch.Tensor
    support: torch.Tensor
    certificate: str = "gap"

    def reshape(self, batch_shape):
        """Return the certificates with the tasks reshaped to ``batch_shape``."""
        if self.gap.shape == batch_shape:
            return self
        return SolverInfo(
            self.gap.reshape(batch_shape),
            self.n_iter.reshape(batch_shape),
            self.converged.reshape(batch_shape),
            self.support.reshape((*batch_shape, -1)),
            self.certificate,
        )

    def __repr__(self):
        return (
            f"SolverInfo({self.gap.numel()} problems, "
            f"{int(self.converged.sum())} converged, largest "
            f"{_NAMES[self.certificate]} {float(self.gap.max()):.1e}, "
            f"active share {float(self.support.double().mean()):.2f})"
        )


def warn_if_not_converged(info, tol, solver):
    """Warn once per batch if some problems did not reach ``tol``.

    By default, the warning is that of the caller of a layer.
    """
    if not bool(views(info.converged)[0].all()):
        missed = (~info.converged).flatten().nonzero().flatten()
        some = ", ".join(map(str, missed[:5].tolist()))
        warn(
            f"{solver}: {len(missed)} of {info.converged.numel()} problems (task "
            f"{some}{', ...' if len(missed) > 5 else ''}) stopped above tol={tol:g}; "
            f"the largest {_NAMES[info.certificate]} is {float(info.gap.max()):.1e}. "
            "Increase max_iter, alpha, l2 or tol.",
            ConvergenceWarning,
        )
