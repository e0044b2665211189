"""Splits of classes, by fractions, numbers and names, of classes and of groups."""

import numpy as np
import pytest

from sparsedis.datasets import split_classes

RNG = np.random.default_rng(0)
# 20 classes of 5 groups, with 1 to 4 samples each, in no order.
Y = RNG.permutation(np.repeat(np.arange(20), RNG.integers(1, 5, 20)))
GROUPS = np.array(["a", "b", "c", "d", "e"])[Y % 5]


def classes_of(parts, labels=Y):
    return [set(labels[part].tolist()) for part in parts]


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        ([0.6, 0.2, 0.2], [12, 4, 4]),
        ([0.64, 0.16, 0.2], [13, 3, 4]),
        ([1.0], [20]),
        ([0.5, 0.25], [10, 5]),
        ([1 / 3, 1 / 3, 1 / 3], [7, 6, 7]),
        ((3, 2), [3, 2]),
        (np.array([19, 1]), [19, 1]),
    ],
)
def test_sizes(parts, sizes):
    out = split_classes(Y, parts, random_state=0)
    classes = classes_of(out)
    assert [len(c) for c in classes] == sizes
    assert len(set().union(*classes)) == sum(sizes)  # none is in two parts
    for part, names in zip(out, classes, strict=True):
        # All the samples of its classes, in order.
        np.testing.assert_array_equal(part, np.flatnonzero(np.isin(Y, list(names))))


def test_groups_are_kept_together():
    parts = split_classes(Y, [3, 2], groups=GROUPS, random_state=1)
    learn, unseen = classes_of(parts, GROUPS)
    assert len(learn) == 3
    assert learn | unseen == set("abcde")
    assert [len(c) for c in classes_of(parts)] == [12, 8]


def test_parts_by_name():
    parts = split_classes(Y, [[3, 7], (0,), {5}])
    assert classes_of(parts) == [{3, 7}, {0}, {5}]
    parts = split_classes(Y.astype(str), [["3"], np.array(["4", "11"])])
    assert classes_of(parts) == [{3}, {4, 11}]
    parts = split_classes(Y, [["e", "a"], ["c"]], groups=GROUPS)
    assert classes_of(parts, GROUPS) == [{"a", "e"}, {"c"}]


def test_the_random_state_decides():
    def draw(seed):
        return classes_of(split_classes(Y, [0.5, 0.5], random_state=seed))

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    # Over many draws every class is as often in the first part as in the second.
    counts = np.bincount([name for seed in range(300) for name in draw(seed)[0]])
    assert np.abs(counts - 150).max() < 4 * np.sqrt(75)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], r"parts must hold fractions .* got \[\]"),
        (0.5, "parts must hold fractions .* got 0.5"),
        ([0.5, 3], r"parts must hold fractions .* got \[0.5, 3\]"),
        ([0.5, [1, 2]], "parts must hold fractions"),
        (["ab"], "parts must hold fractions"),
        ([True], "parts must hold fractions"),
        ([0.5, -0.1], "parts must hold fractions"),
        ([np.nan], "parts must hold fractions"),
        ([0.7, 0.6], r"must not add up to more than 1, got \[0.7, 0.6\]"),
        (
            [0.01, 0.9],
            r"asks for \[0, 18\] of 20 classes; each part must get at least one",
        ),
        ([15, 6], r"asks for \[15, 6\] of 20 classes"),
        ([5, 0], r"asks for \[5, 0\] of 20 classes"),
        ([[1], []], r"parts\[1\] names no classes"),
        ([[1], [2, 33]], r"parts\[1\] names 33, which is none of the classes: 0, 1, "),
        ([[1], [2, 1]], "must not overlap: 1 is in two places"),
    ],
)
def test_bad_parts(parts, message):
    with pytest.raises(ValueError, match=message):
        split_classes(Y, parts)


def test_bad_groups():
    with pytest.raises(ValueError, match="names 'x', which is none of the groups: 'a'"):
        split_classes(Y, [["x"]], groups=GROUPS)
    with pytest.raises(ValueError, match=r"asks for \[4, 2\] of 5 groups"):
        split_classes(Y, [4, 2], groups=GROUPS)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        split_classes(Y, [1, 1], groups=GROUPS[:-1])
    groups = GROUPS.copy()
    groups[np.flatnonzero(Y == 0)[0]] = "d"
    with pytest.raises(ValueError, match="class 0 lies in several: a, d"):
        split_classes(Y, [1, 1], groups=groups)
