"""Two processes that share a training find what one finds alone.

This file is also the script of the second process.
"""

import os
import subprocess
import sys
import warnings
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest import mock

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.bilevel import _module, _net
from sparsedis.bilevel._module import to_device
from sparsedis.bilevel._sharing import shared_encoding
from sparsedis.distributed import Processes, processes, share_training
from sparsedis.encoders import Representation
from sparsedis.multitask._objective import TaskObjective
from sparsedis.tasks import TaskBatch

RNG = np.random.default_rng(0)
X = RNG.normal(size=(61, 5))
Y = X[:, :3] @ RNG.normal(size=(3, 7)) + 0.1 * RNG.normal(size=(61, 7))
Y[RNG.random(Y.shape) < 0.2] = np.nan
WEIGHT = RNG.uniform(0.5, 2.0, 7)


class Noter(Callback):
    """Note the gradients of the first step."""

    def on_grad_computed(self, net, named_parameters, **kwargs):
        if net.n_steps_ == 0:
            self.gradients = [
                None if p.grad is None else p.grad.numpy().copy()
                for _, p in named_parameters
            ]


class Kill(Callback):
    """Fail at a step, in some processes."""

    def __init__(self, step, ranks=(0, 1)):
        self.step = step
        self.ranks = ranks

    def on_batch_begin(self, net, training=None, **kwargs):
        if training and net.n_steps_ == self.step and processes().rank in self.ranks:
            raise ArithmeticError


def normalised(input_shape, n_components):
    return nn.Sequential(
        nn.LazyLinear(8),
        nn.LazyBatchNorm1d(momentum=None),
        nn.ReLU(),
        nn.BatchNorm1d(8, affine=False, track_running_stats=False),
        nn.LazyLinear(n_components),
    )


# One name in both processes: the file is a script in one.
normalised.__module__ = "sharing"


def table(**options):
    options = {"rotation": None, "max_iter": 4, "random_state": 0} | options
    return SparseMultiTaskRepresentation(3, **options)


def regression(noter):
    est = table(early_stopping=True, max_iter=21, callbacks=[noter])
    return est.fit(X, Y, task_weight=WEIGHT)


def outer(noter):
    est = table(inner_fraction=0.5, learn_alpha=True, alpha=0.2, callbacks=[noter])
    return est.fit(X, Y)


def one_task(noter):
    return table(callbacks=[noter]).fit(X, Y[:, :1])


def mixed(noter):
    """Two tasks of numbers, one of two classes and one of three."""
    labels = dict(enumerate(Y.T[:4]))
    labels[1] = Y[:, 1] > 0
    labels[2] = np.digitize(Y[:, 2], [-0.5, 0.5]).astype(str)
    est = SparseMultiTaskMixed(
        3, rotation=None, max_iter=4, callbacks=[noter], random_state=0
    )
    return est.fit(X, pd.DataFrame(labels))


def batches():
    """Tasks with rows of their own, of which one alone shows the third class."""
    rng = np.random.default_rng(1)
    for _ in range(3):
        rows = rng.normal(size=(30, 5))
        index = np.stack([rng.permutation(30)[:13] for _ in range(5)])
        y = 1.0 * (rows[index, :2].sum(-1) > 0)
        y[2, rows[index[2], 2] > 0.3] = 2.0
        yield TaskBatch(rows, y, index)


def stream(noter):
    est = SparseMultiTaskClassifier(
        3,
        encoder=normalised,
        rotation=None,
        max_iter=3,
        callbacks=[GradientNormClipping(0.1), noter],
        random_state=0,
    )
    return est.fit_stream(batches())


def episodes(noter):
    rng = np.random.default_rng(2)
    images, y = rng.random((96, 16, 16, 1)), np.arange(96) % 8
    est = GroupLassoSVMMetaLearner(
        n_components=8,
        n_ways=3,
        n_shots=2,
        n_queries=3,
        episodes_per_batch=3,
        max_iter=2,
        crop_padding=1,
        horizontal_flip=True,
        validation_classes=[6, 5, 4],
        validation_every=1,
        validation_episodes=2,
        # It assumes that gradients have the memory format of their weights.
        optimizer=partial(torch.optim.AdamW, fused=True),
        lr=1e-3,
        callbacks=[noter],
        random_state=0,
    )
    return est.fit(images, y)


CASES = [regression, outer, one_task, mixed, stream, episodes]


def numbers(est, noter):
    """Numbers that a fit gives."""
    found = {name: value.numpy() for name, value in est.module_.state_dict().items()}
    found |= {
        name: getattr(est, name)
        for name in ("coef_", "intercept_", "learned_alpha_", "feature_usage_")
        if name in vars(est)
    }
    found |= {f"history {name}": value for name, value in est.history_.items()}
    return found, noter.gradients


def compare(case):
    """Numbers of a case: shared, and in the first process also alone."""
    noter = Noter()
    with share_training():
        shared = numbers(case(noter), noter)
        first = processes().rank == 0
    return shared, numbers(case(noter), noter) if first else None


def wide(rows, device, wide=True):
    return to_device(rows, device, wide=True)


def in_float64():
    """Train in float64, where only mistakes make a difference."""
    patched = ExitStack()
    patched.enter_context(
        mock.patch.object(Representation, "to_float32", nn.Module.double)
    )
    for module in (_net, _module):
        patched.enter_context(mock.patch.object(module, "to_device", wide))
    return patched


def resumed(folder):
    """Heads of a training, and when it is cut short, continued and repeated."""
    est, found = table(max_iter=21, checkpoint=folder), []
    with share_training():
        found.append(table(max_iter=21).fit(X, Y).coef_)
    with pytest.raises(ArithmeticError), share_training():
        est.set_params(callbacks=[Kill(20)]).fit(X, Y)
    est.set_params(callbacks=None)
    for _ in range(2):
        with share_training():
            found.append(est.fit(X, Y).coef_)
    return found, len(list(folder.iterdir()))


def dropped():
    """Features of equal rows after dropout, in two steps."""
    module = Representation(nn.Dropout(), 50, None)
    rows = torch.ones(2, 50)
    found = []
    with share_training():
        for step in range(2):
            with shared_encoding(module, rows, step) as own:
                found.append(module(own).numpy())
    return np.concatenate(found)


def defaults():
    with share_training():
        est = SparseMultiTaskRepresentation(max_iter=10, random_state=0).fit(X, Y)
    return est.predict(X)


def judged(rank):
    """Losses on held-out rows, in processes that round differently."""
    judge = TaskObjective.judge

    def rounded(*args):
        return judge(*args) + rank

    with mock.patch.object(TaskObjective, "judge", rounded), share_training():
        est = table(early_stopping=True, max_iter=21).fit(X, Y)
    return est.history_["valid_loss"]


def half(noter):
    return table(max_iter=3, precision="bfloat16", callbacks=[noter]).fit(X, Y)


def error_of(fit):
    """Text of the error of a fit, and of another one in the same block."""
    with share_training():
        found = []
        for again in (fit, lambda: table().fit(X, Y)):
            try:
                again()
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
    return found


def errors(rank):
    def other_stream():
        rng = np.random.default_rng(3)
        yield from [(X, Y), (rng.normal(size=(30 + rank, 5)), Y[: 30 + rank])]

    return {
        "seed": error_of(lambda: table(random_state=rank).fit(X, Y)),
        "no seed": error_of(lambda: table(random_state=None).fit(X, Y)),
        "data": error_of(lambda: table().fit(X + rank, Y)),
        "batch": error_of(lambda: table().fit_stream(other_stream())),
        "loss": error_of(lambda: table(lr=1e30, max_iter=9).fit(X, Y)),
        "early": error_of(lambda: table().fit(X * [1, np.inf][rank], Y)),
        "both": error_of(lambda: table(device="no").fit(X, Y)),
        "failed": error_of(lambda: table(callbacks=[Kill(3, [1])]).fit(X, Y)),
    }


def run(rank, folder):
    """Fit everything in one of the two processes."""
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group(
        "gloo",
        store=store,
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=120),
    )
    try:
        with warnings.catch_warnings():
            # About quality, which is not the question here.
            warnings.simplefilter("ignore", UserWarning)
            found = {
                "resumed": resumed(folder / "training"),
                "dropped": dropped(),
                "defaults": defaults(),
                "judged": judged(rank),
                "half": compare(half)[0],
                "errors": errors(rank),
            }
            with in_float64():
                found |= {case.__name__: compare(case) for case in CASES}
    finally:
        dist.destroy_process_group()
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What this process and another one have found."""
    folder = tmp_path_factory.mktemp("shared")
    command = [sys.executable, __file__, str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment) as other:
        own = run(0, folder)
        assert other.wait(120) == 0
    return own, joblib.load(folder / "found")


def assert_equal(one, other, **tolerance):
    for left, right in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(left, right, **tolerance)
    for name, value in one[0].items():
        np.testing.assert_allclose(value, other[0][name], err_msg=name, **tolerance)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_find_what_one_does(found, case):
    shared, alone = found[0][case.__name__]
    assert_equal(shared, alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", [*CASES, half])
def test_both_processes_find_the_same(found, case):
    own, other = (results[case.__name__] for results in found)
    own, other = (own, other) if case is half else (own[0], other[0])
    assert_equal(own, other, rtol=0)


def test_the_stages_after_training_give_the_same(found):
    own, other = (results["defaults"] for results in found)
    np.testing.assert_array_equal(own, other)


def test_training_continues_from_one_file(found):
    for coefs, n_files in (results["resumed"] for results in found):
        assert n_files == 1
        for coef in coefs:
            np.testing.assert_array_equal(coef, found[0]["resumed"][0][0])


def test_each_row_has_its_own_dropout(found):
    own, other = (results["dropped"] for results in found)
    np.testing.assert_array_equal(own, other)
    assert len(np.unique(own, axis=0)) == 4


def test_what_differs_is_refused_in_both_processes(found):
    own, other = (results["errors"] for results in found)
    for name in ("seed", "no seed", "data"):
        assert own[name][0] == other[name][0]
        assert "ValueError: The processes that share the training must" in own[name][0]
    assert own["batch"][0] == other["batch"][0]
    assert (
        "ValueError: The processes have different batches at step 1" in own["batch"][0]
    )


def test_a_loss_that_is_not_finite_ends_the_fit_in_both_processes(found):
    own, other = (results["errors"]["loss"] for results in found)
    assert own == other
    # The processes then share the next fit of the block.
    [text] = own
    assert "NonFiniteError" in text


def test_nobody_waits_for_a_process_that_failed(found):
    own, other = (results["errors"]["failed"] for results in found)
    assert "RuntimeError: Another of the 2 processes" in own[0]
    assert "ArithmeticError" in other[0]
    for _, again in (own, other):
        assert "RuntimeError: A fit in this block of share_training has failed" in again


def test_nobody_waits_for_a_process_whose_data_are_refused(found):
    own, other = (results["errors"]["early"] for results in found)
    assert len(own) == len(other) == 1  # The next fit is shared again.
    assert "ValueError: The processes that share the training must" in own[0]
    assert "ValueError: Input X contains" in other[0]


def test_an_error_in_all_processes_does_not_end_the_block(found):
    own, other = (results["errors"]["both"] for results in found)
    assert own == other
    assert len(own) == 1
    assert "device" in own[0]


def test_a_step_needs_a_row_for_each_process():
    alone = Processes()
    alone.size = 3
    with pytest.raises(ValueError, match="got 2 rows for 3 processes"):
        alone.block(2)


def test_without_a_group():
    with pytest.raises(RuntimeError, match="init_process_group"), share_training():
        pass


if __name__ == "__main__":
    joblib.dump(run(1, Path(sys.argv[1])), Path(sys.argv[1]) / "found")


def test_training_ends_by_the_losses_of_the_first_process(found):
    own, other = (results["judged"] for results in found)
    assert len(own)
    np.testing.assert_array_equal(own, other)
