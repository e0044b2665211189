"""Training, encoding and scoring behind the meta-learner."""

import copy
import warnings
from functools import partial

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import LambdaLR

from sparsedis.bilevel._checkpoint import checkpoint_of
from sparsedis.bilevel._module import ModuleMixin, encode_blocks, stacked, to_device
from sparsedis.bilevel._persistence import Saved
from sparsedis.bilevel._progress import STEPS_PER_EPOCH, Progress
from sparsedis.bilevel._randomness import TorchRandomness
from sparsedis.bilevel._schedules import OPTIMIZERS, SCHEDULES
from sparsedis.encoders import (
    Representation,
    build_encoder,
    input_shape_of,
    n_features_of,
)
from sparsedis.episodes import EpisodeSampler
from sparsedis.meta_learning._evaluation import evaluate_episodes
from sparsedis.meta_learning._heads import Head
from sparsedis.meta_learning._net import (
    RECORDED,
    EpisodicModel,
    EpisodicNet,
    KeepBest,
)
from sparsedis.metrics._validation import check_plain
from sparsedis.tasks._images import as_inputs

# Rows that are encoded at a time outside of training.
_BLOCK = 128

# Numbers in the features that statistics are computed from, at most.
_STATISTICS = 2**26

# Features of an MLP, which has no size of its own.
_MLP_FEATURES = 64

# Last steps of training over which a representation without use shows.
_LAST_STEPS = 50


class BaseMetaLearner(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ModuleMixin,
    BaseEstimator,
):
    """Training of an encoder through the heads of episodes, and encoding.

    The parameters are those of
    :class:`~sparsedis.meta_learning.GroupLassoSVMMetaLearner`.
    """

    _saved = Saved(
        modules=("module_", "head_"),
        arrays=(),
        plain=(
            "n_features_in_",
            "n_components_",
            "n_iter_",
            "best_iter_",
            "l1_",
            "l2_",
        ),
        names=("feature_names_in_", "classes_", "validation_classes_"),
        tables=("history_", "validation_history_"),
        shaping=(
            "n_components",
            "normalization",
            "head",
            "l1_mode",
            "learn_l1",
            "learn_l2",
        ),
        # New heads have the penalties of the training, which are in the file.
        adapting=(),
        required=(
            "n_features_in_",
            "n_components_",
            "n_iter_",
            "best_iter_",
            "l1_",
            "l2_",
            "classes_",
            "validation_classes_",
        ),
    )

    def transform(self, X):
        """Features of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`.

        Returns
        -------
        Z : ndarray of shape (n_samples, `n_components_`)
            Features; float64 when X is a table of float64, else float32.
        """
        check_is_fitted(self, "module_")
        X = self._validate(X, reset=False)
        blocks = self._encoded(self.module_, X, np.arange(len(X)))
        return stacked((block.cpu().numpy() for block in blocks), len(X))

    def _validate(self, X, y="no_validation", *, reset=True):
        check_plain(X, "X")
        if not isinstance(y, str):
            check_plain(y, "y")
        X = as_inputs(X)
        # 8-bit images stay as they are; an 8-bit table is a table of numbers.
        dtypes = [np.float64, np.float32]
        if getattr(X, "ndim", 2) == 4:
            dtypes.append(np.uint8)
        checked = validate_data(
            self,
            X,
            y,
            reset=reset,
            dtype=dtypes,
            allow_nd=True,
            ensure_min_samples=2 if reset else 1,
        )
        X, y = checked if isinstance(checked, tuple) else (checked, None)
        if reset:
            self.input_shape_ = X.shape[1:]
        elif X.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X must hold inputs of shape {self.input_shape_}, as in fit; got "
                f"{X.shape[1:]}."
            )
        if y is None:
            return X
        check_classification_targets(y)
        return X, y

    def _check_penalties(self):
        if self.l1_mode == "relative" and self.l1 > 1:
            raise ValueError(
                "l1 must lie in [0, 1] when l1_mode='relative', got "
                f"{self.l1!r}. For a raw penalty set l1_mode='absolute'."
            )
        if self.learn_l1 and self.head not in ("group_lasso_svm", "logistic"):
            raise ValueError(f"learn_l1=True, but head={self.head!r} has no l1.")
        if self.learn_l1 and self.l1 == 0:
            raise ValueError("learn_l1=True starts from l1, which must be positive.")
        if self.learn_l2 and self.head == "prototypes":
            raise ValueError(f"learn_l2=True, but head={self.head!r} has no l2.")

    def _split_classes(self, y, random_state):
        """Classes to learn from, and those to validate on."""
        classes, held_out = np.unique(y), self.validation_classes
        if held_out is None:
            return classes, classes[:0]
        if np.ndim(held_out) == 0:
            n_held_out = round(held_out * len(classes))
            if n_held_out < self.n_ways:
                raise ValueError(
                    f"validation_classes={held_out!r} of {len(classes)} classes are "
                    f"{n_held_out}, fewer than n_ways={self.n_ways}."
                )
            held_out = random_state.permutation(classes)[:n_held_out]
        held_out = np.unique(held_out)
        unknown = np.setdiff1d(held_out, classes)
        if len(unknown):
            raise ValueError(
                f"validation_classes must be labels in y; it lacks "
                f"{unknown[:5].tolist()}{', ...' if len(unknown) > 5 else ''}."
            )
        return np.setdiff1d(classes, held_out), held_out

    def _sampler(self, y, random_state, *, classes=None, **size):
        """Sampler of episodes of the given size, of the estimator's where None."""
        for name in ("n_ways", "n_shots", "n_queries"):
            if size.get(name) is None:
                size[name] = getattr(self, name)
        return EpisodeSampler(y, classes=classes, random_state=random_state, **size)

    def _train(self, X, y, base, held_out, random_state):
        context = self._init_callback_context(
            max_subtasks=-(-self.max_iter // STEPS_PER_EPOCH)
        )
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        device = self._device()
        randomness = TorchRandomness(
            random_state.randint(np.iinfo(np.int32).max), device
        )
        with randomness.lent():
            model = EpisodicModel(
                self._new_representation(input_shape_of(X)),
                self._new_head(self.l1, self.l2),
            ).to(device)
        rows = random_state.permutation(np.flatnonzero(np.isin(y, base)))
        keep = partial(self._keep, model, X, rows, base, held_out)
        learned = [
            *model.representation.parameters(),
            *model.head.log_penalty.values(),
        ]
        if any(p.requires_grad for p in learned):
            checkpoint, callbacks = checkpoint_of(self, model, X, y, base)
            callbacks.insert(0, ("progress", Progress(self, context)))
            keep_best = self._make_validation(X, y, held_out, random_state)
            if keep_best is not None:
                callbacks.insert(1, ("keep_best", keep_best))
            sampler = self._sampler(
                y, random_state, classes=base, n_shots=self.train_shots
            )
            net = self._make_net(model, X, sampler, callbacks, randomness, checkpoint)
            try:
                net.fit_episodes()
            finally:
                # Where training fails, what was good remains.
                if net.good_ is not None:
                    keep(net.steps_, keep_best)
        else:
            keep([], None)
        context.call_on_fit_task_end(estimator=self, X=X, y=y)

    def _new_representation(self, input_shape):
        n_components = self.n_components
        if n_components is None and self.encoder == "mlp":
            n_components = _MLP_FEATURES
        encoder = build_encoder(self.encoder, input_shape, n_components)
        if n_components is None:
            n_components = n_features_of(encoder, input_shape)
        normalization = self.normalization
        if normalization == "auto":
            published = self.encoder in ("conv4", "resnet12")
            normalization = None if published else "batch"
        # Whatever torch's default dtype, or that of a module: inputs come as float32.
        representation = Representation(
            encoder, n_components, normalization
        ).to_float32()
        if len(input_shape) == 3:
            # Twice as fast on a CPU, and free: images are stored that way.
            representation = representation.to(memory_format=torch.channels_last)
        return representation

    def _new_head(self, l1, l2):
        return Head(
            self.head,
            l1,
            l2,
            relative=self.l1_mode == "relative",
            learn_l1=self.learn_l1,
            learn_l2=self.learn_l2,
        )

    def _new_modules(self, fitted):
        # Where penalties were learned, their last values are weights.
        head = self._new_head(fitted["l1_"], fitted["l2_"]).requires_grad_(False)
        input_shape = input_shape_of(np.empty((0, *fitted["input_shape_"])))
        return {"module_": self._new_representation(input_shape), "head_": head}

    def _make_validation(self, X, y, held_out, random_state):
        if len(held_out) == 0:
            return None
        sampler = self._sampler(y, random_state, classes=held_out)
        episodes = sampler.sample(self.validation_episodes)

        def accuracy(model):
            representation = model.representation.eval()
            return self._evaluate(representation, model.head, X, episodes).accuracy

        return KeepBest(accuracy, self.validation_every)

    def _make_net(self, model, X, sampler, callbacks, randomness, checkpoint):
        schedule = LRScheduler(
            LambdaLR,
            lr_lambda=partial(SCHEDULES[self.lr_schedule], max_iter=self.max_iter),
            step_every="batch",
        )
        optimizer = self.optimizer
        if isinstance(optimizer, str):
            optimizer = partial(OPTIMIZERS[optimizer], weight_decay=self.weight_decay)
        return EpisodicNet(
            model,
            X=X,
            sampler=sampler,
            max_iter=self.max_iter,
            episodes_per_batch=self.episodes_per_batch,
            l1_warmup=self.l1_warmup,
            label_smoothing=self.label_smoothing,
            crop_padding=self.crop_padding,
            horizontal_flip=self.horizontal_flip,
            randomness=randomness,
            checkpoint=checkpoint,
            lr=self.lr,
            optimizer=optimizer,
            # Scale and penalties have a meaning at any size.
            optimizer__param_groups=[("head.*", {"weight_decay": 0.0})],
            device=self._device(),
            callbacks=[("lr_schedule", schedule), *callbacks],
            verbose=self.verbose,
        )

    def _keep(self, model, X, rows, base, held_out, steps, keep_best):
        """Take over what training has left."""
        self.module_ = model.representation.eval()
        self.head_ = copy.deepcopy(model.head).cpu().requires_grad_(False)
        self.n_components_ = self.module_.n_components
        self.l1_, self.l2_ = (float(self.head_.penalty(name)) for name in ("l1", "l2"))
        self.classes_, self.validation_classes_ = base, held_out
        self.n_iter_ = len(steps)
        self.history_ = {
            name: np.array([step[key] for step in steps])
            for name, key in RECORDED.items()
        }
        self.best_iter_ = getattr(keep_best, "best_step_", self.n_iter_)
        self.validation_history_ = {
            name: np.array(getattr(keep_best, f"{name}_", []))
            for name in ("step", "accuracy")
        }
        n_rows = max(_BLOCK, _STATISTICS // self.n_components_)
        device, blocks = self._device(), self._blocks(X, np.sort(rows[:n_rows]))
        self.module_.set_statistics(to_device(block, device) for block in blocks)

    def _blocks(self, X, rows):
        for first in range(0, len(rows), _BLOCK):
            yield X[rows[first : first + _BLOCK]]

    def _encode(self, module, X, rows):
        """Features of some rows of X, as a tensor."""
        return torch.cat([*self._encoded(module, X, rows)])

    @torch.no_grad()
    def _encoded(self, module, X, rows):
        wide = X.dtype == np.float64 and X.ndim == 2
        blocks = self._blocks(X, rows)
        yield from encode_blocks(module, blocks, self._device(), wide=wide)

    def _evaluate(self, module, head, X, episodes):
        return evaluate_episodes(
            partial(self._encode, module, X),
            copy.deepcopy(head).to(self._device()),
            episodes,
            module.n_components,
        )

    def _warn_if_dead(self):
        active = self.history_["active"][-_LAST_STEPS:]
        if len(active) and not active.any():
            warnings.warn(
                f"No head used a feature in the last {len(active)} steps, so that the "
                f"encoder has learned nothing from them: lower l1 (now {self.l1_:g}).",
                UserWarning,
                stacklevel=3,
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return self.n_components_
