"""A search over a grid by the agreement of models with different seeds."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _estimator_has, check_is_fitted

from sparsedis._fitted import note_lost_models, whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.metrics import unsupervised_disentanglement_ranking
from sparsedis.model_selection._cv_results import cv_results
from sparsedis.model_selection._seeded_fits import (
    check_failures,
    fit_with_seed,
    with_seed,
)

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState

# Whether the best model has a method or, before `fit`, the estimator.
_best_has = partial(_estimator_has, delegates=("best_estimator_", "estimator"))


class UDRSearch(MetaEstimatorMixin, BaseEstimator):
    """Search over a grid by the agreement of models with different seeds.

    Each setting is trained with several seeds. If it disentangles, all its models find
    the same features up to order and scale; otherwise each seed mixes them differently.
    Unsupervised disentanglement ranking [1]_ measures the agreement without known
    factors.

    Parameters
    ----------
    estimator : estimator
        Estimator with `fit`, `transform` and a parameter `random_state`, such as
        :class:`~sparsedis.SparseMultiTaskRepresentation`, or a pipeline with such
        steps. The search sets every `random_state` in it.

    param_grid : dict or list of dict
        Values to try, as in :class:`~sklearn.model_selection.GridSearchCV`, except
        `random_state`, which the search sets.

    n_seeds : int, default=5
        Number of models per setting, at least 2.

    similarity : {"lasso", "spearman", "mcc"}, default="mcc"
        Comparison of two models, see
        :func:`~sparsedis.metrics.unsupervised_disentanglement_ranking`.

    tau : float, default=0.0
        Minimal share of the heads that must use a feature for it to count, if the
        estimator, or the last step of a pipeline, has heads (`coef_`).

    error_score : "raise" or float, default=np.nan
        Score of a model that fails, of which `fit` warns; NaN leaves it out of the
        mean. "raise" ends the search with its error. The other models of a setting are
        compared with each other; a setting with fewer than two cannot be the best.

    n_jobs : int, default=None
        Number of models to train in parallel, see :class:`joblib.Parallel`.

    verbose : int, default=0
        Passed to :class:`joblib.Parallel`.

    random_state : int, RandomState instance or None, default=None
        Draws the seeds, the same ones for every setting.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As in :class:`~sklearn.model_selection.GridSearchCV`, with seeds instead of
        splits: `params`, `param_NAME`, `split0_test_score` (the UDR of the first
        seed's model), ..., `mean_test_score`, `std_test_score`, `rank_test_score`,
        `mean_fit_time`, `std_fit_time`.

    best_estimator_ : estimator
        The model of the best setting that agrees most with the others of its setting.

    best_params_ : dict
        The best setting.

    best_score_ : float
        Mean UDR of the best setting.

    best_index_ : int
        Index of the best setting in `cv_results_`.

    seeds_ : ndarray of shape (n_seeds,) of int
        Seeds of the models.

    References
    ----------
    .. [1] S. Duan et al., "Unsupervised Model Selection for Variational Disentangled
       Representation Learning", ICLR 2020.

    Examples
    --------
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> from sparsedis.model_selection import UDRSearch
    >>> X, Y = make_sparse_tasks(120, 20, n_factors=3, random_state=0)
    >>> est = SparseMultiTaskRepresentation(3, rotation=None, max_iter=60)
    >>> search = UDRSearch(est, {"alpha": [0.01, 0.4]}, n_seeds=3, random_state=0)
    >>> search.fit(X, Y).best_params_
    {'alpha': 0.4}
    """

    _parameter_constraints: ClassVar = {
        "estimator": [HasMethods(["fit", "transform", "set_params"])],
        "param_grid": [dict, list],
        "n_seeds": [Interval(Integral, 2, None, closed="left")],
        "similarity": [StrOptions({"lasso", "spearman", "mcc"})],
        "tau": [Interval(Real, 0, 1, closed="both")],
        "error_score": [StrOptions({"raise"}), Real],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: dict | list[dict],
        *,
        n_seeds: int = 5,
        similarity: Literal["lasso", "spearman", "mcc"] = "mcc",
        tau: float = 0.0,
        error_score: Literal["raise"] | float = np.nan,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.n_seeds = n_seeds
        self.similarity = similarity
        self.tau = tau
        self.error_score = error_score
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    @whole_or_not
    @keeps_types(_fit_context(prefer_skip_nested_validation=False))
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any) -> Self:
        """Train every setting with every seed, and rank the settings.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs; the models are compared on them.

        y : array-like, default=None
            Targets, passed to the `fit` of the estimator.

        **fit_params : dict
            Passed to the `fit` of the estimator.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        ValueError
            When `estimator` has no parameter `random_state`, or `param_grid` sets one
            or is empty, or no setting has two models that did not fail.

        Warns
        -----
        FitFailedWarning
            When some models fail.
        """
        settings = list(ParameterGrid(self.param_grid))
        if not settings:
            raise ValueError(
                f"param_grid must have at least one setting, got {self.param_grid!r}."
            )
        for params in settings:
            # Check before any training that the parameters exist.
            with_seed(self.estimator, params, 0)
        random_state = check_random_state(self.random_state)
        self.seeds_ = random_state.randint(np.iinfo(np.int32).max, size=self.n_seeds)
        catch = self.error_score != "raise"
        with note_lost_models(type(self).__name__):
            fitted = Parallel(n_jobs=self.n_jobs, verbose=self.verbose)(
                delayed(fit_with_seed)(
                    self.estimator, params, seed, X, y, fit_params, catch
                )
                for params in settings
                for seed in self.seeds_
            )
        groups = [
            fitted[first : first + self.n_seeds]
            for first in range(0, len(fitted), self.n_seeds)
        ]
        comparable = np.array([sum(one.succeeded for one in g) > 1 for g in groups])
        check_failures(fitted, bool(comparable.any()))
        scores = np.array([self._scores(group) for group in groups])
        times = np.array([[one.seconds for one in group] for group in groups])
        self.cv_results_ = cv_results(settings, scores, times)
        means = self.cv_results_["mean_test_score"]
        self.best_index_ = int(np.where(comparable, means, -np.inf).argmax())
        self.best_params_ = settings[self.best_index_]
        self.best_score_ = float(means[self.best_index_])
        group = groups[self.best_index_]
        succeeded = [one.succeeded for one in group]
        own = np.where(succeeded, scores[self.best_index_], -np.inf)
        self.best_estimator_ = group[int(own.argmax())].model
        return self

    def _scores(self, group):
        """Scores of the models of a setting."""
        succeeded = [one.succeeded for one in group]
        if all(succeeded):
            return self._rank(group)
        scores = np.full(len(group), self.error_score, dtype=float)
        if sum(succeeded) > 1:
            scores[succeeded] = self._rank([one for one in group if one.succeeded])
        return scores

    def _rank(self, group):
        coefs = None
        models = [one.model for one in group]
        models = [m[-1] if isinstance(m, Pipeline) else m for m in models]
        if all(hasattr(model, "coef_") for model in models):
            # To leave out unused features, which agree with any feature.
            coefs = [getattr(model, "support_", model.coef_) for model in models]
        return unsupervised_disentanglement_ranking(
            [one.codes for one in group],
            similarity=self.similarity,
            coefs=coefs,
            tau=self.tau,
        )

    @keeps_types(available_if(_best_has("transform")))
    def transform(self, X: ArrayLike) -> np.ndarray:
        """Features of X by the best model.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Features.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.transform(X)

    @keeps_types(available_if(_best_has("predict")))
    def predict(self, X: ArrayLike, **params: Any) -> np.ndarray:
        """Predictions for X by the best model.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        **params : dict
            Passed to its `predict`, such as `task`.

        Returns
        -------
        ndarray
            Predictions.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict(X, **params)

    @keeps_types(available_if(_best_has("score")))
    def score(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> float:
        """Score of the best model, by its own `score`.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        y : array-like, default=None
            Targets.

        **params : dict
            Passed to its `score`, such as `task`.

        Returns
        -------
        float
            For example mean R2 or accuracy, not the agreement with models of other
            seeds.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.score(X, y, **params)

    @keeps_types(available_if(_best_has("get_feature_names_out")))
    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Names of the features that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Passed to the best model.

        Returns
        -------
        ndarray of str
            Names.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.get_feature_names_out(input_features)

    @keeps_types(available_if(_best_has("set_output")))
    def set_output(
        self, *, transform: Literal["default", "pandas", "polars"] | None = None
    ) -> Self:
        """Set what `transform` returns.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            See :meth:`sklearn.base.TransformerMixin.set_output`. None changes nothing.

        Returns
        -------
        self : object
            The search.
        """
        self.estimator.set_output(transform=transform)
        if "best_estimator_" in vars(self):
            self.best_estimator_.set_output(transform=transform)
        return self

    def __sklearn_tags__(self):
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        for name in ("estimator_type", "classifier_tags", "regressor_tags"):
            setattr(tags, name, getattr(own, name))
        return tags
