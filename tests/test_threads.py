"""Small work uses one thread, and nothing remains of it."""

import threading

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from sparsedis import SparseMultiTaskRepresentation
from sparsedis._threads import threads_for
from sparsedis.heads import SparseHeads, SparseHeadsClassifier, SparseHeadsCV
from sparsedis.meta_learning import GroupLassoSVMMetaLearner
from sparsedis.rotation import _rotation

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5))
Y = X @ RNG.standard_normal((5, 3))
IMAGES = RNG.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)


def number_in_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture(autouse=True)
def four_threads():
    """Allow four threads, here and in new threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    assert torch.get_num_threads() == 4
    assert number_in_new_thread() == 4
    torch.set_num_threads(before)


class Observed(nn.Module):
    """Encoder that notes the number of threads, here and in a new thread."""

    def __init__(self, input_shape, n_components):
        super().__init__()
        self.linear = nn.Linear(int(np.prod(input_shape)), n_components)

    def forward(self, inputs):
        if self.training:
            SEEN.append((torch.get_num_threads(), number_in_new_thread()))
        return self.linear(inputs.flatten(1))


SEEN = []


@pytest.fixture
def seen():
    SEEN.clear()
    return SEEN


def estimator(**kwargs):
    options = {"rotation": None, "max_iter": 3, "random_state": 0} | kwargs
    return SparseMultiTaskRepresentation(2, encoder=Observed, **options)


@pytest.mark.parametrize(
    ("size", "number"), [(0, 1), (2**16 - 1, 1), (2**16, 2), (2**17, 4), (2**30, 4)]
)
def test_each_thread_has_enough_to_do(size, number):
    with threads_for(size):
        assert torch.get_num_threads() == number
        assert number_in_new_thread() == 4
        with threads_for(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == number


def test_the_number_of_the_user_is_an_upper_bound():
    torch.set_num_threads(2)
    with threads_for(2**30):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2
    torch.set_num_threads(4)


def test_threads_do_not_share_their_numbers():
    found, entered, left = {}, threading.Barrier(2), threading.Barrier(2)

    def work(name, size):
        with threads_for(size):
            entered.wait(10)
            inside = torch.get_num_threads()
            left.wait(10)
        found[name] = inside, torch.get_num_threads()

    sizes = {"small": 1, "large": 2**16}
    threads = [threading.Thread(target=work, args=item) for item in sizes.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"small": (1, 4), "large": (2, 4)}


def openblas():
    """Numbers of threads of the copies of OpenBLAS in this process."""
    return [
        library["num_threads"]
        for library in threadpool_info()
        if library["internal_api"] == "openblas"
    ]


def test_numpy_uses_one_thread_until_the_last_small_work_ends():
    with threadpool_limits(2, user_api="blas"):
        before = openblas()
        # A copy may have been built for one thread.
        assert 2 in before
        with threads_for(2**30):
            assert openblas() == before
        with pytest.raises(KeyboardInterrupt), threads_for(1):
            raise KeyboardInterrupt
        assert openblas() == before
        first, second = threads_for(1), threads_for(1)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(openblas()) == {1}
        second.__exit__(None, None, None)
        assert openblas() == before


def test_a_rotation_uses_one_thread_of_numpy(monkeypatch):
    numbers, original = [], _rotation.refine

    def noted(*args, **kwargs):
        numbers.extend(openblas())
        return original(*args, **kwargs)

    monkeypatch.setattr(_rotation, "refine", noted)
    heads = RNG.standard_normal((20, 3)) * (RNG.random((20, 3)) < 0.5)
    with threadpool_limits(2, user_api="blas"):
        before = openblas()
        _rotation.sparsest_rotation(heads, n_rounds=1, random_state=0)
        assert openblas() == before
    assert set(numbers) == {1}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_number_is_restored_after_an_error(error):
    with pytest.raises(error), threads_for(1):
        raise error
    assert torch.get_num_threads() == 4


def test_tables_use_one_thread_and_images_all(seen):
    estimator().fit(X, Y)
    assert set(seen) == {(1, 4)}
    seen.clear()
    estimator().fit(IMAGES, Y)
    assert set(seen) == {(4, 4)}


def test_streams_and_tables_with_few_labels_follow_their_steps(seen):
    estimator().fit_stream([(X, Y)])
    assert set(seen) == {(1, 4)}
    seen.clear()
    wide = RNG.standard_normal((60, 2**12))
    few = np.full((60, 30), np.nan)
    few[np.arange(60), np.arange(60) // 2] = RNG.standard_normal(60)
    # A step of 5 tasks has 10 rows, and one of all tasks has all 60.
    estimator(batch_size=2, task_batch_size=5).fit(wide, few)
    assert set(seen) == {(1, 4)}
    seen.clear()
    estimator(batch_size=2).fit(wide, few)
    assert set(seen) == {(4, 4)}


def test_episodes_of_tables_use_one_thread(seen):
    options = {"n_ways": 2, "n_queries": 7, "train_shots": 3, "max_iter": 3}
    learner = GroupLassoSVMMetaLearner(Observed, n_components=2, **options)
    learner.fit(X, np.arange(60) % 3)
    assert set(seen) == {(1, 4)}
    seen.clear()
    learner.fit(IMAGES, np.arange(60) % 3)
    assert set(seen) == {(4, 4)}


class Interrupt(Callback):
    def on_batch_end(self, net, **kwargs):
        raise ZeroDivisionError


def test_a_fit_that_fails_restores_the_number(seen):
    with pytest.raises(ZeroDivisionError):
        estimator(callbacks=[Interrupt()]).fit(X, Y)
    assert set(seen) == {(1, 4)}


@pytest.mark.parametrize(
    "heads", [SparseHeads(), SparseHeadsCV(3, cv=2), SparseHeadsClassifier()]
)
def test_heads_use_one_thread(heads, monkeypatch):
    numbers, original = [], torch.Tensor.__matmul__

    def noted(*args):
        numbers.append(torch.get_num_threads())
        return original(*args)

    monkeypatch.setattr(torch.Tensor, "__matmul__", noted)
    heads.fit(X, Y[:, 0] > 0 if "Classifier" in repr(heads) else Y)
    assert set(numbers) == {1}
