"""Rotation of given features to factors, as a scikit-learn transformer."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import ClassifierTags, RegressorTags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sparsedis._fitted import whole_or_not
from sparsedis._head_scores import head_scores
from sparsedis._judged import mean_score
from sparsedis._typing import keeps_types
from sparsedis._warn import warn
from sparsedis.inputs._numbers import validate_numbers
from sparsedis.inputs._plain import check_plain
from sparsedis.inputs._weights import as_counts, check_weights
from sparsedis.rotation._fitting import factors_of, final_heads
from sparsedis.rotation._tasks import labels_of, read_tasks

if TYPE_CHECKING:
    from typing import Literal, Self

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState, SparseMatrix


class SparseRotation(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, MultiOutputMixin, BaseEstimator
):
    r"""Rotate features to the factors that make the heads of many tasks sparse.

    The features may come from an embedding, a frozen network or a table. If they
    contain the factors behind the tasks, mixed by an invertible linear map, the heads
    of the tasks are also mixed (Theorem B.4 of [1]_), and the map to the sparsest heads
    (Eq. 2 there) recovers the factors. Four steps find it, without parameters to tune:

    1. the unpenalised head of every task on white features, with its error
       (:func:`white_heads`);
    2. the number of directions that the heads use (:func:`count_factors`);
    3. the rotation, oblique, to the sparsest heads (:func:`sparsest_rotation`), as in
       factor analysis [2]_, [3]_, and how well halves of the tasks agree on it
       (:func:`rotation_stability`);
    4. the features that each task needs (:func:`select_heads`).

    With more than 64 features another step comes first. Ridge regressions of all tasks,
    with a shared penalty, are fitted to each half of the rows. The principal directions
    of their predictions contain the factors, and are counted on the other half.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of factors. "auto": estimated from the heads.

    selection : {"bic", "cv", "1se"}, default="bic"
        Selection of the features of each task, see :func:`select_heads`. Classification
        always uses "bic".

    task_type : {"regression", "classification"}, default="regression"
        Whether targets are numbers or classes. With more than two classes, each has a
        head: against the most frequent class in the search for factors, and against all
        others in `heads_`.

    random_state : int, RandomState instance or None, default=None
        Draws the starts of the rotation, halves and folds.

    Attributes
    ----------
    components_ : ndarray of shape (n_components\_, n_features)
        Factors are ``(X - mean_) @ components_.T``, of unit variance.

    mean_ : ndarray of shape (n_features,)
        Mean of the features.

    heads_ : ndarray, (n_tasks, n_components\_) or (n_tasks, n_outputs, n_components\_)
        Sparse heads of the tasks on the factors: least squares, or logistic regressions
        (with the penalty ``C=1`` of scikit-learn), on the selected features. If some
        task has more than two classes, each output is a class. NaN for tasks without
        labels or with a single class.

    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)
        Intercepts of the heads; -inf for classes that a task does not have.

    support_ : ndarray of shape (n_tasks, n_components\_) of bool
        Factors that each task uses.

    n_components_ : int
        Number of factors.

    stability_ : ndarray of shape (n_components\_,)
        Agreement of each factor with those of halves of the tasks; below .95 it may not
        be a factor.

    count_ : FactorCount
        Evidence of each number of factors.

    rotation_ : RotationResult
        The rotation, and the results of its starts.

    spike_ : ndarray of shape (n_components\_,)
        Standard deviation of the coefficients that count as zero.

    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks: columns of a DataFrame, or 0, 1, ...

    classes_ : ndarray, or list of ndarray
        For classification: classes of each task, or of the only task if y had one
        dimension.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names.

    See Also
    --------
    sparsedis.SparseMultiTaskRepresentation : Also learns the features.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023.
    .. [2] R. I. Jennrich, "A simple general method for oblique rotation",
       Psychometrika 67, 2002.
    .. [3] X. Liu, G. Wallin, Y. Chen, I. Moustaki, "Rotation to sparse loadings using
       :math:`L^p` losses and related inference problems", Psychometrika 88, 2023.

    Examples
    --------
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> from sparsedis.metrics import mean_correlation_coefficient
    >>> from sparsedis.rotation import SparseRotation
    >>> data = make_sparse_tasks(
    ...     300, 60, n_factors=4, rho=0.8, return_bunch=True, random_state=0
    ... )
    >>> rotation = SparseRotation(random_state=0)
    >>> Z = rotation.fit_transform(data.data, data.target)
    >>> rotation.n_components_
    4
    >>> round(mean_correlation_coefficient(data.factors, Z), 2)
    1.0
    """

    _parameter_constraints: ClassVar = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "selection": [StrOptions({"bic", "cv", "1se"})],
        "task_type": [StrOptions({"regression", "classification"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int | Literal["auto"] = "auto",
        *,
        selection: Literal["bic", "cv", "1se"] = "bic",
        task_type: Literal["regression", "classification"] = "regression",
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.selection = selection
        self.task_type = task_type
        self.random_state = random_state

    @whole_or_not
    @keeps_types(_fit_context(prefer_skip_nested_validation=True))
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Count the factors, rotate to them, and fit the sparse head of every task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,), \
(n_samples, n_tasks) or (n_samples, n_tasks, n_outputs)
            Targets, one column per task, missing where NaN; or labels of any dtype, in
            one or two dimensions, missing where NaN or None. In a sparse matrix the
            stored entries, zeros included, are the labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples; 2 counts as a repetition. If their mean is below 1
            or above 1e6, only ratios matter.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            When X contains NaN or inf, y contains inf or no label at all, lengths
            disagree, a parameter is out of range or, for classification, no task has
            two classes.

        Warns
        -----
        UserWarning
            When no factors are found, or fewer than `n_components`, or tasks have no
            labels.
        """
        check_plain(X, "X")
        X = validate_numbers(
            self, X, dtype=[np.float64, np.float32], ensure_min_samples=2
        )
        weight = check_weights(sample_weight, len(X))
        tasks = read_tasks(y, len(X), weight, self._classifies, type(self).__name__)
        if weight is not None:
            X, weight = X[weight > 0], weight[weight > 0]
            weight = as_counts(weight, weight.mean())
        Z = X.astype(np.float64)
        random_state = check_random_state(self.random_state)
        rng = np.random.default_rng(random_state.randint(2**31))
        found, messages = factors_of(Z, tasks, weight, self.n_components, rng)
        self.components_, self.mean_ = found.components, found.mean
        self.count_, self.rotation_ = found.count, found.rotation
        self.stability_, self.spike_ = found.stability, found.rotation.spike
        self.n_components_ = len(self.components_)
        self.heads_, self.intercept_, self.support_ = final_heads(
            (Z - self.mean_) @ self.components_.T,
            tasks,
            weight,
            rule=self.selection,
            spike=self.spike_,
            random_state=random_state,
        )
        self.tasks_, self._layout, self._classes = (
            tasks.names,
            tasks.layout,
            tasks.classes,
        )
        if self._classifies:
            self.classes_ = self._classes[0] if self._single else self._classes
        for message in messages:
            warn(message, UserWarning)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the factors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components\\_)
            Factors, in the dtype of X.
        """
        return self._factors(X)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict the target, or the class, of every task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_tasks) or (n_samples, \
n_tasks, n_outputs)
            Predictions, with as many dimensions as the y of `fit`. For tasks that had a
            single class, that class; NaN or None for tasks without labels.
        """
        scores = head_scores(self._factors(X), self.heads_, self.intercept_)
        classes = self._classes is not None
        y = labels_of(scores, self._classes) if classes else scores
        return y[:, 0] if self._single else y

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean over the tasks of the coefficient of determination, or of the accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,), \
(n_samples, n_tasks) or (n_samples, n_tasks, n_outputs)
            Targets or labels, as in `fit`. Named columns may have another order, or be
            a subset of those of `fit`. Tasks with fewer than two labels here (one, for
            classes), or none in `fit`, are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        score : float
            Mean R2, as scikit-learn defines it, or mean accuracy.

        Raises
        ------
        ValueError
            When y has none of the tasks of `fit` or, without names, another number of
            tasks, or no task can be scored.

        Warns
        -----
        UserWarning
            When y names tasks that were not seen in `fit`, which are ignored.
        """
        y_pred = self.predict(X)
        counted = ~np.isnan(self.heads_.reshape(len(self.tasks_), -1)).any(1)
        return mean_score(
            y,
            y_pred,
            sample_weight,
            self._classes is not None,
            counted,
            self.tasks_,
            self._layout,
        )

    def _factors(self, X):
        """Factors as an array, regardless of `set_output`."""
        check_is_fitted(self)
        check_plain(X, "X")
        X = validate_numbers(self, X, reset=False, dtype=[np.float64, np.float32])
        Z = (X.astype(np.float64) - self.mean_) @ self.components_.T
        return Z.astype(X.dtype)

    @property
    def _classifies(self):
        return self.task_type == "classification"

    @property
    def _single(self):
        return self._layout == "single"

    @property
    def _n_features_out(self):
        return self.n_components_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        if self._classifies:
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        else:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags
