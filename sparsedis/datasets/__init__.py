"""Data sets: 3D Shapes and their factors, tasks with sparse heads, few-shot images."""

from ._coefficients import make_supports, make_task_coefficients, make_task_targets
from ._factors import FactorDistribution
from ._fetch import fetch_shapes3d
from ._image_folder import load_image_folder
from ._mini_imagenet import load_mini_imagenet
from ._omniglot import load_omniglot
from ._shapes3d import Shapes3D
from ._shapes3d_file import Shapes3DFile
from ._split_classes import split_classes
from ._stream import SparseTaskStream
from ._synthetic import SparseTaskModel, make_sparse_tasks

__all__ = [
    "FactorDistribution",
    "Shapes3D",
    "Shapes3DFile",
    "SparseTaskModel",
    "SparseTaskStream",
    "fetch_shapes3d",
    "load_image_folder",
    "load_mini_imagenet",
    "load_omniglot",
    "make_sparse_tasks",
    "make_supports",
    "make_task_coefficients",
    "make_task_targets",
    "split_classes",
]
