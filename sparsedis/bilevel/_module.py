"""Estimators with a torch module: fit, device, features and files."""

from __future__ import annotations

import copy
import math
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch.nn.parameter import is_lazy

from sparsedis._deprecated import parameter
from sparsedis._fitted import drop_learned, whole_or_not
from sparsedis._persistence import load_fitted, save_fitted
from sparsedis.distributed import processes
from sparsedis.encoders import (
    Representation,
    build_encoder,
    input_shape_of,
    n_features_of,
)
from sparsedis.implicit._modes import plain_mode
from sparsedis.inputs._arrays import is_8bit_image
from sparsedis.inputs._devices import read_device

if TYPE_CHECKING:
    from typing import IO, Self

    from sparsedis._typing import Method, PathLike

# Maximal size of the inputs to encode at a time: computations on images need many times
# the memory of the images.
_NUMBERS = 2**21


def _begin(estimator):
    """Drop the fitted attributes, except those that a warm start continues from."""
    fitted, kept = vars(estimator), {}
    if fitted.get("warm_start") and "module_" in fitted:
        _check_shape(estimator, fitted.get("_shaped", {}))
        of_module = "module_", "_noisy", "_skips"
        inputs = "n_features_in_", "feature_names_in_", "input_shape_"
        kept = {k: fitted[k] for k in (*of_module, *inputs) if k in fitted}
    saved = estimator._saved
    drop_learned(estimator, *saved.plain, *saved.names)
    fitted.update(kept)


def _has_trained(estimator, before):
    """Whether the module was trained, if only for some steps."""
    module = vars(estimator).get("module_")
    if module is not None and module is not before.get("module_"):
        return True
    # Others may wait for the first step.
    processes().fail()
    return False


# Editors infer the type of what a function decorates, but not through a partial.
def whole_unless_trained(fit: Method) -> Method:
    """Decorate `fit` so that it keeps the weights so far if training fails.

    It trains with gradients and in the precision of the estimator, also within
    ``torch.inference_mode`` or ``torch.autocast``.
    """
    return whole_or_not(plain_mode()(fit), begin=_begin, stands=_has_trained)


def _check_shape(estimator, shaped):
    """Refuse parameters that differ from those of the weights to continue from."""
    for name, value in shaped.items():
        asked = getattr(estimator, name)
        # A module is equal only to itself.
        if asked is not value and asked != value:
            was, now = (shorten(repr(v), 60, placeholder="...") for v in (value, asked))
            raise ValueError(
                f"warm_start=True continues from weights of a fit with {name}={was}, "
                f"got {'another' if was == now else f'{name}={now}'}: set "
                "warm_start=False to start again."
            )


class ModuleMixin:
    """Estimator whose `module_` maps inputs to features.

    It has a parameter `device`, and for files `_saved` and `_new_modules`, see
    :mod:`sparsedis._persistence`.
    """

    def save_params(self, path: PathLike | IO[bytes]) -> None:
        """Save the fitted parameters, as numbers and text without any code.

        The new file replaces an existing one only when it is complete: a save that
        fails, or is interrupted, leaves the earlier file unchanged.

        Parameters
        ----------
        path : str, path-like or file object
            Path of a safetensors file, or a file object open for writing in binary
            mode. An existing file is overwritten, and keeps its permissions.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            When names of tasks or classes are neither numbers nor text, the encoder
            has state other than tensors, or a file is open in text mode.
        OSError
            When the file cannot be written.

        See Also
        --------
        load_params : Load the file.
        """
        check_is_fitted(self, "module_")
        save_fitted(self, path)

    def load_params(self, path: PathLike | IO[bytes]) -> Self:
        """Load a file of `save_params`, on any device, without running any code.

        Parameters
        ----------
        path : str, path-like or file object
            Path of the file, or a file object open for reading in binary mode, which
            is read to its end. The estimator must have the `encoder` of the saved
            estimator, and the same values of the other parameters that affect the
            meaning of the weights and the fit of new heads. If some differ, an error
            names them.

        Returns
        -------
        self : object
            The fitted estimator. It does not depend on later changes to the file.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When the file is damaged, was changed, has the format of another version,
            or does not match the parameters of the estimator. The estimator does not
            change in this case.
        """
        load_fitted(self, path)
        return self

    def _note_shape(self):
        """Record the parameters of the weights: `set_params` may change them later."""
        names = (*self._saved.shaping, "encoder")
        self._shaped = {name: parameter(self, name) for name in names}

    def _restore(self, fitted):
        # First the step that can fail: the device may not exist.
        fitted["module_"].to(self._device())
        saved = self._saved
        kept = (*saved.arrays, *saved.plain, *saved.names, *dict(saved.records))
        for name in kept:
            vars(self).pop(name, None)
        vars(self).update(fitted)
        self._note_shape()

    def _device(self):
        return read_device(self.device)

    def __getstate__(self):
        state = super().__getstate__()
        if "module_" in state:
            # A model trained on another device must load without it.
            state["module_"] = copy.deepcopy(state["module_"]).cpu()
        return state


def new_representation(encoder, input_shape, n_components, normalization):
    """Create the module to train.

    Parameters
    ----------
    encoder : str, torch module, or callable
        See :func:`~sparsedis.encoders.build_encoder`.

    input_shape : tuple of int
        Shape of one input, as the encoder receives it.

    n_components : int or None
        Number of features; None: as many as the encoder has.

    normalization : {"batch", "layer", None}

    Returns
    -------
    Representation
    """
    encoder = build_encoder(encoder, input_shape, n_components)
    if n_components is None:
        n_components = n_features_of(encoder, input_shape)
    # Inputs are float32, regardless of torch's default dtype or that of a module.
    module = Representation(encoder, n_components, normalization).to_float32()
    if len(input_shape) == 3:
        # Twice as fast on a CPU, without a copy: images are stored in this layout.
        module = module.to(memory_format=torch.channels_last)
    return module


def check_inputs_fit(encoder, input_shape):
    """Refuse an encoder that fails on inputs of this shape, before any training.

    Parameters
    ----------
    encoder : torch.nn.Module

    input_shape : tuple of int
        Shape of one input of the estimator.

    Raises
    ------
    ValueError
        When it fails.
    """
    # The first inputs give lazy weights their shapes.
    if not any(map(is_lazy, encoder.parameters())):
        n_features_of(encoder, input_shape_of(np.empty((0, *input_shape))))


def device_blocks(blocks, device, *, wide=False):
    """Move blocks of inputs to a device, large images in smaller blocks.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (n, ...)

    device : torch.device

    wide : bool, default=False
        See :func:`to_device`.

    Yields
    ------
    tensor of shape (n_rows, ...)
    """
    for block in blocks:
        size = len(block)
        if block.ndim == 4:
            size = max(1, _NUMBERS // math.prod(block.shape[1:]))
        for first in range(0, len(block), size):
            yield to_device(block[first : first + size], device, wide=wide)


def encode_blocks(module, blocks, device, *, wide):
    """Encode inputs block by block.

    Parameters
    ----------
    module : Representation
        The module, which is moved to the device.

    blocks : iterable of ndarray of shape (n, ...)

    device : torch.device

    wide : bool
        Whether to compute in float64. In float32 the last digits of the features of a
        row depend on the other rows of its block.

    Yields
    ------
    tensor of shape (n, k)
        On the device.
    """
    module = module.to(device)
    if wide:
        module = copy.deepcopy(module).double()
    for rows in device_blocks(blocks, device, wide=wide):
        with plain_mode([device.type]):
            codes = module(rows)
        yield codes


def stacked(blocks, n, dtype=None):
    """Stack blocks of rows, with memory for one copy of them.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (n_block, ...)

    n : int
        Number of rows of all blocks.

    dtype : dtype, default=None
        Dtype of the rows. None: that of the blocks.

    Returns
    -------
    ndarray of shape (n, ...)
    """
    rows, first = None, 0
    for block in blocks:
        if rows is None:
            rows = np.empty((n, *block.shape[1:]), dtype or block.dtype)
        rows[first : first + len(block)] = block
        first += len(block)
    return rows


def to_device(rows, device, *, wide=False):
    """Move inputs to a device.

    Parameters
    ----------
    rows : ndarray of shape (n, ...)

    device : torch.device or str

    wide : bool, default=False
        Whether to use float64 instead of float32; 8-bit images keep their dtype.

    Returns
    -------
    tensor of shape (n, ...)
    """
    # torch supports neither all of numpy's dtypes and strides nor read-only arrays.
    dtype = np.float64 if wide else np.float32
    if is_8bit_image(rows):
        dtype = np.uint8
    rows = np.require(rows, dtype, ["C_CONTIGUOUS", "WRITEABLE"])
    return torch.as_tensor(rows, device=device)
