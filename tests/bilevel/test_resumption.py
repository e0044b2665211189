"""A training that was cut short and taken up again is the one that was not."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, LoadInitState, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sparsedis import SparseMultiTaskClassifier
from sparsedis.datasets import FactorDistribution, Shapes3D, SparseTaskStream
from tests.bilevel._trainings import (
    Count,
    Kill,
    PowerFailure,
    X,
    Y,
    assert_same,
    meta_learner,
    representation,
    with_dropout,
)


def lazy(input_shape, n_components):
    return nn.Sequential(
        nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(n_components)
    )


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
from tests.bilevel import _trainings as t

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


def test_callbacks_may_change(tmp_path):
    make, data = FORMS["plateau"]
    with pytest.raises(PowerFailure):
        fit(make, data, checkpoint=tmp_path, callbacks=[Kill(33)])
    counted = Count()
    make(checkpoint=tmp_path, callbacks=[counted]).fit(X, Y)
    assert counted.n_steps == 30


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
