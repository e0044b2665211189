"""Held-out rows end the training, and choose its weights."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn
from torch.nn.utils import parameters_to_vector

from sparsedis import SparseMultiTaskClassifier
from sparsedis.datasets import make_sparse_tasks
from tests.multitask._few_steps import quick

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 12, n_factors=4, return_bunch=True, random_state=0)


def test_early_stopping_keeps_the_best_weights(data, rotation):
    # More weights than samples: training soon makes things worse.
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 30))
    Y = X[:, :2] @ rng.normal(size=(2, 15)) + 3 * rng.normal(size=(120, 15))
    params = {"n_components": 8, "rotation": rotation, "max_iter": 400, "lr": 0.01}
    if rotation is not None:
        params |= {"alpha": "auto", "weight_decay": 0.0}
    est = quick(early_stopping=True, n_iter_no_change=3, **params).fit(X, Y)
    valid = est.history_["valid_loss"]
    ends = np.flatnonzero(~np.isnan(valid))
    np.testing.assert_array_equal(ends, np.arange(19, est.n_iter_, 20))
    assert est.n_iter_ < 400
    best = 0
    for i, loss in enumerate(valid[ends]):
        # By less than a ten-thousandth is no improvement.
        best = i if loss < (1 - 1e-4) * valid[ends[best]] else best
    assert len(ends) - 1 - best == 3
    # The weights are those after the best epoch: training stopped there, by hand.
    best = ends[best] + 1

    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if net.n_steps_ == best:
                raise KeyboardInterrupt

    by_hand = quick(early_stopping=True, callbacks=[Stop()], **params).fit(X, Y)
    one, other = (
        (e.module_ if rotation is None else e.module_.representation)(
            torch.from_numpy(X).float()
        )
        for e in (est, by_hand)
    )
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def lazy(input_shape, n_components):
    return nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(2))


class Noting(nn.Linear):
    """Linear encoder that adds a buffer in the first step."""

    def __init__(self, input_shape, n_components):
        super().__init__(*input_shape, n_components)

    def forward(self, X):
        if self.training:
            self.register_buffer("scale", X.std(0))
        return super().forward(X)


@pytest.mark.parametrize("encoder", ["auto", lazy, Noting])
def test_early_stopping_keeps_a_moving_mean_of_the_weights(data, encoder):
    steps = []

    class Record(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if training:
                weights = net.module_.parameters()
                steps.append(parameters_to_vector(weights).detach().clone())

    params = {"n_components": 2, "encoder": encoder, "early_stopping": True}
    est = quick(**params, max_iter=60, callbacks=[Record()]).fit(data.data, data.target)
    valid = est.history_["valid_loss"]
    mean = steps[0]
    for i in range(1, np.nanargmin(valid) + 1):
        mean = mean + (steps[i] - mean) / min(1 + (i + 1) // 10, 20)
    kept = parameters_to_vector(est.module_.parameters())
    torch.testing.assert_close(kept.detach(), mean, atol=1e-6, rtol=1e-5)


def test_early_stopping_in_every_form_of_labels(data, rotation):
    for gaps in (0.0, 0.9):
        Y = data.target[:, :6].copy()
        Y[np.random.RandomState(0).uniform(size=Y.shape) < gaps] = np.nan
        params = {"n_components": 2, "rotation": rotation, "early_stopping": True}
        params["validation_fraction"] = 0.1
        est = quick(**params, max_iter=45).fit(data.data, Y)
        assert np.isfinite(est.history_["valid_loss"][[19, 39, 44]]).all()
        classes = np.where(np.isnan(Y), np.nan, Y > 0)
        est = quick(SparseMultiTaskClassifier, **params, max_iter=25)
        est.fit(data.data, classes)
        assert np.isfinite(est.history_["valid_loss"][[19, 24]]).all()


def test_too_few_rows_to_validate(data):
    Y = np.full((20, 20), np.nan)
    Y[np.arange(20), np.arange(20)] = 1.0
    Y[np.arange(20), np.arange(20) - 1] = 2.0
    with pytest.raises(ValueError, match=r"validation_fraction=0.2 of 20 rows leaves"):
        quick(early_stopping=True).fit(data.data[:20], Y)
