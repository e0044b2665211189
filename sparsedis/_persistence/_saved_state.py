"""JSON text in the file of an estimator, and checks of the file's consistency."""

import json
import math
import re

import numpy as np

from sparsedis.heads import Head

# Arrays of names with more bytes than this are neither written nor read: a long name
# makes every entry of a fixed-width array as long, so a small file could allocate any
# amount of memory.
_NAMES_BYTES = 2**28
# Kinds of names: booleans, numbers, dates and times, text, and objects.
_NAME_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[mM]8\[\d*[a-zA-Z]+\]|U\d+|O)")
_NAME_VALUES = {
    "b": bool,
    "i": int,
    "u": int,
    "m": int,
    "M": int,
    "f": int | float,
    "U": str,
    "O": bool | int | float | str | None,
}


def _is_whole(value, least=0):
    return type(value) is int and least <= value < 2**63


def _is_penalty(value):
    return type(value) in (int, float) and 0 <= value < math.inf


# Checks of fitted attributes; the others may have any value in JSON.
_PLAIN = {
    "n_features_in_": lambda value: _is_whole(value, 1),
    "n_components_": lambda value: _is_whole(value, 1),
    "_n_trained": lambda value: _is_whole(value, 1),
    "_noisy": (False, True).__contains__,
    "_skips": (False, True).__contains__,
    "n_iter_": _is_whole,
    "best_iter_": _is_whole,
    "learned_alpha_": _is_penalty,
    "alpha_": _is_penalty,
    "l2_": _is_penalty,
    "_layout": ("single", "wide", "sparse", "long").__contains__,
}
_ARRAYS = {
    **{"coef_": "f", "intercept_": "f", "alpha_": "f", "support_": "b"},
    **{"stability_": "f", "spike_": "f"},
}
_AXES = {
    "coef_": (("task", "component"), ("task", "output", "component")),
    "intercept_": (("task",), ("task", "output")),
    "alpha_": (("task",),),
    "support_": (("task", "component"),),
    "feature_usage_": (("component",),),
    "stability_": (("component",),),
    "spike_": (("component",),),
    "tasks_": (("task",),),
    "classes_": (("class",),),
    "validation_classes_": (("held-out class",),),
    "feature_names_in_": (("feature",),),
}
# Groups of attributes: a file contains all attributes of a group, or none.
_HEADS = ("coef_", "intercept_", "alpha_", "support_", "tasks_", "_layout")


class Malformed(ValueError):
    """Error in a file; the message does not contain the file name."""


def read_json(text):
    """Read a dict from text.

    Parameters
    ----------
    text : str or bytes

    Returns
    -------
    dict

    Raises
    ------
    Malformed
        When the text is not JSON, or not a dict.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"its state is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise Malformed(f"its state is a {type(found).__name__}, not a dict")
    return found


def plain_value(value):
    """Convert a parameter to a value that JSON can represent.

    Parameters
    ----------
    value : object

    Returns
    -------
    object
        Python values for numpy scalars and arrays, as in grids; text for heads.
    """
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Head):
        return repr(value)
    return np.asarray(value).tolist()


def names_to_json(names, what):
    """Convert arrays of names to values that JSON can represent.

    Parameters
    ----------
    names : ndarray, or list of ndarray

    what : str
        Attribute that holds the names, for messages.

    Returns
    -------
    dict, or list of dict

    Raises
    ------
    ValueError
        When names are neither numbers nor text, or too long.
    """
    n_bytes = sum(part.nbytes for part in _parts(names) if part.dtype.kind == "U")
    if n_bytes > _NAMES_BYTES:
        raise ValueError(
            f"{what.strip('_')} take {n_bytes} bytes, and at most {_NAMES_BYTES} can "
            "be saved: shorten the longest names, or use dtype=object."
        )
    if isinstance(names, list):
        return [_array_to_json(part, what) for part in names]
    return _array_to_json(names, what)


def _parts(names):
    return names if isinstance(names, list) else [names]


def _array_to_json(names, what):
    # Arrays of objects keep their values.
    values = [
        value.item() if isinstance(value, np.generic) else value
        for value in names.tolist()
    ]
    # Text of variable length is saved with dtype object.
    dtype = "|O" if names.dtype.kind == "T" else names.dtype.str
    kinds = _NAME_VALUES["O"]
    if _NAME_DTYPE.fullmatch(dtype):
        kinds = _NAME_VALUES[names.dtype.kind if dtype != "|O" else "O"]
    for value in values:
        if not isinstance(value, kinds):
            raise ValueError(
                f"{what.strip('_')} hold {value!r}, of type {type(value).__name__}; "
                "only numbers and text can be saved: rename them, or use pickle."
            )
    if not _NAME_DTYPE.fullmatch(dtype):
        raise ValueError(
            f"{what.strip('_')} have dtype {names.dtype}, which cannot be saved: "
            "rename them, or use pickle."
        )
    return {"dtype": dtype, "values": values}


def names_from_json(state, keys):
    """Read arrays of names, in place.

    Parameters
    ----------
    state : dict
        Contents of the JSON text.

    keys : sequence of str
        Entries that are names.

    Raises
    ------
    Malformed
        When they are not arrays of names, or need too much memory.
    """
    n_bytes = 0
    for key in keys:
        if key not in state:
            continue
        saved = state[key]
        for part in _parts(saved):
            n_bytes += _check_names(part, key)
            if n_bytes > _NAMES_BYTES:
                raise Malformed(f"{key} asks for more than {_NAMES_BYTES} bytes")
        arrays = [_array_from_json(part, key) for part in _parts(saved)]
        state[key] = arrays if isinstance(saved, list) else arrays[0]


def _check_names(saved, key):
    """Bytes of an array of names."""
    if not isinstance(saved, dict) or saved.keys() != {"dtype", "values"}:
        raise Malformed(f"{key} is not an array of names")
    dtype, values = saved["dtype"], saved["values"]
    if not isinstance(dtype, str) or not _NAME_DTYPE.fullmatch(dtype):
        raise Malformed(f"{key} has dtype {dtype!r:.100}")
    kind = dtype.lstrip("<>|=")[0]
    if not isinstance(values, list) or not all(
        isinstance(value, _NAME_VALUES[kind])
        and (kind in "bO" or not isinstance(value, bool))
        for value in values
    ):
        raise Malformed(f"{key} has values that are not of dtype {dtype!r:.100}")
    if kind != "U":
        return 8 * len(values)
    # `int` refuses very long numbers; 20 digits already exceed any limit.
    width = int(dtype.lstrip("<>|=")[1:][:20])
    if any(len(value) > width for value in values):
        raise Malformed(f"{key} has values longer than its dtype {dtype!r:.100}")
    return 4 * width * max(1, len(values))


def _array_from_json(saved, key):
    try:
        return np.array(saved["values"], dtype=np.dtype(saved["dtype"]))
    except (TypeError, ValueError, OverflowError) as error:
        raise Malformed(f"{key} is not an array of names ({error})") from None


def check_keys(found, known, required=()):
    """Check that a dict has all required keys, and no unknown key.

    Parameters
    ----------
    found, known, required : iterable of str

    Raises
    ------
    Malformed
        When keys are missing or unknown.
    """
    unexpected = sorted(set(found) - set(known))
    if unexpected:
        raise Malformed(f"it holds {_listed(unexpected)}, which no model has")
    missing = sorted(set(required) - set(found))
    if missing:
        raise Malformed(f"it lacks {_listed(missing)}")


def _listed(names):
    more = ", ..." if len(names) > 5 else ""
    return ", ".join(f"{name!r:.80}" for name in names[:5]) + more


def check_plain(state):
    """Check the values of the JSON text before they are used.

    Parameters
    ----------
    state : dict

    Raises
    ------
    Malformed
        When a value is not valid for its attribute.
    """
    shape = state["input_shape_"]
    if not isinstance(shape, list) or not all(_is_whole(side, 1) for side in shape):
        raise Malformed(f"input_shape_ is {shape!r:.100}")
    for key, is_right in _PLAIN.items():
        if key in state and not is_right(state[key]):
            raise Malformed(f"{key} is {state[key]!r:.100}")
    if not shape or shape[0] != state.get("n_features_in_", shape[0]):
        raise Malformed(
            f"input_shape_ is {shape}, and n_features_in_ {state['n_features_in_']}"
        )


def check_fitted(fitted, tables, n_components, categorical):
    """Check that fitted attributes are consistent.

    Parameters
    ----------
    fitted : dict
        The attributes.

    tables : sequence of str
        Names of the attributes that are dicts of columns.

    n_components : int
        Number of features of the encoder.

    categorical : bool
        Whether tasks have classes.

    Raises
    ------
    Malformed
        When arrays have a wrong dtype or inconsistent shapes, or some are missing.
    """
    if not isinstance(fitted.get("alpha_"), np.ndarray):
        # The meta-learner has a number of this name, which is checked already.
        fitted = {name: fitted[name] for name in fitted if name != "alpha_"}
    heads = [name for name in _HEADS if name in fitted]
    if 0 < len(heads) < len(_HEADS):
        check_keys(fitted, fitted, _HEADS)
    sizes = {
        "component": n_components,
        "feature": fitted.get("n_features_in_"),
    }
    if fitted.get("n_components_", n_components) != n_components:
        raise Malformed(
            f"n_components_ is {fitted['n_components_']}, and its encoder has "
            f"{n_components} features"
        )
    for name, array in fitted.items():
        if name in _ARRAYS and array.dtype.kind != _ARRAYS[name]:
            raise Malformed(f"{name} has dtype {array.dtype}")
        if name in _AXES:
            _check_shape(name, array, sizes)
    if heads and fitted["coef_"].ndim != fitted["intercept_"].ndim + 1:
        raise Malformed(
            f"coef_ has shape {fitted['coef_'].shape}, and intercept_ "
            f"{fitted['intercept_'].shape}"
        )
    for table in tables:
        lengths = {column.shape[:1] for column in fitted[table].values()}
        if len(lengths) > 1 or () in lengths:
            raise Malformed(f"the columns of {table} differ in length")
    names = fitted.get("feature_names_in_", np.array([]))
    if not all(isinstance(name, str) for name in names.tolist()):
        raise Malformed("feature_names_in_ are not text")
    _check_classes(fitted, categorical)


def _check_shape(name, array, sizes):
    shape = getattr(array, "shape", ())
    axes = [axes for axes in _AXES[name] if len(axes) == len(shape)]
    if not axes:
        raise Malformed(f"{name} has shape {shape}")
    for axis, size in zip(axes[0], shape, strict=True):
        if sizes.setdefault(axis, size) not in (size, None):
            raise Malformed(
                f"{name} has shape {shape}, but the number of {axis}s is {sizes[axis]}"
            )


def _check_classes(fitted, categorical):
    classes = fitted.get("_classes")
    if classes is None:
        if categorical and "coef_" in fitted:
            raise Malformed("it lacks '_classes'")
        return
    if not isinstance(classes, list) or any(own.ndim != 1 for own in classes):
        raise Malformed("_classes is not a list of arrays")
    if "coef_" not in fitted:
        return
    coef, most = fitted["coef_"], max(map(len, classes), default=0)
    n_outputs = 1 if coef.ndim == 2 else coef.shape[1]
    if len(classes) != len(coef) or n_outputs != (1 if most <= 2 else most):
        raise Malformed(
            f"coef_ has shape {coef.shape}, but there are {len(classes)} tasks of up "
            f"to {most} classes"
        )
