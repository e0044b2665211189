"""A few-shot classifier on a learned representation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted

from sparsedis._fitted import shallow_copy, whole_or_not
from sparsedis._typing import keeps_types
from sparsedis._warn import warn
from sparsedis.heads import GroupLassoSVMHead
from sparsedis.inputs._plain import check_plain
from sparsedis.inputs._values import check_discrete, complete_labels
from sparsedis.svm import GroupLassoSVC

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from sparsedis.meta_learning._base import BaseMetaLearner


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """Linear classifier on the features of a meta-learner, from a few samples.

    :meth:`GroupLassoSVMMetaLearner.adapt` returns this classifier. It accepts raw
    inputs, any number of classes and any number of samples per class.

    Parameters
    ----------
    learner : GroupLassoSVMMetaLearner
        Fitted meta-learner, which does not change. If it is fitted again later, the
        classifier does not change. Wrap it in :class:`sklearn.frozen.FrozenEstimator`
        if the classifier will be cloned, as in cross-validation; `adapt` does this.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.

    coef_ : ndarray of shape (n_classes, n_features_out)
        Weights of the features, without the learned scale of the logits.

    intercept_ : ndarray of shape (n_classes,)
        Intercepts; zero for all heads except prototypes.

    active_features_ : ndarray of int
        Features that the head uses.

    n_features_in_ : int
        Number of features of the input; for images, their height.

    See Also
    --------
    GroupLassoSVMMetaLearner : Learns the representation.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sparsedis import GroupLassoSVMMetaLearner
    >>> X, y = load_digits(return_X_y=True)
    >>> meta = GroupLassoSVMMetaLearner(encoder="identity", alpha=0.2).fit(X, y)
    >>> clf = meta.adapt(X[:50], y[:50])
    >>> len(clf.active_features_)
    36
    >>> clf.score(X[50:], y[50:]) > 0.75
    True
    """

    _parameter_constraints: ClassVar = {
        "learner": [HasMethods(["fit", "transform", "adapt"])],
    }

    def __init__(self, learner: BaseMetaLearner) -> None:
        self.learner = learner

    @whole_or_not
    @keeps_types(_fit_context(prefer_skip_nested_validation=False))
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the head to a support set.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, in any form that the learner accepts.

        y : array-like of shape (n_samples,)
            Labels, of at least two classes.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            When the learner does not accept the inputs, or there is only one class.

        Warns
        -----
        UserWarning
            When the head uses no feature, so all classes are equally likely.
        """
        check_is_fitted(self.learner)
        check_plain(y, "y")
        y = complete_labels(y, warn=True)
        check_discrete(y)
        learner = self.learner
        frozen = isinstance(learner, FrozenEstimator)
        # A copy, since the learner may be fitted again.
        self._learner = learner.estimator if frozen else shallow_copy(learner)
        Z = self._features(X)
        if len(y) != len(Z):
            raise ValueError(
                f"X and y must have the same number of rows, got {len(Z)} and {len(y)}."
            )
        self.classes_, code = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                "y must hold at least two classes, got one class: "
                f"{self.classes_.tolist()}."
            )
        self.coef_, self.intercept_ = self._fit_head(Z, code)
        self.active_features_ = np.flatnonzero(self.coef_.any(0))
        self.n_features_in_ = self._learner.n_features_in_
        if len(self.active_features_) == 0:
            warn(
                "The head uses no feature, so all classes are equally likely: lower "
                f"alpha (now {self._learner.alpha_:g}).",
                UserWarning,
            )
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Softmax of the scaled scores, in the order of `classes_`.
        """
        logits = self._scores(X) * float(self._learner.head_.log_scale.exp())
        return torch.from_numpy(logits).softmax(-1).numpy()

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Most likely class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels.
        """
        return self.classes_[self._scores(X).argmax(1)]

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`.

        y : array-like of shape (n_samples,)
            Labels, all of them seen in `fit`.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
            Share of the samples that are labelled correctly.

        Raises
        ------
        ValueError
            When `y` has a label that the support set lacks: the head cannot predict it.
        """
        check_is_fitted(self)
        y = complete_labels(y)
        unseen = np.setdiff1d(y, self.classes_)
        if len(unseen):
            raise ValueError(
                f"y holds labels that the support set lacked: {unseen[:5].tolist()}"
                f"{', ...' if len(unseen) > 5 else ''}; it had "
                f"{self.classes_[:20].tolist()}."
            )
        return super().score(X, y, sample_weight)

    def _fit_head(self, Z, code):
        """Coefficients (n_classes, k) and intercepts (n_classes,) in the dtype of Z."""
        head, n_classes = self._learner.head_, len(self.classes_)
        if isinstance(head.kind, GroupLassoSVMHead):
            # Unlike the layer, GroupLassoSVC is fast with many samples or classes too.
            svm = GroupLassoSVC(
                alpha=self._learner.alpha_,
                l2=self._learner.l2_,
                alpha_mode="relative" if head.relative else "absolute",
                fit_intercept=False,
            ).fit(Z, code)
            coef = svm.coef_.astype(Z.dtype)
            if n_classes == 2:
                # The one row of two classes is the difference of rows that sum to zero.
                coef = np.concatenate([-coef, coef]) / 2
            return coef, np.zeros(n_classes, Z.dtype)
        with torch.no_grad():
            Z, code = torch.from_numpy(Z)[None], torch.from_numpy(code)[None]
            W, b = head.fit(Z, code, n_classes)
        b = W.new_zeros(1, n_classes) if b is None else b
        return W[0].T.numpy(), b[0].numpy()

    def _scores(self, X):
        check_is_fitted(self)
        return self._features(X) @ self.coef_.T + self.intercept_

    def _features(self, X):
        """Features as an array, for any `set_output` of the learner."""
        # Arrays of a DataFrame may be read-only, which torch does not accept.
        return np.require(self._learner.transform(X), requirements=["C", "W"])
