"""Mean correlation coefficient (MCC), by single codes or by blocks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.utils import Bunch

from sparsedis.metrics._blocks import check_blocks, match_blocks
from sparsedis.metrics._columns import average_ranks, normalize_columns
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._validation import (
    check_all_known,
    check_factors_codes,
    check_option,
    known_groups,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from numpy.typing import ArrayLike

    from sparsedis.metrics._details import Details


def correlation_matrix(factors, codes, method="pearson"):
    """Correlate each factor with each code.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Finite values, or NaN: each factor is correlated on the samples on which it is
        known.

    codes : ndarray of shape (n_samples, n_codes)
        Finite values.

    method : {"pearson", "spearman"}, default="pearson"
        Correlation of the values, or of their average ranks.

    Returns
    -------
    ndarray of shape (n_factors, n_codes)
        Correlations in [-1, 1]; 0 for constant columns.
    """
    correlation = np.zeros((factors.shape[1], codes.shape[1]))
    for columns, rows in known_groups(factors):
        z, c = factors[rows][:, columns], codes[rows]
        if method == "spearman":
            z, c = average_ranks(z), average_ranks(c)
        correlation[columns] = normalize_columns(z).T @ normalize_columns(c)
    return np.clip(correlation, -1.0, 1.0)


@scores_or_details
def mean_correlation_coefficient(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    method: Literal["pearson", "spearman"] = "pearson",
    unmatched: Literal["zero", "drop"] = "zero",
    blocks: Sequence[ArrayLike] | None = None,
    return_details: bool = False,
) -> float | Details:
    r"""Mean correlation coefficient (MCC) between factors and matched codes.

    Each factor is matched with at most one code, and each code with at most one
    factor, such that the sum of the absolute correlations of the pairs is largest.
    The score is their mean: 1 if every factor is a scaled and shifted copy of a
    different code.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors. Constant ones are left out, with a warning. NaN marks
        values that are not known; each factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones have correlation 0, with a warning.

    method : {"pearson", "spearman"}, default="pearson"
        Linear correlation, or correlation of average ranks, which does not change
        under increasing transformations of single columns.

    unmatched : {"zero", "drop"}, default="zero"
        When there are fewer codes than factors, count the factors without a code as
        0, or leave them out. Publications often leave them out, which overstates the
        result: four of six factors found then give a perfect score.

    blocks : sequence of sequence of int, default=None
        Disjoint groups of columns of `factors` that may stay mixed with each other, as
        :func:`sparsedis.identifiability.check_support_variability` finds them. Columns
        in none of them make a group of their own. Each group is matched with as many
        codes as it has factors (see Notes). Needs ``method="pearson"``, and factors
        known on all samples.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        The MCC.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The MCC.
        per_factor : ndarray of shape (n_factors,)
            Absolute correlation of each factor with its code, or multiple correlation
            with the codes of its block; 0 without one.
        matching : ndarray of shape (n_factors,) of int
            Column of `codes` matched with each factor; -1 without one.
        signs : ndarray of shape (n_factors,)
            Sign of each of these correlations; 0 without a code or a correlation.
        correlation : ndarray of shape (n_factors, n_codes)
            All correlations, with their signs.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary, which are those the score averages over.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.
        blocks : list of ndarray of int
            Factors of each block; only with `blocks`, like the next.
        block_codes : list of ndarray of int
            Codes of each block.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold infinity,
        codes hold NaN, no factor varies, an option is unknown, or `blocks` overlap.

    See Also
    --------
    linear_r_score : The same for codes that may be linear mixtures of the factors.

    Notes
    -----
    With correlations :math:`A_{ij} = |\mathrm{corr}(z_i, c_j)|` of :math:`d` factors
    and :math:`k` codes, the score is :math:`\max_\pi \frac1d \sum_i A_{i \pi(i)}`
    over injective :math:`\pi` of :math:`\min(d, k)` factors, found by the Hungarian
    algorithm. ``unmatched="drop"`` divides by :math:`\min(d, k)`.

    With `blocks`, codes are assigned to blocks such that the sum of the multiple
    correlations of the codes with the factors of their block is largest; the score is
    the mean of the multiple correlations of the factors with the codes of their block.
    Where the plain matching, put together by block, gives a larger score, it is taken.
    The score thus lies between the plain MCC, which it is for blocks of one factor, and
    R (:func:`linear_r_score`), which it is for a single block and :math:`k = d`. With
    ``unmatched="drop"`` blocks without any code are left out.

    References
    ----------
    .. [1] Hyvärinen and Morioka, "Unsupervised feature extraction by time-contrastive
       learning and nonlinear ICA", NeurIPS 2016.

    .. [2] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import mean_correlation_coefficient
    >>> factors = np.random.default_rng(0).standard_normal((500, 3))
    >>> codes = factors[:, [2, 0, 1]] * [-1.0, 10.0, 0.1] + 5.0
    >>> round(mean_correlation_coefficient(factors, codes), 6)
    1.0
    >>> details = mean_correlation_coefficient(factors, codes, return_details=True)
    >>> details.matching
    array([1, 2, 0])
    >>> details.signs
    array([ 1.,  1., -1.])
    """
    check_option(method, "method", ("pearson", "spearman"))
    check_option(unmatched, "unmatched", ("zero", "drop"))
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    correlation = correlation_matrix(factors, codes, method)
    found = {}
    if blocks is None:
        matching = np.full(len(factor_mask), -1)
        rows, columns = match(np.abs(correlation[factor_mask]))
        matching[np.flatnonzero(factor_mask)[rows]] = columns
        matched = matching >= 0
        per_factor = np.zeros(len(matching))
        per_factor[matched] = np.abs(correlation[matched, matching[matched]])
    else:
        if method != "pearson":
            raise ValueError(
                "blocks needs method='pearson', since blocks are mixed linearly; got "
                f"method={method!r}."
            )
        check_all_known(factors, "blocks")
        blocks = check_blocks(blocks, factor_mask)
        per_factor, block_codes, matching = match_blocks(factors, codes, blocks)
        matched = np.zeros(len(matching), dtype=bool)
        for block, columns in zip(blocks, block_codes, strict=True):
            matched[block] = len(columns) > 0
        found = {"blocks": blocks, "block_codes": block_codes}
    terms = matched if unmatched == "drop" else factor_mask
    score = float(per_factor[terms].mean())
    if not return_details:
        return score
    paired = matching >= 0
    signs = np.zeros(len(matching))
    signs[paired] = np.sign(correlation[paired, matching[paired]])
    return Bunch(
        score=score,
        per_factor=per_factor,
        matching=matching,
        signs=signs,
        correlation=correlation,
        factor_mask=factor_mask,
        code_mask=code_mask,
        **found,
    )


def match(similarity):
    """Pair rows with columns so that the sum of the similarities is largest.

    Parameters
    ----------
    similarity : ndarray of shape (n_rows, n_columns)
        Finite similarities.

    Returns
    -------
    rows, columns : ndarray of shape (min(n_rows, n_columns),) of int
        The pairs, by increasing row.
    """
    return linear_sum_assignment(similarity, maximize=True)
