"""Files of trainings: which one is taken up, and which are refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Checkpoint, LoadInitState
from torch import nn

from tests.bilevel._trainings import (
    Count,
    X,
    Y,
    assert_same,
    meta_learner,
    representation,
    with_dropout,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the file of a finished training, which tests copy."""
    folder = tmp_path_factory.mktemp("finished")
    representation(checkpoint=folder).fit(X, Y)
    return folder


@pytest.fixture
def kept(finished, tmp_path):
    """A folder of a test's own, with the file of a finished training."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.01},
        {"random_state": 1},
        {"max_iter": 90},
        {"encoder": with_dropout},
        {"optimizer": torch.optim.Adam},
        {"alpha": np.full(12, 0.02)},
        {"penalty": "l1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_parameters_begin_anew(kept, change):
    other = representation(checkpoint=kept, **change).fit(X, Y)
    assert_same(other, representation(**change).fit(X, Y), lambda: (X, Y))
    # The first one is still there.
    counted = Count()
    representation(checkpoint=kept, callbacks=[counted]).fit(X, Y)
    assert counted.n_steps == 0


def other_rows():
    changed = X.copy()
    changed[5, 2] += 1e-3
    return changed, Y


def other_labels():
    changed = Y.copy()
    changed[np.flatnonzero(~np.isnan(Y[:, 3]))[0], 3] += 1e-3
    return X, changed


def fewer_labels():
    changed = Y.copy()
    changed[::2, 0] = np.nan
    return X, changed


@pytest.mark.parametrize("other", [other_rows, other_labels, fewer_labels])
def test_other_data_begin_anew(kept, other):
    counted = Count()
    representation(checkpoint=kept, callbacks=[counted]).fit(*other())
    assert counted.n_steps == 50


def test_what_does_not_matter_goes_on(kept):
    counted = Count()
    est = representation(checkpoint=str(kept), callbacks=[counted], device="cpu")
    est.fit(X.tolist(), Y)
    assert counted.n_steps == 0


def test_candidates_of_a_search_have_their_own_files(tmp_path):
    def search(**params):
        grid = {"lr": [1e-4, 4e-3], "n_components": [2, 3]}
        est = representation(max_iter=3, **params)
        return GridSearchCV(est, grid, cv=2).fit(X, Y)

    plain, kept = search(), search(checkpoint=tmp_path)
    scores = "mean_test_score"
    np.testing.assert_array_equal(plain.cv_results_[scores], kept.cv_results_[scores])
    assert len([*tmp_path.iterdir()]) == 9
    counted = Count()
    search(checkpoint=tmp_path, callbacks=[counted])
    assert counted.n_steps == 0


def test_two_folders_are_refused(tmp_path):
    checkpoint = Checkpoint(dirname=tmp_path / "a")
    est = representation(
        checkpoint=tmp_path / "b", callbacks=[("load", LoadInitState(checkpoint))]
    )
    with pytest.raises(ValueError, match=r"continue from only one folder: got .*b'"):
        est.fit(X, Y)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_a_seed_is_needed(tmp_path, random_state):
    est = representation(checkpoint=tmp_path, random_state=random_state)
    with pytest.raises(ValueError, match="random_state must be an int"):
        est.fit(X, Y)
    est = meta_learner(checkpoint=tmp_path, random_state=random_state)
    with pytest.raises(ValueError, match="random_state must be an int"):
        est.fit(X, np.arange(len(X)) % 6)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_damaged_file_is_named(kept, share):
    est = representation(checkpoint=kept).fit(X, Y)
    [path] = kept.iterdir()
    whole = path.read_bytes()
    torn = whole[: int(share * len(whole))]
    flipped = bytearray(whole)
    flipped[int(share * len(whole))] ^= 1
    before = est.transform(X)
    for content in (torn, bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path.name} is damaged, or of another"):
            est.fit(X, Y)
        np.testing.assert_array_equal(est.transform(X), before)


def test_a_renamed_file_is_refused(kept):
    [path] = kept.iterdir()
    representation(checkpoint=kept, lr=0.01).fit(X, Y)
    [other] = set(kept.iterdir()) - {path}
    path.replace(other)
    with pytest.raises(ValueError, match=f"{other.name} belongs to training with"):
        representation(checkpoint=kept, lr=0.01).fit(X, Y)


class Odd(nn.Linear):
    def get_extra_state(self):
        return Path()

    def set_extra_state(self, state):
        pass


def test_state_that_no_file_holds_is_refused(tmp_path):
    est = representation(checkpoint=tmp_path, encoder=Odd(6, 3))
    with pytest.raises(ValueError, match="checkpoint: the encoder or the optimizer"):
        est.fit(X, Y)
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(FileExistsError, match="checkpoint must be a folder that can"):
        representation(checkpoint=path).fit(X, Y)


def test_clones_keep_the_folder(tmp_path):
    est = clone(representation(checkpoint=tmp_path))
    assert est.checkpoint == tmp_path
    assert "checkpoint" in repr(est)
