"""An estimator that finds the truth is measured as one, and rows resume."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.factors import __main__ as command
from benchmarks.factors._generate import Condition, make_data
from benchmarks.factors._heads import predict_free, predict_ridge, quality
from benchmarks.factors._measure import RESULTS, measure, support_f1
from benchmarks.factors._summary import bars, read_rows, summarise, table

SMALL = Condition(4, n_features=6, n_tasks=20, n_samples=300, noise=0.1)


class Truth:
    """The true factors, in another order and in other units, and the true heads."""

    order = (2, 0, 3, 1)
    scale = (-3.0, 0.1, 1.0, -20.0)

    def __init__(self, data, n_extra=0):
        self.data, self.n_extra = data, n_extra

    def fit(self, X, y):
        self.support_ = self.data.supports[:, self.order]
        extra = np.zeros((len(self.support_), self.n_extra), dtype=bool)
        self.support_ = np.hstack([self.support_, extra])
        return self

    def transform(self, X):
        is_test = len(X) == len(self.data.X_test)
        factors = self.data.factors_test if is_test else self.data.factors
        rng = np.random.default_rng(0)
        extra = rng.standard_normal((len(X), self.n_extra))
        return np.hstack([factors[:, self.order] * self.scale, extra])

    def predict(self, X):
        return self.data.signal_test

    def score(self, X, y):
        return 1.0


@pytest.mark.parametrize("missing", [0.0, 0.5])
@pytest.mark.parametrize("units", ["equal", "decades"])
def test_truth_is_perfect(missing, units):
    data = make_data(replace(SMALL, missing=missing, units=units), 0)
    found = measure(Truth(data), data)
    assert list(found) == list(RESULTS)
    for name in ("identified", "mcc", "r", "count_right", "f1", "r2_signal"):
        assert found[name] == pytest.approx(1)
    assert 0.9 < found["f1_oracle"] <= 1
    # Of noise of a tenth.
    for name in ("r2", "r2_free", "r2_ridge", "r2_oracle"):
        assert found[name] == pytest.approx(1 / 1.01, abs=2e-3)
    assert found["fit_warnings"] == ""
    assert np.isnan(found["stability"])


def test_truth_is_perfect_in_classes():
    data = make_data(replace(SMALL, classification=True), 0)
    found = measure(Truth(data), data)
    assert found["r2_signal"] == found["f1"] == 1
    assert found["r2"] == (data.signal_test == data.Y_test).mean()
    for name in ("r2_free", "r2_ridge", "r2_oracle"):
        assert found["r2"] - 0.03 < found[name] <= found["r2"] + 0.01


def test_codes_too_many_are_counted():
    data = make_data(SMALL, 0)
    found = measure(Truth(data, n_extra=2), data)
    assert (found["n_components"], found["count_right"]) == (6, False)
    assert found["f1"] == 1
    assert found["mcc"] == pytest.approx(1)


def test_stability_and_warnings_are_reported():
    import warnings

    class Warned(Truth):
        def fit(self, X, y):
            warnings.warn("twice", UserWarning, stacklevel=1)
            warnings.warn("twice", UserWarning, stacklevel=1)
            self.stability_ = np.array([0.5, 1.0])
            return super().fit(X, y)

    data = make_data(SMALL, 0)
    found = measure(Warned(data), data)
    assert (found["stability"], found["fit_warnings"]) == (0.75, "twice")


def test_f1_by_hand():
    supports = np.array([[True, True, False], [False, False, True]])
    found = np.array([[True, False, True], [False, True, False]])
    # Code 0 is factor 1, code 1 is factor 2; factor 0 has none, code 2 is no factor.
    matching = np.array([-1, 0, 1])
    assert support_f1(supports, found, matching) == np.mean([2 / 4, 2 / 2])
    assert support_f1(supports, ~found & False, matching) == 0


def test_rulers_do_not_depend_on_units():
    data = make_data(replace(SMALL, missing=0.5), 0)
    other = make_data(replace(SMALL, missing=0.5, units="decades"), 0)
    for predict in (predict_free, predict_ridge):
        scores = [
            quality(d.Y_test, predict(d.X, d.Y, d.X_test, False), False)
            for d in (data, other)
        ]
        assert scores[0] == pytest.approx(scores[1], rel=1e-6)


def test_few_labels_are_shrunk():
    data = make_data(replace(SMALL, missing=0.99), 0)
    ridge = predict_ridge(data.X, data.Y, data.X_test, False)
    free = predict_free(data.X, data.Y, data.X_test, False)
    np.testing.assert_array_equal(free, ridge)


@pytest.fixture
def quick(monkeypatch):
    """Settings that were measured, of a command that measures nothing."""
    seen = []

    def run(setting, conditions, parameters):
        seen.append((setting["name"], setting["seed"], parameters))
        is_found = setting["seed"] == 0
        return dict.fromkeys(RESULTS, 0.9) | {
            "identified": True,
            "count_right": is_found,
            "mcc": 0.895 if is_found else 0.8,
            "fit_warnings": "",
        }

    monkeypatch.setattr(command, "run", run)
    return seen


def test_rows_resume(tmp_path, quick, capsys):
    options = ["--only", "c01", "h02", "--out", str(tmp_path)]
    command.main([*options, "--seeds", "1"])
    assert quick == [("c01", 0, {}), ("h02", 0, {})]
    command.main([*options, "--seeds", "2"])
    assert quick[2:] == [("c01", 1, {}), ("h02", 1, {})]
    command.main([*options, "--seeds", "2", "--part", "hard", "--set", "lr=1e-2"])
    assert quick[4:] == [("h02", 0, {"lr": 0.01}), ("h02", 1, {"lr": 0.01})]
    capsys.readouterr()
    command.main([*options, "--seeds", "2", "--table-only"])
    assert len(quick) == 6
    printed = capsys.readouterr().out
    assert "main: 1 conditions, 2 runs" in printed
    assert "hard: 1 conditions, 2 runs" in printed


def test_bars(tmp_path, quick):
    command.main(["--only", "c01", "c02", "--out", str(tmp_path), "--seeds", "2"])
    keys = {"parameters": "", "known_count": "False", "classifier": "False"}
    rows = read_rows(tmp_path / "rows.csv", keys)
    found = bars(rows)
    assert found["runs with MCC within .01 of R"] == 0.5
    assert found["conditions with MCC within .01 of R"] == 0
    assert found["conditions with R2 within .01 of the best heads"] == 1
    assert found["runs with the right count"] == 0.5
    assert found["mean F1 of the supports"] == pytest.approx(0.9)
    assert len(table(rows).splitlines()) == 3
    part = summarise(rows.assign(identified=rows["seed"] == 0), "main")
    assert "1.000   0.500  runs with MCC within .01 of R" in part
    part = summarise(rows.assign(identified=False), "main")
    assert "nan   0.500  runs with MCC within .01 of R" in part


def test_unknown_conditions_are_named(capsys):
    with pytest.raises(SystemExit):
        command.main(["--only", "c99"])
    assert "unknown conditions ['c99']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=1e-2", 0.01), ("a=auto", "auto"), ("a=None", None), ("a=b=c", "b=c")],
)
def test_parameters_are_literals_or_text(text, value):
    assert command.parse_parameter(text) == ("a", value)


def test_estimator_gets_what_is_asked(monkeypatch):
    made = []
    monkeypatch.setattr(
        command, "measure", lambda estimator, data: made.append(estimator)
    )
    conditions = {"c01": SMALL, "c02": replace(SMALL, classification=True)}
    setting = {"name": "c01", "seed": 3, "known_count": True}
    command.run(setting, conditions, {"alpha": 0.1})
    command.run(setting | {"name": "c02", "known_count": False}, conditions, {})
    regressor, classifier = made
    assert type(regressor).__name__ == "SparseMultiTaskRepresentation"
    assert type(classifier).__name__ == "SparseMultiTaskClassifier"
    assert (regressor.n_components, regressor.alpha) == (4, 0.1)
    assert regressor.random_state == classifier.random_state == 3
