# The names that __init__.py imports at the first access, for editors to complete.

from ._show_versions import show_versions as show_versions
from .ensemble import SparseMultiTaskEnsemble as SparseMultiTaskEnsemble
from .meta_learning import GroupLassoSVMMetaLearner as GroupLassoSVMMetaLearner
from .metrics import DisentanglementScorer as DisentanglementScorer
from .multitask import SparseMultiTaskClassifier as SparseMultiTaskClassifier
from .multitask import SparseMultiTaskMixed as SparseMultiTaskMixed
from .multitask import SparseMultiTaskRepresentation as SparseMultiTaskRepresentation

__version__: str
