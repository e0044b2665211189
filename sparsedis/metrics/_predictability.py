"""Metrics from predictions of the factors: explicitness and SAP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch, check_random_state

from sparsedis._warn import warn
from sparsedis.metrics._columns import ColumnNormalizer
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._discrete import factor_labels
from sparsedis.metrics._mcc import correlation_matrix
from sparsedis.metrics._validation import check_factors_codes, check_option

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState
    from sparsedis.metrics._details import Details


@scores_or_details
def explicitness(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    factor_bins: int | None = None,
    scale: bool = False,
    test_size: float = 0.25,
    random_state: RandomState = None,
    return_details: bool = False,
) -> float | Details:
    """Explicitness: how well a linear classifier reads the factors from the codes.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Discrete ground-truth factors: integers, or floats each of which occurs at least
        five times on average. Constant factors are left out, with a warning. NaN marks
        values that are not known; each factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones predict nothing, with a warning.

    factor_bins : int, default=None
        Number of equal-width bins for each factor that is not discrete. None: such a
        factor raises.

    scale : bool, default=False
        Map the score of chance, .5, to 0, and keep 1.

    test_size : float or int, default=0.25
        Share or number of samples held out, drawn within each value of a factor where
        there are enough.

    random_state : int, RandomState instance or None, default=None
        Draws the held-out samples. Pass an int for the same score at every call.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1], or [-1, 1] if `scale`
        Mean over the factors of the area under the ROC curve.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_factor : ndarray of shape (n_factors,)
            Explicitness of each factor, mapped like the score; 0 for those left out.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that the score averages over.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold infinity,
        codes hold NaN, a factor is continuous and `factor_bins` is None, or no factor
        takes two values both in the training and in the test part.

    See Also
    --------
    modularity : Whether each code depends on a single factor.

    Notes
    -----
    For each factor a multinomial :class:`~sklearn.linear_model.LogisticRegression` is
    fitted on the codes, standardised on the training part. The area under the ROC curve
    of each value against the rest is computed on the test part, and averaged over the
    values present in both parts.

    References
    ----------
    .. [1] Ridgeway and Mozer, "Learning deep disentangled embeddings with the
       f-statistic loss", NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import explicitness
    >>> factors = np.random.default_rng(0).integers(0, 2, (200, 2))
    >>> round(explicitness(factors, factors @ [[1, 1], [1, -1]], random_state=0), 6)
    1.0
    """
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    labels = factor_labels(factors, factor_bins)
    rng = check_random_state(random_state)

    def area(train, test, y):
        return _one_versus_rest_area(codes[train], codes[test], y[train], y[test])

    per_factor, factor_mask = _score_factors(area, labels, factor_mask, test_size, rng)
    if scale:
        per_factor = np.where(factor_mask, 2 * per_factor - 1, 0.0)
    score = float(per_factor[factor_mask].mean())
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_factor=per_factor,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


def _one_versus_rest_area(codes, test_codes, y, test_y):
    """Macro average of the areas under the ROC curves, over values in both parts."""
    # Imported on use, here and below: these load much of scikit-learn.
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    classes = np.intersect1d(y, test_y)
    normalizer = ColumnNormalizer(codes)
    if not normalizer.varying.any():
        return 0.5
    codes, test_codes = (
        np.sqrt(len(codes)) * normalizer.transform(c) for c in (codes, test_codes)
    )
    model = LogisticRegression(max_iter=1000).fit(codes, y)
    probability = model.predict_proba(test_codes)
    column = {value: j for j, value in enumerate(model.classes_)}
    return np.mean(
        [roc_auc_score(test_y == c, probability[:, column[c]]) for c in classes]
    )


@scores_or_details
def sap(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    variant: Literal["continuous", "discrete"] = "continuous",
    factor_bins: int | None = None,
    standardize: bool = False,
    test_size: float = 0.25,
    random_state: RandomState = None,
    return_details: bool = False,
) -> float | Details:
    """Separated attribute predictability (SAP): gap between the two best codes.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors. Constant ones are left out, with a warning. For
        ``variant="discrete"`` they must be discrete: integers, or floats each of which
        occurs at least five times on average. NaN marks values that are not known; each
        factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes, at least two. Dead (constant) ones score 0, with a warning.

    variant : {"continuous", "discrete"}, default="continuous"
        How well a code predicts a factor: its squared correlation, or the held-out
        accuracy of ``LinearSVC(C=0.01, class_weight="balanced")`` on that code.

    factor_bins : int, default=None
        Used if ``variant="discrete"``: number of equal-width bins for each factor that
        is not discrete. None: such a factor raises.

    standardize : bool, default=False
        Used if ``variant="discrete"``: standardise the codes on the training part. The
        published score does not, so that it depends on their scales and offsets.

    test_size : float or int, default=0.25
        Used if ``variant="discrete"``: share or number of samples held out, drawn
        within each value of a factor where there are enough.

    random_state : int, RandomState instance or None, default=None
        Used if ``variant="discrete"``: draws the held-out samples. Pass an int for the
        same score at every call.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        Mean over the factors of the difference of their two largest scores.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_factor : ndarray of shape (n_factors,)
            Gap of each factor; 0 for those left out.
        predictability : ndarray of shape (n_codes, n_factors)
            Score of each code for each factor.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that the score averages over.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold infinity,
        codes hold NaN, there is a single code, no factor varies, or `variant` is
        unknown; and for ``variant="discrete"`` if a factor is continuous and
        `factor_bins` is None.

    See Also
    --------
    mutual_information_gap : The same with mutual information.

    References
    ----------
    .. [1] Kumar et al., "Variational inference of disentangled latent concepts from
       unlabeled observations", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import sap
    >>> factors = np.random.default_rng(0).standard_normal((500, 2))
    >>> round(sap(factors, factors), 2)
    1.0
    >>> round(sap(factors, factors @ [[1.0, 1.0], [1.0, -1.0]]), 2)
    0.01
    """
    check_option(variant, "variant", ("continuous", "discrete"))
    factors, codes, factor_mask, code_mask = check_factors_codes(
        factors, codes, min_codes=2
    )
    if variant == "continuous":
        predictability = correlation_matrix(factors, codes).T ** 2
    else:
        labels = factor_labels(factors, factor_bins)
        rng = check_random_state(random_state)

        def accuracies(train, test, y):
            parts = codes[train], codes[test]
            if standardize:
                normalizer = ColumnNormalizer(parts[0])
                scale = np.sqrt(len(train))
                parts = [scale * normalizer.transform(part) for part in parts]
            return _single_code_accuracies(*parts, y[train], y[test], code_mask)

        per_factor, factor_mask = _score_factors(
            accuracies, labels, factor_mask, test_size, rng, shape=(codes.shape[1],)
        )
        predictability = per_factor.T
    second, first = np.sort(predictability, axis=0)[-2:]
    per_factor = first - second
    score = float(per_factor[factor_mask].mean())
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_factor=per_factor,
        predictability=predictability,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


def _single_code_accuracies(codes, test_codes, y, test_y, code_mask):
    """Held-out accuracy of a linear SVM on each live code."""
    from sklearn.svm import LinearSVC

    accuracy = np.zeros(len(code_mask))
    for j in np.flatnonzero(code_mask):
        model = LinearSVC(C=0.01, class_weight="balanced", dual=False)
        prediction = model.fit(codes[:, [j]], y).predict(test_codes[:, [j]])
        accuracy[j] = np.mean(prediction == test_y)
    return accuracy


def _score_factors(score, labels, factor_mask, test_size, rng, shape=()):
    """Score each factor on its own split, unless the split makes the factor constant.

    Returns the scores, of shape (n_factors, *shape), and the mask of the factors that
    have one.
    """
    scores = np.zeros((len(labels), *shape))
    scored = factor_mask.copy()
    for i in np.flatnonzero(factor_mask):
        y = labels[i]
        train, test = _split(y, test_size, rng)
        scored[i] = len(np.unique(y[train])) > 1 and len(np.unique(y[test])) > 1
        scored[i] &= len(np.intersect1d(y[train], y[test])) > 0
        if scored[i]:
            scores[i] = score(train, test, y)
    if not scored.any():
        raise ValueError(
            "No column of factors takes two values both in the training and in the "
            f"test part of {len(labels[0])} samples with test_size={test_size!r}."
        )
    if scored.sum() < factor_mask.sum():
        warn(
            f"Column(s) {np.flatnonzero(factor_mask & ~scored).tolist()} of factors "
            "do not take two values both in the training and in the test part, and "
            "are left out.",
            UndefinedMetricWarning,
        )
    return scores, scored


def _split(y, test_size, rng):
    """Split labelled samples within each label, or else, with too few, at random."""
    from sklearn.model_selection import train_test_split

    options = {"test_size": test_size, "random_state": rng}
    known = np.flatnonzero(y >= 0)
    try:
        return train_test_split(known, stratify=y[known], **options)
    except ValueError:
        return train_test_split(known, **options)
