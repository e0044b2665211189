"""What all estimators of a shared representation do."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import torch
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sparsedis._heads import fit_heads
from sparsedis._judged import judged_labels, known_tasks
from sparsedis._scores import head_scores, task_numbers
from sparsedis.bilevel._module import (
    ModuleMixin,
    encode_blocks,
    stacked,
    to_device,
    unchanged_unless_trained,
)
from sparsedis.bilevel._persistence import Saved
from sparsedis.bilevel._randomness import TorchRandomness
from sparsedis.bilevel._training import train
from sparsedis.encoders import RotatedRepresentation, take_over
from sparsedis.identifiability import check_identifiability
from sparsedis.metrics._validation import check_plain
from sparsedis.multitask._diagnosis import (
    doubts_about_features,
    doubts_about_rows,
    warn_of,
)
from sparsedis.multitask._factors import (
    factors_of_batches,
    factors_of_table,
    rotated,
    warn_of_count,
)
from sparsedis.multitask._parameters import RepresentationParameters
from sparsedis.multitask._table_moments import select_supports
from sparsedis.rotation import FactorCount, RotationResult
from sparsedis.tasks._forms import check_weights, read_targets
from sparsedis.tasks._ids import distinct_ids, read_task_ids
from sparsedis.tasks._images import as_inputs, check_images
from sparsedis.tasks._rows import LazyRows, blocks_of, is_lazy
from sparsedis.tasks._stream import StreamTasks
from sparsedis.tasks._table import TableSource, TaskTable

# Last steps of a stream whose rows stand for its training set.
_REMEMBERED_STEPS = 50

# Decay of the weights per step and unit of the learning rate, before a rotation: more
# where a table could be learned by heart.
_WEIGHT_DECAY = {"table": 3.0, "stream": 1.0}

# Steps, of all, and share of the learning rate with which classes are trained on with
# no features beyond the factors.
_NARROW_SHARE, _NARROW_LR = 0.3, 0.5

# Rows to hold out from which early stopping is worth them.
_HELD_OUT = 5

# What belongs to the tasks of a fit, and not to the representation.
HEADS = ("coef_", "intercept_", "alpha_", "support_", "tasks_", "classes_")


class BaseRepresentation(
    CallbackSupportMixin,
    MultiOutputMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ModuleMixin,
    RepresentationParameters,
):
    """Training of an encoder through the heads of its tasks, and encoding."""

    _saved = Saved(
        modules=("module_",),
        arrays=(
            *("coef_", "intercept_", "alpha_", "support_", "feature_usage_"),
            *("stability_", "spike_"),
        ),
        plain=(
            *("n_features_in_", "n_components_", "n_iter_", "learned_alpha_"),
            *("_layout", "_n_trained"),
        ),
        names=("feature_names_in_", "tasks_", "_classes"),
        tables=("history_",),
        shaping=("n_components", "rotation", "normalization"),
        required=("n_features_in_", "n_components_", "_n_trained"),
        records=(("rotation_", RotationResult), ("count_", FactorCount)),
    )

    @unchanged_unless_trained
    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, task=None, sample_weight=None):
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

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in their tasks; 0 leaves a sample out.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When X holds NaN or inf, y inf or no label at all, shapes or lengths
            disagree, a parameter is out of range, or the loss is not finite; the
            estimator then transforms with the last good weights.
        """
        self._forget()
        X = self._validate_X(X, reset=not self._goes_on())
        weight = check_weights(sample_weight, len(X))
        targets = self._read(y, len(X), task, weight)
        self._check_parameters(len(targets.names))
        random_state = check_random_state(self.random_state)
        table, scale = self._table(X, targets, weight)
        scaled = table.divided(scale)
        width = self._width(self.input_shape_, _n_outputs(table))
        data = {"X": X, "y": y}
        if self.rotation is None and self.n_components == "auto":
            width = self._count(scaled, width, random_state, data)
        parts = self._train_table(scaled, width, self._problem(), random_state, data)
        if self.rotation is not None:
            factors = self._factors(table, self.n_components, random_state)
            if self._narrows(factors):
                parts = self._train_narrow(factors, scaled, random_state, data)
                k = self.n_components_
                again = self._factors(table, k, random_state)
                factors = replace(again, count=factors.count)
            self._rotate(factors, width)
        self._fit_heads(table, scale, targets)
        self._warn_if_unused()
        if self.rotation is not None:
            self._warn_of_doubts(X, parts)
        return self

    @unchanged_unless_trained
    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit_stream(self, source):
        """Learn the representation from fresh tasks at every step.

        The setting of the paper: tasks are drawn, used for one step and forgotten, so
        that afterwards the estimator transforms and adapts, but has no heads.

        Parameters
        ----------
        source : iterable
            Of :class:`~sparsedis.tasks.TaskBatch`, or of pairs ``(X, Y)`` of arrays
            as `fit` takes them; finite ones are repeated. Classes are whole numbers
            from 0 on.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When `source` is empty or yields something else.
        """
        self._forget()
        self._check_parameters(None)
        stream = StreamTasks(source, remember=_REMEMBERED_STEPS)
        first = stream.first.rows
        self._validate_X(first, reset=not self._goes_on())
        random_state = check_random_state(self.random_state)
        if self.n_components == "auto" and self.rotation is None:
            raise ValueError(
                "n_components must be a number in fit_stream when rotation=None, got "
                "'auto': features are counted with their rotation."
            )
        steps = self._train(
            stream,
            {"X": first, "y": None},
            lambda: (batch.rows for batch in stream.remembered),
            random_state,
            self._problem(),
            self._width(self.input_shape_),
            kind="stream",
            contents=(stream.first.rows, stream.first.y),
        )
        if not steps:
            raise ValueError("encoder has nothing to train: fit_stream needs weights.")
        if self.rotation is not None:
            self._rotate(
                factors_of_batches(
                    self.module_,
                    stream.remembered,
                    self._likelihood == "categorical",
                    n_components=self.n_components,
                    rng=_generator(random_state),
                    device=self._device(),
                ),
                self._n_trained,
            )
            warn_of(doubts_about_features(self.stability_, len(self.rotation_.heads)))
        last = steps[-_REMEMBERED_STEPS:]
        if self.rotation is None:
            self.feature_usage_ = np.mean([step["usage"] for step in last], axis=0)
        self._warn_if_unused()
        return self

    def adapt(self, X, y, task=None, sample_weight=None, *, alpha=None):
        """Fit heads of new tasks on the representation as it is.

        Parameters
        ----------
        X, y, task, sample_weight : array-like
            As in `fit`.

        alpha : float or array-like of shape (n_tasks,), default=None
            Penalty, in the mode of the estimator. None: that of the estimator. After a
            rotation `selection` decides alone.

        Returns
        -------
        adapted : estimator of the same class
            Fitted: it shares the representation, and has the heads of the new tasks.

        Raises
        ------
        ValueError
            As `fit`.
        """
        check_is_fitted(self, "module_")
        X = self._validate_X(X, reset=False)
        adapted = object.__new__(type(self))
        adapted.__dict__.update(self.__dict__)
        if alpha is not None:
            adapted.alpha = alpha
            adapted.__dict__.pop("learned_alpha_", None)
        weight = check_weights(sample_weight, len(X))
        targets = adapted._read(y, len(X), task, weight)
        adapted._check_parameters(len(targets.names))
        table, scale = adapted._table(X, targets, weight)
        adapted._fit_heads(table, scale, targets)
        return adapted

    def transform(self, X):
        """Features of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Features; float64 when X is, else float32.
        """
        check_is_fitted(self, "module_")
        X = self._validate_X(X, reset=False)
        wide = X.dtype == np.float64 and X.ndim == 2
        return stacked(self._encoded(X), len(X), np.float64 if wide else np.float32)

    def _encoded(self, X):
        """Features of X that was validated, block by block."""
        return self._encoded_blocks(blocks_of(X, np.arange(len(X))))

    def _scores(self, X, task):
        """Scores of the heads, for every task or for the named one of each row."""
        check_is_fitted(self, "module_")
        coef, intercept = self.coef_, self.intercept_
        X = self._validate_X(X, reset=False)
        if task is None:
            scores = (head_scores(Z, coef, intercept) for Z in self._encoded(X))
            return stacked(scores, len(X))
        names = read_task_ids(task, len(X))
        tasks = task_numbers(names, self.tasks_)
        if (tasks < 0).any():
            unknown = distinct_ids(names[tasks < 0])[0][:5].tolist()
            raise ValueError(
                f"task must hold the ids of tasks seen in fit; {unknown} are not among "
                f"them. Known ids begin with {self.tasks_[:5].tolist()}."
            )
        Z = stacked(self._encoded(X), len(X))
        return head_scores(Z, coef, intercept, tasks)

    def _judged(self, X, y, task, sample_weight):
        """Labels of known tasks with what their heads say, a part at a time."""
        check_is_fitted(self, "module_")
        coef, intercept = self.coef_, self.intercept_
        X = self._validate_X(X, reset=False)
        real = self._likelihood == "gaussian"
        name = type(self).__name__
        targets = read_targets(y, len(X), task, real=real, estimator=name)
        weight = check_weights(sample_weight, len(X))
        shape = coef.shape[1:-1] if real else ()
        found = targets.values.shape[2 if targets.is_table else 1 :]
        if found != shape:
            raise ValueError(
                f"y must hold labels of shape {shape} for each task, as in fit; got "
                f"{found}."
            )
        number = known_tasks(targets, y, len(X), self.tasks_, self._layout)
        number = np.where(np.isnan(self.alpha_)[number], -1, number)
        return judged_labels(self._encoded(X), targets, weight, number, coef, intercept)

    def identifiability(self, **kwargs):
        """Say of each feature whether it is a factor, as far as the tasks tell.

        Parameters
        ----------
        **kwargs : dict
            Passed to :func:`sparsedis.identifiability.check_identifiability`.

        Returns
        -------
        IdentifiabilityReport
            The assumptions of the theory, checked on the learned heads; with
            ``rotation="sparsest"`` also the stability of each feature over halves of
            the tasks, and which features are trusted.

        Raises
        ------
        AttributeError
            After `fit_stream` with ``rotation=None``, which leaves no heads.
        """
        check_is_fitted(self, "module_")
        stability = vars(self).get("stability_")
        if "coef_" in vars(self) or stability is None:
            support = self.support_
            if self.coef_.ndim == 3:
                support = support[:, None, :]
            coef = np.where(support, self.coef_, 0.0)
            coef[np.isnan(self.coef_)] = np.nan
        else:
            heads = self.rotation_.heads
            coef = np.where(self._used_features(), heads, 0.0)
        return check_identifiability(coef, stability=stability, **kwargs)

    def _used_features(self):
        """Which features the heads that were rotated use."""
        size = np.linalg.norm(self.rotation_.heads, axis=1, keepdims=True)
        return size > 3 * np.maximum(self.spike_, 0.02)

    def _validate_X(self, X, *, reset):
        check_plain(X, "X")
        if is_lazy(X):
            X = LazyRows(X)
            check_images(X.shape, X.dtype)
            if reset:
                self.n_features_in_ = X.shape[1]
                self.__dict__.pop("feature_names_in_", None)
        else:
            X = as_inputs(X)
            # 8-bit images stay as they are; an 8-bit table is a table of numbers.
            dtypes = [np.float64, np.float32]
            if getattr(X, "ndim", 2) == 4:
                dtypes.append(np.uint8)
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype=dtypes,
                allow_nd=True,
                ensure_min_samples=2 if reset else 1,
            )
        if reset:
            self.input_shape_ = X.shape[1:]
        elif X.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X must hold inputs of shape {self.input_shape_}, as in fit; got "
                f"{X.shape[1:]}."
            )
        return X

    def _goes_on(self):
        return self.warm_start and "module_" in self.__dict__

    def _new_modules(self, fitted):
        width, k = fitted["_n_trained"], fitted["n_components_"]
        module = self._new_module(fitted["input_shape_"], width)
        if "rotation_" in fitted:
            module = RotatedRepresentation(
                module, torch.zeros(k, width), torch.zeros(width)
            )
        return {"module_": module}

    def _forget(self):
        """Drop what an earlier fit, of either kind, has left."""
        rotation = ("rotation_", "count_", "stability_", "spike_")
        for name in (*HEADS, *rotation, "learned_alpha_", "_classes", "_layout"):
            self.__dict__.pop(name, None)

    def _table(self, X, targets, weight):
        n_classes = None
        if self._likelihood == "categorical":
            n_classes = np.array([len(classes) for classes in self._classes])
        table = TaskTable.build(
            X, targets, weight, n_samples=self.batch_size, n_classes=n_classes
        )
        scale = np.ones(targets.n_tasks)
        if getattr(self, "normalize_y", False):
            scale = table.labels.scale()
        return table, scale

    def _valid_batches(self, trained, held_out, random_state):
        """Batches of the same tasks to fit heads on and to judge the training by."""
        useful = (trained.labels.counts() >= 2) & (held_out.labels.counts() >= 1)
        if trained.n_classes is not None:
            useful &= trained.n_classes >= 2
        tasks = np.flatnonzero(useful)
        if len(tasks) == 0:
            if self.early_stopping == "auto":
                return None
            raise ValueError(
                f"validation_fraction={self.validation_fraction:g} of "
                f"{trained.n_rows + held_out.n_rows} rows leaves no task with samples "
                "both to train on and to validate on."
            )
        tasks = random_state.permutation(tasks)[: self.task_batch_size]
        size = 10 * self.batch_size
        inner = trained.batch(tasks, size, random_state)
        outer = held_out.batch(inner.task, size, random_state)
        inner = inner.take(np.isin(inner.task, outer.task))
        return inner, outer

    def _warn_of_doubts(self, X, parts):
        """Say what in the features and predictions is not to be trusted."""
        doubts = doubts_about_features(self.stability_, len(self.rotation_.heads))
        if parts is not None and parts[0].n_classes is None and self.n_iter_:

            def encode(table):
                return self._encode(table.blocks()).astype(np.float64)

            doubts += doubts_about_rows(encode, X, *parts, self.support_)
        warn_of(doubts)

    def _fit_heads(self, table, scale, targets):
        counts = table.labels.counts()
        if not counts.all():
            missing = targets.names[counts == 0]
            names = ", ".join(str(name) for name in missing[:5])
            warnings.warn(
                f"{len(missing)} of {len(counts)} tasks have no label ({names}"
                f"{', ...' if len(missing) > 5 else ''}); their heads and predictions "
                "are NaN.",
                UserWarning,
                stacklevel=3,
            )
        alpha = np.asarray(getattr(self, "learned_alpha_", self._alpha), dtype=float)
        Z = self._encode(table.blocks()).astype(np.float64)
        scaled, support = table.divided(scale), None
        if vars(self).get("_shaped", vars(self))["rotation"] is not None:
            support = select_supports(
                Z,
                scaled,
                rule=self.selection,
                # None after a training that failed.
                spike=vars(self).get("spike_"),
                random_state=0,
            )
        heads = fit_heads(
            Z,
            scaled,
            np.broadcast_to(alpha, len(counts)).copy(),
            self._problem(),
            refit=self.refit,
            support=support,
        )
        coef = heads.coef * scale[:, None, None]
        intercept = heads.intercept * scale[:, None]
        if coef.shape[1] == 1 and table.labels.is_scalar:
            coef, intercept = coef[:, 0], intercept[:, 0]
        self.coef_, self.intercept_ = coef, intercept
        self.alpha_ = heads.alpha
        self.support_ = heads.support
        self.feature_usage_ = heads.support.sum(0)
        self.tasks_ = targets.names
        self._layout = targets.layout

    def _narrows(self, factors):
        """Whether to train on with the features that were counted, and no others.

        Classes that are nearly without noise say on which side of a boundary a row
        lies, and hardly how far from it: features to spare serve the encoder to bend
        the factors. Numbers gain nothing.
        """
        return (
            self._likelihood == "categorical"
            and self.n_components == "auto"
            and not self._module_alone
            and 0 < factors.count.n_factors < self._n_trained
            and self.n_iter_ > 0
        )

    def _train_narrow(self, factors, table, random_state, data):
        """Train on from the factors found; the history goes on."""
        wide, device = self.module_, self._device()
        history = self.history_
        rows = to_device(next(iter(table.blocks())), device)
        components, mean = (
            torch.tensor(array, dtype=torch.float32, device=device)
            for array in (factors.components, factors.mean)
        )
        seed = random_state.randint(np.iinfo(np.int32).max)
        with TorchRandomness(seed, device).lent():
            narrow = self._new_module(self.input_shape_, len(components)).to(device)
        same = take_over(narrow, wide, components, mean, rows)
        parts = self._train_table(
            table,
            len(components),
            self._problem(),
            random_state,
            data,
            make_module=lambda: narrow,
            # Where it begins from new weights, it takes all the steps.
            share=_NARROW_SHARE if same else 1.0,
        )
        self.history_ = {
            name: np.concatenate([history[name], values])
            for name, values in self.history_.items()
        }
        self.n_iter_ = len(self.history_["loss"])
        return parts

    def _train_table(self, table, width, problem, random_state, data, **options):
        """Train on a table, rows being held out where that pays."""
        trained, valid, parts = table, None, None
        early = self.early_stopping
        if early == "auto":
            n_held_out = self.validation_fraction * table.n_rows
            early = self.rotation is not None and n_held_out >= _HELD_OUT
        if early:
            parts = table.split(self.validation_fraction, random_state)
            trained, valid = parts[0], self._valid_batches(*parts, random_state)
        source = TableSource(
            trained,
            n_samples=self.batch_size,
            n_tasks=self.task_batch_size,
            random_state=random_state,
            min_labels=1 if self.inner_fraction is None else 2,
        )
        self._train(
            source,
            data,
            table.blocks,
            random_state,
            problem,
            width,
            valid=valid,
            kind="table",
            contents=table.contents(),
            **options,
        )
        return parts

    def _count(self, table, width, random_state, data):
        """Number of factors, by a training with Ridge heads."""
        problem = replace(
            self._problem(),
            penalty="l2",
            penalty_at="inner",
            alpha_mode="relative",
        )
        self._train_table(table, width, problem, random_state, data)
        count = self._factors(table, "auto", random_state).count
        return max(1, count.n_factors)

    def _factors(self, table, n_components, random_state):
        Z = self._encode(table.blocks()).astype(np.float64)
        rng = _generator(random_state)
        return factors_of_table(Z, table, n_components=n_components, rng=rng)

    def _rotate(self, factors, width):
        """Put the rotation behind the module, and note how it was found.

        The factors were counted among as many features as `width` says.
        """
        if self.n_components == "auto":
            warn_of_count(factors, None if self._module_alone else width)
        self.module_ = rotated(self.module_, factors)
        self.n_components_ = self.module_.n_components
        self.count_, self.rotation_ = factors.count, factors.rotation
        self.stability_, self.spike_ = factors.stability, factors.rotation.spike
        self.feature_usage_ = self._used_features().mean((0, 1))

    def _train(
        self,
        source,
        data,
        rows,
        random_state,
        problem,
        width,
        *,
        kind,
        contents,
        valid=None,
        make_module=None,
        share=1.0,
    ):
        """Train the encoder on "table" or "stream", and give it statistics of rows."""
        weight_decay = self.weight_decay
        if weight_decay == "auto":
            weight_decay = 0.0 if self.rotation is None else _WEIGHT_DECAY[kind]
        return train(
            self,
            source,
            make_module or (lambda: self._make_module(width)),
            problem,
            random_state,
            device=self._device(),
            valid=valid,
            rows=rows,
            data=data,
            contents=contents,
            weight_decay=weight_decay,
            max_iter=max(1, round(share * self.max_iter)),
            lr=self.lr if share == 1.0 else _NARROW_LR * self.lr,
        )

    def _set_statistics(self, rows):
        device = self._device()
        self.module_.set_statistics(to_device(block, device) for block in rows)

    def _make_module(self, width):
        if self._goes_on():
            module = copy.deepcopy(self.module_)
            return getattr(module, "representation", module)
        return self._new_module(self.input_shape_, width)

    def _encode(self, blocks):
        return np.concatenate([*self._encoded_blocks(blocks)])

    @torch.no_grad()
    def _encoded_blocks(self, blocks):
        device = self._device()
        # Of a table in float32, too: what is far from zero would lose its features.
        wide = len(self.input_shape_) == 1 and device.type != "mps"
        for codes in encode_blocks(self.module_, blocks, device, wide=wide):
            yield codes.cpu().numpy()

    def _warn_if_unused(self):
        unused = np.flatnonzero(self.feature_usage_ == 0)
        # Where nothing was trained, nothing went wrong.
        if len(unused) and self.n_iter_:
            if self.rotation is not None:
                warnings.warn(
                    f"No head uses features {unused.tolist()} of {self.n_components_}: "
                    "ask for fewer n_components, or leave their number to be counted "
                    "with n_components='auto'.",
                    UserWarning,
                    stacklevel=3,
                )
                return
            alpha = np.mean(getattr(self, "learned_alpha_", self._alpha))
            warnings.warn(
                f"No head uses features {unused.tolist()} of {self.n_components_}: "
                f"lower alpha (now {alpha:g}) or lr (now {self.lr:g}), raise "
                f"alpha_warmup (now {self.alpha_warmup:g}) or max_iter (now "
                f"{self.max_iter}), or ask for fewer n_components.",
                UserWarning,
                stacklevel=3,
            )

    def __getattr__(self, name):
        if name in HEADS and "module_" in self.__dict__:
            raise AttributeError(
                f"There is no {name}: the tasks of fit_stream are used for one step "
                "each and gone, and a fit that failed leaves none. transform works; "
                "adapt on labelled data, or call fit, to get heads."
            )
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return self.module_.n_components


def _n_outputs(table):
    """Outputs of all the tasks of a table, at most so many directions serve them."""
    if table.n_classes is not None:
        return int(np.maximum(table.n_classes - 1, 1).sum())
    labels = table.labels
    return labels.n_tasks * (1 if labels.is_scalar else labels.of(0)[1].shape[1])


def _generator(random_state):
    return np.random.default_rng(random_state.randint(2**31))
