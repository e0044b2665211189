"""Data: rendered 3D Shapes, distributions of factors, tasks with sparse heads."""

from ._shapes3d import Shapes3D

__all__ = ["Shapes3D"]
