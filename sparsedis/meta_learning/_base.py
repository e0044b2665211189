"""Base class of the meta-learner: training and evaluation on episodes."""

from __future__ import annotations

import copy
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sparsedis._deprecated import parameter, renamed_attribute
from sparsedis._persistence import Saved
from sparsedis._warn import warn
from sparsedis.bilevel._estimator import BilevelEstimator
from sparsedis.bilevel._module import check_inputs_fit, new_representation
from sparsedis.bilevel._schedules import OPTIMIZERS
from sparsedis.bilevel._stopping import KeepBest
from sparsedis.distributed import processes
from sparsedis.encoders import input_shape_of
from sparsedis.episodes import EpisodeSampler
from sparsedis.heads._few_shot import HEADS
from sparsedis.inputs._rows import blocks_of
from sparsedis.inputs._values import check_discrete
from sparsedis.meta_learning._evaluation import FewShotEvaluation, evaluate_episodes
from sparsedis.meta_learning._learned_head import LearnedHead
from sparsedis.meta_learning._objective import EpisodeObjective

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Size of the sample for statistics: numbers in its features, and at least this many
# rows.
_STATISTICS, _LEAST_ROWS = 2**26, 128

# Features of an MLP, which does not set their number itself.
_MLP_FEATURES = 64

# Number of last steps of training in which some head should use a feature.
_LAST_STEPS = 50


class BaseMetaLearner(BilevelEstimator):
    """Training of an encoder through the heads of episodes, and evaluation on others.

    The parameters are those of
    :class:`~sparsedis.meta_learning.GroupLassoSVMMetaLearner`.
    """

    _columns: ClassVar = {
        "loss": "train_loss",
        "accuracy": "accuracy",
        "active": "active",
    }

    _saved = Saved(
        modules=("module_", "head_"),
        arrays=(),
        plain=(
            "n_features_in_",
            "n_components_",
            "n_iter_",
            "best_iter_",
            "alpha_",
            "l2_",
        ),
        names=("feature_names_in_", "classes_", "validation_classes_"),
        tables=("history_", "validation_history_"),
        shaping=(
            "n_components",
            "normalization",
            "head",
            "alpha_mode",
            "learn_alpha",
            "learn_l2",
        ),
        # New heads use the penalties of the training, which are in the file.
        adapting=(),
        required=(
            "n_features_in_",
            "n_components_",
            "n_iter_",
            "best_iter_",
            "alpha_",
            "l2_",
            "classes_",
            "validation_classes_",
        ),
    )

    l1_ = renamed_attribute("l1_", "alpha_")

    def _validate(self, X, y, *, reset=True):
        X, y = self._validate_X(X, y, reset=reset)
        check_discrete(y)
        return X, y

    def _check_penalties(self):
        alpha, learn_alpha = parameter(self, "alpha"), parameter(self, "learn_alpha")
        if parameter(self, "alpha_mode") == "relative" and alpha > 1:
            raise ValueError(
                "alpha must lie in [0, 1] when alpha_mode='relative', got "
                f"{alpha!r}. For a raw penalty set alpha_mode='absolute'."
            )
        if learn_alpha and "alpha" not in self._head.penalties:
            raise ValueError(f"learn_alpha=True, but head={self.head!r} has no alpha.")
        if learn_alpha and alpha == 0:
            raise ValueError(
                "learn_alpha=True starts from alpha, which must be positive, got 0."
            )
        if self.learn_l2 and "l2" not in self._head.penalties:
            raise ValueError(f"learn_l2=True, but head={self.head!r} has no l2.")

    def _split_classes(self, y, random_state):
        """Classes for training, and classes for validation."""
        classes, held_out = np.unique(y), self.validation_classes
        if held_out is None:
            return classes, classes[:0]
        if np.ndim(held_out) == 0:
            n_held_out = round(held_out * len(classes))
            if n_held_out < self.n_ways:
                raise ValueError(
                    f"validation_classes={held_out!r} selects {n_held_out} of "
                    f"{len(classes)} classes, fewer than n_ways={self.n_ways}."
                )
            held_out = random_state.permutation(classes)[:n_held_out]
        held_out = np.unique(held_out)
        unknown = np.setdiff1d(held_out, classes)
        if len(unknown):
            raise ValueError(
                "validation_classes must be labels in y, which does not have "
                f"{unknown[:5].tolist()}{', ...' if len(unknown) > 5 else ''}."
            )
        return np.setdiff1d(classes, held_out), held_out

    def _sampler(self, y, random_state, *, classes=None, **size):
        """Sampler of episodes; sizes that are None are those of the estimator."""
        for name in ("n_ways", "n_shots", "n_queries"):
            if size.get(name) is None:
                size[name] = getattr(self, name)
        return EpisodeSampler(y, classes=classes, random_state=random_state, **size)

    def _learn(self, X, y, base, held_out, random_state):
        """Train the encoder on episodes of the classes `base`."""
        seed = random_state.randint(np.iinfo(np.int32).max)
        rows = random_state.permutation(np.flatnonzero(np.isin(y, base)))
        stopping = self._make_validation(X, y, held_out, random_state)
        sampler = self._sampler(y, random_state, classes=base, n_shots=self.train_shots)
        self.classes_, self.validation_classes_ = base, held_out
        objective = EpisodeObjective(
            self._new_head(parameter(self, "alpha"), self.l2),
            X,
            label_smoothing=self.label_smoothing,
            crop_padding=self.crop_padding,
            horizontal_flip=self.horizontal_flip,
        )
        optimizer = self.optimizer
        if isinstance(optimizer, str):
            optimizer = partial(OPTIMIZERS[optimizer], weight_decay=self.weight_decay)

        def statistics():
            n = max(_LEAST_ROWS, _STATISTICS // self.n_components_)
            return blocks_of(X, np.sort(rows[:n]))

        self._train(
            partial(self._make_module, blocks_of(X, np.sort(rows))),
            objective,
            iter(partial(sampler.sample, self.episodes_per_batch), None),
            seed=seed,
            rows=statistics,
            data={"X": X, "y": y},
            contents=(X, y, base),
            stopping=stopping,
            warmup=parameter(self, "alpha_warmup"),
            optimizer=optimizer,
            # The scale of the logits and the penalties must not decay.
            optimizer__param_groups=[("head.*", {"weight_decay": 0.0})],
        )

    def _make_module(self, blocks):
        input_shape = input_shape_of(np.empty((0, *self.input_shape_)))
        module = self._new_representation(input_shape)
        check_inputs_fit(module.encoder, self.input_shape_)
        self._standardize(module.encoder, blocks)
        return module

    def _new_representation(self, input_shape):
        n_components = self.n_components
        if n_components is None and self.encoder == "mlp":
            n_components = _MLP_FEATURES
        normalization = self.normalization
        if normalization == "auto":
            published = self.encoder in ("conv4", "resnet12")
            normalization = None if published else "batch"
        return new_representation(
            self.encoder, input_shape, n_components, normalization
        )

    @property
    def _head(self):
        return HEADS[self.head] if isinstance(self.head, str) else self.head

    def _new_head(self, alpha, l2):
        return LearnedHead(
            self._head,
            alpha,
            l2,
            relative=parameter(self, "alpha_mode") == "relative",
            learn_alpha=parameter(self, "learn_alpha"),
            learn_l2=self.learn_l2,
        )

    def _new_modules(self, fitted):
        # If penalties were learned, their values are among the weights.
        head = self._new_head(fitted["alpha_"], fitted["l2_"]).requires_grad_(False)
        input_shape = input_shape_of(np.empty((0, *fitted["input_shape_"])))
        return {"module_": self._new_representation(input_shape), "head_": head}

    def _make_validation(self, X, y, held_out, random_state):
        if len(held_out) == 0:
            return None
        sampler = self._sampler(y, random_state, classes=held_out)
        episodes = sampler.sample(self.validation_episodes)

        def accuracy(net):
            module, head = net.module_.eval(), net.criterion_.head
            found = self._evaluate(module, head, X, episodes).accuracy
            # All processes must keep the weights of the same step.
            return float(processes().first(found, self._device()))

        return KeepBest(accuracy, self.validation_every)

    def _keep_objective(self, objective):
        self.head_ = copy.deepcopy(objective.head).cpu().requires_grad_(False)
        self.alpha_, self.l2_ = (
            float(self.head_.penalty(name)) for name in ("alpha", "l2")
        )

    def _record(self, history, valid, stopping):
        super()._record(history, valid, stopping)
        self.best_iter_ = getattr(stopping, "best_step_", self.n_iter_)
        self.validation_history_ = {
            name: np.array(getattr(stopping, f"{name}_", []))
            for name in ("step", "accuracy")
        }

    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_episodes: int = 1000,
        n_ways: int | None = None,
        n_shots: int | None = None,
        n_queries: int | None = None,
    ) -> FewShotEvaluation:
        """Accuracy and use of features over episodes of the given classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`, usually of classes that `fit` has not seen.

        y : array-like of shape (n_samples,)
            Labels.

        n_episodes : int, default=1000
            Number of episodes, at least 2.

        n_ways, n_shots, n_queries : int, default=None
            Size of an episode; None: the parameter of the estimator.

        Returns
        -------
        evaluation : FewShotEvaluation
            With `accuracy`, `confidence_interval` (half-width, 95 %), `active_share`
            and `feature_usage`.

        Raises
        ------
        ValueError
            When there are too few classes, or too few samples of one, for an episode.
        """
        check_is_fitted(self, "module_")
        if not isinstance(n_episodes, Integral) or n_episodes < 2:
            raise ValueError(f"n_episodes must be an int >= 2, got {n_episodes!r}.")
        X, y = self._validate(X, y, reset=False)
        sampler = self._sampler(
            y,
            check_random_state(self.random_state),
            n_ways=n_ways,
            n_shots=n_shots,
            n_queries=n_queries,
        )
        return self._evaluate(self.module_, self.head_, X, sampler.sample(n_episodes))

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Mean accuracy over 1,000 episodes of the given classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`, usually of classes that `fit` has not seen.

        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        score : float
            As ``evaluate(X, y).accuracy``.
        """
        return self.evaluate(X, y).accuracy

    def _evaluate(self, module, head, X, episodes):
        def encode(rows):
            return torch.cat([*self._codes(blocks_of(X, rows), module)])

        head = copy.deepcopy(head).to(self._device())
        return evaluate_episodes(encode, head, episodes, module.n_components)

    def _warn_if_dead(self):
        active = self.history_["active"][-_LAST_STEPS:]
        if len(active) and not active.any():
            warn(
                f"No head used a feature in the last {len(active)} steps, so the "
                "encoder has learned nothing from them: lower alpha (now "
                f"{self.alpha_:g}).",
                UserWarning,
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
