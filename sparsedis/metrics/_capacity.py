"""Explicitness of DCI-ES: how much capacity a regressor needs to read the factors."""

from __future__ import annotations

import numbers
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch, check_random_state

from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._linear import r2_columns
from sparsedis.metrics._regressions import (
    fit_factors,
    hold_out,
    standardize_both,
    warn_of_constant_parts,
)
from sparsedis.metrics._validation import (
    check_factors_codes,
    is_varying,
    known_groups,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState
    from sparsedis.metrics._details import Details

# Depths of the forests, those of the published evaluation.
DEPTHS = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)


@scores_or_details
def dci_explicitness(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    probes: Sequence[tuple[float, Any]] | None = None,
    test_factors: ArrayLike | None = None,
    test_codes: ArrayLike | None = None,
    test_size: float = 0.25,
    random_state: RandomState = None,
    return_details: bool = False,
) -> float | Details:
    r"""Explicitness (E) of DCI-ES: how little capacity it takes to read the factors.

    Each factor is predicted from the codes by regressors of increasing capacity, the
    probes. The score is 1 if the first one predicts as well as any of them, and 0 if
    the loss falls from that of the mean to 0 along a straight line.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors. Constant ones are left out, with a warning. NaN marks
        values that are not known; each factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones predict nothing, with a warning.

    probes : sequence of (float, regressor), default=None
        Capacities, which increase, and regressors, at least two. They see standardised
        codes and factors. None: a
        :class:`~sklearn.ensemble.RandomForestRegressor` of each depth 1, 2, 3, 4, 8,
        10, 12, 14, 16, 18, 20 and 32, whose depth is the capacity. Publications take
        the logarithm of the number of parameters for the capacity of a network.

    test_factors : array-like of shape (n_test_samples, n_factors), default=None
        Held-out factors; needs `test_codes`. None: a random part of the samples.

    test_codes : array-like of shape (n_test_samples, n_codes), default=None
        Codes of the samples of `test_factors`.

    test_size : float or int, default=0.25
        Share or number of samples held out where there is no test set.

    random_state : int, RandomState instance or None, default=None
        Draws the held-out samples, and the randomness of the probes. Pass an int for
        the same score at every call.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [-1, 1]
        Mean explicitness of the factors.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_factor : ndarray of shape (n_factors,)
            Explicitness of each factor; 0 for those left out.
        capacities : ndarray of shape (n_probes,)
            Capacities of the probes.
        losses : ndarray of shape (n_probes, n_factors)
            Least held-out loss up to each capacity, 1 at most; 1 for factors left out.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that the score averages over.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If inputs differ in their number of samples or columns or hold infinity, codes
        hold NaN, no factor varies in both the training and the test samples, only one
        of the test arrays is given, the capacities in `probes` do not increase, or a
        regressor predicts NaN or infinity.

    See Also
    --------
    dci : Disentanglement, completeness and informativeness.
    explicitness : Another score of this name: the area under ROC curves.
    infomec : InfoE, a third one, of linear classifiers.

    Notes
    -----
    The loss of a probe is 1 less its held-out R2, and 1, that of the mean, if it is
    worse. With the least loss :math:`\ell(\kappa)` up to capacity :math:`\kappa` on the
    line through the probes, the explicitness of a factor is

    .. math::

        E = 1 - \frac{\int_{\kappa_1}^{\kappa_p} \ell(\kappa) - \ell(\kappa_p) \,
        d\kappa}{\frac12 (\kappa_p - \kappa_1) \cdot 1},

    where the denominator is the area under the straight line from the loss of the
    mean to 0. Codes that cannot predict the factors at all score 1, since capacity does
    not help, so the chance level is near 1: read it beside the informativeness of
    :func:`dci`.

    References
    ----------
    .. [1] Eastwood et al., "DCI-ES: an extended disentanglement framework with
       connections to identifiability", ICLR 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from sparsedis.metrics import dci_explicitness
    >>> factors = np.random.default_rng(0).standard_normal((500, 2))
    >>> probes = [(m, DecisionTreeRegressor(max_depth=m)) for m in (1, 3, 6)]
    >>> options = {"probes": probes, "random_state": 0}
    >>> easy = dci_explicitness(factors, factors, **options)
    >>> rotated = factors @ [[0.6, 0.8], [-0.8, 0.6]]
    >>> bool(easy > dci_explicitness(factors, rotated, **options) + 0.1)
    True
    """
    capacities, regressors = _check_probes(probes)
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    rng = check_random_state(random_state)
    factors, codes, test_factors, test_codes = hold_out(
        factors, codes, test_factors, test_codes, test_size, rng
    )
    losses = np.ones((len(regressors), len(factor_mask)))
    scored = np.zeros_like(factor_mask)
    for columns, rows, test_rows in known_groups(factors, test_factors):
        z, c, test_z, test_c = standardize_both(
            factors[rows][:, columns],
            codes[rows],
            test_factors[test_rows][:, columns],
            test_codes[test_rows],
        )
        scored[columns] = is_varying(z) & is_varying(test_z)
        for p, regressor in enumerate(regressors):
            losses[p, columns] = _loss(regressor, z, c, test_z, test_c, rng)
    warn_of_constant_parts(factor_mask, scored, "explicitness")
    if not scored.any():
        raise ValueError(
            "No column of factors varies in both the training and the test samples."
        )
    losses[:, ~scored] = 1.0
    losses = np.minimum.accumulate(np.minimum(losses, 1.0))
    area = np.trapezoid(losses - losses[-1], capacities, axis=0)
    per_factor = np.where(scored, 1 - 2 * area / (capacities[-1] - capacities[0]), 0.0)
    score = float(per_factor[scored].mean())
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_factor=per_factor,
        capacities=capacities,
        losses=losses,
        factor_mask=scored,
        code_mask=code_mask,
    )


def _check_probes(probes):
    """Capacities and regressors."""
    if probes is None:
        # Imported on use: it loads much of scikit-learn.
        from sklearn.ensemble import RandomForestRegressor

        probes = [(depth, RandomForestRegressor(max_depth=depth)) for depth in DEPTHS]
    try:
        capacities, regressors = zip(*probes, strict=True)
    except (TypeError, ValueError):
        raise ValueError(
            f"probes must hold pairs of a capacity and a regressor; got {probes!r}."
        ) from None
    numeric = all(isinstance(c, numbers.Real) for c in capacities)
    increasing = numeric and all(a < b for a, b in pairwise(capacities))
    if not increasing or len(capacities) < 2 or not np.isfinite(capacities).all():
        raise ValueError(
            "probes must hold at least two capacities, finite numbers that increase; "
            f"got {list(capacities)}."
        )
    for regressor in regressors:
        if not (hasattr(regressor, "fit") and hasattr(regressor, "predict")):
            raise ValueError(
                f"probes must hold regressors with fit and predict; got {regressor!r}."
            )
    return np.array(capacities, dtype=float), regressors


def _loss(regressor, factors, codes, test_factors, test_codes, rng):
    """Held-out loss of each factor, relative to that of the mean."""
    prediction = np.zeros_like(test_factors)
    for i, _, predicted in fit_factors(regressor, factors, codes, test_codes, rng):
        prediction[:, i] = predicted
    return 1 - r2_columns(test_factors, prediction)
