"""Saving of fitted estimators in files of numbers and text, without code."""

import json
import warnings
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch.nn.parameter import is_lazy

from sparsedis._deprecated import parameter
from sparsedis._persistence._file_io import read_file, write_file
from sparsedis._persistence._saved_records import join_records, split_records
from sparsedis._persistence._saved_state import (
    Malformed,
    check_fitted,
    check_keys,
    check_plain,
    names_from_json,
    names_to_json,
    plain_value,
    read_json,
)
from sparsedis._randomness import TorchRandomness

# Increased when files of an older layout can no longer be read.
_FORMAT = "1"

# Bytes by which the weights of a custom module may exceed those of the file. Larger
# modules are not created in memory.
_SLACK = 2**20

# Dtypes of arrays, which safetensors and numpy support, and dtypes of weights, which
# safetensors and torch support.
_ARRAY_DTYPES = (
    torch.bool,
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    *(torch.float16, torch.float32, torch.float64),
)
_WEIGHT_DTYPES = (
    *_ARRAY_DTYPES,
    torch.bfloat16,
    *(torch.float8_e4m3fn, torch.float8_e4m3fnuz),
    *(torch.float8_e5m2, torch.float8_e5m2fnuz),
    torch.complex64,
)


class Saved(NamedTuple):
    """Attributes that a file stores in addition to the weights of the modules.

    The estimator has two methods that take the fitted attributes as a dict:
    `_new_modules` returns the modules to load the weights into, by attribute, and
    `_restore` replaces all earlier attributes.

    Parameters
    ----------
    modules : tuple of str
        Fitted modules; the first one has a number of features, ``n_components``.

    arrays, plain, names, tables : tuple of str
        Fitted attributes: arrays of numbers; values that JSON can represent; arrays of
        names, or lists of these; dicts of arrays.

    shaping : tuple of str
        Parameters that must be the same in the estimator that loads, since the meaning
        of the weights depends on them.

    adapting : tuple of str
        Parameters that must be the same, if the estimator has them, since new heads
        depend on them.

    required : tuple of str
        Fitted attributes that every file must contain.

    records : tuple of (str, type)
        Fitted attributes that are dataclasses of arrays (``np.ndarray`` by their
        annotation), numbers, text and dicts, with their types.
    """

    modules: tuple
    arrays: tuple
    plain: tuple
    names: tuple
    tables: tuple
    shaping: tuple
    adapting: tuple = (
        "selection",
        "head",
        "alpha",
        "penalty",
        "alpha_mode",
        "l2",
        "penalty_at",
        "refit",
        "fit_intercept",
        "normalize_y",
    )
    required: tuple = ("n_features_in_",)
    records: tuple = ()


def save_fitted(estimator, file):
    """Write a fitted estimator to a safetensors file.

    Parameters
    ----------
    estimator : ModuleMixin
        Fitted estimator.

    file : str, path-like or file object
        See :func:`~sparsedis._persistence._file_io.write_file`.

    Raises
    ------
    ValueError
        When names of tasks or classes are neither numbers nor text, or a module has
        state other than plain tensors.
    """
    fitted, saved = vars(estimator), estimator._saved
    tensors = {
        f"{_prefix(name)}{key}": _plain_tensor(tensor, key)
        for name in saved.modules
        for key, tensor in fitted[name].state_dict().items()
    }
    arrays = {name: fitted[name] for name in saved.arrays if name in fitted}
    for table in saved.tables:
        # A failed fit leaves only weights.
        columns = fitted.get(table, {})
        arrays |= {f"{table}.{name}": a for name, a in columns.items()}
    parts, state = split_records(fitted, saved.records)
    for name, array in (arrays | parts).items():
        tensors[f"fitted.{name}"] = torch.from_numpy(np.array(array, order="C"))
    state |= {name: fitted[name] for name in saved.plain if name in fitted}
    # Parameters that were changed after the fit do not describe the weights.
    parameters = fitted | fitted.get("_shaped", {})
    state |= {name: plain_value(parameters[name]) for name in _parameters(estimator)}
    state["input_shape_"] = list(fitted["input_shape_"])
    for name in saved.names:
        if name in fitted:
            state[name] = names_to_json(fitted[name], name)
    metadata = {
        "format": f"sparsedis {_FORMAT}",
        "estimator": type(estimator).__name__,
        "state": json.dumps(state, default=plain_value),
    }
    metadata["sha256"] = _digest(metadata, tensors)
    write_file(file, _to_bytes(tensors, metadata))


def load_fitted(estimator, file):
    """Read a fitted estimator without running any code in the file.

    Parameters
    ----------
    estimator : ModuleMixin
        Must have the parameters of the saved estimator.

    file : str, path-like or file object
        See :func:`~sparsedis._persistence._file_io.read_file`.

    Raises
    ------
    ValueError
        When the file was not written by `save_fitted`, or by another version of it, is
        damaged or was changed, has another format or estimator, or does not match the
        parameters.
    """
    content, where = read_file(file)
    metadata, tensors = _parse(content, where)
    try:
        fitted = _read_fitted(estimator, metadata, tensors, where)
        modules = _load_modules(estimator, fitted, tensors, where)
        check_fitted(
            fitted,
            estimator._saved.tables,
            modules[estimator._saved.modules[0]].n_components,
            getattr(estimator, "_likelihood", None) == "categorical",
        )
    except Malformed as error:
        # The digest of the file is right.
        raise ValueError(
            f"{where} was written by another version of sparsedis, or was changed: "
            f"{error}."
        ) from None
    estimator._restore(fitted | modules)


def _read_fitted(estimator, metadata, tensors, where):
    """Fitted attributes except modules, from a file."""
    saved = estimator._saved
    check_keys(metadata, ("format", "estimator", "state"), ("estimator", "state"))
    name = type(estimator).__name__
    if metadata["estimator"] != name:
        raise ValueError(
            f"{where} holds a {metadata['estimator']}; it cannot be loaded into a "
            f"{name}."
        )
    fitted = read_json(metadata["state"])
    parameters = _parameters(estimator)
    check_keys(
        fitted,
        ("input_shape_", *saved.plain, *saved.names, *dict(saved.records), *parameters),
        ("input_shape_", *saved.required, *parameters),
    )
    _compare_parameters({key: fitted.pop(key) for key in parameters}, estimator, where)
    check_plain(fitted)
    fitted["input_shape_"] = tuple(fitted["input_shape_"])
    names_from_json(fitted, saved.names)
    known = ("fitted.", *map(_prefix, saved.modules))
    check_keys([key for key in tensors if not key.startswith(known)], ())
    arrays = _part(tensors, "fitted.")
    for key, tensor in arrays.items():
        if tensor.dtype not in _ARRAY_DTYPES:
            raise Malformed(f"{key:.80} has dtype {tensor.dtype}")
    arrays = {key: tensor.numpy() for key, tensor in arrays.items()}
    records = join_records(arrays, fitted, saved.records)
    tables = {table: _part(arrays, f"{table}.") for table in saved.tables}
    columns = [f"{table}.{key}" for table in tables for key in tables[table]]
    check_keys(arrays, (*saved.arrays, *columns))
    arrays = {key: arrays[key] for key in arrays if key in saved.arrays}
    return fitted | tables | records | arrays


def _parameters(estimator):
    """Names of the parameters that files contain."""
    adapting = [name for name in estimator._saved.adapting if hasattr(estimator, name)]
    return (*estimator._saved.shaping, *adapting)


def _compare_parameters(found, estimator, where):
    own = {key: plain_value(parameter(estimator, key)) for key in found}
    other = {key: value for key, value in found.items() if value != own[key]}
    if not other:
        return
    theirs, mine = (
        ", ".join(f"{key}={values[key]!r:.200}" for key in other)
        for values in (found, own)
    )
    raise ValueError(
        f"{where} was saved with {theirs}; the estimator has {mine}. The weights "
        "or adapt depend on these parameters: call "
        f"set_params({theirs}), then load again."
    )


def _load_modules(estimator, fitted, tensors, where):
    """Create modules with the weights of a file, in memory limited by its size."""
    built_in, modules = isinstance(estimator.encoder, str), None

    def build():
        try:
            return estimator._new_modules(fitted)
        except Exception as error:
            raise ValueError(
                f"{where} cannot be loaded: encoder={estimator.encoder!r} cannot be "
                f"built for its inputs, of shape {fitted['input_shape_']}: {error}"
            ) from error

    # First create them on the meta device, without memory and warnings. The initial
    # weights are not used, so torch's generator must not change.
    with TorchRandomness(0, torch.device("cpu")).lent():
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            try:
                modules = build()
                _fill(modules, estimator, tensors, where)
            except ValueError:
                # Custom encoders may need memory to be created or loaded.
                if built_in or _n_bytes(modules) > _n_bytes_of(tensors) + _SLACK:
                    raise
        if built_in and all(map(_is_state, modules.values())):
            modules = {key: m.to_empty(device="cpu") for key, m in modules.items()}
        else:
            modules = build()
    _fill(modules, estimator, tensors, where)
    return {name: module.eval() for name, module in modules.items()}


def _n_bytes(modules):
    """Bytes of the weights of modules; 0 if they have none yet."""
    return sum(_n_bytes_of(module.state_dict()) for module in (modules or {}).values())


def _n_bytes_of(tensors):
    return sum(
        tensor.nbytes
        for tensor in tensors.values()
        if isinstance(tensor, torch.Tensor) and not is_lazy(tensor)
    )


def _is_state(module):
    """Whether `state_dict` has all parameters and buffers of a module."""
    parts = [*module.named_parameters(), *module.named_buffers()]
    return {name for name, _ in parts} <= module.state_dict().keys()


def _fill(modules, estimator, tensors, where):
    for name, module in modules.items():
        weights, own = _part(tensors, _prefix(name)), module.state_dict()
        for key in weights.keys() & own.keys():
            dtype = getattr(own[key], "dtype", None)
            if dtype != weights[key].dtype:
                raise Malformed(f"{key} has dtype {weights[key].dtype}, not {dtype}")
        try:
            module.load_state_dict(weights)
        except Exception as error:
            raise ValueError(
                f"encoder={estimator.encoder!r} does not have the weights of {where}: "
                f"{error}"
            ) from None


def _prefix(name):
    return f"{name.removesuffix('_')}."


def _plain_tensor(tensor, key):
    """Copy a tensor, since the format does not support weights that share memory."""
    if (
        not isinstance(tensor, torch.Tensor)
        or tensor.layout is not torch.strided
        or tensor.dtype not in _WEIGHT_DTYPES
    ):
        kind = getattr(tensor, "dtype", type(tensor).__name__)
        raise ValueError(
            f"The module has state {key}, of {kind}, but only dense tensors of numbers "
            "of up to 64 bits can be saved: use pickle."
        )
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _to_bytes(tensors, metadata):
    """Make the bytes reproducible, since safetensors shuffles the metadata."""
    content = save(tensors, metadata)
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end]) | {"__metadata__": metadata}
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # so that the numbers are aligned
    return b"".join([len(header).to_bytes(8, "little"), header, content[end:]])


def _parse(content, where):
    """Text and tensors of a file; the tensors own their memory."""
    try:
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = read_json(content[8 : 8 + size]).get("__metadata__") or {}
    except SafetensorError as error:
        raise ValueError(
            f"{where} is not a safetensors file, or is damaged: {error}"
        ) from None
    except Exception as error:  # errors that safetensors does not detect
        raise ValueError(
            f"{where} is not a safetensors file, or is damaged: {type(error).__name__} "
            f"{error}"
        ) from error
    found = metadata.get("format", "nothing")
    if not found.startswith("sparsedis "):
        raise ValueError(f"{where} was not written by save_params.")
    if found != f"sparsedis {_FORMAT}":
        raise ValueError(
            f"{where} has format {found.removeprefix('sparsedis '):.80}, and this "
            f"version of sparsedis reads {_FORMAT}: load it with the version that "
            "wrote it."
        )
    digest = metadata.pop("sha256", None)
    if digest != _digest(metadata, tensors):
        raise ValueError(f"{where} was changed after it was written, or is damaged.")
    return metadata, tensors


def _digest(metadata, tensors):
    digest = sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            # Numpy does not have all of torch's dtypes.
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _part(tensors, prefix):
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
