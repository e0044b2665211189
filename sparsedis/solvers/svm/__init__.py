r"""Group Lasso multiclass SVM: exact solvers in the dual and in the primal.

:func:`.dual.solve_svm_dual` solves batches of tasks with few samples, and
:func:`.primal.solve_svm_primal` solves one problem with many samples.

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

All modules use these symbols. A product with ``s`` is one with ``diag(s)``:

``Q``, basis
    (c, m) with ``m = c - 1``: an orthonormal basis of the vectors that sum to zero.
    Rows of ``Y - beta`` and of ``W`` sum to zero. The code stores them, the scores and
    ``b`` as coordinates in ``Q``.
``X``
    (n, m), the coordinates of ``Y - beta``, so that ``beta = Y - X Q'``.
``V``
    ``Z'(s X)``. The code stores ``V`` and ``W`` as (m, q): each column is one of the q
    features in use, which are all features or a working set.
``w_j``, direction
    ``W_j / ||W_j||``.
``z``
    (n, c), multipliers of ``beta >= 0``. At a solution, ``z + s (1 - Y) + s F`` is
    constant on every sample, and ``beta * z = 0``.
``t``, ``g``, slack
    (q,), (m, q) and (q,): sizes of the rows ``W_j = t_j g_j``, and slacks of ``||g_j||
    <= 1``, in the interior-point method, see :mod:`.group_pairs`. At a solution, ``t *
    slack = 0``.
``mu``
    Complementarity that a step aims at. An interior-point method replaces the products
    that are zero at a solution, such as ``beta * z``, by ``mu``.
``E``, border
    (n m, m), the constraint of the intercepts: ``E'X = sum_i s_i X_i``.
``Pi``
    (n m, n m), projection onto the directions in which ``X`` may move on a face of the
    simplices. Its blocks are defined in :mod:`.faces`.
``M``
    Jacobian of the link from ``V`` to ``W``, one (m, m) block per feature. In the
    interior-point method it is smoothed, see :mod:`.group_pairs`.
``R``
    (m, q), residual of the link in a Newton step on the active set: ``V - l2 W - alpha
    w``.
``L``, factor
    (n, r) with ``L L' = (s Z)(s Z)' / l2``: features of problems with ``alpha = 0``, in
    units in which ``l2 = 1``. In the gradient, (n m, r) with ``L L' = s Z M Z's``.
``S``
    (n, q), ``s Z``; in the Newton system of the primal solver, with a column ``s`` for
    intercepts.
``G``, ``U``
    Cotangent of ``W``, and ``M (G - Z' diag(s) a)``, where ``a`` solves the adjoint
    system; in the gradient only (`sparsedis.implicit._svm_adjoint`).
"""
