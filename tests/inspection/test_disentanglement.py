"""DisentanglementDisplay: scores, intervals and random codes."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose

from sparsedis.inspection import DisentanglementDisplay
from sparsedis.metrics import disentanglement_report

COLUMNS = {
    "metric": ["mcc", "mig"],
    "score": [0.7, np.nan],
    "low": [-0.1, np.nan],
    "high": [0.8, np.nan],
    "chance_low": [0.0, np.nan],
    "chance_high": [0.2, np.nan],
}


def test_marks_are_where_the_numbers_are():
    display = DisentanglementDisplay(**COLUMNS).plot()
    assert_allclose(display.points_.get_xdata(), COLUMNS["score"])
    assert_allclose(display.points_.get_ydata(), [0, 1])
    assert_allclose(display.intervals_.get_segments()[0], [[-0.1, 0], [0.8, 0]])
    bar = display.bars_[0]
    assert_allclose([bar.get_x(), bar.get_width()], [0, 0.2])
    assert_allclose(bar.get_y() + bar.get_height() / 2, 0)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == COLUMNS["metric"]
    low, high = display.ax_.get_xlim()
    assert low < -0.1
    assert high > 1
    # The first metric is at the top.
    assert np.diff(display.ax_.get_ylim()) < 0


def test_codes_and_their_report_give_the_same_display():
    factors, noise = np.random.default_rng(0).standard_normal((2, 200, 2))
    options = {"n_resamples": 3, "random_state": 0}
    report = disentanglement_report(factors, factors + noise, ["mcc", "r"], **options)
    first = DisentanglementDisplay.from_report(report)
    ax = plt.subplots()[1]
    second = DisentanglementDisplay.from_codes(
        factors, factors + noise, ["mcc", "r"], ax=ax, **options
    )
    assert second.ax_ is ax
    for display in (first, second):
        for name in ("score", "low", "high", "chance_low", "chance_high"):
            assert_allclose(getattr(display, name), report.table[name])


def test_bad_input_raises():
    with pytest.raises(ValueError, match="metric must hold 2 names"):
        DisentanglementDisplay(**COLUMNS | {"metric": ["mcc"]})
    with pytest.raises(ValueError, match="high must have an entry for each of the 2"):
        DisentanglementDisplay(**COLUMNS | {"high": [1.0]})
