"""InfoMEC: modularity, compactness and explicitness from information."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.utils import Bunch, check_random_state

from sparsedis.metrics._columns import normalize_columns
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._discrete import entropy_of_counts, factor_labels
from sparsedis.metrics._validation import check_factors_codes, known_groups

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState
    from sparsedis.metrics._details import Details

# Codes whose range is below this part of the largest range are left out.
ACTIVE_RATIO = 1 / 20
# Neighbours in the estimator of mutual information, as in the published code.
N_NEIGHBORS = 10


class InfoMECScores(NamedTuple):
    """The three scores of :func:`infomec`.

    Attributes
    ----------
    modularity : float in [0, 1]
        InfoM: whether each code has information about a single factor.

    compactness : float in [0, 1]
        InfoC: whether a single code has the information about each factor.

    explicitness : float in [0, 1]
        InfoE: whether a linear classifier finds the information about the factors.
    """

    modularity: float
    compactness: float
    explicitness: float


@scores_or_details
def infomec(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    factor_bins: int | None = None,
    discrete_codes: bool = False,
    explicitness: bool = True,
    random_state: RandomState = None,
    return_details: bool = False,
) -> InfoMECScores | Details:
    r"""InfoM, InfoC and InfoE: modularity, compactness and explicitness.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Discrete ground-truth factors: integers, or floats each of which occurs at least
        five times on average. Constant factors are left out, with a warning. NaN marks
        values that are not known; each factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones, with a warning, and those whose range is
        below a twentieth of the largest are left out of modularity and compactness.

    factor_bins : int, default=None
        Number of equal-width bins for each factor that is not discrete. None: such a
        factor raises.

    discrete_codes : bool, default=False
        Take the values of the codes for labels, as of quantised codes. Otherwise
        mutual informations come from nearest neighbours. If True, only constant codes
        are left out.

    explicitness : bool, default=True
        Compute InfoE, which takes most of the time. Otherwise it is NaN.

    random_state : int, RandomState instance or None, default=None
        Draws the noise that breaks ties between neighbours. Pass an int for the same
        scores at every call.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the scores alone.

    Returns
    -------
    scores : InfoMECScores
        Named tuple of `modularity`, `compactness` and `explicitness`.

    details : Bunch
        Returned instead of ``scores`` if `return_details`:

        score : InfoMECScores
            The scores.
        per_code : ndarray of shape (n_codes,)
            Modularity of each code; 0 for those left out.
        per_factor : ndarray of shape (n_factors,)
            Compactness of each factor; 0 for those left out.
        explicitness : ndarray of shape (n_factors,)
            Explicitness of each factor; 0 for those left out.
        information : ndarray of shape (n_codes, n_factors)
            Mutual informations as parts of the entropies of the factors.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes in modularity and compactness.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold infinity,
        codes hold NaN, a factor is continuous and `factor_bins` is None, no factor
        varies, or no value of a factor occurs twice.

    See Also
    --------
    modularity : The same question with squared informations, and binned codes.
    dci : The same questions with importances in regressions.

    Notes
    -----
    With :math:`N_{ji} = I(z_i; c_j) / H(z_i)` of d factors and k codes,

    .. math::

        \mathrm{InfoM} = \frac{\frac1k \sum_j \max_i N_{ji} / \sum_i N_{ji} - 1/d}
        {1 - 1/d}, \qquad
        \mathrm{InfoC} = \frac{\frac1d \sum_i \max_j N_{ji} / \sum_j N_{ji} - 1/k}
        {1 - 1/k}.

    The scores do not see how small the informations are: random codes reach an InfoM
    of .5 to .9. Compare them with :func:`chance_level`, and read them beside InfoE.

    Codes or factors without any information count 0. With d = 1, InfoM is 1, and with
    k = 1, InfoC is, where there is any information.

    InfoE is the mean over the factors of :math:`1 - H_V(z_i | c) / H(z_i)`, where
    :math:`H_V` is the mean logarithmic loss, on the same samples, of a multinomial
    logistic regression on standardised codes, without penalty. The published code
    weights the classes equally in the regression, which makes no difference if they
    are equally frequent.

    References
    ----------
    .. [1] Hsu et al., "Disentanglement via latent quantization", NeurIPS 2023,
       Section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import infomec
    >>> factors = np.stack(np.meshgrid(range(5), range(5)), axis=-1).reshape(-1, 2)
    >>> factors = np.repeat(factors, 20, axis=0)
    >>> infomec(factors, -factors, discrete_codes=True).modularity
    1.0
    >>> mixed = factors @ [[1.0, 1.0], [1.0, -1.0]]
    >>> infomec(factors, mixed, random_state=0, explicitness=False).modularity
    0.0...
    """
    factors, codes, factor_mask, varying = check_factors_codes(factors, codes)
    labels = factor_labels(factors, factor_bins)
    rng = check_random_state(random_state)
    code_mask = varying if discrete_codes else varying & _is_active(codes)
    estimate = _of_tables if discrete_codes else _of_neighbors
    information = np.zeros((len(code_mask), len(factor_mask)))
    live = [
        (i, rows)
        for columns, rows in known_groups(factors)
        for i in np.arange(len(labels))[columns]
        if factor_mask[i]
    ]
    for i, rows in live if code_mask.any() else ():
        y = labels[i][rows]
        found = estimate(codes[rows][:, code_mask], y, rng)
        information[code_mask, i] = found / entropy_of_counts(np.bincount(y))
    per_code, per_factor = np.zeros(len(code_mask)), np.zeros(len(factor_mask))
    shared = information[np.ix_(code_mask, factor_mask)]
    per_code[code_mask] = _concentration(shared)
    per_factor[factor_mask] = _concentration(shared.T)
    explicit = np.zeros(len(factor_mask))
    if explicitness:
        for i, rows in live:
            features = _features(codes[rows][:, varying], discrete_codes)
            explicit[i] = _explicitness(features, labels[i][rows])
    scores = InfoMECScores(
        float(per_code[code_mask].mean()) if code_mask.any() else 0.0,
        float(per_factor[factor_mask].mean()),
        float(explicit[factor_mask].mean()) if explicitness else np.nan,
    )
    if not return_details:
        return scores
    return Bunch(
        score=scores,
        per_code=per_code,
        per_factor=per_factor,
        explicitness=explicit,
        information=information,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


def _is_active(codes):
    """Codes whose range is not small."""
    # Halves, whose difference does not overflow.
    extent = codes.max(axis=0) / 2 - codes.min(axis=0) / 2
    return extent > ACTIVE_RATIO * extent.max()


def _of_tables(codes, labels, rng):
    """Mutual information of each column of labels with the labels."""
    from sklearn.metrics import mutual_info_score

    return np.array([mutual_info_score(labels, column) for column in codes.T])


def _of_neighbors(codes, labels, rng):
    """Mutual information of each column with the labels, by nearest neighbours."""
    # Imported on use, here and below: these load much of scikit-learn.
    from sklearn.feature_selection import mutual_info_classif

    if np.bincount(labels).max() < 2:
        raise ValueError(
            "A value of each factor must occur twice at least, for neighbours with the "
            f"same value; got {len(labels)} different values in {len(labels)} samples."
        )
    return mutual_info_classif(
        normalize_columns(codes),
        labels,
        discrete_features=False,
        n_neighbors=N_NEIGHBORS,
        random_state=rng,
    )


def _concentration(information):
    """Share of the largest entry of each row, from 0 for equal ones to 1."""
    n = information.shape[1]
    total = information.sum(axis=1)
    largest = information.max(axis=1, initial=0.0)
    if n < 2:
        return (total > 0).astype(float)
    share = np.divide(largest, total, out=np.full(len(total), 1 / n), where=total > 0)
    return (share - 1 / n) / (1 - 1 / n)


def _features(codes, discrete_codes):
    """Inputs of the classifiers: standardised codes, or indicators of their values."""
    if discrete_codes:
        indicators = [c[:, None] == np.unique(c) for c in codes.T]
        return np.hstack([np.zeros((len(codes), 1)), *indicators]).astype(float)
    return np.sqrt(len(codes)) * normalize_columns(codes)


def _explicitness(features, labels):
    """Part of the entropy of the labels that logistic regression explains."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    if not features.any():
        return 0.0
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(features, labels)
    loss = log_loss(labels, model.predict_proba(features), labels=model.classes_)
    return max(0.0, 1 - loss / entropy_of_counts(np.bincount(labels)))
