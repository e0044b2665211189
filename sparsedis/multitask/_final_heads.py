"""Heads of all tasks of a table on the final features."""

import numpy as np

from sparsedis._warn import warn
from sparsedis.multitask._table_heads import fit_heads
from sparsedis.multitask._table_moments import select_supports


def final_heads(
    Z, table, scale, problem, alpha, *, refit, rule=None, spike=None, l2=1.0
):
    """Fit the heads that an estimator keeps.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features of the rows of the table.

    table : TaskTable

    scale : ndarray of shape (n_tasks,)
        Units of the targets: heads are fitted on targets divided by them.

    problem : InnerProblem

    alpha : float or ndarray of shape (n_tasks,)
        Penalty.

    refit : {"relaxed", "lasso"}
        See :func:`~sparsedis.multitask._table_heads.fit_heads`.

    rule : {"bic", "cv", "1se"}, default=None
        Selection of the features of each head after a rotation. None: the penalty
        selects.

    spike : ndarray of shape (k,), default=None
        See :func:`sparsedis.rotation.select_heads`.

    l2 : float, default=1.0
        See :func:`~sparsedis.heads._relaxed.relaxed_heads`.

    Returns
    -------
    dict
        The attributes `coef_`, `intercept_`, `alpha_`, `support_` and
        `feature_usage_` of the estimator.
    """
    scaled, support = table.divided(scale), None
    if rule is not None:
        support = select_supports(Z, scaled, rule=rule, spike=spike, random_state=0)
    heads = fit_heads(
        Z,
        scaled,
        np.broadcast_to(alpha, len(scale)).astype(float),
        problem,
        refit=refit,
        support=support,
        l2=l2,
    )
    coef = heads.coef * scale[:, None, None]
    intercept = heads.intercept * scale[:, None]
    if coef.shape[1] == 1 and table.labels.is_scalar:
        coef, intercept = coef[:, 0], intercept[:, 0]
    return {
        "coef_": coef,
        "intercept_": intercept,
        "alpha_": heads.alpha,
        "support_": heads.support,
        "feature_usage_": heads.support.sum(0),
    }


def warn_of_missing(names, counts):
    """Warn about tasks without any label.

    Parameters
    ----------
    names : ndarray of shape (n_tasks,)

    counts : ndarray of shape (n_tasks,) of int
        Labels of each task.
    """
    if counts.all():
        return
    missing = names[counts == 0]
    some = ", ".join(str(name) for name in missing[:5])
    warn(
        f"{len(missing)} of {len(counts)} tasks have no label ({some}"
        f"{', ...' if len(missing) > 5 else ''}); their heads and predictions are NaN.",
        UserWarning,
    )
