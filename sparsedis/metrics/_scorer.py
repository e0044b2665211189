"""A scorer of representations for scikit-learn's model selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from sparsedis.metrics._registry import resolve_metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def make_disentanglement_scorer(
    metric: str | Callable | list | dict = "mcc", *, use_y: bool = False, **kwargs: Any
) -> Callable[..., float]:
    """Make a scorer that compares the representation of an estimator with factors.

    The scorer calls ``estimator.transform(X)``, and the metrics on the factors and
    these codes. Model selection in scikit-learn routes the factors to it as metadata:
    pass them as ``factors=`` to ``GridSearchCV.fit``, ``HalvingGridSearchCV.fit`` or in
    the `params` of ``cross_validate``, with metadata routing enabled. The labels ``y``
    remain for the estimator.

    Parameters
    ----------
    metric : str, callable, list of these, or dict of str to these, default="mcc"
        Metric or metrics, larger for better. Names are "mcc", "r",
        "dci_disentanglement" (or "dci"), "dci_completeness", "dci_informativeness",
        "dci_explicitness", "mig", "infom", "infoc", "infoe", "minimality",
        "sufficiency", "exclusivity", "modularity", "explicitness", "sap", "irs",
        "factor_vae" and "beta_vae".
        A callable is called as ``metric(factors, codes)`` and returns a number. With a
        list or a dict the scorer returns a dict with a score for each.

    use_y : bool, default=False
        Take ``y`` for the factors. Estimators that ignore ``y`` in ``fit``, like
        :class:`~sklearn.decomposition.PCA`, can then be selected without routing.

    **kwargs : dict
        Arguments of the metrics, such as ``unmatched="drop"`` or ``random_state=0``.
        Each goes to the metrics that take it.

    Returns
    -------
    scorer : callable
        Called as ``scorer(estimator, X, y=None, *, factors=None)``, it returns a float,
        or a dict of floats for several metrics. It requests ``factors``;
        ``scorer.set_score_request(factors=...)`` changes that.

    Raises
    ------
    ValueError
        If a metric is unknown.
    TypeError
        If no metric takes one of the arguments.

    See Also
    --------
    DisentanglementScorer : Scores codes themselves, and aligns them with the factors.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearn
    >>> from sklearn.decomposition import FastICA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sparsedis.metrics import make_disentanglement_scorer
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.uniform(size=(300, 2))
    >>> X = factors @ [[1.0, 0.5], [0.5, 1.0]]
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     search = GridSearchCV(
    ...         FastICA(random_state=0),
    ...         {"max_iter": [200], "fun": ["logcosh", "cube"]},
    ...         scoring=make_disentanglement_scorer(["mcc", "r"]),
    ...         refit="mcc",
    ...     ).fit(X, factors=factors)
    >>> bool(search.best_score_ > 0.95)
    True
    >>> search.cv_results_["mean_test_r"].round(6)
    array([1., 1.])
    """
    resolve_metrics(metric, kwargs)
    return FactorScorer(metric=metric, use_y=use_y, params=kwargs)


class FactorScorer(BaseEstimator):
    """The scorer that :func:`make_disentanglement_scorer` makes.

    Parameters
    ----------
    metric : str, callable, list or dict, default="mcc"
        Metric or metrics.

    use_y : bool, default=False
        Take ``y`` for the factors.

    params : dict, default=None
        Arguments of the metrics.
    """

    # Factors are requested from the start: without them there is nothing to compute.
    __metadata_request__score: ClassVar = {"factors": True, "estimator": UNUSED}

    def __init__(self, metric="mcc", *, use_y=False, params=None):
        self.metric = metric
        self.use_y = use_y
        self.params = params

    def __call__(self, estimator, X, y=None, *, factors=None):
        """Do as :meth:`score`: scikit-learn calls scorers.

        Parameters
        ----------
        estimator : object
            Fitted, with a method `transform`.

        X : array-like of shape (n_samples, ...)
            Inputs of `estimator`.

        y : array-like of shape (n_samples, ...), default=None
            Not used, unless `use_y`: then the factors.

        factors : array-like of shape (n_samples, n_factors), default=None
            Ground-truth factors; NaN where they are not known.

        Returns
        -------
        float or dict of str to float
            The score, or the scores by name if `metric` holds several.
        """
        return self.score(estimator, X, y, factors=factors)

    def score(self, estimator, X, y=None, *, factors=None):
        """Score the representation of an estimator.

        Parameters
        ----------
        estimator : object
            Fitted, with a method `transform`.

        X : array-like of shape (n_samples, ...)
            Inputs of `estimator`.

        y : array-like of shape (n_samples, ...), default=None
            Not used, unless `use_y`: then the factors.

        factors : array-like of shape (n_samples, n_factors), default=None
            Ground-truth factors; NaN where they are not known.

        Returns
        -------
        float or dict of str to float
            The score, or the scores by name if `metric` holds several.
        """
        if self.use_y:
            if factors is not None:
                raise ValueError("Pass the factors as y or as factors=, not both.")
            factors = y
        if factors is None:
            how = (
                "as y"
                if self.use_y
                else "as factors=: in model selection, enable metadata routing with "
                "sklearn.set_config(enable_metadata_routing=True) and pass factors= "
                "along; or make the scorer with use_y=True and pass them as y"
            )
            raise ValueError(f"The scorer needs the ground-truth factors {how}.")
        if not hasattr(estimator, "transform"):
            raise TypeError(
                "The scorer needs an estimator with a method transform, which gives "
                f"the codes; got {estimator!r}."
            )
        metrics = resolve_metrics(self.metric, self.params)
        codes = estimator.transform(X)
        scores = {name: metric(factors, codes) for name, metric in metrics.items()}
        if isinstance(self.metric, (dict, list, tuple)):
            return scores
        return next(iter(scores.values()))
