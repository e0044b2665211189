"""Every study of the paper runs, and draws from as little as two rows."""

import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from matplotlib.testing.compare import compare_images
from sklearn.base import clone

from benchmarks.paper import _shapes, _synthetic, figure1
from benchmarks.paper.__main__ import NAMES, WITH_DATA, main

# What is left of any study, at most, makes it a matter of a moment.
TINY = {
    "max_iter": 2,
    "image_size": 16,
    "n_test": 100,
    "n_samples": 20,
    "n_tasks": 12,
    "n_ica": 200,
}
RESULTS = Path(__file__).parents[2] / "benchmarks/paper/results"
STUDIES = [import_module(f"benchmarks.paper.{name}").STUDY for name in NAMES]


def tiny(study):
    """The study with its first two settings, and little to do in them."""

    def settings(full, n_seeds):
        return [
            {
                name: min(value, TINY[name]) if name in TINY else value
                for name, value in setting.items()
            }
            for setting in study.settings(full, n_seeds)[:2]
        ]

    return replace(study, settings=settings)


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


def looks_like(picture, other):
    """Whether two pictures are the same but for the smoothing of their letters.

    The layout shifts titles by fractions of a pixel from one drawing to the next.
    """
    return compare_images(str(other), str(picture), tol=0.5) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all the studies: some draw the rows of another."""
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("study", STUDIES, ids=NAMES)
def test_study_runs_and_draws(study, folder):
    study = tiny(study)
    study.main(["--out", str(folder), "--seeds", "1"])
    rows = (folder / f"{study.rows or study.name}.csv").read_text()
    assert rows.count("\n") == 3
    assert (folder / f"{study.name}_table.csv").read_text().count("\n") >= 2
    picture = folder / f"{study.name}.png"
    first = shutil.move(picture, folder / "first.png")
    study.main(["--out", str(folder), "--plot-only"])
    assert looks_like(picture, first)


def test_rows_without_a_rotation_are_drawn(tmp_path):
    study = import_module("benchmarks.paper.figure9").STUDY
    rows = pd.DataFrame(study.settings(False, 1))
    rows[list(study.results)] = 0.5
    rows = rows.drop(columns=list(_shapes.ROTATED))
    rows.to_csv(tmp_path / "figure9.csv", index=False)
    study.main(["--out", str(tmp_path), "--plot-only"])
    table = pd.read_csv(tmp_path / "figure9_table.csv")
    assert not table.columns.str.contains("rotation").any()


@pytest.mark.filterwarnings("ignore:.*may not be factors")
def test_features_before_the_rotation_are_those_without_one():
    setting = _shapes.make_setting(False, penalty="l2", rho=0.0, seed=0) | TINY
    images, distribution = _shapes.open_data(setting)
    est = _shapes.train(setting, images, distribution)
    before = _shapes.unrotated(est)
    plain = clone(est).set_params(rotation=None, callbacks=None)
    plain.fit_stream(_shapes.make_stream(setting, images, distribution))
    test = images.images(np.arange(20))
    codes = before.transform(test)
    np.testing.assert_allclose(codes, plain.transform(test), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(before.feature_usage_, plain.feature_usage_)
    # What the estimator gives is a linear map of them.
    X = np.column_stack([codes, np.ones(20)])
    rotated = est.transform(test)
    fitted = X @ np.linalg.lstsq(X, rotated, rcond=None)[0]
    np.testing.assert_allclose(rotated, fitted, atol=1e-3)


def test_rows_say_that_images_are_the_original_ones(tmp_path):
    values = (
        [0.0, 0.1, 0.2],
        [0.0, 0.5],
        [0.3, 0.9],
        [0.75, 1.25],
        [0.0, 3.0],
        [-30, 30],
    )
    labels = np.stack([v.ravel() for v in np.meshgrid(*values, indexing="ij")], axis=1)
    images = np.random.default_rng(0).integers(
        0, 256, (len(labels), 64, 64, 3), dtype=np.uint8
    )
    with h5py.File(tmp_path / "3dshapes.h5", "w") as file:
        file["images"], file["labels"] = images, labels

    study = import_module("benchmarks.paper.figure4").STUDY

    def settings(full, n_seeds, settings=study.settings):
        changes = {"max_iter": 2, "n_test": 60, "n_samples": 20, "n_tasks": 12}
        return [settings(full, n_seeds)[0] | changes]

    study = replace(study, settings=settings)
    study.main(["--out", str(tmp_path), "--data", str(tmp_path / "3dshapes.h5")])
    study.main(["--out", str(tmp_path)])
    original = pd.read_csv(tmp_path / "figure4_original.csv").iloc[0]
    rendered = pd.read_csv(tmp_path / "figure4.csv").iloc[0]
    assert (original.images, original.image_size) == ("original", 64)
    assert (rendered.images, rendered.image_size) == ("rendered", 48)
    assert original.n_effective < len(labels) < rendered.n_effective
    assert (tmp_path / "figure4_original.png").exists()
    with pytest.raises(
        ValueError, match="'original' goes with data=a path, got data=N"
    ):
        _shapes.open_data(dict(original))


@pytest.mark.parametrize("name", [*NAMES, *WITH_DATA])
def test_tables_in_the_documentation_follow_from_the_rows(name):
    study = import_module(f"benchmarks.paper.{name}").STUDY
    rows = study.read(RESULTS / f"{study.rows or name}.csv")
    table = study.table(rows).to_csv(index=False)
    assert table == (RESULTS / f"{name}_table.csv").read_text()


def test_only_runs_what_is_named(tmp_path):
    only = ["--only", "rho=0.5", "--only", "rho=0.9", "--only", "noise=1"]
    main(["figure7", "--out", str(tmp_path), *only])
    lines = (tmp_path / "figure7.csv").read_text().splitlines()
    assert sorted(line.split(",")[0] for line in lines[1:]) == ["0.5", "0.9"]


def test_only_names_an_unknown_key(tmp_path):
    with pytest.raises(ValueError, match=r"KEY=VALUE with a key of .* got 'x=1'"):
        main(["figure7", "--out", str(tmp_path), "--only", "x=1"])


def test_only_names_a_value_that_no_setting_has(tmp_path):
    with pytest.raises(ValueError, match=r"no setting of figure7 has \['rho=0.7'\]"):
        main(["figure7", "--out", str(tmp_path), "--only", "rho=0.7"])
    assert not (tmp_path / "figure7.csv").exists()


def test_seeds_must_be_positive(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["figure7", "--out", str(tmp_path), "--seeds", "0"])
    assert "must be at least 1, got 0" in capsys.readouterr().err


def test_rows_that_differ_in_what_is_not_varied_are_not_averaged(tmp_path):
    study = import_module("benchmarks.paper.beyond_sparsity").STUDY

    tiny(study).main(["--out", str(tmp_path)])
    path = tmp_path / "beyond_sparsity.csv"
    rows = pd.read_csv(path)
    rows.loc[0, "alpha"] = 0.1
    rows.to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"alpha = 0\.1, 0\.4, which beyond_sparsity"):
        study.main(["--out", str(tmp_path), "--plot-only"])


def test_a_value_that_varies_may_not_differ_between_seeds(tmp_path):
    """The number of steps follows from rho, and is no way to tell rows apart."""
    study = import_module("benchmarks.paper.figure4").STUDY
    columns = [*study.settings(False, 1)[0], *study.results]
    settings = [s for s in study.settings(False, 2) if s["rho"] == 0.9]
    rows = pd.DataFrame(settings).reindex(columns=columns)
    rows[list(study.results)] = 0.5
    path = tmp_path / "figure4.csv"
    rows.to_csv(path, index=False)
    study.draw(path)
    rows.loc[rows.seed == 1, "max_iter"] = 400
    rows.to_csv(path, index=False)
    with pytest.raises(
        ValueError, match="max_iter = 1000, 400, which figure4 does not"
    ):
        study.draw(path)
    rows.drop(columns="noise_ratio").to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"lacks the columns \['noise_ratio'\]"):
        study.draw(path)


@pytest.mark.parametrize("seed", [0, 1])
def test_draws_are_independent(seed):
    """Coefficients, models, training and test samples share no stream of numbers."""
    coef = np.random.default_rng(seed).standard_normal(100)
    draws = []

    class Spy:
        def __init__(self, *args, **kwargs):
            pass

        def fit(self, X, y):
            draws.append(X)
            return self

        def predict(self, X):
            return np.zeros(len(X))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure1, "LassoCV", Spy)
        patch.setattr(figure1, "RidgeCV", Spy)
        setting = figure1.settings(False, 2)[0] | {"coef_seed": seed, "seed": 0}
        figure1.run(setting)
    assert not np.isclose(draws[0][0], coef).all()

    setting = _synthetic.DEFAULTS | {"seed": seed}
    model, X, _ = _synthetic.make_table(setting)
    seen = []
    estimator = SimpleNamespace(
        transform=lambda X: seen.append(X) or X,
        coef_=np.ones((1, 6)),
        feature_usage_=np.ones(6),
    )
    _synthetic.measure(estimator, model)
    first = np.random.default_rng(seed).standard_normal((100, 6))
    assert not np.isclose(model.mix(first)[:, None], X).all(-1).any()
    assert not np.isclose(seen[0][:200, None], X).all(-1).any()


def test_a_script_runs_what_workers_can_import(tmp_path):
    def run(setting):
        raise AssertionError("this is the copy of the script")

    run.__module__ = "__main__"
    module = import_module("benchmarks.paper.figure7")
    script = replace(module.STUDY, run=run)
    script.main(["--out", str(tmp_path), "--only", "rho=0"])
    assert (tmp_path / "figure7.csv").read_text().count("\n") == 4


def test_plotting_without_rows_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="run without --plot-only"):
        main(["figure7", "--out", str(tmp_path), "--plot-only"])


def test_drawing_all_passes_over_studies_without_rows(tmp_path, capsys):
    shutil.copy(RESULTS / "figure10.csv", tmp_path)
    main(["figure10", "--plot-only", "--out", str(tmp_path)])
    before = shutil.move(tmp_path / "figure10.png", tmp_path / "before.png")
    main(["--plot-only", "--out", str(tmp_path)])
    assert looks_like(tmp_path / "figure10.png", before)
    assert "figure5.csv is missing" in capsys.readouterr().out


def test_a_key_that_no_study_has_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--only", "roh=0.9"])
    assert "no study has the settings ['roh=0.9']" in capsys.readouterr().err


def test_unknown_study_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["figure99"])
    assert "unknown studies ['figure99']" in capsys.readouterr().err
