"""Sparse multi-task representation learning from classification tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassifierMixin

from sparsedis._head_scores import class_probabilities, most_probable
from sparsedis._scores import TaskMean
from sparsedis.bilevel._declaration import declared
from sparsedis.inputs._classes import (
    check_classes,
    decode_classes,
    encode_classes,
    warn_of_new_classes,
)
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._ids import read_task_ids
from sparsedis.inputs._known_tasks import task_numbers
from sparsedis.multitask._base import BaseRepresentation
from sparsedis.multitask._conformal import class_set
from sparsedis.multitask._predictor import Probabilities

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset

    from sparsedis._typing import SparseMatrix


@declared
class SparseMultiTaskClassifier(ClassifierMixin, BaseRepresentation):
    r"""Representation shared by many classification tasks with sparse linear heads.

    One encoder f serves all the tasks; each has its own head, a logistic regression on
    the features, and the encoder is trained through the solutions by implicit
    differentiation. By default heads have a squared l2 penalty in training. Then `fit`
    counts the factors from the heads, continues training with that number of features,
    rotates the features to the sparsest heads, and selects the features that each task
    needs. The logits of each task are then shared with a logistic regression on X, as
    far as held-out rows favour it (`linear`).

    With ``rotation=None`` the heads are sparse in training (Eq. 4 of [1]_ with the
    categorical likelihood):

    .. math::

        \min_f \frac{1}{T} \sum_t \ell_t(\hat W_t) \quad \text{with} \quad
        \hat W_t = \mathrm{arg}\min_W \ell_t(W) + \lambda_t \sum_j \|W_j\|_2

    where :math:`\ell_t` is the mean log loss of task t at the logits :math:`f(X_t) W`.
    A task with two classes has one logit, and the penalty is the l1 norm.

    Parameters
    ----------
    selection : {"bic", "cv", "1se"}, default="bic"
        Selection of the features of each head after a rotation. The classifier always
        uses the Bayesian information criterion, whatever the value.

    refit : {"relaxed", "lasso"}, default="relaxed"
        Final heads with ``rotation=None``: logistic regression on the features that
        the penalty selects, with the squared l2 penalty that is scikit-learn's default
        (``C=1``), or the penalised solution itself. After a rotation heads are always
        "relaxed", on the features of `selection`.

    solver : {"auto", "batched", "celer"}, default="auto"
        Solver of the sparse heads. celer is used for two classes without an
        intercept or sample weights only; "batched" fits all other heads.

    max_iter : int, default=400
        Number of training steps. With ``n_components="auto"`` and a rotation, `fit`
        continues with fewer features, at half of `lr`, for up to .75 times as many
        steps: first with three features more than have evidence, then with those that
        are counted. The heads of these steps are those of all labels, trained with the
        encoder and without a penalty; batches are 2.5 times as large, and weight decay
        is 10 / 3 times as strong at first. Before the second continuation, up to
        `max_iter` steps give an encoder with new weights the directions of the features
        from the point where the boundaries of the tasks meet, if they do: their median
        distance from there is below .2 of that of the rows from the boundaries.

    Attributes
    ----------
    classes_ : ndarray, or list of n_tasks ndarray
        Classes of each task; a single array if the y of `fit` had one dimension and
        there was no `task`.

    coef_ : ndarray, (n_tasks, n_components) or (n_tasks, n_classes, n_components)
        Heads on the features: the logit of the second class if all tasks have two
        classes, otherwise the logits of up to the largest number of classes. NaN for
        tasks with fewer than two classes.

    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_classes)
        Intercepts; -inf for classes that a task does not have.

    See Also
    --------
    sparsedis.SparseMultiTaskRepresentation : The same for regression tasks.
    sparsedis.implicit.logistic : The inner problem as a layer for other models.

    Notes
    -----
    If labels are missing, pass a splitter to model selection, ``cv=KFold(5)``. With a
    number of folds scikit-learn stratifies by y, and refuses NaN.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sparsedis import SparseMultiTaskClassifier
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> X, Y = make_sparse_tasks(
    ...     n_samples=200, n_tasks=40, n_factors=4, random_state=0
    ... )
    >>> est = SparseMultiTaskClassifier(max_iter=50, random_state=0)
    >>> est.fit(X, Y > 0).predict(X).shape
    (200, 40)
    """

    _likelihood = "categorical"

    def predict(
        self, X: ArrayLike | Dataset, task: ArrayLike | None = None
    ) -> np.ndarray:
        """Most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Classes, in a dtype that can represent those of all tasks. For tasks that
            had a single class, that class; NaN or None for tasks without any label.

        Raises
        ------
        AttributeError
            After `fit_stream`, which leaves no heads.
        ValueError
            For an id of a task that `fit` has not seen.
        """
        labels = self._scores(X, task, self._labels)
        return labels[:, 0] if task is None and self._layout == "single" else labels

    def predict_proba(
        self, X: ArrayLike | Dataset, task: ArrayLike | None = None
    ) -> Any:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes), or list of n_tasks of them
            One array if the y of `fit` had one dimension, or with `task`: it has as
            many columns as the largest number of classes; the last ones are zero for
            tasks with fewer classes, and all are NaN for tasks without any label.
            Otherwise one array per task, which has no columns for tasks without any
            label. For a task with a single class, its probability is 1.

        Raises
        ------
        AttributeError
            After `fit_stream`, which leaves no heads.
        ValueError
            For an id of a task that `fit` has not seen.
        """
        p = self._scores(X, task, self._probabilities)
        if task is not None:
            return p
        each = [p[:, t, : len(own)] for t, own in enumerate(self._classes)]
        return each[0] if self._layout == "single" else each

    def predict_set(
        self,
        X: ArrayLike,
        task: ArrayLike | None = None,
        *,
        confidence_level: float = 0.9,
    ) -> tuple[np.ndarray, Any]:
        """Most probable classes, and sets that hold new labels as often as asked.

        Split conformal prediction: the set of a task has all classes whose log loss is
        at most that of the right rank among its held-out labels [1]_. Of all sets that
        hold a new label as often, these have the fewest classes on average. The most
        probable class is always in the set, so a classifier that is right more often
        than `confidence_level` has sets of one class, which hold more than asked for.
        The probability is that of a new row like those of `fit`, not of each value of X
        or each class. It is approximate, since these rows also stop the training and
        set the shares of `linear_`.

        Parameters
        ----------
        X, task : array-like
            As in `predict`.

        confidence_level : float in (0, 1), default=0.9
            Probability that the set of a task holds a new label.

        Returns
        -------
        y : ndarray
            As `predict` returns it.

        sets : ndarray of shape (n_samples, n_classes) of bool, or list of n_tasks of \
them
            Whether each class is in the set, in the form of `predict_proba`. All
            classes of tasks with too few held-out labels, fewer than 9 for a level of
            .9; none of tasks without any label.

        Raises
        ------
        ValueError
            If nothing was held out (see `linear`), or `confidence_level` is out of
            range.

        References
        ----------
        .. [1] M. Sadinle, J. Lei and L. Wasserman, "Least Ambiguous Set-Valued
           Classifiers with Bounded Error Levels", Journal of the American Statistical
           Association, 2019.

        Examples
        --------
        >>> from sparsedis import SparseMultiTaskClassifier
        >>> from sparsedis.datasets import make_sparse_tasks
        >>> X, Y = make_sparse_tasks(
        ...     n_samples=200, n_tasks=40, n_factors=4, random_state=0
        ... )
        >>> est = SparseMultiTaskClassifier(max_iter=50, random_state=0).fit(X, Y > 0)
        >>> y, sets = est.predict_set(X, confidence_level=0.95)
        >>> len(sets), sets[0].shape
        (40, (200, 2))
        """
        margin = self._margins(confidence_level)
        y, p = self.predict(X, task), self.predict_proba(X, task)
        n_classes = np.array([len(own) for own in self._classes])
        if task is not None:
            tasks = task_numbers(read_task_ids(task, len(y)), self.tasks_)
            return y, class_set(p, margin[tasks], n_classes[tasks])
        if self._layout == "single":
            return y, class_set(p, margin[0], n_classes[0])
        return y, list(map(class_set, p, margin, n_classes))

    def score(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean over the tasks of the accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        y, task : array-like
            Labels in any form that `fit` takes. Tasks without labels here, or with
            fewer than two classes in `fit`, are left out.

        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the samples or the labels, as in `fit`.

        Returns
        -------
        score : float
            Mean accuracy.

        Raises
        ------
        ValueError
            When no task can be scored.

        Warns
        -----
        UserWarning
            When y contains a class that its task did not have in `fit`. Such labels
            count as errors.
        """
        mean, new = TaskMean(len(self.tasks_)), {}
        for values, scores, tasks, weight in self._judged(X, y, task, sample_weight):
            hits = self._labels(scores, tasks).astype(object) == values.astype(object)
            hits = hits.astype(bool)
            mean.add(hits, tasks, weight)
            self._find_new_classes(values[~hits], tasks[~hits], new)
        accuracy = mean.result()
        if np.isnan(accuracy).all():
            raise ValueError(
                "y must label a sample of a task that had two classes in fit."
            )
        warn_of_new_classes(new, "count as errors")
        return float(np.nanmean(accuracy))

    def _read(self, y, n_samples, task, weight):
        name = type(self).__name__
        targets = read_targets(y, n_samples, task, weight, real=False, estimator=name)
        targets, classes = encode_classes(targets)
        check_classes(classes, targets.names, name)
        self._classes = classes
        return targets

    def _fit_heads(self, table, scale, targets):
        super()._fit_heads(table, scale, targets)
        self._name_classes()

    def _restore(self, fitted):
        super()._restore(fitted)
        vars(self).pop("classes_", None)
        if "coef_" in fitted:
            self._name_classes()

    def _name_classes(self):
        single = self._layout == "single"
        self.classes_ = self._classes[0] if single else self._classes

    def _labels(self, scores, tasks):
        """Labels with the highest scores; tasks are the last axis before outputs."""
        codes = most_probable(scores, self.coef_.ndim == 2)
        return decode_classes(codes, tasks, self._classes)

    def _probabilities(self, scores, tasks):
        """Probabilities from scores; tasks are the last axis before outputs."""
        return class_probabilities(scores, self.coef_.ndim == 2, self._lone()[tasks])

    def _lone(self):
        """Tasks with a single class; they have no head, and the class is certain."""
        return np.array([len(own) == 1 for own in self._classes])

    def _reading(self):
        return Probabilities(self._lone(), self._layout == "single")

    def _find_new_classes(self, y, tasks, new):
        """Record a label that its task, given by name, did not have in fit."""
        known = {}
        for label, t in zip(y.tolist(), tasks.tolist(), strict=True):
            if t not in known:
                known[t] = set(self._classes[t].tolist())
            if label not in known[t]:
                new.setdefault(self.tasks_[t], label)
