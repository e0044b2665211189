"""Metrics from mutual information: the mutual information gap and modularity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch

from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._discrete import mutual_information
from sparsedis.metrics._validation import check_factors_codes, check_option

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

    from sparsedis.metrics._details import Details


@scores_or_details
def mutual_information_gap(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    n_bins: int = 20,
    factor_bins: int | None = None,
    return_details: bool = False,
) -> float | Details:
    r"""Mutual information gap (MIG) between the two best codes of each factor.

    A factor that a single code describes has a gap of 1; one that two codes describe
    equally well, or that none does, has a gap of 0.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Discrete ground-truth factors: integers, or floats each of which occurs at least
        five times on average. Constant factors are left out, with a warning. NaN marks
        values that are not known; each factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes, at least two. Dead (constant) ones have no mutual information,
        with a warning.

    n_bins : int, default=20
        Number of equal-width bins for each code.

    factor_bins : int, default=None
        Number of equal-width bins for each factor that is not discrete. None: such a
        factor raises.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        Mean gap.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_factor : ndarray of shape (n_factors,)
            Gap of each factor; 0 for those left out.
        mutual_information : ndarray of shape (n_codes, n_factors)
            Mutual informations in nats.
        entropy : ndarray of shape (n_factors,)
            Entropies of the factors in nats.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary, which are those the score averages over.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold infinity,
        codes hold NaN, there is a single code, a factor is continuous and `factor_bins`
        is None, or no factor varies.

    See Also
    --------
    modularity : From the codes' side.

    Notes
    -----
    The gap of factor :math:`z_i` is :math:`(I(z_i; c_{(1)}) - I(z_i; c_{(2)})) /
    H(z_i)` with the two codes of largest mutual information. Small samples bias all
    mutual informations upward, hence the gap downward: codes equal to the factors
    score about .5 on 100 samples of factors with twenty values.

    References
    ----------
    .. [1] Chen et al., "Isolating sources of disentanglement in variational
       autoencoders", NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import mutual_information_gap
    >>> factors = np.stack(np.meshgrid(range(10), range(10)), axis=-1).reshape(-1, 2)
    >>> round(mutual_information_gap(factors, -3.0 * factors), 6)
    1.0
    >>> mutual_information_gap(factors, factors[:, [0, 0]])
    0.0
    """
    factors, codes, factor_mask, code_mask = check_factors_codes(
        factors, codes, min_codes=2
    )
    information, entropy, _ = mutual_information(
        factors, codes, n_bins=n_bins, factor_bins=factor_bins
    )
    second, first = np.sort(information, axis=0)[-2:]
    per_factor = np.zeros(len(factor_mask))
    np.divide(first - second, entropy, out=per_factor, where=factor_mask)
    score = float(per_factor[factor_mask].mean())
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_factor=per_factor,
        mutual_information=information,
        entropy=entropy,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


@scores_or_details
def modularity(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    n_bins: int = 20,
    factor_bins: int | None = None,
    dead: Literal["zero", "drop"] = "zero",
    return_details: bool = False,
) -> float | Details:
    r"""Modularity: whether each code depends on a single factor.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Discrete ground-truth factors: integers, or floats each of which occurs at least
        five times on average. Constant factors are left out, with a warning; at least
        two must remain. NaN marks values that are not known; each factor is scored
        where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes.

    n_bins : int, default=20
        Number of equal-width bins for each code.

    factor_bins : int, default=None
        Number of equal-width bins for each factor that is not discrete. None: such a
        factor raises.

    dead : {"zero", "drop"}, default="zero"
        Count dead (constant) codes as 0, or leave them out.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        Mean over the codes; 0 when all are dead.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_code : ndarray of shape (n_codes,)
            Modularity of each code; 0 for dead codes and for those that share no
            information with any factor.
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
        codes hold NaN, fewer than two factors vary, a factor is continuous and
        `factor_bins` is None, or `dead` is unknown.

    See Also
    --------
    explicitness : Whether the factors can be read from the codes.
    mutual_information_gap : From the factors' side.

    Notes
    -----
    With mutual informations :math:`m_{ji}` of code j and factor i, of d factors, and
    :math:`i^*` the factor of the largest one, the modularity of code j is
    :math:`1 - \sum_{i \neq i^*} m_{ji}^2 / (m_{ji^*}^2 (d - 1))`. Small samples bias
    the mutual informations upward.

    References
    ----------
    .. [1] Ridgeway and Mozer, "Learning deep disentangled embeddings with the
       f-statistic loss", NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import modularity
    >>> factors = np.stack(np.meshgrid(range(10), range(10)), axis=-1).reshape(-1, 2)
    >>> round(modularity(factors, factors[:, [1, 0, 0]]), 6)
    1.0
    >>> modularity(factors, factors.sum(axis=1, keepdims=True))
    0.0
    """
    check_option(dead, "dead", ("zero", "drop"))
    factors, codes, factor_mask, code_mask = check_factors_codes(
        factors, codes, min_factors=2
    )
    information = mutual_information(
        factors, codes, n_bins=n_bins, factor_bins=factor_bins
    )[0]
    per_code = np.zeros(len(code_mask))
    largest = information.max(axis=1)
    informed = largest > 0
    # Relative to the largest, so that squares of tiny informations do not underflow.
    relative = information[informed] / largest[informed, None]
    per_code[informed] = 1 - ((relative**2).sum(axis=1) - 1) / (factor_mask.sum() - 1)
    counted = code_mask if dead == "drop" and code_mask.any() else slice(None)
    score = float(per_code[counted].mean())
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_code=per_code,
        mutual_information=information,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )
