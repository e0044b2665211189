"""Few-shot classification: a representation meta-learned for heads on few samples."""

from sparsedis.meta_learning._classifier import FewShotClassifier
from sparsedis.meta_learning._evaluation import FewShotEvaluation
from sparsedis.meta_learning._learner import GroupLassoSVMMetaLearner

__all__ = ["FewShotClassifier", "FewShotEvaluation", "GroupLassoSVMMetaLearner"]
