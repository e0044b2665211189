"""LatentTraversalDisplay: images in order, and the codes that follow them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose, assert_array_equal

from sparsedis.datasets import Shapes3D
from sparsedis.inspection import LatentTraversalDisplay
from sparsedis.inspection._style import GREY

SHAPES = Shapes3D(image_size=8)


def move(factor):
    """Indices of the images in which one factor moves."""
    size = SHAPES.factor_sizes[factor]
    positions = np.tile([1, 6, 4, 5, 1, 7], (size, 1))
    positions[:, factor] = np.arange(size)
    return SHAPES.factors_to_index(positions)


@pytest.fixture
def rows():
    """Orientation, floor hue and shape move: 15, 10 and 4 steps."""
    return [move(5), move(0), move(4)]


@pytest.fixture
def display(rows):
    # Code 0 is the shape, 1 the orientation, 2 constant and 3 the floor hue.
    codes = [SHAPES.factors(row)[:, [4, 5, 1, 0]] * [-3, 0.1, 1, 5] for row in rows]
    return LatentTraversalDisplay(
        images=[SHAPES.images(row) for row in rows],
        codes=codes,
        row_names=["orientation", "floor hue", "shape"],
    )


def names(display):
    return [ax.get_ylabel() for ax in display.axes_[:, 0]]


def test_rows_are_matched_with_codes_by_movement(display):
    assert_array_equal(display.matching, [1, 3, 0])
    assert names(display.plot()) == [
        "orientation\ncode 1",
        "floor hue\ncode 3",
        "shape\ncode 0",
    ]


def test_units_of_the_codes_do_not_change_the_matching(display):
    scaled = [codes * [1e3, 1e-3, 1e6, 1] for codes in display.codes]
    again = LatentTraversalDisplay(images=display.images, codes=scaled)
    assert_array_equal(again.matching, display.matching)


def test_lines_are_the_changes_of_the_codes(display):
    display.plot()
    assert display.lines_.shape == (3, 4)
    for row, codes in enumerate(display.codes):
        for code in range(4):
            line = display.lines_[row, code]
            assert line.axes is display.axes_[row, 1]
            assert_array_equal(line.get_xdata(), np.arange(len(codes)))
            assert_allclose(line.get_ydata(), codes[:, code] - codes[:, code].mean())
    limits = {ax.get_ylim() for ax in display.axes_[:, 1]}
    assert len(limits) == 1  # one scale for all rows
    largest = max(np.abs(line.get_ydata()).max() for line in display.lines_.flat)
    assert limits.pop()[1] > largest


def test_a_code_has_the_colour_of_its_row(display):
    display.plot()
    colors = {ax.yaxis.label.get_color() for ax in display.axes_[:, 0]}
    assert len(colors) == 3
    for row, code in enumerate(display.matching):
        color = display.axes_[row, 0].yaxis.label.get_color()
        assert {line.get_color() for line in display.lines_[:, code]} == {color}
        widths = [line.get_linewidth() for line in display.lines_[:, code]]
        assert np.argmax(widths) == row
    assert {line.get_color() for line in display.lines_[:, 2]} == {GREY}


def test_each_of_many_codes_has_a_style():
    images = np.zeros((10, 5, 3, 3))
    codes = np.zeros((10, 5, 12))
    for row in range(10):
        codes[row, :, row] = np.arange(5)
    display = LatentTraversalDisplay(images=images, codes=codes).plot()
    styles = [
        {(line.get_color(), line.get_linestyle()) for line in column}
        for column in display.lines_.T
    ]
    # The same in all rows, and another one for each code that has a row.
    assert [len(one) for one in styles] == 12 * [1]
    assert len(set.union(*styles[:10])) == 10
    assert styles[10] == styles[11] == {(GREY, "-")}
    for row, ((color, dashes),) in enumerate(styles[:10]):
        assert display.axes_[row, 0].yaxis.label.get_color() == color
        assert (dashes == "-") == (row < 7)


def test_images_stand_side_by_side(display):
    display.plot(n_images=5)
    strips = [shown.get_array() for shown in display.images_]
    # Steps 0, 3.5, 7, 10.5 and 14, with a white line between images.
    for i, step in enumerate([0, 4, 7, 10, 14]):
        tile = strips[0][:, 9 * i : 9 * i + 8]
        assert_array_equal(tile, display.images[0][step])
    assert (strips[0][:, 8::9] == 255).all()
    # Only four shapes: all of them, and a white rest.
    for step in range(4):
        tile = strips[2][:, 9 * step : 9 * step + 8]
        assert_array_equal(tile, display.images[2][step])
    assert (strips[2][:, 35:] == 255).all()
    assert strips[0].shape == strips[2].shape == (8, 44, 3)


@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 6, 5, 1)])
def test_grey_images(shape):
    images = np.linspace(0, 0.5, 60).reshape(shape)
    display = LatentTraversalDisplay(images=[images], codes=[[[0.0], [1.0]]]).plot()
    (shown,) = display.images_
    assert shown.get_clim() == (0, 1)
    assert_array_equal(shown.get_array()[:, :5], images[0].reshape(6, 5))
    assert shown.get_cmap().name == "gray"


def test_more_rows_than_codes(display):
    display = LatentTraversalDisplay(
        images=display.images, codes=[codes[:, [3]] for codes in display.codes]
    ).plot()
    assert_array_equal(display.matching, [-1, 0, -1])
    assert names(display) == ["0", "1\ncode 0", "2"]
    assert to_rgb(display.axes_[0, 0].yaxis.label.get_color()) == (0, 0, 0)


def test_given_matching(display):
    display = LatentTraversalDisplay(
        images=display.images,
        codes=display.codes,
        matching=[2, 3, -1],
        code_names=["a", "b", "c", "d"],
    ).plot()
    assert names(display) == ["0\nc", "1\nd", "2"]


class Encoder:
    """Two features of images: brightness of the top left, and of the bottom right."""

    def transform(self, X):
        """Features of X."""
        X = np.asarray(X) / 255
        return np.stack([X[:, 0, 0].mean(-1), X[:, -1, -1].mean(-1)], axis=1)


def test_from_estimator(rows):
    images = [SHAPES.images(row) for row in rows[:2]]
    display = LatentTraversalDisplay.from_estimator(
        Encoder(), images, row_names=["a", "b"], n_images=3
    )
    for row in range(2):
        assert_array_equal(display.codes[row], Encoder().transform(images[row]))
    assert display.images_[0].get_array().shape == (8, 3 * 9 - 1, 3)


def test_walks_along_the_codes_of_a_sample():
    # Images on a grid of both features: a walk can keep the other one where it is.
    a, b = np.divmod(np.random.default_rng(0).permutation(256), 16)
    X = np.zeros((256, 4, 4, 3), dtype=np.uint8)
    X[:, 0, 0], X[:, -1, -1] = 17 * a[:, None], 17 * b[:, None]
    base = int(np.flatnonzero((a == 3) & (b == 8))[0])
    display = LatentTraversalDisplay.from_samples(Encoder(), X, n_steps=4, base=base)
    first, second = (255 / 17 * codes for codes in display.codes)
    assert_allclose(first[:, 1], 8)
    assert_allclose(second[:, 0], 3)
    assert_allclose(first[:, 0], [0, 5, 10, 15])
    assert_allclose(second[:, 1], [0, 5, 10, 15])
    for row, images in enumerate(display.images):
        assert_array_equal(Encoder().transform(images), display.codes[row])
    assert names(display) == ["code 0", "code 1"]
    assert_array_equal(display.matching, [0, 1])
    # By default from the middle of the sample.
    display = LatentTraversalDisplay.from_samples(Encoder(), X)
    assert_allclose(display.codes[0][:, 1], 0.5, atol=0.04)
    assert len(display.images[0]) == 6


class FrameEncoder(Encoder):
    """The same as a data frame, as after ``set_output(transform="pandas")``."""

    def transform(self, X):
        """Features of X."""
        return pd.DataFrame(super().transform(X), columns=["first", "last"])


def test_codes_in_a_data_frame(rows):
    images = [SHAPES.images(row) for row in rows]
    display = LatentTraversalDisplay.from_estimator(FrameEncoder(), images)
    for codes, row in zip(display.codes, images, strict=True):
        assert_array_equal(codes, Encoder().transform(row))
    X = np.concatenate(images)
    display = LatentTraversalDisplay.from_samples(FrameEncoder(), X)
    expected = LatentTraversalDisplay.from_samples(Encoder(), X)
    assert_array_equal(display.codes, expected.codes)
    assert_array_equal(display.images, expected.images)


IMAGES, CODES = np.zeros((2, 3, 3)), np.zeros((2, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": [], "codes": []}, "at least one; got 0 and 0"),
        ({"images": [IMAGES], "codes": [CODES, CODES]}, "got 1 and 2"),
        ({"images": [np.zeros((2, 3))], "codes": [CODES]}, r"images\[0\] .* \(2, 3\)"),
        ({"images": [np.zeros((2, 3, 3, 4))], "codes": [CODES]}, "1 or 3 channels"),
        ({"images": [IMAGES - 1], "codes": [CODES]}, "float64 from -1 to -1"),
        ({"images": [np.full((2, 3, 3), 99)], "codes": [CODES]}, "int64 from 99 to 99"),
        ({"images": [IMAGES + np.nan], "codes": [CODES]}, "from nan to nan"),
        ({"images": [IMAGES], "codes": [CODES[:1]]}, r"codes\[0\] .* \(2, n_codes\)"),
        ({"images": [IMAGES], "codes": [CODES + np.inf]}, "holds NaN or infinity"),
        (
            {"images": [IMAGES, IMAGES], "codes": [CODES, CODES[:, :2]]},
            r"number of codes; got shapes \[\(3, 3, 1\)\] and \[2, 4\] codes",
        ),
        (
            {"images": [IMAGES, IMAGES[:, :2]], "codes": [CODES, CODES]},
            r"one shape .* got shapes \[\(2, 3, 1\), \(3, 3, 1\)\]",
        ),
        (
            {"images": [IMAGES], "codes": [CODES], "matching": [4]},
            r"matching must hold 1 different codes from 0 to 3",
        ),
        (
            {"images": [IMAGES], "codes": [CODES], "row_names": ["a", "b"]},
            "row_names must hold 1 names",
        ),
        (
            {"images": [IMAGES], "codes": [CODES], "code_names": ["a", "b"]},
            "code_names must hold 4 names",
        ),
    ],
)
def test_bad_input_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentTraversalDisplay(**arguments)


def test_bad_arguments_raise(display):
    with pytest.raises(ValueError, match="n_images == 0, must be >= 1"):
        display.plot(n_images=0)
    X = SHAPES.images(range(9))
    with pytest.raises(ValueError, match="n_steps == 1, must be >= 2"):
        LatentTraversalDisplay.from_samples(Encoder(), X, n_steps=1)
    with pytest.raises(ValueError, match="base == 9, must be <= 8"):
        LatentTraversalDisplay.from_samples(Encoder(), X, base=9)
