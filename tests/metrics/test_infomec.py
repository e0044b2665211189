"""InfoM, InfoC and InfoE against a plain implementation and closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import digamma, logsumexp

from sparsedis.metrics import infomec


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def grid(n_values=4, n_factors=2, repeat=25):
    """Every combination of the factors equally often."""
    values = np.meshgrid(*[range(n_values)] * n_factors)
    return np.repeat(np.stack(values, axis=-1).reshape(-1, n_factors), repeat, axis=0)


def entropy(x):
    p = np.unique(x, return_counts=True, axis=0)[1] / len(x)
    return -(p * np.log(p)).sum()


def neighbors_information(code, labels, n_neighbors=10):
    """Ross's estimator, from all pairwise distances."""
    distance = np.abs(code[:, None] - code)
    terms = []
    for i, label in enumerate(labels):
        own = np.flatnonzero(labels == label)
        k = min(n_neighbors, len(own) - 1)
        radius = np.sort(distance[i, own])[k]
        # Points strictly inside, itself among them.
        m = (distance[i] < np.nextafter(radius, 0)).sum()
        terms.append(digamma(k) - digamma(len(own)) - digamma(m))
    return max(0.0, digamma(len(code)) + np.mean(terms))


def plain_scores(information):
    """InfoM and InfoC from normalised informations, code by code, factor by factor."""
    n_codes, n_factors = information.shape
    m = [max(row) / sum(row) for row in information]
    c = [max(column) / sum(column) for column in information.T]
    return (
        (np.mean(m) - 1 / n_factors) / (1 - 1 / n_factors),
        (np.mean(c) - 1 / n_codes) / (1 - 1 / n_codes),
    )


def test_continuous_codes_agree_with_all_pairwise_distances(rng):
    factors = rng.integers(0, 4, (150, 2))
    codes = factors @ rng.standard_normal((2, 3)) + rng.standard_normal((150, 3))
    details = infomec(factors, codes, random_state=0, return_details=True)
    expected = [
        [neighbors_information(c, z) / entropy(z) for z in factors.T] for c in codes.T
    ]
    assert_allclose(details.information, expected, rtol=1e-6)
    assert_allclose(details.score[:2], plain_scores(np.array(expected)), rtol=1e-6)


def test_discrete_codes_agree_with_entropies(rng):
    factors = rng.integers(0, 3, (200, 2))
    codes = factors @ [[1, 1, 0], [1, 0, 2]] + rng.integers(0, 2, (200, 3))
    expected = np.empty((3, 2))
    for j, c in enumerate(codes.T):
        for i, z in enumerate(factors.T):
            joint = entropy(np.column_stack([z, c]))
            expected[j, i] = (entropy(z) + entropy(c) - joint) / entropy(z)
    details = infomec(factors, codes, discrete_codes=True, return_details=True)
    assert_allclose(details.information, expected, atol=1e-12)
    assert_allclose(details.score[:2], plain_scores(expected))


def test_explicitness_is_the_least_loss_of_a_linear_classifier(rng):
    factors = rng.integers(0, 3, (120, 1))
    codes = factors + rng.standard_normal((120, 2))

    def loss(w):
        scores = codes @ w[:6].reshape(2, 3) + w[6:]
        own = np.take_along_axis(scores, factors, axis=1)[:, 0]
        return np.mean(logsumexp(scores, axis=1) - own)

    least = minimize(loss, np.zeros(9), options={"gtol": 1e-7}).fun
    expected = 1 - least / entropy(factors[:, 0])
    assert_allclose(infomec(factors, codes).explicitness, expected, atol=1e-4)


def test_identity_rotation_and_independent_codes(rng):
    factors = grid()
    perfect = infomec(factors, -3.0 * factors[:, ::-1], discrete_codes=True)
    assert_allclose(perfect, 1, atol=1e-3)
    # Both codes have the same information about both factors.
    rotated = infomec(factors, factors @ [[1, 1], [1, -1]], discrete_codes=True)
    assert_allclose(rotated[:2], 0, atol=1e-12)
    # Rotated grids are separable by lines, though not from their indicators.
    continuous = infomec(grid(2), grid(2) @ [[1.0, 1.0], [1.0, -1.0]], random_state=0)
    assert continuous.explicitness > 0.99
    # Exactly independent codes have no information at all.
    cells = grid(3, 4, repeat=1)
    independent = infomec(cells[:, :2], cells[:, 2:], discrete_codes=True)
    assert_allclose(independent, 0, atol=1e-6)


def test_duplicates_lower_compactness_alone():
    factors = grid()
    codes = factors[:, [0, 1, 0]]
    scores = infomec(factors, codes, discrete_codes=True)
    assert_allclose(scores.modularity, 1)
    # Shares 1/2 and 1 of three codes.
    assert_allclose(scores.compactness, (0.75 - 1 / 3) / (1 - 1 / 3))


def test_codes_of_a_small_range_do_not_count(rng):
    factors = rng.integers(0, 3, (200, 2))
    mixed = 0.01 * (factors.sum(axis=1) + rng.standard_normal(200))
    codes = np.column_stack([factors + 0.1 * rng.standard_normal((200, 2)), mixed])
    details = infomec(factors, codes, random_state=0, return_details=True)
    assert details.code_mask.tolist() == [True, True, False]
    assert details.score[:2] == infomec(factors, codes[:, :2], random_state=0)[:2]
    larger = infomec(factors, codes * [1, 1, 100], random_state=0)
    assert larger.modularity < details.score.modularity - 0.1


def test_order_signs_and_shifts_of_codes_do_not_matter(rng):
    factors = rng.integers(0, 3, (150, 2))
    codes = factors @ rng.standard_normal((2, 3)) + rng.standard_normal((150, 3))
    other = -5.0 * codes[:, [2, 0, 1]] + 7.0
    expected = infomec(factors, codes, random_state=0)
    assert_allclose(infomec(factors, other, random_state=1), expected, rtol=1e-5)


def test_factors_of_distinct_values_raise():
    factors = np.arange(20)[:, None]
    with pytest.raises(ValueError, match=r"must occur twice.* 20 different values"):
        infomec(factors, factors)
