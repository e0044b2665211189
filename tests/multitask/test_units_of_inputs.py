"""Columns of a table in any units."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)
from sparsedis.encoders import MLP
from sparsedis.multitask import _further_training

UNITS = 2.0 ** np.array([-30, 20, 0, 7, -3])


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 5)) + 3.0
    return X, X @ rng.standard_normal((5, 6))


def quick(estimator=SparseMultiTaskRepresentation, **options):
    options = {"encoder": partial(MLP, hidden_layer_sizes=(16,))} | options
    return estimator(
        2, alpha=0.01, max_iter=4, rotation=None, random_state=0, **options
    )


@pytest.mark.parametrize(
    ("estimator", "encoder"),
    [
        (SparseMultiTaskRepresentation, partial(MLP, hidden_layer_sizes=(16,))),
        (SparseMultiTaskRepresentation, "auto"),
        (SparseMultiTaskClassifier, "mlp"),
    ],
)
def test_units_do_not_matter(table, estimator, encoder):
    X, Y = table
    if estimator is SparseMultiTaskClassifier:
        Y = (Y - np.median(Y, axis=0) > 0).astype(int)
    est = quick(estimator, encoder=encoder)
    expected = est.fit(X, Y).transform(X)
    found = est.fit(X * UNITS, Y).transform(X * UNITS)
    # The order of the rows in a step depends on their numbers, and so does rounding.
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize("encoder", [partial(MLP, hidden_layer_sizes=(16,)), "auto"])
def test_units_of_streams_do_not_matter(table, encoder):
    X, Y = table

    def features(X):
        batches = [(X[:40], Y[:40]), (X[40:], Y[40:])]
        return quick(encoder=encoder).fit_stream(batches).transform(X)

    np.testing.assert_allclose(features(X * UNITS), features(X), atol=5e-3)


@pytest.mark.parametrize("encoder", [partial(MLP, hidden_layer_sizes=(16,)), "mlp"])
def test_units_of_classes_do_not_matter(table, encoder):
    X, y = table[0], np.arange(80) % 4
    est = GroupLassoSVMMetaLearner(
        encoder, n_ways=3, n_shots=2, n_queries=2, max_iter=3, lr=0.01, random_state=0
    )
    expected = est.fit(X, y).transform(X)
    found = est.fit(X * UNITS + 5 * UNITS, y).transform(X * UNITS + 5 * UNITS)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_units_stay_in_a_warm_start(table):
    X, Y = table
    est = quick(warm_start=True).fit(X, Y)
    before = est.module_.encoder[0].scale.clone()
    est.fit(X * UNITS, Y)
    assert (est.module_.encoder[0].scale == before).all()


def test_a_narrow_encoder_with_weights_of_its_own_has_the_units(table, monkeypatch):
    X, Y = table
    narrow = []

    def keep(module, *_):
        narrow.append(module)
        return False

    monkeypatch.setattr(_further_training, "take_over", keep)
    est = SparseMultiTaskClassifier(
        encoder=partial(MLP, hidden_layer_sizes=(16,)), max_iter=4, random_state=0
    )
    with warnings.catch_warnings():
        # After so few steps the count is not certain.
        warnings.simplefilter("ignore")
        est.fit(X * UNITS, Y > 0)
    module = narrow[0]
    inputs = module.encoder[0](torch.tensor(X * UNITS).float())
    np.testing.assert_allclose(inputs.std(0, correction=0), 1, rtol=1e-5)


def test_columns_that_are_constant_in_float32_raise(table):
    X, Y = table
    est = SparseMultiTaskRepresentation(max_iter=4, random_state=0)
    with (
        pytest.warns(UserWarning, match="5 of 5 columns of X .* vary by less"),
        pytest.raises(ValueError, match="same features, up to rounding"),
    ):
        est.fit(1e-3 * X + 1e7, Y)


def test_a_module_that_is_given_keeps_its_units(table):
    X, Y = table
    encoder = MLP((5,), 2, hidden_layer_sizes=(16,))
    first = quick(encoder=encoder).fit(X, Y).module_.encoder[0]
    assert (first.scale == 1).all()
    assert (first.mean == 0).all()


def test_standardize_false_takes_inputs_as_they_are(table):
    X, Y = table
    encoder = partial(MLP, hidden_layer_sizes=(16,), standardize=False)
    est = quick(encoder=encoder)
    once = est.fit(X, Y).transform(X)
    twice = est.fit(2 * X, Y).transform(2 * X)
    assert np.abs(once - twice).max() > 0.05


def test_saved_parameters_contain_the_units(table, tmp_path):
    X, Y = table
    est = quick(encoder="mlp").fit(X * UNITS, Y)
    est.save_params(tmp_path / "params")
    loaded = quick(encoder="mlp").load_params(tmp_path / "params")
    np.testing.assert_array_equal(loaded.transform(X * UNITS), est.transform(X * UNITS))


def test_pixels_keep_their_units():
    rng = np.random.default_rng(0)
    images = rng.random((30, 4, 4, 1), dtype=np.float32)
    est = quick(encoder="mlp").fit(images, images.sum((1, 2)) * [1.0, 2.0, 3.0])
    assert (est.module_.encoder[0].scale == 1).all()
