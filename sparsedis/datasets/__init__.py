"""Data: rendered 3D Shapes, distributions of factors, tasks with sparse heads."""

from ._factors import FactorDistribution
from ._shapes3d import Shapes3D

__all__ = ["FactorDistribution", "Shapes3D"]
