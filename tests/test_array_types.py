"""Arrays of other packages give what arrays of numpy give, where numpy reads them."""

import array_api_strict
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis import DisentanglementScorer
from sparsedis.heads import SparseHeads
from sparsedis.metrics import disentanglement_report, mean_correlation_coefficient
from sparsedis.rotation import SparseRotation
from sparsedis.svm import GroupLassoSVC

rng = np.random.default_rng(0)
# Numbers that float32 holds exactly.
X = rng.integers(-20, 20, (60, 3)) / 4
Y = np.round(4 * X @ rng.standard_normal((3, 8))) / 4


def mcc(X, Y):
    return mean_correlation_coefficient(Y, X)


def report(X, Y):
    few = {"n_resamples": 2, "random_state": 0}
    return disentanglement_report(Y, X, ["r", "mig"], **few).table["score"]


def aligned(X, Y):
    return DisentanglementScorer().fit(X, Y).transform(X)


def rotated(X, Y):
    est = SparseRotation(3, random_state=0).fit(X, Y)
    return np.hstack([est.transform(X), est.predict(X)])


def predicted(X, Y):
    return SparseHeads(0.1).fit(X, Y).predict(X)


def classified(X, Y):
    return GroupLassoSVC().fit(X, Y[:, 0] > 0).decision_function(X)


@pytest.mark.parametrize(
    "convert",
    [
        torch.from_numpy,
        lambda a: torch.from_numpy(a).float(),
        array_api_strict.asarray,
        lambda a: array_api_strict.asarray(a.astype(np.float32)),
    ],
    ids=["torch64", "torch32", "strict64", "strict32"],
)
@pytest.mark.parametrize("use", [mcc, report, aligned, rotated, predicted, classified])
@pytest.mark.filterwarnings("ignore:.* may not be factors:UserWarning")
def test_the_same_as_of_numpy(use, convert):
    found = use(convert(X), convert(Y))
    assert isinstance(found, np.ndarray | float)
    # Those that solve in the precision of X differ by it.
    assert_allclose(found, use(X, Y), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("use", [mcc, aligned, rotated, predicted])
@pytest.mark.parametrize("position", [0, 1])
def test_tensors_with_a_gradient_are_named(use, position):
    arrays = [torch.from_numpy(X), torch.from_numpy(Y)]
    arrays[position].requires_grad_()
    with pytest.raises(TypeError, match=r"^\w+ is a tensor that numpy cannot read"):
        use(*arrays)
