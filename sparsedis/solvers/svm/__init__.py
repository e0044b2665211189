r"""Group Lasso multiclass SVM: exact batched solvers, in the dual and in the primal.

The problem is that of Eqs. 6-8 and Appendix C of Lachapelle et al. (ICML 2023). A task
has features ``Z`` (n, p), one-hot labels ``Y`` (n, c), sample weights ``s`` (n,) and,
with `fit_intercept`, intercepts ``b`` (c,)::

    primal  min_{W, b}  sum_i s_i [max_l (1 - Y_il + F_il) - <Y_i, F_i>]
                        + alpha sum_j ||W_j|| + l2/2 ||W||^2,        F = Z W + 1 b'

    dual    max_beta    sum_i s_i <beta_i, 1 - Y_i>
                        - sum_j (||V_j|| - alpha)_+^2 / (2 l2)
            subject to  beta_i in the unit simplex; sum_i s_i (Y_i - beta_i) = 0 if
                        there are intercepts
            where       V = Z' diag(s) (Y - beta)

    link    W_j = (1 - alpha / ||V_j||)_+ V_j / l2

Symbols that the modules share:

``Q``, basis
    (c, m) with ``m = c - 1``, an orthonormal basis of the vectors that sum to zero.
    Rows of ``Y - beta`` and of ``W`` sum to zero, so that the code stores them, the
    scores and ``b`` as coordinates in ``Q``.
``X``
    (n, m), the coordinates of ``Y - beta``, so that ``beta = Y - X Q'``.
``V``
    ``Z'(s X)``. Stored, like ``W``, as (m, q): features are columns.
``z``
    (n, c), multipliers of ``beta >= 0``. At a solution ``z + s (1 - Y) + s F`` is
    constant on every sample and ``beta * z = 0``.
``u``
    (m, q), gradient of the norms: ``V = l2 W + u`` with ``||u_j|| <= alpha``.
``E``, border
    (n m, m), the constraint of the intercepts: ``E'X = sum_i s_i X_i``.
``M``
    Jacobian of the link from ``V`` to ``W``, one (m, m) block per feature.
``G``, ``U``
    Cotangent of ``W`` and ``M (G - Z' diag(s) a)``, where ``a`` solves the adjoint
    system; they appear in the gradient only (`sparsedis.implicit._svm_adjoint`).
"""
