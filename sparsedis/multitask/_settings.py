"""What the parameters of a shared representation ask for, and their checks."""

import numpy as np
import torch

from sparsedis.encoders import build_encoder, input_shape_of, n_features_of
from sparsedis.heads import LinearHead
from sparsedis.heads._problem import InnerProblem
from sparsedis.inputs._ids import check_order
from sparsedis.multitask._parameters import RepresentationParameters
from sparsedis.solvers.losses import Multinomial, Squared, log_loss
from sparsedis.solvers.penalties import L2, ElasticNet, GroupL1

# Number of features to train if `fit` estimates it afterwards.
_WIDE = 32

# Default penalties, as fractions of their scale.
_LASSO_ALPHA, _OUTER_ALPHA = 0.4, 0.05

# Shrunk logistic heads are nearly linear in the features, but probabilities are not:
# the features would become nonlinear functions of the factors, like the probabilities.
# More shrinkage costs less than it gains where the labels are noisy.
RIDGE_ALPHA = {"gaussian": 0.01, "categorical": 1e-4}
_NOISY_RIDGE_ALPHA = 1e-2


class Settings(RepresentationParameters):
    """Heads, penalties and widths that the parameters ask for."""

    # Whether training has the settings for noisy labels, and whether the output layer
    # of the encoder of tables has the inputs beside hidden units.
    _noisy, _skips = False, False

    @property
    def _penalty(self):
        """Penalty in training; Ridge trains best if a rotation follows."""
        if self.penalty != "auto":
            return self.penalty
        lasso = self.rotation is None or self.penalty_at == "outer"
        return "l1" if lasso else "l2"

    @property
    def _alpha(self):
        if not isinstance(self.alpha, str):
            return self.alpha
        if isinstance(self._head.penalty, L2):
            return _NOISY_RIDGE_ALPHA if self._noisy else RIDGE_ALPHA[self._likelihood]
        return _OUTER_ALPHA if self.penalty_at == "outer" else _LASSO_ALPHA

    @property
    def _module_alone(self):
        """Whether the encoder determines the number of features."""
        return isinstance(self.encoder, torch.nn.Module) or self.encoder == "identity"

    def _width(self, input_shape, n_outputs=None):
        """Number of features to train.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one input.

        n_outputs : int, default=None
            Outputs of all tasks together, a bound on the useful number of features.

        Returns
        -------
        int
        """
        if self.n_components != "auto":
            return self.n_components
        if self._module_alone:
            shape = input_shape_of(np.empty((0, *input_shape)))
            return n_features_of(build_encoder(self.encoder, shape), shape)
        return _WIDE if n_outputs is None else min(_WIDE, n_outputs)

    def _check_head(self):
        if self.head is None:
            return
        if self.penalty != "auto":
            raise ValueError(
                "penalty must be 'auto' with a head, which has its own penalty; "
                f"got penalty={self.penalty!r}, head={self.head!r}."
            )
        several = isinstance(self.head.loss, Multinomial)
        if several or self.head.is_of_classes != (self._likelihood == "categorical"):
            kind = "a loss for numbers, such as Squared(),"
            if self._likelihood == "categorical":
                kind = "a function of the number of classes, such as log_loss,"
            raise ValueError(
                f"head must have {kind} in {type(self).__name__}, got {self.head!r}."
            )

    def _check_parameters(self, tasks):
        """Check what depends on several parameters, and on the names of the tasks."""
        self._check_head()
        alpha = self._check_alpha(tasks)
        if self.penalty_at == "outer" and self._head.penalty != GroupL1():
            raise ValueError(
                "penalty_at='outer' requires penalty='l1', got penalty="
                f"{self.penalty!r}, head={self.head!r}."
            )
        if self.learn_alpha:
            self._check_learned(alpha)

    def _check_alpha(self, tasks):
        """Penalty of all tasks, or of each."""
        check_order(self.alpha, tasks, "alpha")
        if self.alpha_mode == "absolute" and isinstance(self.alpha, str):
            raise ValueError(
                "alpha must be a number when alpha_mode='absolute', got 'auto'."
            )
        try:
            alpha = np.asarray(self._alpha, dtype=float)
        except (TypeError, ValueError):
            raise ValueError(
                f"alpha must be a number, or an array of them, got {self.alpha!r}."
            ) from None
        if alpha.ndim and tasks is None:
            raise ValueError(
                "alpha must be a number in fit_stream, whose tasks are new at every "
                f"step; got an array of shape {alpha.shape}."
            )
        if alpha.ndim and alpha.shape != (len(tasks),):
            raise ValueError(
                f"alpha must be a number or one for each of the {len(tasks)} tasks, "
                f"got shape {alpha.shape}."
            )
        low, high = alpha.min(), alpha.max()
        if self.alpha_mode == "relative" and not 0 < low <= high <= 1:
            value = low if low <= 0 else high
            raise ValueError(
                "alpha must lie in (0, 1] when alpha_mode='relative', got "
                f"{value!s}. For a raw penalty set alpha_mode='absolute'."
            )
        if low < 0 or not np.isfinite(high):
            value = low if low < 0 else high
            raise ValueError(f"alpha must be finite and not negative, got {value!s}.")
        return alpha

    def _check_learned(self, alpha):
        if self.inner_fraction is None or self.alpha_mode != "relative" or alpha.ndim:
            raise ValueError(
                "learn_alpha=True needs inner_fraction, since on the same samples the "
                "smallest penalty always fits best, alpha_mode='relative' and a number "
                f"alpha to start from; got inner_fraction={self.inner_fraction}, "
                f"alpha_mode={self.alpha_mode!r}, alpha={self.alpha!r}."
            )
        if alpha == 1:
            raise ValueError("alpha must be below 1 to be learned, got 1.")

    @property
    def _loss(self):
        return log_loss if self._likelihood == "categorical" else Squared()

    @property
    def _head(self):
        if self.head is not None:
            return self.head
        if self._penalty == "elasticnet":
            return LinearHead(self._loss, ElasticNet(self.l2))
        return LinearHead(self._loss, L2() if self._penalty == "l2" else GroupL1())

    def _problem(self):
        return InnerProblem(
            head=self._head,
            penalty_at=self.penalty_at,
            alpha_mode=self.alpha_mode,
            fit_intercept=self.fit_intercept,
            solver=self.solver,
        )
