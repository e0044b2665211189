"""Many small positive definite systems at once, in NumPy.

LAPACK takes one matrix after the other, so that small ones cost little more than calls.
Here every operation runs over all tasks, whose axis is the last one.
"""

import numpy as np


@np.errstate(all="ignore")
def eliminate(hessian, support, rhs):
    """Solve ``H_SS x_S = r_S``, with ``x = 0`` outside of a support S.

    ``H_SS = U'D^-1 U`` with the diagonal D of U. Without pivoting, this is stable for
    positive definite matrices. The solutions for others are arbitrary, NaN included.

    Parameters
    ----------
    hessian : array of shape (k, k, n_tasks)
        Symmetric matrices.
    support : array of shape (k, n_tasks)
        1 in the support, 0 elsewhere.
    rhs : array of shape (k, n_tasks)

    Returns
    -------
    x : array of shape (k, n_tasks)

    inverse : array of shape (k, n_tasks)
        Inverse of D in the support, 0 elsewhere. Pivots that are not positive count as
        tiny ones.
    """
    k, n_tasks = rhs.shape
    # Above the diagonal U, below it the columns of D^-1 U, with zeros for rows outside
    # of the support; on the right what forward substitution makes of `rhs`.
    U = np.empty((k, k + 1, n_tasks))
    U[:, :k], U[:, k] = hessian, rhs
    inverse = np.empty_like(rhs)
    tiny = np.finfo(U.dtype).tiny
    for j in range(k):
        if j:
            U[j, j:] -= np.einsum("it,ijt->jt", U[j, :j], U[:j, j:])
        np.maximum(U[j, j], tiny, out=inverse[j])
        np.divide(support[j], inverse[j], out=inverse[j])
        np.multiply(U[j, j + 1 : k], inverse[j], out=U[j + 1 :, j])
    x = U[:, k] * inverse
    for j in reversed(range(1, k)):
        x[:j] -= U[j, :j] * x[j]
    return x, inverse
