"""Every study of the paper runs, and draws from as little as two rows."""

from dataclasses import replace
from importlib import import_module

import pytest

from benchmarks.paper.__main__ import NAMES, main

# What makes any study a matter of a moment.
TINY = {"max_iter": 2, "image_size": 16, "n_test": 100, "n_samples": 20}
STUDIES = [import_module(f"benchmarks.paper.{name}").STUDY for name in NAMES]


def unique(settings):
    return {tuple(setting.items()) for setting in settings}


@pytest.mark.parametrize("study", STUDIES, ids=NAMES)
@pytest.mark.parametrize("full", [False, True])
def test_settings_are_distinct_and_grow_with_the_seeds(study, full):
    one, three = (study.settings(full, n_seeds) for n_seeds in (1, 3))
    assert len(unique(one)) == len(one)
    assert len(unique(three)) == len(three)
    assert unique(one) < unique(three)
    assert {tuple(setting) for setting in three} == {tuple(one[0])}


@pytest.mark.parametrize("study", STUDIES, ids=NAMES)
def test_study_runs_and_draws(study, tmp_path):
    def tiny(full, n_seeds, settings=study.settings):
        return [
            {name: TINY.get(name, value) for name, value in setting.items()}
            for setting in settings(full, n_seeds)[:2]
        ]

    study = replace(study, settings=tiny)
    study.main(["--out", str(tmp_path), "--seeds", "1"])
    rows = (tmp_path / f"{study.rows or study.name}.csv").read_text()
    assert rows.count("\n") == 3
    assert (tmp_path / f"{study.name}_table.csv").read_text().count("\n") >= 2
    picture = tmp_path / f"{study.name}.png"
    first = picture.read_bytes()
    study.main(["--out", str(tmp_path), "--plot-only"])
    assert picture.read_bytes() == first


def test_only_runs_what_is_named(tmp_path):
    only = ["--only", "rho=0.5", "--only", "rho=0.9", "--only", "noise=1"]
    main(["figure7", "--out", str(tmp_path), *only])
    lines = (tmp_path / "figure7.csv").read_text().splitlines()
    assert sorted(line.split(",")[0] for line in lines[1:]) == ["0.5", "0.9"]


def test_only_names_an_unknown_key(tmp_path):
    with pytest.raises(ValueError, match=r"KEY=VALUE with a key of .* got 'x=1'"):
        main(["figure7", "--out", str(tmp_path), "--only", "x=1"])


def test_plotting_without_rows_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="run without --plot-only"):
        main(["figure7", "--out", str(tmp_path), "--plot-only"])


def test_drawing_all_passes_over_studies_without_rows(tmp_path, capsys):
    main(["figure7", "--out", str(tmp_path), "--only", "rho=0"])
    before = (tmp_path / "figure7.png").read_bytes()
    (tmp_path / "figure7.png").unlink()
    main(["--plot-only", "--out", str(tmp_path)])
    assert (tmp_path / "figure7.png").read_bytes() == before
    assert "figure5.csv is missing" in capsys.readouterr().out


def test_unknown_study_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["figure99"])
    assert "unknown studies ['figure99']" in capsys.readouterr().err
