"""Training on tables and streams of tasks, and the rotation that may follow."""

import copy
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch.optim import AdamW

from sparsedis.bilevel._module import (
    check_inputs_fit,
    new_representation,
)
from sparsedis.bilevel._net import NonFiniteError
from sparsedis.bilevel._stopping import StopEarly
from sparsedis.encoders import MLP, RotatedRepresentation, input_shape_of
from sparsedis.inputs._table_source import TableSource
from sparsedis.multitask._counting import counting_problem, warn_of_count
from sparsedis.multitask._objective import TaskObjective
from sparsedis.multitask._rotation import factors_of_table, rotated
from sparsedis.multitask._settings import Settings
from sparsedis.multitask._table_training import split_table

# Weight decay per step and unit of the learning rate, before a rotation: larger for
# tables, which the encoder can overfit.
_WEIGHT_DECAY = {"table": 3.0, "stream": 1.0}

# Decay rates of AdamW's means of gradients and of their squares, for streams. Its
# defaults, 0.9 and 0.999, remember more than a training of some hundred steps needs:
# with new tasks and rows at every step, it then takes twice as many steps.
_BETAS = 0.8, 0.95

# Dropout of the encoder of tables before a rotation, and where labels are noisy.
_DROPOUT, _NOISY_DROPOUT = 0.1, 0.3

# Batch size where labels are noisy, in that of the estimator.
_NOISY_BATCHES = 4

# Attributes that a training sets, and the settings of its module.
_OF_TRAINING = (
    *("module_", "n_components_", "n_iter_", "history_", "learned_alpha_"),
    *("_n_trained", "_noisy", "_skips"),
)


class TaskTraining(Settings):
    """Training of an encoder through the heads of tasks.

    The parameters are those of :class:`~sparsedis.SparseMultiTaskRepresentation`.
    """

    _columns: ClassVar = {
        "loss": "train_loss",
        "alpha": "alpha",
        "active": "active",
    }
    _without = ", without heads"

    def _train_on(
        self,
        kind,
        batches,
        random_state,
        *,
        make,
        contents,
        problem=None,
        valid=None,
        objective=None,
        decay=1.0,
        **options,
    ):
        """Train the encoder on batches of a "table" or a "stream".

        `decay` is a factor of the weight decay; `objective` stands for the heads of
        each batch.
        """
        problem = self._problem() if problem is None else problem
        weight_decay, auto = self.weight_decay, self.weight_decay == "auto"
        if auto:
            weight_decay = 0.0 if self.rotation is None else _WEIGHT_DECAY[kind]
        # "auto" is for AdamW: for others weight_decay is a penalty, or unknown.
        if not auto or self.optimizer is AdamW:
            options["optimizer__weight_decay"] = decay * weight_decay
        if kind == "stream" and self.optimizer is AdamW:
            options["optimizer__betas"] = _BETAS
        if self.learn_alpha:
            # Weight decay must not shrink a learned penalty.
            options.setdefault(
                "optimizer__param_groups", [("logit", {"weight_decay": 0.0})]
            )
        if objective is None:
            objective = TaskObjective(
                problem,
                self._alpha,
                self.learn_alpha,
                inner_fraction=self.inner_fraction,
                random_state=random_state,
            )
        stopping = None
        if valid is not None:
            stopping = StopEarly(self.n_iter_no_change)
        return self._train(
            make,
            objective,
            _repeat(batches),
            seed=random_state.randint(np.iinfo(np.int32).max),
            contents=(problem, *contents),
            valid=valid,
            stopping=stopping,
            optimizer=self.optimizer,
            precision=self.precision,
            # A learned penalty has no schedule.
            warmup=0.0 if self.learn_alpha else self.alpha_warmup,
            **options,
        )

    def _train_table(
        self, table, width, random_state, data, split=None, *, batches=1.0, **options
    ):
        """Train on a table, and return its split, which may be given.

        `batches` is the smallest size of a batch, in that of the estimator.
        """
        options.setdefault("make", lambda: self._make_module(width, table.blocks()))
        early = self.early_stopping
        if early == "auto" and self.rotation is None:
            early = False
        split = split or split_table(
            table,
            early,
            self.validation_fraction,
            n_tasks=self.task_batch_size,
            n_samples=self.batch_size,
            random_state=random_state,
        )
        if self._noisy and table.rows_first:
            batches = max(batches, _NOISY_BATCHES)
        source = TableSource(
            split.trained,
            n_samples=round(batches * self.batch_size),
            n_tasks=self.task_batch_size,
            random_state=random_state,
            min_labels=1 if self.inner_fraction is None else 2,
        )
        self._train_on(
            "table",
            source,
            random_state,
            rows=table.blocks,
            data=data,
            contents=table.contents(),
            valid=split.valid,
            **options,
        )
        return split

    @contextmanager
    def _another_training(self, what):
        """Keep the complete training so far if another one fails.

        Parameters
        ----------
        what : str
            Name of the other training, for a note on the error.

        Yields
        ------
        callable
            Undoes the other training.
        """
        before = {name: vars(self)[name] for name in _OF_TRAINING if name in vars(self)}

        def undo():
            for name in _OF_TRAINING:
                vars(self).pop(name, None)
            vars(self).update(before)

        try:
            yield undo
        except BaseException as error:
            undo()
            if not isinstance(error, NonFiniteError):
                error.add_note(
                    f"That was {what}: the weights of the training before it, which "
                    "is complete, are kept instead."
                )
            raise

    def _count(self, table, width, random_state, data):
        """Number of factors, from a training with Ridge heads."""
        problem = counting_problem(self._problem())
        self._train_table(table, width, random_state, data, problem=problem)
        count = self._factors(table, "auto", random_state).count
        return max(1, count.n_factors)

    def _factors(self, table, n_components, random_state):
        Z = self._features_of(table)
        rng = np.random.default_rng(random_state.randint(2**31))
        return factors_of_table(Z, table, n_components=n_components, rng=rng)

    def _rotate(self, factors, width):
        """Append the rotation to the module, and set its attributes.

        `width` is the number of features among which the factors were counted.
        """
        if self.n_components == "auto":
            warn_of_count(factors, None if self._module_alone else width)
        self.module_ = rotated(self.module_, factors)
        self.n_components_ = self.module_.n_components
        self.count_, self.rotation_ = factors.count, factors.rotation
        self.stability_, self.spike_ = factors.stability, factors.rotation.spike
        self.feature_usage_ = self._used_features().mean((0, 1))

    def _used_features(self):
        """Features that the rotated heads use."""
        size = np.linalg.norm(self.rotation_.heads, axis=1, keepdims=True)
        return size > 3 * np.maximum(self.spike_, 0.02)

    def _keep_objective(self, objective):
        self._n_trained = self.n_components_
        if self.learn_alpha:
            self.learned_alpha_ = objective.penalty()

    def _features_of(self, table, module=None):
        """Features of the rows of a table, as float64."""
        codes = [codes.cpu().numpy() for codes in self._codes(table.blocks(), module)]
        return np.concatenate(codes).astype(np.float64)

    def _make_module(self, width, blocks, **how):
        """A new module, or a copy of the trained one."""
        if self._goes_on():
            module = copy.deepcopy(self.module_)
            return getattr(module, "representation", module)
        return self._fresh_module(width, blocks, **how)

    def _fresh_module(self, width, blocks, **how):
        """A new module, in the units of some rows."""
        self._skips = self._bends
        kind = self._noisy, self._skips
        module = self._new_module(self.input_shape_, width, *kind)
        check_inputs_fit(module.encoder, self.input_shape_)
        self._standardize(module.encoder, blocks, **how)
        return module

    def _goes_on(self):
        return self.warm_start and "module_" in vars(self)

    def _new_module(self, input_shape, width, noisy, skips, drops=True):
        shape = input_shape_of(np.empty((0, *input_shape)))
        encoder = self.encoder
        if encoder == "auto" and len(shape) == 1 and self.rotation is not None:
            dropout = _NOISY_DROPOUT if noisy else _DROPOUT
            encoder = partial(MLP, dropout=dropout if drops else 0.0, skip=skips)
        return new_representation(encoder, shape, width, self.normalization)

    def _new_modules(self, fitted):
        width, k = fitted["_n_trained"], fitted["n_components_"]
        kind = (fitted.get(name, False) for name in ("_noisy", "_skips"))
        module = self._new_module(fitted["input_shape_"], width, *kind)
        if "rotation_" in fitted:
            components, mean = torch.zeros(k, width), torch.zeros(width)
            module = RotatedRepresentation(module, components, mean)
        return {"module_": module}


def _repeat(source):
    """Repeat ``source`` endlessly."""
    while True:
        batch = None
        for batch in source:
            yield batch
        if batch is None:
            return
