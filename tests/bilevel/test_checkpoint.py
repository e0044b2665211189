"""A training that was cut short and taken up again is the one that was not."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, Checkpoint, LoadInitState, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import FactorDistribution, Shapes3D, SparseTaskStream

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6))
Y = X[:, :3] @ RNG.normal(size=(3, 12)) + 0.1 * RNG.normal(size=(120, 12))
Y[RNG.random(Y.shape) < 0.2] = np.nan


class PowerFailure(RuntimeError):
    pass


class Kill(Callback):
    """Fail in the middle of an epoch."""

    def __init__(self, step):
        self.step = step

    def on_batch_begin(self, net, training=None, **kwargs):
        if training and net.n_steps_ == self.step:
            raise PowerFailure


class Count(Callback):
    """Count the steps that are done."""

    n_steps = 0

    def on_batch_end(self, net, training=None, **kwargs):
        self.n_steps += training


def lazy(input_shape, n_components):
    return nn.Sequential(
        nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(n_components)
    )


def with_dropout(input_shape, n_components):
    return nn.Sequential(
        nn.Linear(input_shape[0], 16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(16, n_components),
    )


def representation(**params):
    defaults = {
        "n_components": 3,
        "rotation": None,
        "penalty": "l2",
        "max_iter": 50,
        "batch_size": 30,
        "random_state": 0,
    }
    return SparseMultiTaskRepresentation(**(defaults | params))


def meta_learner(**params):
    defaults = {
        "encoder": with_dropout,
        "n_components": 4,
        "n_ways": 3,
        "n_shots": 2,
        "n_queries": 3,
        "episodes_per_batch": 2,
        "max_iter": 45,
        "random_state": 0,
        "lr": 0.02,
    }
    return GroupLassoSVMMetaLearner(**(defaults | params))


def images():
    shapes = Shapes3D(image_size=8)
    distribution = FactorDistribution(shapes, random_state=0)
    return SparseTaskStream(
        shapes, distribution, n_tasks=6, n_samples=12, random_state=0
    )


def pairs():
    rng = np.random.default_rng(0)
    for _ in range(100):
        at = rng.permutation(len(X))[:20]
        yield X[at], np.nan_to_num(Y[at])


def classes():
    return np.where(np.isnan(Y), np.nan, Y > 0)


FORMS = {
    "table": (representation, lambda: (X, Y)),
    "rotated": (partial(representation, rotation="sparsest"), lambda: (X, Y)),
    "dropout": (partial(representation, encoder=with_dropout), lambda: (X, Y)),
    "halves": (partial(representation, inner_fraction=0.5), lambda: (X, Y)),
    "early stopping": (
        partial(representation, early_stopping=True, n_iter_no_change=2),
        lambda: (X, Y),
    ),
    "learned penalty": (
        partial(
            representation,
            learn_alpha=True,
            inner_fraction=0.5,
            alpha=0.1,
            early_stopping=True,
            n_iter_no_change=1,
            lr=0.03,
        ),
        lambda: (X, Y),
    ),
    "counted": (
        partial(representation, n_components="auto", max_iter=50),
        lambda: (X, Y),
    ),
    "constant rate": (
        partial(representation, lr_schedule="constant", precision="bfloat16"),
        lambda: (X, Y),
    ),
    "average": (
        partial(representation, lr_schedule="average", encoder=with_dropout),
        lambda: (X, Y),
    ),
    "momentum": (
        partial(representation, optimizer=partial(torch.optim.SGD, momentum=0.9)),
        lambda: (X, Y),
    ),
    "plateau": (
        partial(
            representation,
            lr_schedule="constant",
            callbacks=[
                LRScheduler(
                    ReduceLROnPlateau, monitor="train_loss", patience=0, threshold=0.5
                )
            ],
        ),
        lambda: (X, Y),
    ),
    "classes": (
        partial(
            SparseMultiTaskClassifier, 3, rotation=None, max_iter=50, random_state=0
        ),
        lambda: (X, classes()),
    ),
    "narrowed": (
        partial(SparseMultiTaskClassifier, max_iter=42, random_state=0),
        lambda: (X, classes()),
    ),
    "lazy": (
        partial(representation, encoder=lazy, early_stopping=True, max_iter=45),
        lambda: (X, Y),
    ),
    "list": (representation, lambda: ([*pairs()][:7],)),
    "generator": (representation, lambda: (pairs(),)),
    "images": (
        partial(representation, encoder="conv", max_iter=45),
        lambda: (images(),),
    ),
    "episodes": (meta_learner, lambda: (X, np.arange(len(X)) % 6)),
    "episodes, validated": (
        partial(
            meta_learner,
            validation_classes=0.5,
            validation_every=7,
            validation_episodes=5,
            optimizer="adam",
            learn_alpha=True,
        ),
        lambda: (X, np.arange(len(X)) % 6),
    ),
}


def fit(make, data, **params):
    est = make()
    params["callbacks"] = [*(est.callbacks or []), *params.pop("callbacks", [])]
    est.set_params(**params)
    data = data()
    return (est.fit if len(data) == 2 else est.fit_stream)(*data)


@pytest.fixture(scope="module")
def whole():
    """The training that nothing cuts."""
    return representation().fit(X, Y)


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


def assert_same(est, other, data):
    inputs = data()[0]
    inputs = inputs if isinstance(inputs, np.ndarray) else next(iter(inputs))
    inputs = getattr(inputs, "rows", inputs)
    inputs = inputs[0] if isinstance(inputs, tuple) else inputs
    np.testing.assert_array_equal(est.transform(inputs), other.transform(inputs))
    assert est.n_iter_ == other.n_iter_
    for name, values in est.history_.items():
        np.testing.assert_array_equal(values, other.history_[name], err_msg=name)
    for name in ("coef_", "feature_usage_", "learned_alpha_", "best_iter_", "alpha_"):
        if name in vars(est):
            np.testing.assert_array_equal(getattr(est, name), getattr(other, name))


# Twelve tasks, and a few steps, tell little of factors.
@pytest.mark.filterwarnings("ignore:. of . features may not be factors")
@pytest.mark.parametrize("form", FORMS)
def test_training_goes_on_bit_for_bit(tmp_path, form):
    make, data = FORMS[form]
    whole = fit(make, data)
    before = torch.get_rng_state()
    # Killed twice, the first time before there is anything to take up.
    for step in (7, 25):
        with pytest.raises(PowerFailure):
            fit(make, data, checkpoint=tmp_path, callbacks=[Kill(step)])
    counted = Count()
    again = fit(make, data, checkpoint=tmp_path, callbacks=[counted])
    assert_same(again, whole, data)
    if form not in ("counted", "narrowed"):  # trained twice, to count and to learn
        assert counted.n_steps == whole.n_iter_ - 20
    # Once done, there is nothing left to do.
    counted.n_steps = 0
    done = fit(make, data, checkpoint=tmp_path, callbacks=[counted])
    assert counted.n_steps == 0
    assert_same(done, whole, data)
    assert (torch.get_rng_state() == before).all()


@pytest.mark.parametrize("step", [0, 19, 20, 21, 40, 49])
def test_training_goes_on_wherever_it_was_cut(tmp_path, whole, step):
    with pytest.raises(PowerFailure):
        representation(checkpoint=tmp_path, callbacks=[Kill(step)]).fit(X, Y)
    again = representation(checkpoint=tmp_path).fit(X, Y)
    assert_same(again, whole, lambda: (X, Y))


SCRIPT = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from tests.bilevel import test_checkpoint as t

class Die(t.Callback):
    def on_batch_begin(self, net, **kwargs):
        if net.n_steps_ == 45:
            os.kill(os.getpid(), signal.SIGKILL)

t.representation(checkpoint=sys.argv[1], callbacks=[Die()]).fit(t.X, t.Y)
"""


def test_training_goes_on_after_a_killed_process(tmp_path, whole):
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=Path(__file__).parents[2]
    )
    assert killed.returncode == -9
    counted = Count()
    again = representation(checkpoint=tmp_path, callbacks=[counted]).fit(X, Y)
    assert counted.n_steps == 10
    assert_same(again, whole, lambda: (X, Y))


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


def test_callbacks_may_change(tmp_path):
    make, data = FORMS["plateau"]
    with pytest.raises(PowerFailure):
        fit(make, data, checkpoint=tmp_path, callbacks=[Kill(33)])
    counted = Count()
    make(checkpoint=tmp_path, callbacks=[counted]).fit(X, Y)
    assert counted.n_steps == 30


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


def test_the_state_for_skorch_stands_for_its_folder(tmp_path):
    def make(*extra):
        checkpoint = Checkpoint(monitor=None, dirname=tmp_path, fn_prefix="a-")
        return representation(
            encoder=with_dropout,
            callbacks=[checkpoint, LoadInitState(checkpoint), *extra],
        )

    with pytest.raises(PowerFailure) as caught:
        make(Kill(45)).fit(X, Y)
    [path] = tmp_path.glob("*.training")
    assert path.name.startswith("a-")
    assert caught.value.__notes__[0].endswith(f"The same fit continues from {path}.")
    counted = Count()
    again = make(counted).fit(X, Y)
    assert counted.n_steps == 10
    whole = representation(encoder=with_dropout).fit(X, Y)
    assert_same(again, whole, lambda: (X, Y))


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


def test_weights_that_are_not_finite_are_not_kept(tmp_path, whole):
    class Spoil(Callback):
        def on_epoch_end(self, net, **kwargs):
            if net.n_steps_ == 40:
                with torch.no_grad():
                    next(net.module_.parameters()).fill_(torch.nan)

    with pytest.raises(ValueError, match="at step 40"):
        representation(checkpoint=tmp_path, callbacks=[Spoil()]).fit(X, Y)
    counted = Count()
    again = representation(checkpoint=tmp_path, callbacks=[counted]).fit(X, Y)
    assert counted.n_steps == 30
    assert_same(again, whole, lambda: (X, Y))


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(FileExistsError, match="checkpoint must be a folder that can"):
        representation(checkpoint=path).fit(X, Y)


def test_clones_keep_the_folder(tmp_path):
    est = clone(representation(checkpoint=tmp_path))
    assert est.checkpoint == tmp_path
    assert "checkpoint" in repr(est)


def test_the_best_penalty_is_that_of_the_best_weights():
    class Watch(Callback):
        def __init__(self):
            self.found = []

        def on_epoch_end(self, net, **kwargs):
            loss = net.history[-1, "valid_loss"]
            self.found.append((loss, net.criterion_.penalty()))

    watch = Watch()
    make, data = FORMS["learned penalty"]
    est = make(callbacks=[watch], n_iter_no_change=2, max_iter=400)
    est.fit(*data())
    best = min(range(len(watch.found)), key=watch.found.__getitem__)
    assert best < len(watch.found) - 1
    assert est.learned_alpha_ == watch.found[best][1] != watch.found[-1][1]
