"""Sparse multi-task representation learning and disentanglement with scikit-learn."""

from importlib import import_module

__version__ = "0.1.0.dev0"

# Modules of the public names. They are imported at the first access, so that `import
# sparsedis.metrics` loads neither torch nor skorch.
_HOMES = {
    "DisentanglementScorer": "sparsedis.metrics",
    "GroupLassoSVMMetaLearner": "sparsedis.meta_learning",
    "SparseMultiTaskClassifier": "sparsedis.multitask",
    "SparseMultiTaskEnsemble": "sparsedis.ensemble",
    "SparseMultiTaskMixed": "sparsedis.multitask",
    "SparseMultiTaskRepresentation": "sparsedis.multitask",
    "show_versions": "sparsedis._show_versions",
}

__all__ = [
    "DisentanglementScorer",
    "GroupLassoSVMMetaLearner",
    "SparseMultiTaskClassifier",
    "SparseMultiTaskEnsemble",
    "SparseMultiTaskMixed",
    "SparseMultiTaskRepresentation",
    "show_versions",
]


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_HOMES])
