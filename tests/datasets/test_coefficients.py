"""Supports, coefficients and targets against their exact laws."""

import numpy as np
import pytest

from sparsedis.datasets import (
    make_supports,
    make_task_coefficients,
    make_task_targets,
)


def frequencies(rows):
    codes = rows @ (1 << np.arange(rows.shape[1]))
    return np.bincount(codes, minlength=1 << rows.shape[1]) / len(rows)


def assert_binomial(observed, expected, n):
    """Five standard errors of a share."""
    error = 5 * np.sqrt(np.asarray(expected) * (1 - np.asarray(expected)) / n)
    np.testing.assert_array_less(np.abs(observed - expected), error + 1e-12)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1.0])
def test_bernoulli_supports_have_the_law_given_not_empty(p):
    n, k = 40_000, 3
    supports = make_supports(n, k, p=p, random_state=0)
    assert supports.dtype == bool
    assert supports.any(1).all()
    size = np.array([bin(code).count("1") for code in range(2**k)])
    law = p**size * (1 - p) ** (k - size)
    law[0] = 0
    assert_binomial(frequencies(supports), law / law.sum(), n)


def test_bernoulli_supports_are_not_denser_than_half():
    # Batch-wise switching on of columns gave densities far above 1/2.
    supports = make_supports(50_000, 6, random_state=0)
    density = 0.5 / (1 - 0.5**6)
    assert_binomial(supports.mean(0), density, 50_000)


def test_small_probabilities_end():
    supports = make_supports(50, 4, p=1e-3, random_state=0)
    assert supports.any(1).all()
    assert supports.sum(1).max() <= 2


@pytest.mark.parametrize("size", [1, 2, 4])
def test_fixed_supports_are_uniform_over_subsets(size):
    n = 20_000
    supports = make_supports(n, 4, kind="fixed", size=size, random_state=0)
    assert (supports.sum(1) == size).all()
    law = np.array([bin(code).count("1") == size for code in range(16)], dtype=float)
    assert_binomial(frequencies(supports), law / law.sum(), n)


@pytest.mark.parametrize("block_size", [1, 2, 3, 6])
def test_blocks_are_in_or_out_together(block_size):
    n = 5_000
    supports = make_supports(n, 6, kind="blocks", block_size=block_size, random_state=0)
    blocks = supports.reshape(n, -1, block_size)
    assert (blocks == blocks[..., :1]).all()
    n_blocks = 6 // block_size
    density = 0.5 / (1 - 0.5**n_blocks)
    assert_binomial(blocks[..., 0].mean(0), density, n)


def test_one_block_per_task():
    n = 6_000
    supports = make_supports(n, 6, kind="blocks", block_size=2, size=1, random_state=0)
    assert (supports.sum(1) == 2).all()
    assert_binomial(supports[:, ::2].mean(0), 1 / 3, n)


def test_all():
    assert make_supports(3, 2, kind="all").all()


@pytest.mark.parametrize(
    ("distribution", "variance", "kurtosis"), [("gaussian", 1, 3), ("laplace", 2, 6)]
)
def test_moments_of_the_coefficients(distribution, variance, kurtosis):
    w = make_task_coefficients(
        60_000, 4, support="all", distribution=distribution, random_state=0
    ).ravel()
    n = w.size
    assert abs(w.mean()) < 5 * np.sqrt(variance / n)
    assert w.var() == pytest.approx(variance, rel=5 * np.sqrt((kurtosis - 1) / n))
    assert (w**4).mean() / w.var() ** 2 == pytest.approx(kurtosis, rel=0.1)


def test_coefficients_vanish_off_the_support_alone():
    support = make_supports(200, 6, random_state=1)
    w = make_task_coefficients(200, 6, support=support, random_state=0)
    np.testing.assert_array_equal(w != 0, support)


@pytest.mark.parametrize("kind", ["bernoulli", "fixed", "blocks"])
def test_coefficients_draw_their_supports(kind):
    w = make_task_coefficients(
        50, 6, support=kind, size=1, block_size=3, random_state=0
    )
    size = (w != 0).sum(1)
    assert size.min() >= 1
    if kind != "bernoulli":
        assert (size == {"fixed": 1, "blocks": 3}[kind]).all()


@pytest.mark.parametrize("per_task", [False, True])
@pytest.mark.parametrize("noise_ratio", [0.0, 0.1, 2.0])
def test_targets(per_task, noise_ratio):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(7, 30, 4) if per_task else (30, 4))
    w = rng.normal(size=(7, 4))
    signal = np.stack([(z[t] if per_task else z) @ w[t] for t in range(7)])
    y = make_task_targets(z, w, noise_ratio=noise_ratio, random_state=1)
    assert y.shape == (7, 30)
    noise = np.linalg.norm(y - signal, axis=1)
    np.testing.assert_allclose(
        noise, noise_ratio * np.linalg.norm(signal, axis=1), atol=1e-12
    )


def test_targets_of_a_zero_task_are_zero():
    y = make_task_targets(np.ones((5, 2)), np.zeros((1, 2)), random_state=0)
    np.testing.assert_array_equal(y, 0)


def test_int_seeds_reproduce_and_random_states_move_on():
    def draw(seed):
        return make_task_coefficients(5, 3, random_state=seed)

    np.testing.assert_array_equal(draw(0), draw(0))
    assert (draw(0) != draw(1)).any()
    state = np.random.RandomState(0)
    assert (draw(state) != draw(state)).any()
    assert (draw(None) != draw(None)).any()
    with pytest.raises(ValueError, match="cannot be used to seed"):
        draw("seed")


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"kind": "dense"}, r"kind must be one of .*'blocks'.*, got 'dense'"),
        ({"p": 0}, r"p must be a number in \(0, 1\], got 0"),
        ({"p": 1.5}, r"p must be a number in \(0, 1\], got 1.5"),
        ({"kind": "fixed"}, 'size must be given for "fixed" supports'),
        ({"kind": "fixed", "size": 7}, "size must be at most 6, got 7"),
        ({"kind": "fixed", "size": 0}, "size must be an integer >= 1, got 0"),
        ({"kind": "blocks"}, 'block_size must be given for "blocks" supports'),
        ({"kind": "blocks", "block_size": 4}, "block_size must divide n_features=6"),
        (
            {"kind": "blocks", "block_size": 2, "size": 4},
            "size must be at most 3, got 4",
        ),
        ({"n_tasks": -1}, "n_tasks must be an integer >= 0, got -1"),
        ({"n_features": 0}, "n_features must be an integer >= 1, got 0"),
    ],
)
def test_arguments_of_supports_are_checked(kwargs, match):
    kwargs = {"n_tasks": 3, "n_features": 6, **kwargs}
    with pytest.raises(ValueError, match=match):
        make_supports(**kwargs)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"distribution": "cauchy"}, "distribution must be one of"),
        ({"support": "none"}, "support must be one of"),
        ({"support": np.ones((2, 6), bool)}, r"boolean array of shape \(3, 6\)"),
        ({"support": np.ones((3, 6))}, "got float64 of shape"),
    ],
)
def test_arguments_of_coefficients_are_checked(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_task_coefficients(3, 6, **kwargs)


def test_arguments_of_targets_are_checked():
    with pytest.raises(ValueError, match="latents must have shape"):
        make_task_targets(np.ones((5, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="latents must have shape"):
        make_task_targets(np.ones((3, 5, 4)), np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"noise_ratio must be a number in \[0, inf\)"):
        make_task_targets(np.ones((5, 4)), np.ones((2, 4)), noise_ratio=-1)
