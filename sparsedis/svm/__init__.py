"""The group Lasso multiclass SVM as plain scikit-learn classifiers."""

from sparsedis.svm._svc import GroupLassoSVC
from sparsedis.svm._svc_cv import GroupLassoSVCCV

__all__ = ["GroupLassoSVC", "GroupLassoSVCCV"]
