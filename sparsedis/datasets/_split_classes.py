"""Splits of samples by class, for training and for evaluation on unseen classes."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from sparsedis.inputs._values import complete_labels

from ._checks import as_generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from sparsedis._typing import Seed

_ACCEPTED = (
    "parts must hold fractions in (0, 1], numbers of classes, or lists of classes (of "
    "groups, where groups are given), all of one kind"
)


def split_classes(
    y: ArrayLike,
    parts: Sequence,
    *,
    groups: ArrayLike | None = None,
    random_state: Seed = None,
) -> list[np.ndarray]:
    """Split samples so that no class, or no group of classes, is in two parts.

    Few-shot learning is evaluated on such splits: classes of one part are unseen in the
    others. `groups` also keeps groups of classes together, such as alphabets.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Classes of the samples.

    parts : sequence of float, of int, or of sequences
        The parts, as fractions of the classes, numbers of classes, or lists of classes.
        For fractions and numbers, classes are drawn at random. With `groups`, they
        refer to groups instead of classes. Classes that are in no part are left out.

    groups : array-like of shape (n_samples,), default=None
        Groups of classes, which are kept together: the alphabets of characters, or the
        published split of a data set.

    random_state : int, RandomState instance, Generator instance or None, default=None
        Determines which classes are drawn.

    Returns
    -------
    list of ndarray of int
        For each part the positions of its samples, ascending.

    Raises
    ------
    ValueError
        When parts are empty, overlap, name unknown classes, or ask for more than there
        are, or a class lies in two groups.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.datasets import split_classes
    >>> y = np.array([0, 0, 1, 2, 3, 3])
    >>> learn, unseen = split_classes(y, [0.5, 0.5], random_state=0)
    >>> y[learn].tolist(), y[unseen].tolist()
    ([0, 0, 2], [1, 3, 3])
    >>> alphabets = ["Greek", "Greek", "Greek", "Latin", "Latin", "Latin"]
    >>> greek, latin = split_classes(y, [["Greek"], ["Latin"]], groups=alphabets)
    >>> greek.tolist()
    [0, 1, 2]
    """
    y = complete_labels(y)
    if groups is None:
        what, units, unit_of = "classes", *np.unique(y, return_inverse=True)
    else:
        groups = column_or_1d(groups)
        check_consistent_length(y, groups)
        _check_nested(y, groups)
        what, units, unit_of = "groups", *np.unique(groups, return_inverse=True)
    if not hasattr(parts, "__iter__"):
        raise ValueError(f"{_ACCEPTED}; got {parts!r}.")
    parts = list(parts)
    if parts and all(_is_list(part) for part in parts):
        part_of = _by_name(units, parts, what)
    else:
        sizes = _sizes(parts, len(units), what)
        part_of = np.full(len(units), -1)
        order = as_generator(random_state).permutation(len(units))
        part_of[order[: sum(sizes)]] = np.repeat(np.arange(len(sizes)), sizes)
    return [np.flatnonzero(part_of[unit_of] == part) for part in range(len(parts))]


def _check_nested(y, groups):
    codes = [np.unique(values, return_inverse=True)[1] for values in (y, groups)]
    classes, n_groups = np.unique(np.unique(codes, axis=1)[0], return_counts=True)
    if (n_groups > 1).any():
        split = np.unique(y)[classes[n_groups > 1][0]]
        raise ValueError(
            f"groups must hold whole classes, and class {split!s} lies in several: "
            f"{', '.join(map(str, np.unique(groups[y == split])))}."
        )


def _is_list(part):
    return isinstance(part, (list, tuple, set, frozenset, np.ndarray))


def _by_name(units, parts, what):
    """Return the part of each class or group, -1 for none, given lists of them."""
    part_of = np.full(len(units), -1)
    names = units.tolist()
    for number, part in enumerate(parts):
        if not len(part):
            raise ValueError(f"parts[{number}] names no {what}; name at least one.")
        for name in part:
            if name not in names:
                raise ValueError(
                    f"parts[{number}] names {name!r}, which is none of the {what}: "
                    f"{', '.join(map(repr, names))}."
                )
            position = names.index(name)
            if part_of[position] >= 0:
                raise ValueError(f"parts must not overlap: {name!r} is in two places.")
            part_of[position] = number
    return part_of


def _sizes(parts, n_units, what):
    """Return the number of classes or groups of each part."""
    numbers = [
        part for part in parts if isinstance(part, Real) and not isinstance(part, bool)
    ]
    if not parts or len(numbers) < len(parts):
        raise ValueError(f"{_ACCEPTED}; got {parts!r}.")
    if all(isinstance(part, Integral) for part in parts):
        sizes = [int(part) for part in parts]
    elif all(0 < part <= 1 and not isinstance(part, Integral) for part in parts):
        if sum(parts) > 1 + 1e-9:
            raise ValueError(f"parts must not add up to more than 1, got {parts!r}.")
        # The ends are rounded, not the sizes: fractions that add up to 1 use all.
        ends = np.rint(np.cumsum(parts) * n_units).astype(int)
        sizes = np.diff(ends, prepend=0).tolist()
    else:
        raise ValueError(f"{_ACCEPTED}; got {parts!r}.")
    if min(sizes) < 1 or sum(sizes) > n_units:
        raise ValueError(
            f"parts={parts!r} asks for {sizes} of {n_units} {what}; each part must get "
            f"at least one, and all together at most {n_units}."
        )
    return sizes
