"""Linear maps from codes to the factors that they were matched with."""

import numpy as np

from sparsedis.metrics._columns import ColumnNormalizer
from sparsedis.metrics._validation import known_groups


def fit_alignment(factors, codes, matched):
    """Least squares of each factor on its code or on the codes of its block.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        NaN where they are not known.

    codes : ndarray of shape (n_samples, n_codes)

    matched : Bunch
        Details of :func:`~sparsedis.metrics.mean_correlation_coefficient`.

    Returns
    -------
    coef : ndarray of shape (n_factors, n_codes)

    intercept : ndarray of shape (n_factors,)
    """
    coef = np.zeros((factors.shape[1], codes.shape[1]))
    intercept = np.fmax.reduce(factors, axis=0)  # of those known only once
    for columns, rows in known_groups(factors):
        z, c = factors[rows][:, columns], codes[rows]
        of_factors, of_codes = ColumnNormalizer(z), ColumnNormalizer(c)
        normal = of_factors.transform(z), of_codes.transform(c)
        own = _coef(*normal, columns, matched)
        coef[columns] = own * (of_factors.scale[:, None] / of_codes.scale)
        intercept[columns] = z.mean(axis=0) - coef[columns] @ c.mean(0)
    return coef, intercept


def _coef(Z, C, columns, matched):
    """Coefficients of normalised codes for some normalised factors."""
    coef = np.zeros((Z.shape[1], C.shape[1]))
    if "blocks" in matched:  # all factors are known
        for block, code in zip(matched.blocks, matched.block_codes, strict=True):
            coef[np.ix_(block, code)] = np.linalg.lstsq(C[:, code], Z[:, block])[0].T
        return coef
    matching, signs = matched.matching[columns], matched.signs[columns]
    paired = np.flatnonzero(matching >= 0)
    code = matching[paired]
    slopes = np.einsum("ij,ij->j", Z[:, paired], C[:, code])
    # Ranks and values may disagree on the sign; the matching is by ranks.
    coef[paired, code] = np.abs(slopes) * signs[paired]
    return coef
