"""The seed decides, in threads too, and torch's own generators stay as they were."""

import threading

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sparsedis import SparseMultiTaskRepresentation
from sparsedis._randomness import TorchRandomness
from sparsedis.datasets import make_sparse_tasks
from sparsedis.meta_learning import GroupLassoSVMMetaLearner


def with_dropout(shape, n_components):
    return nn.Sequential(
        nn.Linear(*shape, 16), nn.Dropout(0.3), nn.Linear(16, n_components)
    )


def fit_tasks(seed, callbacks=None):
    X, Y = make_sparse_tasks(60, 12, n_factors=3, random_state=0)
    est = SparseMultiTaskRepresentation(
        3,
        encoder=with_dropout,
        rotation=None,
        alpha=0.1,
        max_iter=6,
        random_state=seed,
        callbacks=callbacks,
    )
    return est.fit(X, Y).transform(X)


def fit_classes(seed, callbacks=None):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((80, 5)).astype(np.float32), np.arange(80) % 8
    est = GroupLassoSVMMetaLearner(
        with_dropout,
        n_components=4,
        n_ways=3,
        n_shots=2,
        n_queries=3,
        max_iter=6,
        random_state=seed,
        callbacks=callbacks,
    )
    return est.fit(X, y).transform(X)


class InTurn(Callback):
    """Let two trainings take their steps in turn."""

    def __init__(self, barrier):
        self.barrier = barrier

    def on_batch_begin(self, net, **kwargs):
        self.barrier.wait(30)


@pytest.mark.parametrize("fit", [fit_tasks, fit_classes])
def test_threads_fit_as_alone(fit):
    state = torch.get_rng_state()
    alone = [fit(0), fit(1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert not np.array_equal(*alone)
    found, barrier = [None, None], threading.Barrier(2)

    def run(seed):
        found[seed] = fit(seed, [InTurn(barrier)])

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found[0], alone[0])
    np.testing.assert_array_equal(found[1], alone[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_errors_leave_the_generator_as_it_was():
    randomness = TorchRandomness(0, torch.device("cpu"))
    state = torch.get_rng_state()

    def fail():
        with randomness.lent():
            torch.rand(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(torch.get_rng_state(), state)
    # What was drawn does not come again.
    with randomness.lent():
        second = torch.rand(3)
    generator = torch.Generator().manual_seed(0)
    torch.rand(3, generator=generator)
    assert torch.equal(second, torch.rand(3, generator=generator))
