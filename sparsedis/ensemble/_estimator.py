"""An ensemble of representations, and its features."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    is_classifier,
    is_regressor,
)
from sklearn.ensemble import BaseEnsemble
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted

from sparsedis._fitted import note_lost_models, whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.ensemble._averages import (
    combined,
    majority,
    mean_and_std,
    mean_probabilities,
    predict_by_probability,
)
from sparsedis.ensemble._matching import match_features, warn_if_none
from sparsedis.ensemble._members import fit_members
from sparsedis.ensemble._scores import explained_deviance
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._known_tasks import known_tasks
from sparsedis.inputs._weights import check_weights, label_weights
from sparsedis.metrics import make_task_scorer
from sparsedis.metrics._task_labels import TaskLabels
from sparsedis.multitask import SparseMultiTaskRepresentation

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset

    from sparsedis._typing import RandomState, SparseMatrix


def _member_has(method):
    def check(self):
        getattr(self._first(), method)
        return True

    return check


class SparseMultiTaskEnsemble(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEnsemble
):
    """Mean of representations that are trained with different seeds.

    The members differ in their initial weights, batches and held-out rows. Their
    features are matched one to one, with their signs, and those on which most members
    agree are averaged; so are the predictions. The agreement of the members measures
    stability without true factors.

    Parameters
    ----------
    estimator : estimator, default=None
        :class:`~sparsedis.SparseMultiTaskRepresentation`,
        :class:`~sparsedis.SparseMultiTaskClassifier`,
        :class:`~sparsedis.SparseMultiTaskMixed`, another estimator with their
        methods and attributes, or a pipeline that ends with one. It must have a
        parameter `random_state`, which the ensemble sets. None: a
        SparseMultiTaskRepresentation.

    n_estimators : int, default=5
        Number of members.

    n_jobs : int, default=None
        Number of members to fit in parallel, see :class:`joblib.Parallel`.

    random_state : int, RandomState instance or None, default=None
        Draws the seeds of the members. The first members do not depend on their number.

    Attributes
    ----------
    estimator_ : estimator
        The estimator that was copied.

    estimators_ : list of estimators
        Fitted members.

    n_components_ : int
        Number of features that more than half of the members have.

    matching_ : ndarray of shape (n_estimators, n_components) of int
        Column of each member for each feature of the ensemble; -1 if it has none. A
        column matches if its absolute correlation with that of the first member that
        has the feature is at least .8 in the rows of `fit`.

    agreement_ : ndarray of shape (n_components,)
        Mean absolute correlation of each feature over all pairs of members, where
        members without it count as 0. NaN for a single member.

    support_ : ndarray of shape (n_tasks, n_components)
        Share of the members in which the head of a task uses each feature.

    feature_usage_ : ndarray of shape (n_components,)
        Number of heads that use each feature, averaged over the members.

    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks.

    classes_ : ndarray, or list of n_tasks ndarray
        Classes of the tasks, if the members have them.

    n_features_in_ : int
        Number of features of the input; for images, their height.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the input features, if X has names.

    See Also
    --------
    sparsedis.model_selection.UDRSearch : Selects parameters by such an agreement.

    Notes
    -----
    Predictions are the mean of those of all members. They are not computed from the
    mean features, so the ensemble has no `coef_`.

    Examples
    --------
    >>> from sparsedis import SparseMultiTaskEnsemble, SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> X, Y = make_sparse_tasks(200, 40, n_factors=3, random_state=0)
    >>> est = SparseMultiTaskEnsemble(
    ...     SparseMultiTaskRepresentation(3, max_iter=40), 3, random_state=0
    ... )
    >>> est.fit(X, Y).transform(X).shape
    (200, 3)
    >>> bool((est.agreement_ > 0.95).all())
    True
    >>> mean, std = est.predict(X, return_std=True)
    """

    _parameter_constraints: ClassVar = {
        "estimator": [HasMethods(["fit", "transform", "predict"]), None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        n_estimators: int = 5,
        *,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(estimator, n_estimators=n_estimators)
        self.n_jobs = n_jobs
        self.random_state = random_state

    @whole_or_not
    @keeps_types(_fit_context(prefer_skip_nested_validation=False))
    def fit(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        task_weight: ArrayLike | dict | None = None,
    ) -> Self:
        """Fit the members, and match their features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, in any form that the members accept. Features are matched on them.

        y : array-like, DataFrame or sparse matrix
            Labels, in any form that the members accept.

        task : array-like of shape (n_samples,), default=None
            The task of each label, in the long form.

        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the samples or the labels. Features are matched with the sum of
            the weights of each row.

        task_weight : array-like of shape (n_tasks,) or dict, default=None
            Weights of the tasks, for the members.

        Returns
        -------
        self : object
            The fitted ensemble.

        Raises
        ------
        ValueError
            When `estimator` has no parameter `random_state`, or a member raises it.
        """
        self._validate_estimator(SparseMultiTaskRepresentation())
        names = self.estimator_.get_params()
        if not any(f"__{name}".endswith("__random_state") for name in names):
            raise ValueError(
                "estimator must have a parameter random_state, by which the members "
                f"differ; {type(self.estimator_).__name__} has none."
            )
        random_state = check_random_state(self.random_state)
        members = [
            self._make_estimator(append=False, random_state=random_state)
            for _ in range(self.n_estimators)
        ]
        given = {
            "task": task,
            "sample_weight": sample_weight,
            "task_weight": task_weight,
        }
        given = {name: value for name, value in given.items() if value is not None}
        with note_lost_models(type(self).__name__):
            self.estimators_, codes = fit_members(members, X, y, given, self.n_jobs)
        of_table = y if task is None else None
        weight = check_weights(sample_weight, len(codes[0]), of_table)
        if weight is not None and weight.ndim == 2:
            weight = np.asarray(weight.sum(1))
        self._features = match_features(codes, weight)
        self._layout = "wide" if task is None else "long"
        self._describe()
        warn_if_none(self.n_components_, self.n_estimators)
        return self

    def _describe(self):
        """Set the attributes of the features, and those that all members share."""
        self.matching_ = self._features.matching
        self.agreement_ = self._features.agreement
        self.n_components_ = self.matching_.shape[1]
        used = [
            _heads(member).support_[:, columns] & (columns >= 0)
            for member, columns in zip(self.estimators_, self.matching_, strict=True)
        ]
        self.support_ = np.mean(used, axis=0)
        self.feature_usage_ = self.support_.sum(0)
        for source, names in (
            (self._first(), ("n_features_in_", "feature_names_in_")),
            (_heads(self._first()), ("tasks_", "classes_", "task_types_")),
        ):
            for name in names:
                if hasattr(source, name):
                    setattr(self, name, getattr(source, name))

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Mean of the matched features of the members.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, in any form that `fit` accepts.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Features, with mean 0 and, for members that agree, variance 1 in the rows of
            `fit`. The signs are those of the first members.
        """
        check_is_fitted(self)
        codes = [np.asarray(member.transform(X)) for member in self.estimators_]
        return self._features.mean(codes).astype(codes[0].dtype, copy=False)

    def predict(
        self,
        X: ArrayLike | Dataset,
        task: ArrayLike | None = None,
        return_std: bool = False,
    ) -> Any:
        """Mean of the predictions; for classes, the one with the highest mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        return_std : bool, default=False
            Whether to return the standard deviation too.

        Returns
        -------
        y : ndarray or DataFrame
            Predictions, in the form that a member returns.

        std : ndarray of the shape of y
            Standard deviation of the predictions of the members, only with
            `return_std`. It does not include the noise of the targets. NaN for tasks of
            classes.

        Raises
        ------
        ValueError
            When ``return_std=True`` for a classifier, or `task` has a name that `fit`
            has not seen.
        """
        check_is_fitted(self)
        if return_std and is_classifier(self):
            raise ValueError(
                "return_std=True needs targets that are numbers; for the classes of "
                f"{type(self._first()).__name__}, use predict_proba."
            )
        if hasattr(self._first(), "predict_proba"):
            y, std = predict_by_probability(
                *(self.estimators_, X, task, self.tasks_, self.classes_),
                mixed="task_types_" in vars(self),
            )
        else:
            given = {} if task is None else {"task": task}
            y, std = mean_and_std(
                member.predict(X, **given) for member in self.estimators_
            )
        return (y, std) if return_std else y

    @keeps_types(available_if(_member_has("predict_proba")))
    def predict_proba(
        self, X: ArrayLike | Dataset, task: ArrayLike | None = None
    ) -> Any:
        """Mean of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, if the members have this parameter.

        Returns
        -------
        p : ndarray, or list or dict of ndarray
            Probabilities, in the form that a member returns.
        """
        check_is_fitted(self)
        return mean_probabilities(self.estimators_, X, task)

    @keeps_types(available_if(_member_has("predict_interval")))
    def predict_interval(
        self,
        X: ArrayLike,
        task: ArrayLike | None = None,
        *,
        confidence_level: float = 0.9,
    ) -> tuple[Any, np.ndarray]:
        """Predictions, and intervals that hold new labels with a given probability.

        The ends are the medians of those of the members, each of which is calibrated on
        the rows that it held out. A label outside is outside of at least half of the
        members' intervals. If each of them misses a label with probability a, this has
        a probability of at most 2a [1]_; as the mean predicts better than a member,
        about a in practice.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, if the members have this parameter.

        confidence_level : float in (0, 1), default=0.9
            Probability that the interval of a member holds a new label.

        Returns
        -------
        y : ndarray or DataFrame
            As `predict` returns it.

        intervals : ndarray, or dict of ndarray or DataFrame
            Lower and upper ends, in the form that a member returns.

        Raises
        ------
        ValueError
            As for the members.

        References
        ----------
        .. [1] M. Gasparin and A. Ramdas, "Merging Uncertainty Sets via Majority Vote",
           arXiv:2401.09379, 2024.
        """
        found = self._of_members("predict_interval", X, task, confidence_level)
        median = combined(partial(np.median, axis=0), found)
        return self.predict(X, task), median

    @keeps_types(available_if(_member_has("predict_set")))
    def predict_set(
        self,
        X: ArrayLike,
        task: ArrayLike | None = None,
        *,
        confidence_level: float = 0.9,
    ) -> tuple[Any, Any]:
        """Most probable classes, and sets that hold new labels as often as asked.

        A class is in the set if it is in the sets of at least half of the members, see
        `predict_interval`, or the most probable one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, if the members have this parameter.

        confidence_level : float in (0, 1), default=0.9
            Probability that the set of a member holds a new label.

        Returns
        -------
        y : ndarray or DataFrame
            As `predict` returns it.

        sets : ndarray of bool, or list or dict of ndarray or DataFrame
            Whether each class is in the set, in the form that a member returns.

        Raises
        ------
        ValueError
            As for the members.
        """
        found = self._of_members("predict_set", X, task, confidence_level)
        p = mean_probabilities(self.estimators_, X, task)
        return self.predict(X, task), combined(majority, [*found, p])

    def _of_members(self, method, X, task, confidence_level):
        """Intervals or sets of the members."""
        check_is_fitted(self)
        given = {} if task is None else {"task": task}
        return [
            getattr(member, method)(X, **given, confidence_level=confidence_level)[1]
            for member in self.estimators_
        ]

    def score(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean over the tasks of R2, or of the accuracy of a classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        y, task : array-like
            Labels, in any form that `fit` accepts. Tasks without a head are left out,
            as are tasks with fewer than two labels here, or one for a classifier.

        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the samples or the labels.

        Returns
        -------
        score : float
            Mean over the tasks. If they are of several types, the mean of the explained
            share of the deviance: R2 for numbers, D2 for counts and classes.

        Raises
        ------
        ValueError
            When no task can be scored.
        """
        check_is_fitted(self)
        if is_regressor(self) or is_classifier(self):
            scorer = make_task_scorer("accuracy" if is_classifier(self) else "r2")
            return scorer(self, X, y, task=task, sample_weight=sample_weight)
        scores = self._explained_deviance(X, y, task, sample_weight)
        if np.isnan(scores).all():
            raise ValueError("y must have different labels for a task that has a head.")
        return float(np.nanmean(scores))

    def _explained_deviance(self, X, y, task, sample_weight):
        """Scores of tasks of several types."""
        n = _num_samples(X)
        weight = check_weights(sample_weight, n, y if task is None else None)
        targets = read_targets(
            y, n, task, weight, real=False, estimator=type(self).__name__
        )
        number = known_tasks(targets, y, n, self.tasks_, self._layout)
        headless = np.isnan(_heads(self._first()).coef_)
        headless = headless.reshape(len(self.tasks_), -1).all(1)
        number = np.where(headless[number], -1, number)
        at, tasks, values = targets.listed()
        if weight is not None:
            weight = label_weights(weight, at, tasks)
        labels = TaskLabels(targets.names, values, at, tasks, n, weight=weight)
        labels = labels.among(self.tasks_, number)
        at = labels.rows
        if task is None:
            predicted = np.asarray(self.predict(X)).reshape(n, -1)
            predicted = predicted[at, labels.tasks]
        else:
            # Rows without a label need a task too.
            tasks = np.zeros(n, dtype=int)
            tasks[at] = labels.tasks
            predicted = np.asarray(self.predict(X, task=self.tasks_[tasks]))[at]
        p = self.predict_proba(X) if hasattr(self, "predict_proba") else {}
        return explained_deviance(
            labels,
            predicted,
            [p.get(name) for name in self.tasks_.tolist()],
            self.classes_,
            self.task_types_ == "count",
        )

    def _first(self):
        if "estimators_" in vars(self):
            return self.estimators_[0]
        if self.estimator is None:
            return SparseMultiTaskRepresentation()
        return self.estimator

    def __sklearn_tags__(self):
        return get_tags(self._first())

    @property
    def _n_features_out(self):
        return self.n_components_


def _heads(member):
    """The estimator that has the heads."""
    return member[-1] if isinstance(member, Pipeline) else member
