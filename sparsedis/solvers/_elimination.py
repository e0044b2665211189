"""Many small positive definite systems at once, in NumPy.

LAPACK takes one matrix after the other, so that small ones cost little more than calls.
Here every operation runs over all tasks, whose axis is the last one.
"""

import numpy as np


class Elimination:
    """Factors ``H_SS = U'D^-1 U`` on a support S, with the diagonal D of U.

    Without pivoting, this is stable for positive definite matrices. The solutions for
    others are arbitrary, NaN included.

    Parameters
    ----------
    hessian : array of shape (k, k, n_tasks)
        Symmetric matrices.
    support : array of shape (k, n_tasks) of bool
        Other rows and columns are not used.
    """

    @np.errstate(all="ignore")
    def __init__(self, hessian, support):
        # Above the diagonal U, below it the columns of D^-1 U, with zeros for rows
        # outside of the support.
        self.parts = U = hessian.copy()
        self.inverse = inverse = np.zeros(U.shape[1:])
        for j in range(len(U)):
            if j:
                U[j, j:] -= np.einsum("it,ijt->jt", U[j, :j], U[:j, j:])
            np.divide(1, U[j, j], out=inverse[j], where=support[j])
            np.multiply(U[j, j + 1 :], inverse[j], out=U[j + 1 :, j])

    @np.errstate(all="ignore")
    def solve(self, rhs):
        """Solutions for right-hand sides of shape (k, n_tasks)."""
        x, L, k = rhs.copy(), self.parts, len(rhs)
        for j in range(k - 1):
            x[j + 1 :] -= L[j + 1 :, j] * x[j]
        x *= self.inverse
        for j in reversed(range(1, k)):
            x[:j] -= L[j, :j] * x[j]
        return x

    def poor(self, limit):
        """Whether a pivot in the support is below a limit, of shape (n_tasks,)."""
        return ~((self.inverse >= 0) & (self.inverse <= 1 / limit)).all(0)
