"""Displays of trained models, in the style of scikit-learn, and reports on them."""

from sparsedis.inspection._alpha_path import AlphaPathDisplay
from sparsedis.inspection._coef_path import CoefPathDisplay
from sparsedis.inspection._correlation_matrix import CorrelationMatrixDisplay
from sparsedis.inspection._disentanglement import DisentanglementDisplay
from sparsedis.inspection._factor_trust import FactorTrustDisplay
from sparsedis.inspection._feature_usage import FeatureUsageDisplay
from sparsedis.inspection._input_effect import InputEffectDisplay
from sparsedis.inspection._input_gradients import input_gradients
from sparsedis.inspection._input_importance import input_importance
from sparsedis.inspection._latent_traversal import LatentTraversalDisplay
from sparsedis.inspection._model_report import ModelReport
from sparsedis.inspection._task_support import TaskSupportDisplay
from sparsedis.inspection._training_curve import TrainingCurveDisplay

__all__ = [
    "AlphaPathDisplay",
    "CoefPathDisplay",
    "CorrelationMatrixDisplay",
    "DisentanglementDisplay",
    "FactorTrustDisplay",
    "FeatureUsageDisplay",
    "InputEffectDisplay",
    "LatentTraversalDisplay",
    "ModelReport",
    "TaskSupportDisplay",
    "TrainingCurveDisplay",
    "input_gradients",
    "input_importance",
]
