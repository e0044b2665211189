"""Studies resume: whatever happens to a run, in the end the same rows are there."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from benchmarks.paper import _runner
from benchmarks.paper._runner import run_study

SETTINGS = [{"a": a, "name": name} for a in range(4) for name in ("x", None)]
RESULTS = ("double", "curve")
ROOT = Path(__file__).parents[2]

# Settings after the fourth wait for ever: the study never ends by itself.
SLOW_STUDY = """
import sys, time
from benchmarks.paper._runner import run_study
from tests_study import SETTINGS, RESULTS, double

def slow(setting):
    if setting["a"] >= 2:
        time.sleep(600)
    return double(setting)

run_study(slow, SETTINGS, RESULTS, sys.argv[1], n_jobs=1)
"""


def double(setting):
    rng = np.random.default_rng(int(setting["a"]))
    return {"double": 2 * setting["a"], "curve": rng.random((2, 3))}


def read(path):
    """Rows without what depends on the clock, in the order of their settings."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row.pop("seconds")) >= 0
    return sorted(rows, key=lambda row: (row["a"], row["name"]))


@pytest.fixture
def whole(tmp_path):
    """The rows of a study that nothing disturbed."""
    path = tmp_path / "whole.csv"
    assert run_study(double, SETTINGS, RESULTS, path) == len(SETTINGS)
    return read(path)


def test_row_holds_setting_results_and_versions(whole):
    assert len(whole) == len(SETTINGS)
    row = whole[-1]
    assert list(row) == ["a", "name", "double", "curve", "warnings", "versions"]
    assert (row["a"], row["name"], row["double"]) == ("3", "x", "6")
    expected = np.random.default_rng(3).random((2, 3))
    np.testing.assert_allclose(json.loads(row["curve"]), expected, rtol=1e-3)
    assert f"numpy={np.__version__}" in row["versions"]


@pytest.mark.parametrize(
    ("head", "status", "expected"),
    [
        ("abc1234", "", " commit=abc1234 "),
        ("abc1234", " M a.py", " commit=abc1234+changes "),
        ("", "", None),
    ],
)
def test_versions_name_the_commit_and_the_device(monkeypatch, head, status, expected):
    answers = {"rev-parse": head, "status": status}
    monkeypatch.setattr(_runner, "_git", lambda command, *options: answers[command])
    versions = _runner._versions()
    assert "device=" in versions
    assert expected in versions if expected else "commit=" not in versions


def test_finished_rows_are_not_run_again(tmp_path, whole):
    path = tmp_path / "study.csv"
    run_study(double, SETTINGS[:5], RESULTS, path)
    seen = []

    def watched(setting):
        seen.append(setting)
        return double(setting)

    assert run_study(watched, SETTINGS, RESULTS, path) == 3
    assert seen == SETTINGS[5:]
    assert read(path) == whole
    assert run_study(watched, SETTINGS, RESULTS, path) == 0


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_rows_do_not_depend_on_the_number_of_jobs(tmp_path, whole, backend):
    from joblib import parallel_config

    path = tmp_path / "study.csv"
    with parallel_config(backend, n_jobs=2):
        run_study(double, SETTINGS, RESULTS, path)
    assert read(path) == whole


@pytest.mark.parametrize("n_bytes", [1, 40, 90, 200, 390, 395])
def test_file_that_was_cut_anywhere_is_completed(tmp_path, whole, n_bytes):
    path = tmp_path / "study.csv"
    run_study(double, SETTINGS, RESULTS, path)
    path.write_bytes(path.read_bytes()[:n_bytes])
    run_study(double, SETTINGS, RESULTS, path)
    assert read(path) == whole


def test_killed_study_resumes(tmp_path, whole):
    path = tmp_path / "study.csv"
    (tmp_path / "tests_study.py").write_text(Path(__file__).read_text())
    (tmp_path / "slow.py").write_text(SLOW_STUDY)
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "slow.py"), str(path)],
        env=os.environ | {"PYTHONPATH": paths},
        cwd=tmp_path,
    )
    try:
        while process.poll() is None and not (
            path.exists() and path.read_text().count("\n") == 5
        ):
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run_study(double, SETTINGS, RESULTS, path) == len(SETTINGS) - 4
    assert read(path) == whole


def test_failures_are_reported_at_the_end_and_run_again(tmp_path, whole):
    path = tmp_path / "study.csv"

    def fails(setting):
        if setting["a"] == 1:
            raise ArithmeticError("no luck")
        return double(setting)

    with pytest.raises(RuntimeError, match=r"(?s)2 of 8 .*a=1 name=x: Arith.*no luck"):
        run_study(fails, SETTINGS, RESULTS, path)
    assert run_study(double, SETTINGS, RESULTS, path) == 2
    assert read(path) == whole


def test_warnings_are_kept_in_the_row(tmp_path):
    import warnings

    def warns(setting):
        for step in range(3):
            warnings.warn(f"Slow. Step {step}.", UserWarning, stacklevel=1)
        return double(setting)

    run_study(warns, SETTINGS[:1], RESULTS, tmp_path / "study.csv")
    assert read(tmp_path / "study.csv")[0]["warnings"] == "UserWarning: Slow"


def test_numbers_that_are_equal_are_one_setting(tmp_path):
    path = tmp_path / "study.csv"
    run_study(double, [{"a": 1, "name": "x"}], RESULTS, path)
    assert run_study(double, [{"a": 1.0, "name": "x"}], RESULTS, path) == 0


def test_file_of_another_study_is_refused(tmp_path):
    path = tmp_path / "study.csv"
    run_study(double, SETTINGS, RESULTS, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"has the columns .*, this study writes"):
        run_study(double, [{"b": 1}], RESULTS, path)
    assert path.read_bytes() == before


def test_unlike_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must have the keys \['a', 'name'\]"):
        run_study(double, [SETTINGS[0], {"a": 1}], RESULTS, tmp_path / "study.csv")


@pytest.mark.parametrize("row", [{"double": 1}, {"double": 1, "curve": [], "c": 2}])
def test_results_other_than_announced_are_failures(tmp_path, row):
    with pytest.raises(RuntimeError, match="are missing or too many"):
        run_study(lambda setting: row, SETTINGS, RESULTS, tmp_path / "study.csv")


def test_second_process_is_kept_out(tmp_path):
    path = tmp_path / "study.csv"
    with FileLock(f"{path}.lock"), pytest.raises(RuntimeError, match="is writing to"):
        run_study(double, SETTINGS, RESULTS, path)


def test_results_that_were_added_widen_the_file(tmp_path, whole):
    path = tmp_path / "study.csv"
    run_study(double, SETTINGS[:3], RESULTS, path)
    with open(path, "a") as file:
        file.write("3,x,")  # killed while it wrote

    def more(setting):
        return double(setting) | {"half": setting["a"] / 2}

    with pytest.raises(ValueError, match="has the columns"):
        run_study(more, SETTINGS, [*RESULTS, "half"], path)
    names = [*RESULTS, "half"]
    assert run_study(more, SETTINGS, names, path, added=["half"]) == 5
    rows = read(path)
    assert list(rows[0])[:5] == ["a", "name", "double", "curve", "half"]
    halves = [row.pop("half") for row in rows]
    assert halves == ["nan", "nan", "0.5", "nan", "1", "1", "1.5", "1.5"]
    assert rows == whole
    assert not path.with_name("study.csv.wide").exists()
