"""Encoders of the user, and those of all names."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from tests.multitask._few_steps import linear, quick

# After a few steps features are not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(.* may not be factors|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(
        n_samples=200, n_tasks=30, n_factors=4, return_bunch=True, random_state=0
    )


# Its weights are the same whatever other files draw when they are imported.
with torch.random.fork_rng():
    torch.manual_seed(0)
    MODULE = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 4))

ENCODERS = [
    MODULE,
    linear,
    "mlp",
    "identity",
]

NORMALIZATIONS = ["batch", "layer", None]


@pytest.mark.parametrize(
    ("encoder", "normalization", "rotation"),
    [
        *((*pair, None) for pair in product(ENCODERS, NORMALIZATIONS)),
        # A rotation comes after both: each of them once.
        *((encoder, "layer", "sparsest") for encoder in ENCODERS),
        *(("mlp", normalization, "sparsest") for normalization in ("batch", None)),
    ],
)
# Features normalised per row sum to zero, so that no head on all of them is unique.
@pytest.mark.filterwarnings("ignore:The features in the support:RuntimeWarning")
# Five steps teach little.
@pytest.mark.filterwarnings("ignore:The features miss:UserWarning")
def test_encoders(data, encoder, normalization, rotation):
    est = quick(rotation=rotation, encoder=encoder, normalization=normalization)
    est.fit(data.data, data.target)
    assert np.isfinite(est.predict(data.data)).all()


def test_the_users_module_is_left_alone(data, rotation):
    module = nn.Linear(4, 4)
    before = module.weight.detach().clone()
    est = quick(rotation=rotation, encoder=module, lr=0.1).fit(data.data, data.target)
    torch.testing.assert_close(module.weight, before)
    trained = est.module_ if rotation is None else est.module_.representation
    assert not torch.equal(trained.encoder.weight.cpu(), before)


def wide_encoder(input_shape, n_components):
    return torch.nn.Linear(*input_shape, n_components, dtype=torch.float64)


@pytest.mark.parametrize("encoder", ["mlp", wide_encoder])
@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_torchs_default_dtype_and_that_of_the_encoder_do_not_matter(encoder, default):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(60, 4))
    Y = X @ rng.normal(size=(4, 5))
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        est = SparseMultiTaskRepresentation(
            3, rotation=None, encoder=encoder, max_iter=5, random_state=0
        ).fit(X, Y)
        assert {p.dtype for p in est.module_.parameters()} == {torch.float32}
        assert np.isfinite(est.predict(X)).all()
    finally:
        torch.set_default_dtype(before)
