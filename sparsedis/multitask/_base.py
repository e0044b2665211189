"""Base class of the estimators of a shared representation."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import MultiOutputMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sparsedis._fitted import shallow_copy
from sparsedis._persistence import Saved
from sparsedis._threads import threads_for
from sparsedis._typing import keeps_types
from sparsedis.bilevel._module import whole_unless_trained
from sparsedis.inputs._arrays import check_images
from sparsedis.inputs._rows import (
    LazyRows,
    check_magnitude,
    is_lazy,
    warn_of_offsets,
)
from sparsedis.inputs._stream import StreamTasks
from sparsedis.inputs._weights import check_weights, read_task_weights
from sparsedis.multitask._counting import n_outputs
from sparsedis.multitask._diagnosis import (
    doubts_about_features,
    doubts_about_rows,
    doubts_about_tasks,
    doubts_without_rows,
    tasks_without_feature,
    warn_of,
    warn_of_unused,
)
from sparsedis.multitask._linear import LinearPart, new_folds
from sparsedis.multitask._rotation import factors_of_batches
from sparsedis.multitask._task_heads import TaskHeads, check_several_labels
from sparsedis.rotation import FactorCount, RotationResult

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset

    from sparsedis._typing import SparseMatrix
    from sparsedis.inputs._batch import TaskBatch

# Last steps of a stream whose rows serve as its training set.
_REMEMBERED_STEPS = 50

# Rows for the scale of the features before a rotation, which has a scale of its own.
_SCALE_ROWS = 500


class BaseRepresentation(MultiOutputMixin, TaskHeads):
    """Estimator of a representation and the heads of its tasks.

    A subclass has a `_likelihood`, and reads labels with `_read`.
    """

    _saved = Saved(
        modules=("module_",),
        arrays=(
            *("coef_", "intercept_", "alpha_", "support_", "feature_usage_"),
            *("stability_", "spike_"),
        ),
        plain=(
            *("n_features_in_", "n_components_", "n_iter_", "learned_alpha_"),
            *("_layout", "_n_trained", "_noisy", "_skips"),
        ),
        names=("feature_names_in_", "tasks_", "_classes"),
        tables=("history_",),
        shaping=("n_components", "rotation", "normalization"),
        required=("n_features_in_", "n_components_", "_n_trained"),
        records=(
            ("rotation_", RotationResult),
            ("count_", FactorCount),
            ("linear_", LinearPart),
        ),
    )

    @whole_unless_trained
    @keeps_types(with_callbacks)
    @keeps_types(_fit_context(prefer_skip_nested_validation=True))
    def fit(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        task_weight: ArrayLike | dict | None = None,
    ) -> Self:
        """Learn the representation and the head of every task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs: a table, or images as unsigned 8-bit integers (scaled to [0, 1]) or
            floats. Memory maps, HDF5 and zarr arrays and torch datasets are read as
            they are needed.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,), \
(n_samples, n_tasks) or (n_samples, n_tasks, n_outputs)
            Labels, one column per task, missing where NaN (or None, for classes).
            Columns of a DataFrame name the tasks. In a sparse matrix the entries that
            are stored, zeros included, are the labels.

        task : array-like of shape (n_samples,), default=None
            The long form: the task of each label in `y`, which then has one label, or
            one vector of them, per row. Inputs that occur in several rows are encoded
            once.

        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the samples in their tasks. A weight of 0 excludes a sample. Or,
            in the shape of a table `y`, weights of the labels, where 0 makes a label
            missing; as a DataFrame with the columns of that of `y`, or a sparse matrix
            if `y` is one. NaN is refused, also where a label is missing. The evidence
            for factors counts weights as repetitions, unless the mean weight of a label
            is below 1 or above 1e6; then only ratios matter.

        task_weight : array-like of shape (n_tasks,) or dict, default=None
            Weights of the tasks in the loss of the encoder, in the order of `tasks_`
            or by their names, where tasks without an entry have 1. Only ratios matter.
            A task of weight 0 gets a head, but features are learned, counted and
            rotated without it. Other weights change neither the count nor the rotation
            of the features, and none changes what a head is fitted to.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When X contains NaN or inf, y contains inf or no task with two labels,
            shapes or lengths disagree, a parameter is out of range, or the loss is not
            finite. In the last case the estimator keeps the last finite weights, and
            `transform` works.
        """
        X = self._validate_X(X, reset=not self._goes_on())
        check_magnitude(X)
        warn_of_offsets(X, vars(self).get("feature_names_in_"))
        weight = check_weights(sample_weight, len(X), y if task is None else None)
        targets = self._read(y, len(X), task, weight)
        task_weight = read_task_weights(task_weight, targets.names)
        self._check_parameters(targets.names)
        random_state = check_random_state(self.random_state)
        table, scale = self._table(X, targets, weight, task_weight)
        check_several_labels(table)
        with threads_for(self._step_size(table)):
            scaled = table.divided(scale)
            width = self._width(self.input_shape_, n_outputs(table))
            data = {"X": X, "y": y}
            auto = self.n_components == "auto" and not self._module_alone
            if self.rotation is None and auto:
                width = self._count(scaled, width, random_state, data)
            split = self._train_by_noise(scaled, width, random_state, data)
            if self.rotation is not None:
                count = self._straighten(scaled, split, random_state, data)
                # Among as many features as there are factors, weak ones may be missed.
                counted = count is not None and count.n_factors == self._n_trained
                kept = self._n_trained if counted else self.n_components
                factors = self._factors(table, kept, random_state)
                if counted:
                    factors = replace(factors, count=count)
                self._rotate(factors, width)
            folds = None
            if split.held_out is not None:
                folds = np.isin(table.at, split.held_out.at) - 1
            self._fit_linear(table, scale, folds)
            self._fit_heads(table, scale, targets)
        self._warn_if_unused()
        if self.rotation is not None:
            warn_of(self._doubts(X, split, weight))
        return self

    @whole_unless_trained
    @keeps_types(with_callbacks)
    @keeps_types(_fit_context(prefer_skip_nested_validation=True))
    def fit_stream(self, source: Iterable[TaskBatch]) -> Self:
        """Learn the representation from new tasks at every step.

        As in the paper, tasks are used for one step and not kept. Afterwards the
        estimator can transform and adapt, but has no heads.

        Parameters
        ----------
        source : iterable
            Iterable of :class:`~sparsedis.tasks.TaskBatch`, or of pairs ``(X, Y)`` as
            in `fit`. A finite iterable is repeated. Classes are integers starting at 0.
            Tasks without a label in a batch are left out of it.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When `source` is empty or yields something else, inputs or labels that `fit`
            would refuse, or a batch without any label.
        """
        self._check_parameters(None)
        reset = not self._goes_on()
        stream = StreamTasks(source, _REMEMBERED_STEPS, self, reset=reset)
        first = stream.first.rows
        self._check_shape_of(first, reset)
        random_state = check_random_state(self.random_state)
        if self.n_components == "auto" and self.rotation is None:
            raise ValueError(
                "n_components must be a number in fit_stream when rotation=None, got "
                "'auto': features are counted with their rotation."
            )
        width = self._width(self.input_shape_)
        enough = math.inf if self.rotation is None else _SCALE_ROWS
        with threads_for(first.size):
            steps = self._train_on(
                "stream",
                stream,
                random_state,
                make=lambda: self._make_module(width, [first], whole=False),
                rows=partial(stream.last_inputs, enough),
                data={"X": first, "y": None},
                contents=vars(stream.first).values(),
            )
            if not steps:
                raise ValueError(
                    "encoder has nothing to train: fit_stream needs weights."
                )
            if self.rotation is not None:
                self._rotate(
                    factors_of_batches(
                        self.module_,
                        stream.remembered,
                        self._likelihood == "categorical",
                        n_components=self.n_components,
                        rng=np.random.default_rng(random_state.randint(2**31)),
                        device=self._device(),
                    ),
                    self._n_trained,
                )
                if self.count_.n_factors:
                    n_tasks = len(self.rotation_.heads)
                    warn_of(doubts_about_features(self.stability_, n_tasks))
        last = steps[-_REMEMBERED_STEPS:]
        if self.rotation is None:
            self.feature_usage_ = np.mean([step["usage"] for step in last], axis=0)
        self._warn_if_unused()
        return self

    def adapt(
        self,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        alpha: float | np.ndarray | None = None,
    ) -> Self:
        """Fit heads of new tasks without changing the representation.

        Where `linear` says, models on X share the predictions, with weights from five
        folds of the rows (from 10 rows on). The encoder may have been trained on the
        same rows, but not on these labels.

        Parameters
        ----------
        X, y, task, sample_weight : array-like
            As in `fit`.

        alpha : float or array-like of shape (n_tasks,), default=None
            Penalty, in the mode of the estimator. None: that of the estimator. Not used
            after a rotation, when only `selection` matters.

        Returns
        -------
        adapted : estimator of the same class
            Fitted estimator with the same representation and the heads of the new
            tasks.

        Raises
        ------
        ValueError
            As `fit`.
        """
        check_is_fitted(self, "module_")
        X = self._validate_X(X, reset=False)
        adapted = shallow_copy(self)
        if alpha is not None:
            adapted.alpha = alpha
            adapted.__dict__.pop("learned_alpha_", None)
        weight = check_weights(sample_weight, len(X), y if task is None else None)
        targets = adapted._read(y, len(X), task, weight)
        adapted._check_parameters(targets.names)
        table, scale = adapted._table(X, targets, weight)
        with threads_for(adapted._step_size(table)):
            adapted._fit_linear(table, scale, new_folds(table.n_rows))
            adapted._fit_heads(table, scale, targets)
        return adapted

    def _step_size(self, table):
        """Numbers in the inputs of a step."""
        n_rows = table.rows_per_step(self.batch_size, self.task_batch_size)
        return n_rows * math.prod(self.input_shape_)

    def _validate_X(self, X, *, reset):
        if not is_lazy(X):
            return super()._validate_X(X, reset=reset)
        X = LazyRows(X)
        check_images(X.shape, X.dtype)
        if reset:
            self.n_features_in_ = X.shape[1]
            vars(self).pop("feature_names_in_", None)
        self._check_shape_of(X, reset)
        return X

    def _doubts(self, X, split, weight):
        """Warn about features and predictions that may not be reliable."""
        # Without factors a single head stands for all.
        found = self.rotation_.heads if self.count_.n_factors else self.tasks_
        doubts = doubts_about_features(self.stability_, len(found), weight)
        if not self.n_iter_:
            return doubts
        if split.held_out is None:
            return doubts + doubts_without_rows(
                self.early_stopping, split.trained.n_rows
            )
        if self._likelihood == "categorical":
            return doubts
        parts = split.trained, split.held_out
        # Beside linear models of the inputs, predictions need no other.
        linear = vars(self).get("linear_")
        inputs = X if linear is None else None
        found = doubts_about_rows(self._features_of, inputs, *parts, self.support_)
        if linear is not None and not found:
            # Of an encoder that overfits, more features are no cure.
            found = doubts_about_tasks(linear, self.n_components_)
        return doubts + found

    def _warn_if_unused(self):
        unused = np.flatnonzero(self.feature_usage_ == 0)
        # Without training there is nothing to adjust.
        if not len(unused) or not self.n_iter_:
            return
        linear = vars(self).get("linear_")
        # Tasks that lack a feature do not need fewer of them.
        fewer = linear is None or not len(tasks_without_feature(linear))
        remedy = "leave their number to be counted with n_components='auto'"
        if self.rotation is None:
            alpha = np.mean(getattr(self, "learned_alpha_", self._alpha))
            remedy = (
                f"lower alpha (now {alpha:g}) or lr (now {self.lr:g}), raise "
                f"alpha_warmup (now {self.alpha_warmup:g}) or max_iter (now "
                f"{self.max_iter})"
            )
        if fewer:
            remedy += ", or ask for fewer n_components"
        warn_of_unused(unused, self.n_components_, remedy)
