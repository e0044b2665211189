"""TrainingCurveDisplay: what is there, where it belongs, and smooth."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import TrainingCurveDisplay


@pytest.fixture
def history():
    rng = np.random.default_rng(0)
    return {
        "loss": 1 + 0.1 * rng.standard_normal(80),
        "alpha": np.minimum(np.arange(1, 81) / 40, 1.0),
        "active": rng.uniform(size=80),
    }


def texts(ax):
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_a_panel_for_each_quantity(history):
    display = TrainingCurveDisplay(history=history).plot()
    assert display.quantities == ["loss", "alpha", "active"]
    assert [ax.get_ylabel() for ax in display.axes_] == [
        "loss",
        "alpha",
        "active share",
    ]
    for ax, (name, column) in zip(display.axes_, history.items(), strict=True):
        (raw,) = display.raw_lines_[name]
        assert raw.axes is ax
        assert_array_equal(raw.get_xdata(), np.arange(1, 81))
        assert_array_equal(raw.get_ydata(), column)
        assert texts(ax) == []
    assert display.axes_[-1].get_xlabel() == "step"


def test_smoothing_is_a_moving_mean(history):
    display = TrainingCurveDisplay(history=history).plot(smoothing=5)
    (line,), loss = display.lines_["loss"], history["loss"]
    assert_array_equal(line.get_xdata(), np.arange(1, 81))
    smooth = line.get_ydata()
    assert_allclose(smooth[2:-2], np.convolve(loss, np.ones(5) / 5, mode="valid"))
    # Fewer values at both ends.
    assert_allclose(smooth[0], loss[:3].mean())
    assert_allclose(smooth[-1], loss[-3:].mean())
    # The penalty is set, not measured.
    assert_array_equal(display.lines_["alpha"][0].get_ydata(), history["alpha"])


def test_default_smoothing(history):
    display = TrainingCurveDisplay(history=history).plot()
    expected = display.lines_["loss"][0].get_ydata()
    display.plot(smoothing=3)
    assert_array_equal(display.lines_["loss"][0].get_ydata(), expected)
    display.plot(smoothing=1)
    assert_array_equal(display.lines_["loss"][0].get_ydata(), history["loss"])
    display.plot(smoothing=1_000)
    assert np.ptp(display.lines_["loss"][0].get_ydata()) < 0.05


def test_validation_joins_training(history):
    # One value in 20 steps, the first of which is missing.
    history["valid_loss"] = [np.nan, 1.5, 1.4, 1.3]
    display = TrainingCurveDisplay(history=history).plot()
    assert display.quantities == ["loss", "alpha", "active"]
    (line,) = display.lines_["valid_loss"]
    assert line.axes is display.axes_[0]
    assert_array_equal(line.get_xdata(), [40, 60, 80])
    assert_array_equal(line.get_ydata(), [1.5, 1.4, 1.3])
    assert texts(display.axes_[0]) == ["training", "validation"]
    assert line.get_linestyle() != display.lines_["loss"][0].get_linestyle()


def test_validation_alone():
    display = TrainingCurveDisplay(history={"valid_loss": [2.0, 1.0]}).plot()
    assert display.quantities == ["loss"]
    assert texts(display.axes_[0]) == ["validation"]


def test_several_runs(history):
    short = {"loss": history["loss"][:40], "valid_loss": history["loss"][:40]}
    display = TrainingCurveDisplay(
        history={0.1: history, 0.2: short}, param_name="alpha"
    ).plot()
    first, second = display.lines_["loss"]
    assert len(first.get_xdata()) == 80
    assert len(second.get_xdata()) == 40
    assert len(display.lines_["active"]) == 1
    assert texts(display.axes_[0]) == [
        "alpha = 0.1",
        "alpha = 0.2",
        "alpha = 0.2 (validation)",
    ]
    # Named once, above.
    assert texts(display.axes_[1]) == []


def test_a_run_that_was_not_trained_is_left_out(history, fitted):
    runs = {"a": history, "identity": {}, "b": history}
    display = TrainingCurveDisplay(history=runs).plot()
    assert len(display.lines_["loss"]) == 2
    assert texts(display.axes_[0]) == ["a", "b"]
    # As after fitting heads on inputs that are kept as they are.
    runs["identity"] = {"loss": np.array([]), "alpha": np.array([])}
    estimators = {name: fitted(history_=run) for name, run in runs.items()}
    display = TrainingCurveDisplay.from_estimator(estimators)
    assert texts(display.axes_[0]) == ["a", "b"]


def test_scales():
    loss = np.geomspace(1, 0.01, 50)
    history = {"loss": loss, "alpha": loss, "active": loss, "gain": -loss}
    display = TrainingCurveDisplay(history=history).plot()
    assert [ax.get_yscale() for ax in display.axes_] == ["log"] + 3 * ["linear"]
    display = TrainingCurveDisplay(history={"loss": loss[:20]}).plot()
    assert display.axes_[0].get_yscale() == "linear"


def test_from_estimator():
    X, Y = make_sparse_tasks(60, 8, n_factors=3, random_state=0)
    est = SparseMultiTaskRepresentation(
        3, rotation=None, alpha=0.1, max_iter=30, random_state=0
    ).fit(X, Y)
    display = TrainingCurveDisplay.from_estimator(est, smoothing=1)
    for name in ("loss", "alpha", "active"):
        assert_array_equal(display.lines_[name][0].get_ydata(), est.history_[name])


def test_from_estimator_takes_what_is_there(fitted):
    est = fitted(
        history_={
            "loss": np.array([2.0, 1.0]),
            "usage": np.ones((2, 3)),
            "valid_loss": np.array([np.nan, np.nan]),
        }
    )
    display = TrainingCurveDisplay.from_estimator({"a": est, "b": est})
    assert list(display.lines_) == ["loss"]
    assert texts(display.axes_[0]) == ["a", "b"]


def test_bad_input_raises(history):
    with pytest.raises(ValueError, match=r"history\['loss'\] .* got shape \(1, 2\)"):
        TrainingCurveDisplay(history={"loss": [[1, 2]]})
    with pytest.raises(ValueError, match=r"got shape \(0,\) without any"):
        TrainingCurveDisplay(history={"loss": []})
    with pytest.raises(ValueError, match=r"at least one quantity.* trains nothing"):
        TrainingCurveDisplay(history={"run": {}})
    with pytest.raises(ValueError, match="smoothing == 0, must be >= 1"):
        TrainingCurveDisplay(history=history).plot(smoothing=0)


def test_curves_of_the_members_of_an_ensemble(history, fitted):
    member = fitted(history_=history)
    est = fitted(estimators_=[member, make_pipeline(StandardScaler(), member)])
    display = TrainingCurveDisplay.from_estimator(est)
    assert texts(display.axes_[0]) == ["member 0", "member 1"]
    both = {0.1: est, 0.2: member}
    display = TrainingCurveDisplay.from_estimator(both, param_name="lr")
    assert texts(display.axes_[0]) == [
        "lr = 0.1, member 0",
        "lr = 0.1, member 1",
        "lr = 0.2",
    ]
