"""Axes, colours and legends of the displays are readable."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sparsedis.inspection import (
    AlphaPathDisplay,
    CoefPathDisplay,
    CorrelationMatrixDisplay,
    FactorTrustDisplay,
    FeatureUsageDisplay,
    InputEffectDisplay,
    LatentTraversalDisplay,
    TaskSupportDisplay,
    TrainingCurveDisplay,
)
from sparsedis.inspection._style import COLORS, as_label, curve_styles, ink

ALL = {
    "AlphaPath": AlphaPathDisplay(
        param_values=[0.1, 0.2], scores={"mcc": [[0.5], [0.9]], "r": [[0.8], [0.9]]}
    ),
    "CoefPath": CoefPathDisplay(
        alphas=[[2.0, 1.0]] * 2, coefs=[[[0.0, 1.0]]] * 2, chosen=[1.0, 2.0]
    ),
    "CorrelationMatrix": CorrelationMatrixDisplay(correlation=[[1.0, 0.0]]),
    "FactorTrust": FactorTrustDisplay(
        stability=[0.99, 0.7, 0.98, 0.5], unseparated=np.arange(4) > 1
    ),
    "FeatureUsage": FeatureUsageDisplay(usage=[0.5, 1.0]),
    "LatentTraversal": LatentTraversalDisplay(
        images=[np.zeros((3, 4, 4)), np.zeros((2, 4, 4))],
        codes=[np.eye(3), np.eye(2, 3)],
    ),
    "TaskSupport": TaskSupportDisplay(supports=[[1, 0], [0, 1]]),
    "TrainingCurve": TrainingCurveDisplay(history={"loss": [2, 1], "active": [1, 0]}),
}
# How many axes `axes_` holds, for those with several.
SHAPES = {
    "AlphaPath": (2,),
    "CoefPath": (2,),
    "LatentTraversal": (2, 2),
    "TrainingCurve": (2,),
}
every_display = pytest.mark.parametrize("name", ALL)
several_axes = pytest.mark.parametrize("name", SHAPES)

# Machado et al. (2009): how dichromats see linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
RGB_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)


def lab(colors, vision):
    """CIELAB coordinates of colours as somebody sees them."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(vision), 0, 1)
    xyz = seen @ RGB_TO_XYZ.T / RGB_TO_XYZ.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("vision", VISION)
def test_colours_can_be_told_apart(vision):
    points = lab(COLORS, VISION[vision])
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    assert distance[np.triu_indices(len(points), 1)].min() > 15
    assert (lab(["#ffffff"], np.eye(3))[0, 0] - points[:, 0] > 20).all()


def test_curves_differ():
    styles = curve_styles([f"run {i}" for i in range(20)])
    assert len({(style["color"], style["linestyle"]) for style in styles}) == 20


def test_numbers_have_an_ordered_palette():
    lightness = [s["color"][:3] @ [0.3, 0.6, 0.1] for s in curve_styles([0.5, 0.1, 3])]
    assert np.argsort(lightness).tolist() == [1, 0, 2]


def test_ink():
    assert ink((1, 1, 1, 1)) == "black"
    assert ink((0, 0, 0.4, 1)) == "white"


@every_display
def test_makes_a_figure_that_fits_600_pixels(name):
    display = ALL[name]
    assert display.plot() is display
    figure = display.figure_
    assert figure.number in plt.get_fignums()
    width = figure.get_size_inches()[0] * figure.dpi
    figure.canvas.draw()
    # Text keeps its size, or hardly, on a page that is 600 pixels wide.
    assert 600 <= width <= 640
    box = figure.get_tightbbox()
    assert box.x0 >= -0.05
    assert box.x1 * figure.dpi <= width + 5


@every_display
def test_plots_in_a_subplot(name):
    figure = Figure(figsize=(10, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    display = ALL[name].plot(ax=left)
    assert display.figure_ is figure
    figure.canvas.draw()
    axes = display.axes_.ravel() if name in SHAPES else [display.ax_]
    for ax in axes:
        assert ax.get_position().x1 <= right.get_position().x0
    assert not plt.get_fignums()
    assert axes[0] is left or not left.axison


@several_axes
def test_plots_in_given_axes(name):
    display = ALL[name].plot()
    assert display.axes_.shape == SHAPES[name]
    axes = display.axes_
    n_artists = len(axes.ravel()[-1].lines)
    assert (display.plot(ax=axes.tolist()).axes_ == axes).all()
    assert len(axes.ravel()[-1].lines) == 2 * n_artists


@several_axes
def test_axes_that_do_not_fit_raise(name):
    display, figure = ALL[name], Figure()
    with pytest.raises(ValueError, match=r"hold [24] of them; got array"):
        display.plot(ax=figure.subplots(3))
    ax = figure.subplots()
    display.plot(ax=ax)
    with pytest.raises(ValueError, match="pass the axes_ of that display"):
        display.plot(ax=ax)
    with pytest.raises(ValueError, match="one of a figure's subplots"):
        display.plot(ax=figure.add_axes((0, 0, 1, 1)))


@every_display
def test_needs_matplotlib(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{name}Display.plot needs matplotlib: pip"):
        ALL[name].plot()


def test_legend_stands_above_the_axes():
    usage = {f"a long name of a curve {i}": [0.5, 0.1] for i in range(4)}
    display = FeatureUsageDisplay(usage=usage).plot()
    display.figure_.canvas.draw()
    legend = display.legend_.get_window_extent()
    assert legend.y0 >= display.ax_.get_window_extent().y1
    assert legend.x1 <= display.figure_.bbox.x1
    assert legend.y1 <= display.figure_.bbox.y1


def test_legend_fits_above_one_of_several_axes():
    figure = Figure(figsize=(8, 4), layout="constrained")
    usage = {0.01 * 2**i: np.full(5, 0.1 * i) for i in range(5)}
    ax = figure.subplots(1, 2)[1]
    display = FeatureUsageDisplay(usage=usage, param_name="alpha").plot(ax=ax)
    figure.canvas.draw()
    assert display.legend_.get_window_extent().x1 <= figure.bbox.x1


def test_nothing_to_plot_raises():
    with pytest.raises(ValueError, match="the dictionary is empty"):
        FeatureUsageDisplay(usage={})


NAMES = ["US$_total_$", "x" * 200]


@pytest.mark.parametrize(
    "display",
    [
        CoefPathDisplay(
            alphas=[[2.0, 1.0]],
            coefs=[[[0.0, 1.0], [0.0, 2.0]]],
            task_names=NAMES[:1],
            feature_names=NAMES,
        ),
        CorrelationMatrixDisplay(
            correlation=np.eye(2), factor_names=NAMES, code_names=NAMES
        ),
        FactorTrustDisplay(stability=[0.99, 0.7], feature_names=NAMES),
        FeatureUsageDisplay(usage={NAMES[0]: [0.5, 1.0], NAMES[1]: [0.5, 0.5]}),
        InputEffectDisplay(features=np.eye(2), feature_names=NAMES, input_names=NAMES),
        LatentTraversalDisplay(
            images=[np.zeros((3, 4, 4)), np.zeros((2, 4, 4))],
            codes=[np.eye(3)[:, :2], np.eye(2)],
            row_names=NAMES,
            code_names=NAMES[::-1],
        ),
        TaskSupportDisplay(supports=np.eye(2), task_names=NAMES, feature_names=NAMES),
    ],
)
def test_any_names_can_be_drawn(display):
    figure = display.plot().figure_
    # Raises an error for a formula that is none, and warns if nothing has room.
    figure.canvas.draw()
    plt.close(figure)


def test_formulas_are_left():
    assert as_label("$x^2$") == "$x^2$"
    assert as_label("5 $") == r"5 \$"  # the same, drawn
    assert as_label("$\\foo$") == r"\$\foo\$"
    assert len(as_label("x" * 200)) == 40
