"""Encoders: torch modules from inputs to features.

An encoder is built from ``(input_shape, n_components)``, where ``input_shape`` is the
shape of one input as its module receives it: ``(n_features,)``, or
``(channels, height, width)`` for images. With ``n_components=None`` the architecture
decides how many features there are: no linear layer is appended. Estimators append the
normalisation.
"""

# Names that are not in `__all__` are private: only the estimators use them.
from ._build import build_encoder as build_encoder
from ._build import n_features_of as n_features_of
from ._few_shot import Conv4, ResNet12
from ._plain import MLP, ConvEncoder
from ._representation import Representation as Representation
from ._representation import RotatedRepresentation as RotatedRepresentation
from ._representation import input_shape_of as input_shape_of
from ._representation import prepare_rows as prepare_rows

__all__ = ["MLP", "Conv4", "ConvEncoder", "ResNet12"]
