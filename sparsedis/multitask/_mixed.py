"""Sparse multi-task representation learning from tasks of several types."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sparsedis._fitted import shallow_copy
from sparsedis._warn import warn
from sparsedis.bilevel._declaration import declared
from sparsedis.inputs._batch import COUNT, NUMBER
from sparsedis.inputs._forms import check_sizes
from sparsedis.inputs._mixed import read_columns
from sparsedis.inputs._task_types import (
    asked_types,
    code_labels,
    counts_of_classes,
)
from sparsedis.multitask._base import BaseRepresentation
from sparsedis.multitask._mixed_predictions import WITH_CLASSES
from sparsedis.multitask._mixed_scores import count_unit
from sparsedis.multitask._mixed_scoring import MixedScoring
from sparsedis.multitask._predictor import Outcomes
from sparsedis.multitask._settings import RIDGE_ALPHA
from sparsedis.solvers.losses import Poisson, Squared, log_loss

if TYPE_CHECKING:
    from typing import Never, Self

    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix


def mixed_loss(n_classes):
    """Loss of tasks with a number of classes, or of numbers or counts.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 2; or `NUMBER` or `COUNT`.

    Returns
    -------
    Loss
    """
    if n_classes == NUMBER:
        return Squared()
    return Poisson() if n_classes == COUNT else log_loss(n_classes)


@declared
class SparseMultiTaskMixed(MixedScoring):
    r"""Representation shared by tasks of numbers, counts and classes.

    One encoder serves all tasks, and each has a sparse linear head with the loss of its
    type: least squares for numbers, Poisson regression with a logarithmic link for
    counts, logistic or multinomial regression for classes. Training, count, rotation
    and selection are those of :class:`~sparsedis.SparseMultiTaskRepresentation` and
    :class:`~sparsedis.SparseMultiTaskClassifier`, and the results are equal if all
    tasks have one type. With several types, all tasks together determine the factors
    and their number.

    Parameters
    ----------
    task_types : dict, list or None, default=None
        Types of the tasks: "number", "count", "binary" or "class", as a dict by name or
        one for each task. None: inferred from the labels. Floats and integers are then
        numbers; bool, text and categories are classes, "binary" for up to two of them.
        Counts, and integers that are classes, must be given here.

    head : None, default=None
        Not used, since each type has its own loss.

    alpha : float, array-like of shape (n_tasks,) or "auto", default="auto"
        Strength of the penalty, for all tasks or for each, see
        :class:`~sparsedis.SparseMultiTaskRepresentation`. "auto": for "l2" 0.01, or
        0.0001 for classes; otherwise 0.4, or 0.05 if ``penalty_at="outer"``.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alpha` is a fraction or the penalty :math:`\lambda` itself.

    selection : {"bic", "cv", "1se"}, default="bic"
        Selection of the features of each head after a rotation. Classes always use the
        Bayesian information criterion. Counts are treated as weighted numbers, linear
        in the features.

    refit : {"relaxed", "lasso"}, default="relaxed"
        Final heads with ``rotation=None``: fitted without the penalty on the features
        that the penalty selects, or the penalised solution itself. After a rotation
        heads are always "relaxed", on the features of `selection`.

    solver : {"auto", "batched", "celer"}, default="auto"
        Solver of the sparse heads of numbers and of two classes.

    normalize_y : bool, default=True
        Whether `fit` trains on numbers of unit variance per task. Counts are never
        normalised.

    Attributes
    ----------
    task_types_ : ndarray of shape (n_tasks,)
        Type of each task.

    classes_ : list of n_tasks ndarray
        Classes of each task; empty for numbers. A single 0 if all counts are 0.

    coef_ : ndarray, (n_tasks, n_components) or (n_tasks, n_outputs, n_components)
        Heads on the features: for the number, the logarithm of the mean count, or the
        logit of the second class. If some task has more than two classes,
        classification tasks have the logits of all classes, and heads of numbers and
        counts have rows of zeros after the first. NaN for tasks without labels, with a
        single class, or with no count above 0.

    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)
        Intercepts; -inf for missing outputs of a task.

    See Also
    --------
    sparsedis.SparseMultiTaskRepresentation : For numbers, with a choice of losses.
    sparsedis.SparseMultiTaskClassifier : For classes.

    Notes
    -----
    In training all tasks have similar losses: that of a number or count is one half if
    its head predicts only the mean, and that of classes is their entropy.

    Streams of tasks are not supported.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis import SparseMultiTaskMixed
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> X, Y = make_sparse_tasks(
    ...     n_samples=200, n_tasks=40, n_factors=4, random_state=0
    ... )
    >>> Y = Y.astype(object)
    >>> Y[:, 20:] = Y[:, 20:] > 0
    >>> est = SparseMultiTaskMixed(max_iter=50, random_state=0).fit(X, Y)
    >>> est.task_types_[[0, 20]]
    array(['number', 'binary'], dtype='<U6')
    >>> est.predict_proba(X)[20].shape
    (200, 2)
    """

    _parameter_constraints: ClassVar = {
        **BaseRepresentation._parameter_constraints,
        "head": [None],
        "task_types": [dict, "array-like", None],
        "normalize_y": ["boolean"],
    }

    _likelihood = "mixed"
    _saved = BaseRepresentation._saved._replace(
        names=(*BaseRepresentation._saved.names, "_types", "_dtypes", "_categories")
    )

    _: KW_ONLY
    task_types: dict | list | None = None
    normalize_y: bool = True

    def adapt(
        self,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        alpha: float | np.ndarray | None = None,
        task_types: dict | list | None = None,
    ) -> Self:
        """Fit heads of new tasks of any types without changing the representation.

        Linear models share the predictions as in
        :meth:`sparsedis.SparseMultiTaskRepresentation.adapt`.

        Parameters
        ----------
        X, y, task, sample_weight : array-like
            As in `fit`.

        alpha : float or array-like of shape (n_tasks,), default=None
            Penalty, in the mode of the estimator. None: that of the estimator. Not used
            after a rotation, when only `selection` matters.

        task_types : dict, list or None, default=None
            Types of the new tasks, as in the parameter of the estimator.

        Returns
        -------
        adapted : SparseMultiTaskMixed
            Fitted estimator with the same representation and the heads of the new
            tasks.

        Raises
        ------
        ValueError
            As `fit`.
        """
        own = shallow_copy(self)
        own.task_types = task_types
        return super(SparseMultiTaskMixed, own).adapt(
            X, y, task, sample_weight, alpha=alpha
        )

    @property
    def fit_stream(self) -> Never:
        """Streams are not supported: batches do not contain the types of tasks."""
        raise AttributeError(
            f"{type(self).__name__} has no fit_stream: it needs a table of labels to "
            "determine the types of tasks. Use fit."
        )

    @property
    def _bends(self):
        return self._all_classes

    def _table(self, X, targets, weight, task_weight=None):
        table, scale = super()._table(X, targets, weight, task_weight)
        # Other tasks teach nothing.
        taught = table.teaching & (table.labels.counts() > 0)
        self._all_classes = bool((table.n_classes[taught] >= 1).all())
        return table, scale

    @property
    def _n_classes(self):
        """Number of classes of each task, or its code for other types."""
        return counts_of_classes(self._types, self._classes)

    @property
    def _alpha(self):
        if not isinstance(self.alpha, str):
            return self.alpha
        if self._penalty != "l2":
            return super()._alpha
        several = np.isin(self._types, WITH_CLASSES)
        alpha = np.where(several, RIDGE_ALPHA["categorical"], RIDGE_ALPHA["gaussian"])
        # One number if all tasks have the same type.
        return float(alpha[0]) if (alpha == alpha[0]).all() else alpha

    @property
    def _loss(self):
        return mixed_loss

    def _read(self, y, n_samples, task, weight):
        name = type(self).__name__
        columns = read_columns(y, n_samples, task, estimator=name).without(weight)
        asked = asked_types(self.task_types, columns.names)
        codes, types, classes = code_labels(columns, asked)
        targets = columns.targets(codes)
        check_sizes(targets)
        self._types, self._classes = types, classes
        self._dtypes = np.array(columns.dtypes, dtype=str)
        self._categories = columns.categories if columns.dtypes else []
        self._warn_of_single(columns)
        return targets

    def _warn_of_single(self, columns):
        """Warn about tasks with a single label; raise an error without others."""
        n_classes = self._n_classes
        single = np.flatnonzero(n_classes == 1)
        if not len(single):
            return
        labelled = np.array([len(rows) > 0 for rows in columns.rows])
        if not (labelled & (n_classes != 1)).any():
            label = self._classes[single[0]].tolist()[0]
            raise ValueError(
                f"{type(self).__name__} needs labels of at least two classes, or "
                f"numbers, in some task; y has only the class {label!r}."
            )
        names = ", ".join(str(columns.names[t]) for t in single[:5])
        warn(
            f"{len(single)} of {len(n_classes)} tasks have a single class, or no count "
            f"above 0 ({names}{', ...' if len(single) > 5 else ''}), and no head: "
            "they always predict it.",
            UserWarning,
        )

    def _scale(self, labels):
        n_classes, scale = self._n_classes, np.ones(labels.n_tasks)
        if self.normalize_y:
            scale = np.where(n_classes == NUMBER, labels.scale(), scale)
        for t in np.flatnonzero(n_classes == COUNT):
            # The Poisson loss of counts in other units is the same up to the unit.
            _, y, weights = labels.of(t)
            scale[t] = count_unit(y, weights)
        return scale

    def _fit_heads(self, table, scale, targets):
        # Heads of counts are fitted to the counts themselves.
        scale = np.where(table.n_classes == COUNT, 1.0, scale)
        super()._fit_heads(table, scale, targets)
        self._name_types()

    def _restore(self, fitted):
        super()._restore(fitted)
        for name in ("classes_", "task_types_"):
            vars(self).pop(name, None)
        if "coef_" in fitted:
            self._name_types()

    def _name_types(self):
        self.classes_, self.task_types_ = self._classes, self._types

    def _reading(self):
        return Outcomes(self._n_classes, self._types)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
