"""A penalty that is learned by its hypergradient."""

import numpy as np
import pytest
import torch
from torch import nn

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import SparseTaskModel, SparseTaskStream, make_sparse_tasks
from tests.multitask._few_steps import quick

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 12, n_factors=4, return_bunch=True, random_state=0)


def test_a_learned_penalty_leaves_what_does_not_generalise():
    # Few samples and much noise: heads must be sparser than where they start.
    model = SparseTaskModel(8, mixing="linear", random_state=0)
    learned = {}
    for noise in (0.0, 3.0):
        stream = SparseTaskStream(
            model, n_tasks=30, n_samples=30, noise_ratio=noise, random_state=0
        )
        est = SparseMultiTaskRepresentation(
            8,
            rotation=None,
            alpha=0.2,
            learn_alpha=True,
            inner_fraction=0.5,
            encoder=Fixed(),
            normalization=None,
            max_iter=40,
            lr=0.2,
            random_state=0,
        )
        est.fit_stream(stream)
        learned[noise] = est.learned_alpha_
        np.testing.assert_allclose(est.history_["alpha"][0], 0.2, rtol=1e-3)
    assert learned[0.0] < 0.1 < 0.3 < learned[3.0]
    # New heads use it.
    X, _ = model.sample(100, random_state=0)
    y = np.random.RandomState(0).normal(size=100)
    assert est.adapt(X, y).alpha_[0] == pytest.approx(
        est.adapt(X, y, alpha=learned[3.0]).alpha_[0]
    )


class Fixed(nn.Module):
    """The inputs, of a weight that hardly matters."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, rows):
        return rows + 0.0 * self.scale


def test_a_penalty_is_learned_on_fixed_features(data):
    params = {"alpha": 0.2, "learn_alpha": True, "inner_fraction": 0.5, "lr": 0.05}
    params |= {"n_components": 4, "normalization": None, "max_iter": 20}
    fixed = quick(encoder="identity", **params).fit(data.data, data.target)
    hardly = quick(encoder=Fixed(), **params).fit(data.data, data.target)
    assert fixed.n_iter_ == 20
    assert fixed.learned_alpha_ == pytest.approx(hardly.learned_alpha_, rel=1e-3)
    np.testing.assert_allclose(fixed.transform(data.data), data.data)


def test_weight_decay_spares_a_penalty_that_is_learned(data):
    params = {"alpha": 0.2, "learn_alpha": True, "inner_fraction": 0.5, "max_iter": 1}
    decayed, free = (
        quick(weight_decay=decay, **params).fit(data.data, data.target)
        for decay in (10.0, 0.0)
    )
    assert decayed.learned_alpha_ == free.learned_alpha_
    weights = (next(est.module_.parameters()) for est in (decayed, free))
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"inner_fraction": 0.5, "alpha_mode": "absolute"},
        {"inner_fraction": 0.5, "alpha": np.full(12, 0.1)},
    ],
)
def test_a_penalty_that_cannot_be_learned(data, params):
    with pytest.raises(ValueError, match="learn_alpha=True needs inner_fraction"):
        quick(learn_alpha=True, **params).fit(data.data, data.target)
