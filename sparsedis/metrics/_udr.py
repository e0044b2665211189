"""Unsupervised disentanglement ranking (UDR)."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch, check_scalar

from sparsedis._warn import warn
from sparsedis.metrics._columns import average_ranks, normalize_columns
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._mcc import match
from sparsedis.metrics._validation import check_matrix, check_option, is_varying

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from numpy.typing import ArrayLike

    from sparsedis.metrics._details import Details


@scores_or_details
def unsupervised_disentanglement_ranking(
    codes: Sequence[ArrayLike],
    *,
    similarity: Literal["lasso", "spearman", "mcc"] = "lasso",
    alpha: float = 0.1,
    informative: Sequence[ArrayLike] | None = None,
    coefs: Sequence[ArrayLike] | None = None,
    tau: float = 0.0,
    return_details: bool = False,
) -> np.ndarray | Details:
    r"""Unsupervised disentanglement ranking (UDR) of models by their agreement.

    Disentangled models are alike, up to the order, signs and scales of their codes;
    entangled ones differ from each other. Models that agree code by code with most
    others are ranked high: no ground-truth factor is needed.

    Parameters
    ----------
    codes : sequence of array-like of shape (n_samples, n_codes)
        Codes of at least two models for the same samples. The number of codes may
        differ between models.

    similarity : {"lasso", "spearman", "mcc"}, default="lasso"
        How codes of two models are compared: absolute coefficients of the Lasso that
        predicts a code of one model from all codes of the other; absolute Spearman
        correlations; or the mean correlation coefficient of the two models instead of
        UDR's formula.

    alpha : float, default=0.1
        Penalty of the Lasso, for standardised codes. Used if ``similarity="lasso"``.

    informative : sequence of array-like of shape (n_codes,) of bool, default=None
        Which codes of each model count. None: all that are not constant, or those that
        `coefs` tell.

    coefs : sequence of array-like of shape (n_tasks, n_codes), default=None
        Coefficients of each model's heads; (n_tasks, n_outputs, n_codes) for vector
        targets. A code counts if the share of the tasks that
        use it, with a coefficient other than 0, exceeds `tau`. Heads with NaN, of tasks
        without labels, are left out.

    tau : float, default=0.0
        Share of the tasks a code must exceed. Used with `coefs`.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the scores alone.

    Returns
    -------
    score : ndarray of shape (n_models,)
        Score of each model, larger for better: the median of its similarities with the
        others. Not negative; at most 1 unless ``similarity="lasso"``, whose
        coefficients have no bound.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : ndarray of shape (n_models,)
            The scores.
        pairwise : ndarray of shape (n_models, n_models)
            Similarity of each model (row) with each other; 0 on the diagonal.
        informative : list of ndarray of shape (n_codes,) of bool
            Codes that counted.

    Raises
    ------
    ValueError
        If there are fewer than two models, they differ in their number of samples or
        hold NaN or infinity, masks or coefficients do not fit the codes, or an option
        is unknown.

    Notes
    -----
    With A of shape (codes of model i, codes of model j), restricted to informative
    codes,

    .. math::

        \mathrm{UDR}_{ij} = \frac12 \Big[ \mathrm{mean}_b \frac{\max_a A_{ab}^2}
        {\sum_a A_{ab}} + \mathrm{mean}_a \frac{\max_b A_{ab}^2}{\sum_b A_{ab}} \Big],

    where 0/0 counts as 0, as does a model without informative code. The score of model
    i is the median over the other models j. With ``similarity="mcc"`` the sum over
    matched codes is divided by the larger number of informative codes.

    References
    ----------
    .. [1] Duan et al., "Unsupervised model selection for variational disentangled
       representation learning", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import unsupervised_disentanglement_ranking
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.standard_normal((500, 3))
    >>> codes = [factors, -factors[:, ::-1], factors @ rng.standard_normal((3, 3))]
    >>> unsupervised_disentanglement_ranking(codes, similarity="mcc").round(2)
    array([0.87, 0.87, 0.75])
    """
    check_option(similarity, "similarity", ("lasso", "spearman", "mcc"))
    check_scalar(alpha, "alpha", numbers.Real, min_val=0, include_boundaries="neither")
    codes = _check_models(codes)
    masks = _check_informative(codes, informative, coefs, tau)
    if similarity == "spearman":
        codes = [average_ranks(c) for c in codes]
    stacked = normalize_columns(np.hstack(codes))
    if similarity == "lasso" and stacked.shape[0] > stacked.shape[1]:
        # The Lasso needs inner products alone, which fewer rows keep.
        stacked = np.linalg.qr(stacked, mode="r")
    n_models = len(codes)
    model = np.repeat(np.arange(n_models), [c.shape[1] for c in codes])
    use = np.concatenate(masks)
    pairwise = np.zeros((n_models, n_models))
    for i in range(n_models):
        if similarity == "lasso":
            similarities = _lasso(stacked[:, model == i], stacked, alpha)
        else:
            similarities = np.abs(stacked[:, model == i].T @ stacked)
        for j in range(n_models):
            A = similarities[masks[i]][:, (model == j) & use]
            if j != i and A.size:
                pairwise[i, j] = _mcc(A) if similarity == "mcc" else _agreement(A)
    others = pairwise[~np.eye(n_models, dtype=bool)].reshape(n_models, -1)
    score = np.median(others, axis=1)
    if not return_details:
        return score
    return Bunch(score=score, pairwise=pairwise, informative=masks)


def _check_models(codes):
    """Validate the codes of all models."""
    if len(codes) < 2:
        raise ValueError(
            f"codes must hold the codes of at least two models; got {len(codes)}."
        )
    codes = [check_matrix(c, f"codes[{m}]") for m, c in enumerate(codes)]
    n_samples = [len(c) for c in codes]
    if len(set(n_samples)) > 1:
        raise ValueError(
            "codes must describe the same samples for all models; got numbers of "
            f"samples {n_samples}."
        )
    return codes


def _check_informative(codes, informative, coefs, tau):
    """Masks of the codes that count, among those that vary."""
    if informative is not None and coefs is not None:
        raise ValueError("Pass informative or coefs, not both.")
    live = [is_varying(c) for c in codes]
    for name, given in (("informative", informative), ("coefs", coefs)):
        if given is not None and len(given) != len(codes):
            raise ValueError(
                f"{name} must have one entry for each of the {len(codes)} models; got "
                f"{len(given)}."
            )
    if informative is not None:
        masks = [np.asarray(mask) for mask in informative]
        for m, (mask, varying) in enumerate(zip(masks, live, strict=True)):
            if mask.dtype != bool or mask.shape != varying.shape:
                raise ValueError(
                    f"informative[{m}] must be a boolean mask of shape "
                    f"{varying.shape}; got {mask.dtype} of shape {mask.shape}."
                )
    elif coefs is not None:
        check_scalar(tau, "tau", numbers.Real, min_val=0, max_val=1)
        masks = [
            _usage(coef, f"coefs[{m}]", len(live[m])) > tau
            for m, coef in enumerate(coefs)
        ]
    else:
        masks = live
    dead = [m for m in range(len(codes)) if (masks[m] & ~live[m]).any()]
    if informative is None and coefs is None:
        dead = [m for m in range(len(codes)) if not live[m].all()]
    if dead:
        warn(
            f"Models {dead} have dead (constant) codes, which are not informative.",
            UndefinedMetricWarning,
        )
    masks = [mask & varying for mask, varying in zip(masks, live, strict=True)]
    empty = [m for m, mask in enumerate(masks) if not mask.any()]
    if empty:
        warn(
            f"Models {empty} have no informative code; their similarities are 0.",
            UndefinedMetricWarning,
        )
    return masks


def _usage(coef, name, n_codes):
    """Share of the heads that use each code."""
    coef = np.asarray(coef, dtype=float)
    if coef.ndim not in (2, 3) or coef.shape[-1] != n_codes:
        raise ValueError(
            f"{name} must have shape (n_tasks, {n_codes}) or (n_tasks, n_outputs, "
            f"{n_codes}); got {coef.shape}."
        )
    coef = coef.reshape(len(coef), -1, n_codes)
    fitted = ~np.isnan(coef).any(axis=(1, 2))
    if not fitted.any():
        raise ValueError(f"{name} has no head without NaN.")
    return (coef[fitted] != 0).any(axis=1).mean(axis=0)


def _lasso(X, Y, alpha):
    """Absolute Lasso coefficients of columns of unit norm, (n_columns, n_targets)."""
    # Imported on use: it loads much of scikit-learn.
    from sklearn.linear_model import Lasso

    # Lasso divides the squared loss by its number of rows.
    scale = np.sqrt(len(X))
    model = Lasso(alpha, fit_intercept=False, tol=1e-8, max_iter=100_000)
    return np.abs(model.fit(scale * X, scale * Y).coef_).reshape(Y.shape[1], -1).T


def _agreement(A):
    """UDR's formula for one pair of models."""
    parts = []
    for axis in (0, 1):
        total = A.sum(axis=axis)
        largest = A.max(axis=axis)
        part = np.divide(largest**2, total, out=np.zeros_like(total), where=total > 0)
        parts.append(part.mean())
    return np.mean(parts)


def _mcc(A):
    """Mean similarity of matched codes; codes without a match count as 0."""
    return A[match(A)].sum() / max(A.shape)
