"""Convex inner problems as differentiable torch layers.

Each layer solves a batch of small problems exactly and differentiates the solutions
implicitly: the backward pass is one linear system per task on the support. The user
guide lists the transforms of ``torch.func`` that work, and the second derivatives.
"""

from sparsedis.implicit._glm import glm, glm_alpha_max
from sparsedis.implicit._group_lasso_svm import (
    group_lasso_svm,
    group_lasso_svm_alpha_max,
)
from sparsedis.implicit._group_lasso_svm import (
    group_lasso_svm_l1_max as group_lasso_svm_l1_max,
)
from sparsedis.implicit._lasso import lasso, lasso_alpha_max
from sparsedis.implicit._logistic import logistic, logistic_alpha_max
from sparsedis.implicit._multitask_lasso import (
    multitask_lasso,
    multitask_lasso_alpha_max,
)
from sparsedis.implicit._ridge import ridge, ridge_alpha_max

__all__ = [
    "glm",
    "glm_alpha_max",
    "group_lasso_svm",
    "group_lasso_svm_alpha_max",
    "lasso",
    "lasso_alpha_max",
    "logistic",
    "logistic_alpha_max",
    "multitask_lasso",
    "multitask_lasso_alpha_max",
    "ridge",
    "ridge_alpha_max",
]
