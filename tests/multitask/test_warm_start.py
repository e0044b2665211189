"""A fit that goes on from the weights of the last one."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from torch import nn

from sparsedis.datasets import make_sparse_tasks
from sparsedis.encoders import MLP
from tests.multitask._few_steps import quick

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 12, n_factors=4, return_bunch=True, random_state=0)


def test_a_warm_start_goes_on(data, rotation):
    est = quick(
        rotation=rotation,
        warm_start=True,
        max_iter=20,
        lr_schedule="constant",
        alpha_warmup=0.0,
    )
    first = est.fit(data.data, data.target).history_["loss"]
    second = est.fit(data.data, data.target).history_["loss"]
    assert second[0] == pytest.approx(first[-1], rel=0.1)
    assert second[0] < first[0] / 5
    cold = clone(est).fit(data.data, data.target)
    np.testing.assert_array_equal(cold.history_["loss"], first)
    with pytest.raises(ValueError, match=r"X has 3 features, but .* expecting 4"):
        est.fit(data.data[:, :3], data.target)


@pytest.mark.parametrize(
    "change", [{"n_components": 2}, {"normalization": None}, {"rotation": None}]
)
def test_a_warm_start_keeps_what_the_weights_are_for(data, change):
    est = quick(rotation="sparsest", warm_start=True).fit(data.data, data.target)
    before = est.transform(data.data)
    [(name, value)] = change.items()
    with pytest.raises(ValueError, match=rf"{name}=.*, got {name}={value}: set warm"):
        est.set_params(**change).fit(data.data, data.target)
    np.testing.assert_array_equal(est.transform(data.data), before)
    est.set_params(warm_start=False, early_stopping=False)
    est.fit(data.data, data.target)
    assert getattr(est, name) == value


@pytest.mark.parametrize(
    ("first", "then", "got"),
    [
        ("auto", "identity", "encoder='auto', got encoder='identity'"),
        ("auto", MLP, r"encoder='auto', got encoder=<class .*MLP'>"),
        (nn.Linear(4, 4), nn.Linear(4, 4), r"Linear\(.*\), got another"),
    ],
)
def test_a_warm_start_keeps_its_encoder(data, first, then, got):
    est = quick(encoder=first, warm_start=True).fit(data.data, data.target)
    est = pickle.loads(pickle.dumps(est)).fit(data.data, data.target)
    with pytest.raises(ValueError, match=rf"{got}: set warm_start=False"):
        est.set_params(encoder=then).fit(data.data, data.target)
    clone(est).fit(data.data, data.target)
