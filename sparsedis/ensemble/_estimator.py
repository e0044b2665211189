"""An ensemble of representations, and its features."""

from __future__ import annotations

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
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from sparsedis._fitted import note_lost_models, whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.ensemble._matching import match_features, warn_if_none
from sparsedis.ensemble._members import fit_members, heads_of
from sparsedis.ensemble._predictions import MeanPredictions
from sparsedis.ensemble._scores import scores_by_type
from sparsedis.inputs._weights import check_weights
from sparsedis.metrics import make_task_scorer
from sparsedis.multitask import SparseMultiTaskRepresentation

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset

    from sparsedis._typing import RandomState, SparseMatrix


class SparseMultiTaskEnsemble(
    MeanPredictions, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEnsemble
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
        methods and attributes, or a pipeline that ends with one, or a search. It must
        have a parameter `random_state`, which the ensemble sets. None: a
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
            heads_of(member).support_[:, columns] * (columns >= 0)
            for member, columns in zip(self.estimators_, self.matching_, strict=True)
        ]
        self.support_ = np.mean(used, axis=0)
        self.feature_usage_ = self.support_.sum(0)
        for source, names in (
            (self._first(), ("n_features_in_", "feature_names_in_")),
            (heads_of(self._first()), ("tasks_", "classes_", "task_types_")),
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
        headless = np.isnan(heads_of(self._first()).coef_)
        headless = headless.reshape(len(self.tasks_), -1).all(1)
        return scores_by_type(self, X, y, task, sample_weight, ~headless)

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
