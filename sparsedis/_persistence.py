"""Fitted estimators as files that hold numbers and text, and no code."""

import json
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

# Raised when files of an older layout can no longer be read.
_FORMAT = "1"


class Saved(NamedTuple):
    """What a file holds of an estimator, beside the weights of its modules.

    The estimator has two methods that take the fitted attributes as a dict:
    `_new_modules` returns the modules to load the weights into, by attribute, and
    `_restore` sets the attributes in place of all the earlier ones.

    Parameters
    ----------
    modules : tuple of str
        Fitted modules.

    arrays, plain, names, tables : tuple of str
        Fitted attributes: arrays of numbers; what JSON can hold; arrays of names, or
        lists of these; dicts of arrays.

    shaping : tuple of str
        Parameters that must be the same in the estimator that loads.
    """

    modules: tuple
    arrays: tuple
    plain: tuple
    names: tuple
    tables: tuple
    shaping: tuple


def save_fitted(estimator, path):
    """Write what an estimator has learned to a safetensors file.

    Parameters
    ----------
    estimator : ModuleMixin
        Fitted.

    path : str or Path

    Raises
    ------
    ValueError
        When names of tasks or classes are neither numbers nor text.
    """
    fitted, saved = vars(estimator), estimator._saved
    # Copies: the format has no place for tied weights, which share their memory.
    tensors = {
        f"{_prefix(name)}{key}": tensor.cpu().clone(
            memory_format=torch.contiguous_format
        )
        for name in saved.modules
        for key, tensor in fitted[name].state_dict().items()
    }
    arrays = {name: fitted[name] for name in saved.arrays if name in fitted}
    for table in saved.tables:
        # A fit that failed has left weights alone.
        columns = fitted.get(table, {})
        arrays |= {f"{table}.{name}": a for name, a in columns.items()}
    for name, array in arrays.items():
        tensors[f"fitted.{name}"] = torch.from_numpy(np.array(array, order="C"))
    state = {name: fitted[name] for name in saved.plain if name in fitted}
    state |= {name: fitted[name] for name in saved.shaping}
    state["input_shape_"] = list(fitted["input_shape_"])
    for name in saved.names:
        if name in fitted:
            state[name] = _names_to_json(fitted[name], name)
    metadata = {
        "format": f"sparsedis {_FORMAT}",
        "estimator": type(estimator).__name__,
        "state": json.dumps(state, default=_plain),
    }
    metadata["sha256"] = _digest(metadata, tensors)
    save_file(tensors, str(path), metadata)


def load_fitted(estimator, path):
    """Read what an estimator has learned; nothing in the file is run.

    Parameters
    ----------
    estimator : ModuleMixin
        With the parameters of the estimator that was saved.

    path : str or Path

    Raises
    ------
    ValueError
        When the file is not one of these, is damaged or was changed, is of another
        format or estimator, or does not fit the parameters.
    """
    metadata, tensors = _read(path)
    name = type(estimator).__name__
    if metadata["estimator"] != name:
        raise ValueError(
            f"{path} holds a {metadata['estimator']}; it cannot be loaded into a "
            f"{name}."
        )
    saved, fitted = estimator._saved, json.loads(metadata["state"])
    for parameter in saved.shaping:
        value, own = fitted.pop(parameter), getattr(estimator, parameter)
        if own != value:
            raise ValueError(
                f"{path} was saved with {parameter}={value!r}; the estimator has "
                f"{parameter}={own!r}."
            )
    fitted["input_shape_"] = tuple(fitted["input_shape_"])
    for key in saved.names:
        if key in fitted:
            fitted[key] = _names_from_json(fitted[key])
    arrays = {key: t.numpy() for key, t in _part(tensors, "fitted.").items()}
    fitted |= {table: _part(arrays, f"{table}.") for table in saved.tables}
    fitted |= {key: array for key, array in arrays.items() if key in saved.arrays}
    modules = _load_modules(estimator, fitted, tensors, path)
    estimator._restore(fitted | modules)


def _load_modules(estimator, fitted, tensors, path):
    # The first weights, which are drawn in vain, leave the generator as it was.
    with torch.random.fork_rng([]):
        modules = estimator._new_modules(fitted)
    for name, module in modules.items():
        try:
            module.load_state_dict(_part(tensors, _prefix(name)))
        except RuntimeError as error:
            raise ValueError(
                f"encoder={estimator.encoder!r} does not have the weights of {path}: "
                f"{error}"
            ) from None
        module.eval()
    return modules


def _prefix(name):
    return f"{name.removesuffix('_')}."


def _read(path):
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file, or damaged: {error}"
        ) from None
    found = metadata.get("format", "nothing")
    if not found.startswith("sparsedis "):
        raise ValueError(f"{path} was not written by save_params.")
    if found != f"sparsedis {_FORMAT}":
        raise ValueError(
            f"{path} has format {found.removeprefix('sparsedis ')}, and this version "
            f"of sparsedis reads {_FORMAT}: load it with the version that wrote it."
        )
    digest = metadata.pop("sha256", None)
    if digest != _digest(metadata, tensors):
        raise ValueError(f"{path} was changed after it was written, or is damaged.")
    return metadata, tensors


def _digest(metadata, tensors):
    digest = sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _part(tensors, prefix):
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _plain(value):
    """Numpy's scalars, which grids of parameters are made of, as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r}, of type {type(value).__name__}, cannot be saved.")


def _names_to_json(names, what):
    if isinstance(names, list):
        return [_names_to_json(part, what) for part in names]
    # Arrays of objects hold what they were given.
    values = [
        _plain(value) if isinstance(value, np.generic) else value
        for value in names.tolist()
    ]
    for value in values:
        if not (value is None or isinstance(value, str | int | float | bool)):
            raise ValueError(
                f"{what.strip('_')} hold {value!r}, of type {type(value).__name__}; "
                "only numbers and text can be saved: rename them, or use pickle."
            )
    return {"dtype": names.dtype.str, "values": values}


def _names_from_json(saved):
    if isinstance(saved, list):
        return [_names_from_json(part) for part in saved]
    return np.array(saved["values"], dtype=np.dtype(saved["dtype"]))
