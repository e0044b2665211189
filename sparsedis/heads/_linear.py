"""Linear heads: a loss and a penalty, solved by the fastest layer for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sparsedis._deprecated import renamed_keywords
from sparsedis.heads._base import Head
from sparsedis.implicit import (
    glm,
    glm_alpha_max,
    lasso,
    lasso_alpha_max,
    logistic,
    logistic_alpha_max,
    multitask_lasso,
    multitask_lasso_alpha_max,
    ridge,
    ridge_alpha_max,
)
from sparsedis.solvers.losses import Logistic, Loss, Multinomial, Squared
from sparsedis.solvers.penalties import L1, L2, ElasticNet, GroupL1, Penalty

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from torch import Tensor

    from sparsedis.solvers._info import SolverInfo

# Penalties that the specialised layers support.
_NORMS = (L1, GroupL1, ElasticNet, L2)


class LinearHead(Head):
    """Linear predictor of each task, with a loss and a penalty.

    If there is a specialised layer for the pair, this layer solves it:
    :func:`~sparsedis.implicit.lasso`, :func:`~sparsedis.implicit.multitask_lasso`,
    :func:`~sparsedis.implicit.ridge` or :func:`~sparsedis.implicit.logistic`.
    Otherwise :func:`~sparsedis.implicit.glm` does.

    Parameters
    ----------
    loss : Loss or callable
        Loss of a sample. For classes, a function that returns the loss for a number of
        classes, because tasks differ in this number, such as
        :func:`~sparsedis.solvers.losses.log_loss`.

    penalty : Penalty
        Penalty on the coefficients of a feature.

    Raises
    ------
    TypeError
        When `loss` is neither a loss nor callable, or `penalty` is not a penalty.

    Examples
    --------
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.heads import LinearHead
    >>> from sparsedis.solvers.losses import Huber
    >>> from sparsedis.solvers.penalties import L2
    >>> LinearHead(Huber(), L2())
    LinearHead(Huber(delta=1.35), L2())
    """

    penalties = ("alpha", "l2")
    logit_scale = 1.0

    def __init__(self, loss: Loss | Callable, penalty: Penalty) -> None:
        if not isinstance(loss, Loss) and not callable(loss):
            raise TypeError(
                "loss must be a Loss, such as Squared(), or a function of the number "
                f"of classes that makes one, such as log_loss; got {loss!r}."
            )
        if not isinstance(penalty, Penalty):
            raise TypeError(
                f"penalty must be a Penalty, such as L1(), got {penalty!r}."
            )
        self.loss = loss
        self.penalty = penalty

    @property
    def is_of_classes(self) -> bool:
        """Whether targets are classes instead of numbers."""
        return not isinstance(self.loss, Loss)

    def loss_of(self, n_classes: int) -> Loss:
        """Loss of tasks with a given number of classes.

        Parameters
        ----------
        n_classes : int
            Number of classes; ignored if targets are numbers.

        Returns
        -------
        Loss
            The loss.
        """
        return self.loss if isinstance(self.loss, Loss) else self.loss(n_classes)

    def fit(
        self,
        Z: Tensor,
        y: Tensor,
        alpha: Tensor,
        *,
        l2: float | Tensor = 0.0,
        n_classes: int = 2,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
        fit_intercept: bool = True,
        solver: Literal["auto", "batched", "celer"] = "auto",
        tol: float = 1e-12,
    ) -> tuple[Tensor, Tensor, SolverInfo]:
        """Fit the heads of a batch of tasks, differentiably.

        Parameters
        ----------
        Z : tensor of shape (n_tasks, n_samples, k) or (n_samples, k)
            Features.

        y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)
            Targets.

        alpha : tensor of shape (n_tasks,)
            Strength of the penalty.

        l2 : float or tensor of shape (n_tasks,), default=0.0
            Strength of an additional squared l2 term.

        n_classes : int, default=2
            Number of classes, the same for all tasks of the batch; ignored if targets
            are numbers.

        mask : tensor of shape (n_tasks, n_samples) of bool, default=None
            Valid samples; all by default.

        sample_weight : tensor of shape (n_tasks, n_samples), default=None
            Weights of the samples; equal by default.

        fit_intercept : bool, default=True
            Whether to add an unpenalised intercept.

        solver : {"auto", "batched", "celer"}, default="auto"
            Solver, for layers that have several.

        tol : float, default=1e-12
            Tolerance of the layer.

        Returns
        -------
        W : tensor of shape (n_tasks, k, n_outputs)
            Coefficients.

        intercept : tensor of shape (n_tasks, n_outputs)
            Intercepts; zero without `fit_intercept`.

        info : SolverInfo
            Certificates.
        """
        how = {
            "mask": mask,
            "sample_weight": sample_weight,
            "fit_intercept": fit_intercept,
            "tol": tol,
            "return_info": True,
        }
        loss, vector = self.loss_of(n_classes), y.ndim == 3
        self.penalty.check_scores(loss.n_scores(y))
        ours = self._has_layer(loss)
        if ours:
            l2 = l2 + self.penalty.l2
            if isinstance(self.penalty, L2):
                alpha, l2 = None, alpha + l2
        if not ours:
            W, *rest = glm(
                *(Z, y, alpha),
                loss=loss,
                penalty=self.penalty,
                l2=l2,
                multi_output=vector,
                **how,
            )
        elif isinstance(loss, Squared) and not vector and alpha is None:
            W, *rest = ridge(Z, y, l2, **how)
        elif isinstance(loss, Squared) and not vector:
            W, *rest = lasso(Z, y, alpha, l2=l2, solver=solver, **how)
        else:
            # A problem with only a squared l2 term is not sparse: celer does not apply.
            how["solver"] = "batched" if alpha is None else solver
            alpha = 0.0 if alpha is None else alpha
            if isinstance(loss, Squared):
                W, *rest = multitask_lasso(Z, y, alpha, l2=l2, **how)
            else:
                n_classes = _n_classes(loss)
                how["solver"] = _solver_of_classes(how, n_classes, l2)
                W, *rest = logistic(Z, y, alpha, l2=l2, n_classes=n_classes, **how)
        W = W.unsqueeze(-1) if W.ndim == 2 else W
        intercept = rest[0] if fit_intercept else torch.zeros_like(W[:, 0])
        return W, intercept.reshape(len(W), -1), rest[-1]

    def alpha_max(
        self,
        Z: Tensor,
        y: Tensor,
        *,
        n_classes: int = 2,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
        fit_intercept: bool = True,
    ) -> Tensor:
        """Smallest strength of the penalty at which heads use no feature.

        Parameters
        ----------
        Z, y, n_classes, mask, sample_weight, fit_intercept : object
            As in `fit`.

        Returns
        -------
        tensor of shape (n_tasks,)
            Infinite for penalties that never set all coefficients to zero.
        """
        how = {
            "mask": mask,
            "sample_weight": sample_weight,
            "fit_intercept": fit_intercept,
        }
        Z, loss = Z.detach(), self.loss_of(n_classes)
        self.penalty.check_scores(loss.n_scores(y))
        if not self._has_layer(loss) or isinstance(self.penalty, L2):
            vector = y.ndim == 3
            how |= {"loss": loss, "penalty": self.penalty, "multi_output": vector}
            return glm_alpha_max(Z, y, **how)
        if not isinstance(loss, Squared):
            return logistic_alpha_max(Z, y, n_classes=_n_classes(loss), **how)
        scale = lasso_alpha_max if y.ndim == 2 else multitask_lasso_alpha_max
        return scale(Z, y, **how)

    def scale(self, Z: Tensor, y: Tensor, *, n_classes: int = 2, **how: Any) -> Tensor:
        """Scale of relative penalties.

        Parameters
        ----------
        Z, y, n_classes : object
            As in `fit`.

        **how : dict
            Other parameters of `alpha_max`.

        Returns
        -------
        tensor of shape (n_tasks,)
            `alpha_max` or, if it is infinite, the mean curvature of the squared loss.
        """
        bounded = None
        if not isinstance(self.penalty, L2):
            largest = self.alpha_max(Z, y, n_classes=n_classes, **how)
            bounded = torch.isfinite(largest)
            if bool(bounded.all()):
                return largest
        target = (y if y.ndim == 2 else y[..., 0]).to(Z.dtype)
        scale = ridge_alpha_max(Z.detach(), target, **how)
        return scale if bounded is None else torch.where(bounded, largest, scale)

    @renamed_keywords(l1="alpha")
    def fit_classes(
        self,
        Z: Tensor,
        y: Tensor,
        n_classes: int,
        alpha: float | Tensor,
        l2: float | Tensor,
        *,
        relative: bool,
    ) -> tuple[Tensor, Tensor | None]:
        n = Z.shape[1]
        # The loss of the layers is a mean, but that of few-shot heads is a sum.
        how = {"n_classes": n_classes, "fit_intercept": False}
        scale = self.scale(Z, y, **how) if relative else 1 / n
        alpha = (alpha * scale) * torch.ones(len(y), dtype=Z.dtype, device=Z.device)
        W, _, _ = self.fit(Z, y, alpha, l2=l2 / n, **how)
        if n_classes == 2:
            # Divide the single logit between both classes.
            W = torch.cat([-W / 2, W / 2], -1)
        return W, None

    def _has_layer(self, loss):
        """Whether a specialised layer solves this loss with this penalty."""
        if type(self.penalty) not in _NORMS:
            return False
        if getattr(self.penalty, "weights", None) is not None:
            return False
        # With two classes, the layer penalises a single logit, but Multinomial(2)
        # penalises two logits that sum to zero.
        return type(loss) in (Squared, Logistic, Multinomial) and (
            loss != Multinomial(2)
        )

    def __repr__(self):
        loss = getattr(self.loss, "__name__", repr(self.loss))
        return f"{type(self).__name__}({loss}, {self.penalty!r})"


def _n_classes(loss):
    """Number of classes of a log loss."""
    return 2 if isinstance(loss, Logistic) else loss.n_classes


def _solver_of_classes(how, n_classes, l2):
    """The solver, but "batched" for logistic regressions that celer cannot solve."""
    if how["solver"] != "celer":
        return how["solver"]
    lacks = n_classes > 2 or how["fit_intercept"] or how["sample_weight"] is not None
    return "batched" if lacks or bool(torch.as_tensor(l2 > 0).any()) else "celer"
