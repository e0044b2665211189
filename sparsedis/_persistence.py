"""Fitted estimators as files that hold numbers and text, and no code."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

# Raised when files of an older layout can no longer be read.
_FORMAT = "1"

_ARRAYS = ("coef_", "intercept_", "alpha_", "support_", "feature_usage_")
_PLAIN = ("n_features_in_", "n_iter_", "learned_alpha_", "_layout")
_NAMES = ("feature_names_in_", "tasks_", "_classes")
# What must be the same in the estimator that loads.
_SHAPING = ("n_components", "normalization")


def save_fitted(estimator, path):
    """Write what an estimator has learned to a safetensors file.

    Parameters
    ----------
    estimator : BaseRepresentation
        Fitted.

    path : str or Path

    Raises
    ------
    ValueError
        When names of tasks or classes are neither numbers nor text.
    """
    fitted = vars(estimator)
    tensors = {
        f"module.{name}": tensor.cpu().contiguous()
        for name, tensor in fitted["module_"].state_dict().items()
    }
    arrays = {name: fitted[name] for name in _ARRAYS if name in fitted}
    arrays |= {f"history_.{name}": a for name, a in fitted["history_"].items()}
    for name, array in arrays.items():
        tensors[f"fitted.{name}"] = torch.from_numpy(np.ascontiguousarray(array))
    state = {name: fitted[name] for name in _PLAIN if name in fitted}
    state |= {name: fitted[name] for name in _SHAPING}
    state["input_shape_"] = list(fitted["input_shape_"])
    for name in _NAMES:
        if name in fitted:
            state[name] = _names_to_json(fitted[name], name)
    metadata = {
        "format": f"sparsedis {_FORMAT}",
        "estimator": type(estimator).__name__,
        "state": json.dumps(state),
    }
    metadata["sha256"] = _digest(metadata, tensors)
    save_file(tensors, str(path), metadata)


def load_fitted(estimator, path):
    """Read what an estimator has learned; nothing in the file is run.

    Parameters
    ----------
    estimator : BaseRepresentation
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
    state = json.loads(metadata["state"])
    for parameter in _SHAPING:
        if getattr(estimator, parameter) != state.pop(parameter):
            saved = json.loads(metadata["state"])[parameter]
            raise ValueError(
                f"{path} was saved with {parameter}={saved!r}; the estimator has "
                f"{parameter}={getattr(estimator, parameter)!r}."
            )
    fitted = {"input_shape_": tuple(state.pop("input_shape_"))}
    for key in _NAMES:
        if key in state:
            fitted[key] = _names_from_json(state.pop(key))
    fitted |= state
    module = estimator._new_module(fitted["input_shape_"])
    weights = _part(tensors, "module.")
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"encoder={estimator.encoder!r} does not have the weights of {path}: "
            f"{error}"
        ) from None
    arrays = {key: t.numpy() for key, t in _part(tensors, "fitted.").items()}
    fitted["history_"] = {
        key.removeprefix("history_."): arrays.pop(key)
        for key in list(arrays)
        if key.startswith("history_.")
    }
    fitted |= arrays
    if "_classes" in fitted:
        single = fitted.get("_layout") == "single"
        fitted["classes_"] = fitted["_classes"][0] if single else fitted["_classes"]
    estimator._forget()
    vars(estimator).pop("feature_names_in_", None)
    vars(estimator).update(fitted)
    estimator.module_ = module.to(estimator._device()).eval()


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


def _names_to_json(names, what):
    if isinstance(names, list):
        return [_names_to_json(part, what) for part in names]
    values = names.tolist()
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
