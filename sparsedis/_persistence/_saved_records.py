"""Fitted attributes that are dataclasses of arrays and plain values, in files."""

from typing import get_type_hints

import numpy as np

from sparsedis._persistence._saved_state import Malformed, check_keys


def split_records(fitted, records):
    """Split dataclasses, if fitted, into arrays and plain values.

    Parameters
    ----------
    fitted : dict
        Fitted attributes.

    records : sequence of (str, type)
        Attributes and their dataclasses.

    Returns
    -------
    arrays : dict of ndarray
        By "attribute.field".

    plain : dict of dict
        By attribute and field.
    """
    arrays, plain = {}, {}
    for name, kind in records:
        if name not in fitted:
            continue
        plain[name] = {}
        for field, wanted in get_type_hints(kind).items():
            value = getattr(fitted[name], field)
            if wanted is np.ndarray:
                arrays[f"{name}.{field}"] = value
            else:
                plain[name][field] = value
    return arrays, plain


def join_records(arrays, state, records):
    """Create dataclasses from the contents of a file, and remove these contents.

    Parameters
    ----------
    arrays : dict of ndarray
        By "attribute.field"; entries of the records are removed.

    state : dict
        Plain values; entries of the records are removed.

    records : sequence of (str, type)

    Returns
    -------
    dict
        The dataclasses, by attribute.

    Raises
    ------
    Malformed
        When fields are missing, or have the wrong type.
    """
    made = {}
    for name, kind in records:
        own = {key for key in arrays if key.startswith(f"{name}.")}
        if name not in state and not own:
            continue
        values = state.pop(name, None)
        if not isinstance(values, dict):
            raise Malformed(f"{name} is a {type(values).__name__}, not a dict")
        parts = {key.removeprefix(f"{name}."): arrays.pop(key) for key in own}
        types = get_type_hints(kind)
        of_arrays = [field for field, wanted in types.items() if wanted is np.ndarray]
        others = [field for field in types if field not in of_arrays]
        check_keys(parts, of_arrays, of_arrays)
        check_keys(values, others, others)
        for field in others:
            value, wanted = values[field], types[field]
            right = wanted in (int, float, str, dict) and (
                type(value) is wanted or (wanted, type(value)) == (float, int)
            )
            if not right:
                raise Malformed(f"{field} of {name} is {value!r:.100}")
        made[name] = kind(**parts, **values)
    return made
