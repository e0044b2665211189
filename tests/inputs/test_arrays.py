"""Inputs in every container are read alike; images of other layouts are refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.utils.data import TensorDataset

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.inputs._arrays import (
    as_inputs,
    check_images,
    is_8bit_image,
    validate_inputs,
)
from sparsedis.meta_learning import GroupLassoSVMMetaLearner

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 8, 8, 3)).astype(np.uint8)
TABLE = RNG.integers(0, 256, (24, 5)).astype(np.uint8)
TARGETS = RNG.standard_normal((24, 8))


def make(**params):
    defaults = {"n_components": 2, "rotation": None, "alpha": 0.1, "max_iter": 3}
    return SparseMultiTaskRepresentation(random_state=0, **defaults | params)


@pytest.mark.parametrize("X", [IMAGES, TABLE], ids=["images", "table"])
def test_containers_are_read_alike(X):
    est = make().fit(X, TARGETS)
    expected = est.transform(X)
    lazy = TensorDataset(torch.from_numpy(X))
    for other in (list(X), torch.from_numpy(X), lazy):
        np.testing.assert_allclose(est.transform(other), expected, rtol=1e-5, atol=1e-5)
    floats = X / 255 if X.ndim == 4 else X.astype(float)
    np.testing.assert_allclose(est.transform(floats), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (IMAGES, True),
        (torch.from_numpy(IMAGES), True),
        (IMAGES / 255, False),
        (torch.from_numpy(IMAGES / 255), False),
        (TABLE, False),
        (torch.from_numpy(TABLE), False),
        (IMAGES.tolist(), False),
        (pd.DataFrame({"dtype": TABLE[:, 0]}), False),
    ],
)
def test_images_of_8_bits_are_told_from_tables(X, expected):
    assert is_8bit_image(X) is expected


@pytest.mark.parametrize(
    ("X", "dtype"),
    [
        (IMAGES, np.uint8),
        (list(IMAGES), np.uint8),
        (IMAGES / np.float32(255), np.float32),
        (TABLE, np.float64),
        (TABLE.astype(np.float32), np.float32),
        (pd.DataFrame({"dtype": TABLE[:, 0]}), np.float64),
    ],
)
def test_dtypes_of_inputs(X, dtype):
    est = BaseEstimator()
    rows, y = validate_inputs(est, X, np.arange(24), reset=True)
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, np.asarray(X))
    assert y.tolist() == list(range(24))
    assert est.n_features_in_ == rows.shape[1]
    assert validate_inputs(est, X[:1], reset=False).shape == (1, *rows.shape[1:])
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        validate_inputs(est, X[:1], reset=True)


def test_tables_that_are_read_on_demand_or_streamed_keep_their_scale():
    lazy = TensorDataset(torch.from_numpy(TABLE))
    est = make().fit(TABLE, TARGETS)
    other = make().fit(lazy, TARGETS)
    np.testing.assert_allclose(
        est.transform(TABLE), other.transform(TABLE), rtol=1e-4, atol=1e-4
    )
    streams = [
        make().fit_stream([(rows, TARGETS)]) for rows in (TABLE, TABLE.astype(float))
    ]
    streams.append(make().fit_stream([(TABLE[::-1], TARGETS[::-1])]))
    one, other, backwards = (est.transform(TABLE) for est in streams)
    np.testing.assert_allclose(one, backwards, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_meta_learner_reads_lists_and_tensors():
    y = np.arange(24) % 4
    est = GroupLassoSVMMetaLearner(
        "conv4", n_ways=3, n_shots=2, n_queries=2, max_iter=1, random_state=0
    )
    images = np.repeat(np.repeat(IMAGES, 2, 1), 2, 2)
    est.fit(images, y)
    expected = est.transform(images)
    for other in (list(images), torch.from_numpy(images), images / 255):
        np.testing.assert_allclose(est.transform(other), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (IMAGES.astype(int), r"dtype int64: they must be uint8"),
        (IMAGES[..., 0], r"X\[..., None\] if they are grey"),
        (IMAGES.transpose(0, 3, 1, 2), r"np.moveaxis\(X, 1, -1\)"),
        (IMAGES.transpose(0, 3, 1, 2) / 255, r"\(24, 3, 8, 8\): images must"),
    ],
)
def test_other_layouts_are_refused(X, message):
    est = make()
    streamed = make()
    lazy = TensorDataset(torch.from_numpy(np.ascontiguousarray(X)))
    for fit in (
        lambda: est.fit(X, TARGETS),
        lambda: streamed.fit_stream([(X, TARGETS)]),
        lambda: GroupLassoSVMMetaLearner(n_ways=2).fit(X, np.arange(24) % 3),
    ):
        with pytest.raises(ValueError, match=message):
            fit()
    if X.dtype != int:
        with pytest.raises(ValueError, match=message):
            est.fit(lazy, TARGETS)


def test_tensors_of_bfloat16_are_read_exactly():
    tensor = torch.linspace(-3, 3, 24).reshape(12, 2).bfloat16().requires_grad_()
    found = as_inputs(tensor)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, tensor.detach().float().numpy())


def test_other_inputs_are_left_alone():
    for shape in ((9, 3, 4), (9, 3), (9, 3, 4, 4), (9, 8, 8, 1), (9, 8, 8, 3)):
        check_images(shape, np.dtype(float))
    check_images((9, 8, 8, 3), np.dtype(np.uint8))
    rows = [[1.0, 2.0], [3.0, 4.0]]
    assert as_inputs(rows) is rows


def test_encoders_that_return_more_than_features_are_refused():
    est = make(encoder=nn.LSTM(5, 2))
    with pytest.raises(ValueError, match="encoder must return features alone"):
        est.fit(TABLE, TARGETS)
