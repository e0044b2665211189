"""Faults that are made on purpose are counted, and those taken wrongly named."""

import numpy as np

from benchmarks.faults import __main__ as faults
from benchmarks.faults._files import _damages
from benchmarks.faults._workloads import X, Y, flaws, representation


def test_flaws_are_seen():
    assert flaws(representation()) is None
    est = representation(max_iter=2, rotation=None, alpha=0.1).fit(X, Y)
    assert flaws(est) is None
    est.n_iter_ += 1
    assert "n_iter_ is 3 of 2" in flaws(est)
    est.module_.state_dict()["normalization.running_mean"].fill_(np.nan)
    assert flaws(est) == "normalization.running_mean is not finite"


def test_damages_leave_nothing_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)))
    damages = dict(_damages(path, 90))
    assert len(damages) > 80
    assert path.read_bytes() not in damages.values()


def test_wrong_ones_are_counted(monkeypatch, capsys):
    made = [("one", None), ("other", "went wrong")]
    monkeypatch.setitem(faults.KINDS, "models", lambda times: times * made)
    assert faults.main(["--only", "models", "--times", "2"]) == 2
    printed = capsys.readouterr().out
    assert "other: went wrong" in printed
    assert printed.endswith("4 faults injected, 2 wrong\n")
