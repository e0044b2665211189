"""Minimality and sufficiency, which also fit dependent factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._discrete import (
    factor_labels,
    mutual_information,
    warn_of_rare_values,
)
from sparsedis.metrics._validation import check_factors_codes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis.metrics._details import Details


class MinimalitySufficiencyScores(NamedTuple):
    """The two scores of :func:`minimality_sufficiency`.

    Attributes
    ----------
    minimality : float in [0, 1]
        Whether each code has no information but that about one factor.

    sufficiency : float in [0, 1]
        Whether a single code has all the information about each factor.
    """

    minimality: float
    sufficiency: float


@scores_or_details
def minimality_sufficiency(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    n_bins: int = 20,
    factor_bins: int | None = None,
    return_details: bool = False,
) -> MinimalitySufficiencyScores | Details:
    r"""Minimality and sufficiency of the codes, for factors that may be dependent.

    Codes equal to the factors score 1 in both, however the factors depend on each
    other. :func:`mutual_information_gap` and :func:`modularity` are then below 1.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Discrete ground-truth factors: integers, or floats each of which occurs at least
        five times on average. Constant factors are left out, with a warning. NaN marks
        values that are not known; each factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones are left out of minimality, with a warning.

    n_bins : int, default=20
        Number of equal-width bins for each code; 15 in [1]_.

    factor_bins : int, default=None
        Number of equal-width bins for each factor that is not discrete. None: such a
        factor raises.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the scores alone.

    Returns
    -------
    scores : MinimalitySufficiencyScores
        Named tuple of `minimality` and `sufficiency`.

    details : Bunch
        Returned instead of ``scores`` if `return_details`:

        score : MinimalitySufficiencyScores
            The scores.
        per_code : ndarray of shape (n_codes,)
            Minimality of each code; 0 for dead codes.
        per_factor : ndarray of shape (n_factors,)
            Sufficiency for each factor; 0 for those left out.
        mutual_information : ndarray of shape (n_codes, n_factors)
            Mutual informations in nats.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold infinity,
        codes hold NaN, a factor is continuous and `factor_bins` is None, or no factor
        varies.

    See Also
    --------
    mutual_information_gap : The gap to the second code, for independent factors.
    infomec : Shares of the information, for independent factors.

    Notes
    -----
    With k codes and d factors,

    .. math::

        \mathrm{minimality} = \frac1k \sum_j \max_i \frac{I(z_i; c_j)}{H(c_j)}, \qquad
        \mathrm{sufficiency} = \frac1d \sum_i \max_j \frac{I(z_i; c_j)}{H(z_i)},

    with the informations and entropies of binned codes. All that a code has beside its
    factor lowers minimality, noise included: at 20 bins, a code that is a binary factor
    and a little noise is not minimal. Codes of more bins than a factor has values, and
    small samples, move both scores. Compare them with :func:`chance_level`.

    References
    ----------
    .. [1] Almudévar and Ortega, "Rethinking disentanglement under dependent factors of
       variation", arXiv:2408.07016, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import minimality_sufficiency, modularity
    >>> rng = np.random.default_rng(0)
    >>> size = rng.integers(0, 5, 1000)
    >>> factors = np.column_stack([size, (size + rng.integers(0, 2, 1000)) % 5])
    >>> scores = minimality_sufficiency(factors, -2.0 * factors)
    >>> round(scores.minimality, 6), round(scores.sufficiency, 6)
    (1.0, 1.0)
    >>> round(modularity(factors, -2.0 * factors), 2)
    0.67
    """
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    information, entropy, code_entropy = mutual_information(
        factors, codes, n_bins=n_bins, factor_bins=factor_bins
    )
    warn_of_rare_values(factor_labels(factors, factor_bins))
    per_factor = np.zeros(len(factor_mask))
    share = np.divide(
        information,
        code_entropy,
        out=np.zeros_like(information),
        where=code_entropy > 0,
    )
    per_code = share.max(axis=1)
    np.divide(information.max(axis=0), entropy, out=per_factor, where=factor_mask)
    scores = MinimalitySufficiencyScores(
        float(per_code[code_mask].mean()) if code_mask.any() else 0.0,
        float(per_factor[factor_mask].mean()),
    )
    if not return_details:
        return scores
    return Bunch(
        score=scores,
        per_code=per_code,
        per_factor=per_factor,
        mutual_information=information,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )
