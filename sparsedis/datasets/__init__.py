"""Data: rendered 3D Shapes, distributions of factors, tasks with sparse heads."""

from ._coefficients import make_supports, make_task_coefficients, make_task_targets
from ._factors import FactorDistribution
from ._fetch import fetch_shapes3d
from ._shapes3d import Shapes3D
from ._shapes3d_file import Shapes3DFile
from ._stream import SparseTaskStream
from ._synthetic import SparseTaskModel, make_sparse_tasks

__all__ = [
    "FactorDistribution",
    "Shapes3D",
    "Shapes3DFile",
    "SparseTaskModel",
    "SparseTaskStream",
    "fetch_shapes3d",
    "make_sparse_tasks",
    "make_supports",
    "make_task_coefficients",
    "make_task_targets",
]
