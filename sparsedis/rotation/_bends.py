"""Directions that are functions of stronger ones, and not factors of their own.

Labels of classes with little noise say on which side of a boundary a row lies, and
little about the distance. The encoder then learns nonlinear functions of the factors
beside the factors, and heads use a little of these. A factor, however weak, is not
determined by the others.
"""

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

# Maximal number of rows to compare on, and the smallest.
_ROWS, _FEW_ROWS = 1000, 30

# Explained share of the variance from which on a direction is a function of others,
# plus its strength relative to the second direction. Functions of the factors had
# strengths up to .07 and shares of .4 or more, factors with shares above .3 strengths
# of .12 or more.
_EXPLAINED = 0.3

# Relative strength from which on a direction is a factor in any case. (It is relative
# to the second one, since the first is strong if factors are correlated.)
_WEAK = 0.3

# Maximal number of inputs of polynomials of degree three; of more, the degree is two.
_CUBIC = 7


def without_bends(labels, strength, directions, k):
    """Leave out the last directions if stronger ones determine them.

    Parameters
    ----------
    labels : ClassLabels
        Have the features of the rows.

    strength : ndarray of shape (m,)
        In decreasing order.

    directions : ndarray of shape (m, m)
        In columns.

    k : int
        Number of directions with evidence.

    Returns
    -------
    int
        At least two, if `k` is.
    """
    if k <= 2 or strength[k - 1] >= _WEAK * strength[1]:
        return k
    rows = _rows_of(labels)
    if len(rows) < _FEW_ROWS:
        return k
    along = rows @ directions[:, :k]
    spread = along.std(0)
    along = (along - along.mean(0)) / np.where(spread > 0, spread, 1.0)
    while k > 2 and (relative := strength[k - 1] / strength[1]) < _WEAK:
        share = explained_share(along[:, : k - 1], along[:, k - 1])
        if share < _EXPLAINED + relative:
            break
        k -= 1
    return k


def explained_share(inputs, target):
    """Share of the variance that a smooth function of the inputs explains.

    It is that of a Gaussian kernel or of a polynomial, whichever is larger, for rows
    that were left out.

    Parameters
    ----------
    inputs : ndarray of shape (n, j)
        Of unit variance.

    target : ndarray of shape (n,)

    Returns
    -------
    float
    """
    j = inputs.shape[1]
    models = (
        KernelRidge(kernel="rbf", gamma=0.2 / j, alpha=0.1),
        make_pipeline(
            PolynomialFeatures(3 if j <= _CUBIC else 2),
            RidgeCV(np.logspace(-2, 4, 13)),
        ),
    )
    folds = KFold(3, shuffle=True, random_state=0)
    error = min(
        np.square(target - cross_val_predict(model, inputs, target, cv=folds)).mean()
        for model in models
    )
    return 1 - error / max(target.var(), np.finfo(float).tiny)


def _rows_of(labels):
    """Features of some rows, each of them once."""
    rows = None
    for part in labels:
        rows = part.Z if rows is None else np.concatenate([rows, part.Z])
        # Parts may have the same rows, of which some would predict others.
        rows = np.unique(rows, axis=0)
        if len(rows) >= _ROWS:
            break
    return rows[np.linspace(0, len(rows) - 1, min(_ROWS, len(rows))).astype(int)]
