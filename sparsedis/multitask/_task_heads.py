"""Fitting, application and evaluation of the heads of tasks."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sparsedis._head_scores import head_scores
from sparsedis._judged import judged_labels
from sparsedis.bilevel._module import stacked
from sparsedis.identifiability import check_identifiability
from sparsedis.inputs._batch import COUNT
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._known_tasks import known_tasks, tasks_of_rows
from sparsedis.inputs._table import TaskTable
from sparsedis.inputs._weights import check_weights
from sparsedis.multitask._conformal import check_level
from sparsedis.multitask._final_heads import final_heads, warn_of_missing
from sparsedis.multitask._further_training import FurtherTraining
from sparsedis.multitask._kernel import Beside, Kernels
from sparsedis.multitask._linear import is_quick, linear_part
from sparsedis.multitask._predictor import Predictor
from sparsedis.multitask._readout import FeaturesAndHidden, has_hidden

if TYPE_CHECKING:
    from typing import Any

    import torch

    from sparsedis.identifiability import IdentifiabilityReport

# Attributes of the tasks of a fit, not of the representation.
HEADS = (
    *("coef_", "intercept_", "alpha_", "support_", "tasks_", "classes_"),
    *("linear_", "task_types_"),
)

# What models on the inputs need, for messages.
_OF_LINEAR = (
    "linear='auto', a rotation, no head, and a table of up to 1000 columns, on which "
    "linear models take only seconds, with held-out rows: at least 25 rows in fit with "
    "early_stopping='auto', 10 in adapt"
)


class TaskHeads(FurtherTraining):
    """Heads of the tasks of a table, and their predictions.

    A subclass has a `_likelihood`, and reads scores with the module of `_reading`.
    """

    # `_fit_heads` sets them by name, which type checkers do not follow.
    if TYPE_CHECKING:
        coef_: np.ndarray
        intercept_: np.ndarray
        alpha_: np.ndarray
        support_: np.ndarray
        tasks_: np.ndarray

    def to_torch(self) -> torch.nn.Module:
        """Module from inputs to the predictions of all tasks, for other programs.

        It holds copies of the encoder, its normalisation and rotation, the heads, and
        the models on X that share the predictions (see `linear`), with the rows of the
        fit that kernels need. It takes any number of rows, so it can be exported with
        :func:`torch.export.export` or :func:`torch.onnx.export`, with a dynamic first
        axis. After that give it some thousand rows at a time: in exported programs
        kernels hold all differences of the inputs and the rows of the fit.

        Returns
        -------
        torch.nn.Module
            In evaluation mode, on the CPU. For tables weights are in float64, since
            columns or targets may be far from zero, and predictions are those of the
            estimator. ``.float()`` makes the module smaller, and predictions from
            inputs and of targets near zero agree to five or six digits; for images, it
            is in float32. Its input is a tensor `X` of shape (n_samples, ...), as in
            `predict`, of numbers in any dtype; images of unsigned 8-bit integers are
            scaled to [0, 1]. Inputs are not checked: NaN gives NaN.

            Its output has the shape of `predict`. For a classifier it is that of
            probabilities, (n_samples, n_classes) if the y of `fit` had one dimension,
            otherwise (n_samples, n_tasks, n_classes), with zeros for classes that a
            task does not have. For tasks of several types it is a tuple with a tensor
            for each task: numbers or mean counts, (n_samples,), or probabilities,
            (n_samples, n_classes).

        Raises
        ------
        AttributeError
            After `fit_stream`, which leaves no heads.
        """
        check_is_fitted(self, "module_")
        features = copy.deepcopy(self._variables()).cpu()
        heads, read = self._predictors(), self._reading()
        wide = len(self.input_shape_) == 1
        return Predictor(features, *heads, read, wide=wide).eval()

    def _table(self, X, targets, weight, task_weight=None):
        table = TaskTable.build(
            X,
            targets,
            weight,
            n_samples=self.batch_size,
            n_classes=self._n_classes,
            task_weight=task_weight,
        )
        _check_teaching(table, targets.names)
        return table, self._scale(table.labels)

    @property
    def _n_classes(self):
        """Number of classes of each task, or None for numbers."""
        if self._likelihood != "categorical":
            return None
        return np.array([len(classes) for classes in self._classes])

    def _scale(self, labels):
        """Unit of the labels of each task in training."""
        if getattr(self, "normalize_y", False) and self._head.loss.has_unit:
            return labels.scale(robust=self._head.loss.robust)
        return np.ones(labels.n_tasks)

    def _fit_heads(self, table, scale, targets):
        warn_of_missing(targets.names, table.labels.counts())
        rule = self.selection if self._rotates else None
        found = final_heads(
            self._features_of(table),
            table,
            scale,
            self._problem(),
            getattr(self, "learned_alpha_", self._alpha),
            refit=self.refit,
            rule=rule,
            # None after a failed training.
            spike=vars(self).get("spike_"),
            l2=self.linear_.l2 if "linear_" in vars(self) else 1.0,
        )
        vars(self).update(found, tasks_=targets.names, _layout=targets.layout)

    def _scores(self, X, task, read=lambda scores, tasks: scores):
        """Scores of the heads, for every task or for the named one of each row.

        `read` converts the scores of one block at a time, to save memory; tasks are the
        last axis before outputs.
        """
        check_is_fitted(self, "module_")
        coef, intercept = self._predictors()
        X = self._validate_X(X, reset=False)
        if task is None:
            scores = (head_scores(Z, coef, intercept) for Z in self._predicted_by(X))
            every = np.arange(len(self.tasks_))
            return stacked((read(block, every) for block in scores), len(X))
        tasks = tasks_of_rows(task, len(X), self.tasks_)

        def parts():
            first = 0
            for Z in self._predicted_by(X):
                own = tasks[first : first + len(Z)]
                first += len(Z)
                yield read(head_scores(Z, coef, intercept, own), own)

        return stacked(parts(), len(X))

    def _judged(self, X, y, task, sample_weight):
        """Labels of known tasks and scores of their heads, in parts."""
        check_is_fitted(self, "module_")
        coef, intercept = self._predictors()
        X = self._validate_X(X, reset=False)
        real = self._likelihood == "gaussian"
        name = type(self).__name__
        weight = check_weights(sample_weight, len(X), y if task is None else None)
        targets = read_targets(y, len(X), task, weight, real=real, estimator=name)
        shape = coef.shape[1:-1] if real else ()
        found = targets.values.shape[2 if targets.is_table else 1 :]
        if found != shape:
            raise ValueError(
                f"y must hold labels of shape {shape} for each task, as in fit; got "
                f"{found}."
            )
        number = known_tasks(targets, y, len(X), self.tasks_, self._layout)
        number = np.where(np.isnan(self.alpha_)[number], -1, number)
        rows = self._predicted_by(X)
        return judged_labels(rows, targets, weight, number, coef, intercept)

    def _predicted_by(self, X):
        """Variables of the scores: features, hidden units, kernels and inputs."""
        if "linear_" not in vars(self):
            yield from self._encoded(X)
            return
        first = 0
        for Z in self._encoded(X, self._variables()):
            yield np.hstack([Z, X[first : first + len(Z)]])
            first += len(Z)

    def _variables(self):
        """Module of the features and, where predictions use them, of other variables.

        These are hidden units, and kernels of the inputs and rows of the fit.
        """
        linear, module = vars(self).get("linear_"), self.module_
        if linear is None:
            return module
        if linear.reads:
            module = FeaturesAndHidden(module)
        if len(linear.rows):
            module = Beside(module, Kernels(linear.rows, linear.unit_of_inputs))
        return module

    def _predictors(self):
        """Coefficients and intercepts of the scores, see `_predicted_by`."""
        if "linear_" not in vars(self):
            return self.coef_, self.intercept_
        return self.linear_.join(self.coef_, self.intercept_)

    def _fit_linear(self, table, scale, folds):
        """Let models on the inputs share the predictions, where asked for.

        `folds` are those of the held-out rows, see `linear_part`, or None.
        """
        vars(self).pop("linear_", None)
        if (
            self.linear is not None
            and self._rotates
            and self.head is None
            and folds is not None
            and is_quick(table)
            # Not after a failed training.
            and "spike_" in vars(self)
        ):
            self.linear_ = linear_part(
                self._features_of(table),
                folds,
                table,
                scale,
                self._problem(),
                rule=self.selection,
                spike=self.spike_,
                hidden=self._hidden_of(table),
            )

    def _hidden_of(self, table):
        """Last hidden units of the rows of a table, if readouts can use them."""
        read = table.n_classes is None or (table.n_classes != COUNT).any()
        if not (read and has_hidden(self.module_)):
            return None
        if not is_quick(table, self.module_.encoder.n_hidden):
            return None
        both = self._features_of(table, FeaturesAndHidden(self.module_))
        return both[:, self.n_components_ :]

    @property
    def _rotates(self):
        """Whether the representation was asked for with a rotation."""
        return vars(self).get("_shaped", vars(self))["rotation"] is not None

    def _margins(self, confidence_level):
        """Largest errors of each task in prediction intervals and sets."""
        check_is_fitted(self, "module_")
        check_level(confidence_level)
        if self._likelihood == "gaussian" and self.coef_.ndim == 3:
            raise ValueError(
                "Intervals need scalar targets; got vectors of "
                f"{self.coef_.shape[1]} numbers."
            )
        if "linear_" not in vars(self):
            raise ValueError(
                "Intervals and sets need linear_, which is not there. It needs "
                f"{_OF_LINEAR}."
            )
        return self.linear_.margins(confidence_level)

    def identifiability(self, **kwargs: Any) -> IdentifiabilityReport:
        """Check for each feature whether the tasks identify it as a factor.

        Parameters
        ----------
        **kwargs : dict
            Passed to :func:`sparsedis.identifiability.check_identifiability`.

        Returns
        -------
        IdentifiabilityReport
            Checks of the assumptions of the theory on the learned heads; with
            ``rotation="sparsest"`` also the stability of each feature over halves of
            the tasks, and the trusted features.

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

    def __getattr__(self, name: str) -> Any:
        if "coef_" in self.__dict__:
            if name == "linear_":
                raise AttributeError(f"There is no linear_, which needs {_OF_LINEAR}.")
        elif name in HEADS and "module_" in self.__dict__:
            raise AttributeError(
                f"There is no {name}: fit_stream does not keep its tasks, and a "
                "failed fit leaves no heads. transform works; call adapt with labelled "
                "data, or fit, to get heads."
            )
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}.")


def _check_teaching(table, names):
    """Refuse weights of zero for all the tasks that an encoder can learn from.

    Parameters
    ----------
    table : TaskTable

    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    """
    taught = table.teaching & (table.labels.counts() > 0)
    if table.n_classes is not None:
        taught &= table.n_classes != 1
    if not taught.any():
        raise ValueError(
            "task_weight must be positive for a task to learn from: one with labels "
            "and, if these are classes, of at least two; got "
            f"{table.task_weight[:5].tolist()}... for {names[:5].tolist()}..."
        )


def check_several_labels(table):
    """Refuse labels of which no task can say how features should differ.

    Parameters
    ----------
    table : TaskTable
    """
    if (table.labels.counts() * table.teaching).max() < 2:
        raise ValueError(
            "y must have two labels of a task to learn from, got at most one for each "
            "task. With task=, name the task of each row, not the row."
        )
