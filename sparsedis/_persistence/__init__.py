"""Files of fitted estimators: numbers and text, without any code."""

from sparsedis._persistence._fitted_files import Saved, load_fitted, save_fitted

__all__ = ["Saved", "load_fitted", "save_fitted"]
