"""The few-shot study, on characters made up here."""

from dataclasses import replace

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.paper.figure5 import STUDY

TINY = {"max_iter": 1, "n_episodes": 3, "episodes_per_batch": 1, "n_queries": 2}


def test_study_runs_and_draws(tmp_path):
    rng = np.random.default_rng(0)
    for character in range(1, 18):
        folder = tmp_path / "data" / "Greek" / f"character{character:02}"
        folder.mkdir(parents=True)
        for drawing in range(12):
            pixels = (rng.random((14, 14)) > 0.5).astype(np.uint8) * 255
            Image.fromarray(pixels).save(folder / f"{drawing:02}.png")

    def tiny(full, n_seeds):
        return [s | TINY for s in STUDY.settings(full, n_seeds)[:2]]

    out = tmp_path / "results"
    args = ["--out", str(out), "--data", str(tmp_path / "data")]
    replace(STUDY, settings=tiny).main(args)
    assert (out / "figure5.csv").read_text().count("\n") == 3
    assert (out / "figure5.png").stat().st_size > 0
    assert (out / "figure5_table.csv").read_text().count("\n") == 3


def test_full_scale_reads_mini_imagenet(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for subset in ("train", "val"):
        lines = ["filename,label"]
        for i in range(5 * 8):
            name = f"{subset}{i}.png"
            pixels = rng.integers(0, 256, (84, 84, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name)
            lines.append(f"{name},{subset} class {i % 5}")
        (tmp_path / f"{subset}.csv").write_text("\n".join(lines) + "\n")

    def tiny(full, n_seeds):
        change = {"encoder": "conv4", "train_shots": 5}
        return [STUDY.settings(full, n_seeds)[0] | TINY | change]

    study = replace(STUDY, settings=tiny)
    study.main(["--full", "--out", str(tmp_path), "--data", str(tmp_path)])
    row = pd.read_csv(tmp_path / "figure5_full.csv").iloc[0]
    assert row.images == "mini_imagenet"
    assert 0 <= row.accuracy <= 1
    assert (tmp_path / "figure5_full.png").exists()


def test_full_scale_is_that_of_the_paper():
    for setting in STUDY.settings(True, 2):
        assert setting["images"] == "mini_imagenet"
        assert setting["encoder"] == "resnet12"
        assert setting["episodes_per_batch"] == 8
