"""Selection of parameters without ground-truth factors."""

from sparsedis.model_selection._udr_search import UDRSearch

__all__ = ["UDRSearch"]
