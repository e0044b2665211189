"""Chance levels of the metrics, and confidence intervals."""

from __future__ import annotations

import numbers
import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch, check_random_state, check_scalar

from sparsedis.metrics._registry import resolve_metrics
from sparsedis.metrics._validation import check_factors_codes

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState


def chance_level(
    factors: ArrayLike,
    codes: ArrayLike,
    metric: str | Callable | list | dict = "mcc",
    *,
    n_resamples: int = 100,
    confidence_level: float = 0.95,
    random_state: RandomState = None,
    **kwargs: Any,
) -> Any:
    """Scores of codes that have nothing to do with the factors.

    The rows of the codes are permuted. Random codes thus have the number, the
    distribution and the dependence of the given ones, on as many samples.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors; NaN where they are not known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes.

    metric : str, callable, list of these, or dict of str to these, default="mcc"
        Metric or metrics, as in :func:`make_disentanglement_scorer`.

    n_resamples : int, default=100
        Number of permutations.

    confidence_level : float in (0, 1), default=0.95
        Share of the random scores between the two quantiles.

    random_state : int, RandomState instance or None, default=None
        Draws the permutations, and all that the metrics draw. Pass an int for the same
        result at every call.

    **kwargs : dict
        Arguments of the metrics. Each goes to the metrics that take it.

    Returns
    -------
    Bunch or dict of str to Bunch
        With a list or a dict of metrics, a Bunch for each, by name:

        score : float
            Score of the given codes.
        mean : float
            Mean score of random codes: the chance level.
        low, high : float
            Quantiles of the scores of random codes.
        scores : ndarray of shape (n_resamples,)
            Scores of random codes.

    Raises
    ------
    ValueError
        If a metric is unknown, or raises on the data.
    TypeError
        If no metric takes one of the arguments.

    See Also
    --------
    bootstrap_interval : Confidence interval of the score.

    References
    ----------
    .. [1] Joshi et al., "Who guards the guardians? The challenges of evaluating
       identifiability of learned representations", arXiv:2602.24278, 2026.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import chance_level
    >>> rng = np.random.default_rng(0)
    >>> factors, codes = rng.standard_normal((50, 3)), rng.standard_normal((50, 20))
    >>> chance = chance_level(factors, codes, "mcc", random_state=0)
    >>> round(chance.score, 2), round(chance.mean, 2)
    (0.27, 0.3)
    """
    draw = _Draw(factors, codes, metric, n_resamples, confidence_level, kwargs)
    rng = check_random_state(random_state)
    rows = np.arange(draw.n_samples)
    return draw(lambda: (rows, rng.permutation(draw.n_samples)), rng, draw.quantiles)


def bootstrap_interval(
    factors: ArrayLike,
    codes: ArrayLike,
    metric: str | Callable | list | dict = "mcc",
    *,
    n_resamples: int = 100,
    confidence_level: float = 0.95,
    random_state: RandomState = None,
    **kwargs: Any,
) -> Any:
    r"""Bootstrap confidence interval of a metric.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors; NaN where they are not known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes.

    metric : str, callable, list of these, or dict of str to these, default="mcc"
        Metric or metrics, as in :func:`make_disentanglement_scorer`.

    n_resamples : int, default=100
        Number of resamples.

    confidence_level : float in (0, 1), default=0.95
        Nominal probability that the interval holds the score of infinitely many
        samples.

    random_state : int, RandomState instance or None, default=None
        Draws the resamples, and all that the metrics draw. Pass an int for the same
        result at every call.

    **kwargs : dict
        Arguments of the metrics. Each goes to the metrics that take it.

    Returns
    -------
    Bunch or dict of str to Bunch
        With a list or a dict of metrics, a Bunch for each, by name:

        score : float
            Score of the given codes.
        mean : float
            Mean score of the resamples. Its distance to `score` is an estimate of the
            bias of `score`.
        low, high : float
            Ends of the interval.
        scores : ndarray of shape (n_resamples,)
            Scores of the resamples.

    Raises
    ------
    ValueError
        If a metric is unknown, or raises on the data or on a resample.
    TypeError
        If no metric takes one of the arguments.

    See Also
    --------
    chance_level : Scores of random codes.

    Notes
    -----
    Rows are drawn with replacement. With the score s and quantiles :math:`q` of the
    scores of the resamples, the interval is the basic one, :math:`[2 s - q_{1 -
    \alpha/2}, 2 s - q_{\alpha/2}]`, cut off at the largest value a metric can have, 1.
    It corrects for the bias of a score, which many metrics have in small samples, and
    which the interval of the quantiles themselves has twice. If the bias is large, the
    interval does not contain the score itself.

    A row that is drawn twice can be in the training and in the test part of a metric
    that holds out samples. This does not matter for linear models, but it does for
    trees: do not trust the interval of "dci_informativeness" with
    ``importance="random_forest"``.

    References
    ----------
    .. [1] Davison and Hinkley, "Bootstrap methods and their application", Cambridge
       University Press, 1997, Section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import bootstrap_interval
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.standard_normal((200, 2))
    >>> codes = factors + rng.standard_normal((200, 2))
    >>> interval = bootstrap_interval(factors, codes, "mcc", random_state=0)
    >>> interval.low < 0.5**0.5 < interval.high
    True
    """
    draw = _Draw(factors, codes, metric, n_resamples, confidence_level, kwargs)
    rng = check_random_state(random_state)

    def resample():
        rows = rng.randint(draw.n_samples, size=draw.n_samples)
        return rows, rows

    def basic(score, scores):
        low, high = draw.quantiles(score, scores)
        # A large bias can move both ends beyond what a score can be.
        return np.minimum([2 * score - high, 2 * score - low], max(1.0, score))

    return draw(resample, rng, basic)


class _Draw:
    """Scores metrics on the given rows and on drawn ones."""

    def __init__(self, factors, codes, metric, n_resamples, confidence_level, params):
        check_scalar(n_resamples, "n_resamples", numbers.Integral, min_val=2)
        check_scalar(
            confidence_level,
            "confidence_level",
            numbers.Real,
            min_val=0,
            max_val=1,
            include_boundaries="neither",
        )
        self.metrics = resolve_metrics(metric, params)
        self.several = isinstance(metric, (dict, list, tuple))
        self.factors, self.codes = check_factors_codes(factors, codes)[:2]
        self.n_samples = len(self.codes)
        self.n_resamples = n_resamples
        self.tail = (1 - confidence_level) / 2

    def quantiles(self, _, scores):
        """Quantiles of the scores."""
        return np.quantile(scores, [self.tail, 1 - self.tail])

    def __call__(self, rows, rng, ends):
        """Score pairs of rows of factors and codes that `rows` draws."""
        with warnings.catch_warnings():
            # The given data have been warned about; resamples say nothing new.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            given = self._scores(slice(None), slice(None), rng)
            try:
                drawn = [self._scores(*rows(), rng) for _ in range(self.n_resamples)]
            except ValueError as error:
                raise ValueError(
                    "A metric is defined on the data, but not on rows drawn from them: "
                    f"{error} Leave out factors with values that are too rare for "
                    "resamples, or this metric."
                ) from error
        results = {}
        for name, score in given.items():
            scores = np.array([one[name] for one in drawn])
            low, high = map(float, ends(score, scores))
            results[name] = Bunch(
                score=score,
                mean=float(scores.mean()),
                low=low,
                high=high,
                scores=scores,
            )
        return results if self.several else next(iter(results.values()))

    def _scores(self, rows, code_rows, rng):
        factors, codes = self.factors[rows], self.codes[code_rows]
        seed = rng.randint(2**31 - 1)
        return {
            name: metric(factors, codes, random_state=seed)
            for name, metric in self.metrics.items()
        }
