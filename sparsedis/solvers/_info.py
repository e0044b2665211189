"""Certificates of solutions."""

import warnings
from dataclasses import dataclass

import torch
from sklearn.exceptions import ConvergenceWarning

# Names of the two kinds of certificates.
_NAMES = {"gap": "relative gap", "violation": "squared violation"}


@dataclass(frozen=True, eq=False)
class SolverInfo:
    """Certificate of a batch of solutions.

    Attributes
    ----------
    gap : tensor of shape (...)
        Duality gap of each problem, relative to its objective at zero: an upper bound
        on the relative suboptimality, up to rounding errors. If nothing is penalised,
        and the solution is the only dual point, it is the residual in the range of the
        features, whose rank is determined up to rounding errors. The part of an
        intercept that no penalty bounds counts as if it were within ``1 + |intercept|``
        of the solution. With ``certificate="violation"`` it is the square of the
        largest violation of the optimality conditions, relative to that at zero, which
        near a solution is of the order of a relative gap.

    n_iter : tensor of shape (...) of int
        Number of iterations for each problem.

    converged : tensor of shape (...) of bool
        Whether ``gap`` is at most the tolerance.

    support : tensor of shape (..., n_features) of bool
        Features that the solution uses.

    certificate : {"gap", "violation"}
        Meaning of `gap`. A problem that is not convex, or whose dual is not known, has
        only the violation: it proves a stationary point, not a minimum.
    """

    gap: torch.Tensor
    n_iter: torch.Tensor
    converged: torch.Tensor
    support: torch.Tensor
    certificate: str = "gap"

    def reshape(self, batch_shape):
        """Unflatten the tasks to ``batch_shape``."""
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
    """Warn once, for a whole batch, about the problems that miss ``tol``."""
    if not bool(info.converged.all()):
        missed = (~info.converged).flatten().nonzero().flatten()
        some = ", ".join(map(str, missed[:5].tolist()))
        warnings.warn(
            f"{solver}: {len(missed)} of {info.converged.numel()} problems (task "
            f"{some}{', ...' if len(missed) > 5 else ''}) stopped above tol={tol:g}; "
            f"the largest {_NAMES[info.certificate]} is {float(info.gap.max()):.1e}. "
            "Increase max_iter, alpha or l2, or relax tol.",
            ConvergenceWarning,
            stacklevel=4,
        )
