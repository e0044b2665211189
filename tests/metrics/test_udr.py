"""UDR against a direct computation with scikit-learn and scipy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import Lasso
from sklearn.preprocessing import StandardScaler

from sparsedis.metrics import (
    mean_correlation_coefficient,
    unsupervised_disentanglement_ranking,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pair_score(A):
    """UDR's formula, entry by entry."""
    by_column = [max(a) ** 2 / sum(a) if any(a) else 0.0 for a in A.T]
    by_row = [max(a) ** 2 / sum(a) if any(a) else 0.0 for a in A]
    return (np.mean(by_column) + np.mean(by_row)) / 2


@pytest.mark.parametrize("n_samples", [9, 300])  # fewer rows than codes, and more
@pytest.mark.parametrize("similarity", ["lasso", "spearman"])
def test_agrees_with_direct_computation(rng, similarity, n_samples):
    factors = rng.standard_normal((n_samples, 3))
    codes = [
        factors @ rng.standard_normal((3, k)) * 10.0 + rng.random((n_samples, k))
        for k in (3, 4, 2, 3)
    ]
    masks = [np.ones(c.shape[1], dtype=bool) for c in codes]
    masks[1][2] = False
    expected = np.zeros((4, 4))
    for i in range(4):
        for j in set(range(4)) - {i}:
            if similarity == "lasso":
                X, Y = (StandardScaler().fit_transform(codes[m]) for m in (i, j))
                A = np.abs(Lasso(0.1, tol=1e-10).fit(X, Y).coef_.T)
            else:
                both = spearmanr(np.hstack([codes[i], codes[j]])).statistic
                A = np.abs(both[: codes[i].shape[1], codes[i].shape[1] :])
            A = A[masks[i]][:, masks[j]]
            expected[i, j] = pair_score(A)
    details = unsupervised_disentanglement_ranking(
        codes, similarity=similarity, informative=masks, return_details=True
    )
    assert_allclose(details.pairwise, expected, rtol=1e-5)
    others = [np.delete(expected[i], i) for i in range(4)]
    assert_allclose(details.score, np.median(others, axis=1), rtol=1e-5)


def test_mcc_similarity(rng):
    codes = [rng.standard_normal((50, k)) for k in (3, 5, 4)]
    details = unsupervised_disentanglement_ranking(
        codes, similarity="mcc", return_details=True
    )
    for i in range(3):
        for j in set(range(3)) - {i}:
            pair = sorted((codes[i], codes[j]), key=lambda c: c.shape[1])
            expected = mean_correlation_coefficient(pair[1], pair[0])
            assert_allclose(details.pairwise[i, j], expected)


def test_identical_codes_in_closed_form():
    # Exactly uncorrelated: the Lasso shrinks the coefficient of the copy by alpha.
    codes = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    copies = [codes, -3 * codes[:, ::-1]]
    assert_allclose(
        unsupervised_disentanglement_ranking(copies, similarity="spearman"), 1
    )
    assert_allclose(unsupervised_disentanglement_ranking(copies), 0.9)
    assert_allclose(unsupervised_disentanglement_ranking(copies, alpha=0.3), 0.7)
    # A penalty above every correlation: all coefficients 0, and 0/0 counts as 0.
    assert_array_equal(unsupervised_disentanglement_ranking(copies, alpha=2.0), 0)


@pytest.mark.parametrize("similarity", ["lasso", "spearman", "mcc"])
def test_disentangled_models_rank_above_entangled_ones(rng, similarity):
    factors = rng.standard_normal((500, 4))
    good = [factors[:, rng.permutation(4)] * rng.choice([-1, 2], 4) for _ in range(3)]
    bad = [factors @ np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(2)]
    score = unsupervised_disentanglement_ranking(good + bad, similarity=similarity)
    assert score[:3].min() > score[3:].max() + 0.1


def test_codes_used_by_no_head_do_not_count(rng):
    factors = rng.standard_normal((200, 2))
    noisy = np.column_stack([factors, rng.standard_normal(200)])
    coefs = [np.eye(2), np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 0], [0, 1, 3]])]
    kept = unsupervised_disentanglement_ranking([factors, factors])
    usage = {"coefs": coefs, "return_details": True}
    details = unsupervised_disentanglement_ranking([factors, noisy], **usage, tau=0.3)
    assert_array_equal(details.informative[1], [False, True, False])
    details = unsupervised_disentanglement_ranking([factors, noisy], **usage, tau=0.24)
    assert details.informative[1].all()
    # A head without labels is NaN, and not counted among the tasks.
    coefs[1] = np.array([[1.0, 0, 0], [0, 1, 0], [np.nan] * 3])
    details = unsupervised_disentanglement_ranking([factors, noisy], **usage, tau=0.49)
    assert_array_equal(details.informative[1], [True, True, False])
    assert_allclose(details.score, kept, atol=0.01)
    coefs[1] = coefs[1][:, None].repeat(2, axis=1)
    again = unsupervised_disentanglement_ranking([factors, noisy], **usage, tau=0.49)
    assert_allclose(again.score, details.score)


def test_dead_codes_and_models_without_informative_codes(rng):
    factors = rng.standard_normal((50, 2))
    dead = np.insert(factors, 1, 0.1, axis=1)
    with pytest.warns(UndefinedMetricWarning, match=r"Models \[1\] have dead"):
        details = unsupervised_disentanglement_ranking(
            [factors, dead], return_details=True
        )
    assert_array_equal(details.informative[1], [True, False, True])
    expected = unsupervised_disentanglement_ranking([factors, factors])
    assert_allclose(details.score, expected)
    masks = [np.ones(2, dtype=bool), np.zeros(2, dtype=bool), np.ones(2, dtype=bool)]
    with pytest.warns(UndefinedMetricWarning, match=r"Models \[1\] have no inform"):
        score = unsupervised_disentanglement_ranking([factors] * 3, informative=masks)
    assert_allclose(score, [expected[0] / 2, 0, expected[0] / 2])


def test_single_codes(rng):
    codes = [rng.standard_normal((10, 1)) for _ in range(3)]
    for similarity in ("lasso", "spearman", "mcc"):
        score = unsupervised_disentanglement_ranking(codes, similarity=similarity)
        assert score.shape == (3,)
        assert np.isfinite(score).all()


def test_bad_arguments_raise(rng):
    z = rng.standard_normal((20, 2))
    udr = unsupervised_disentanglement_ranking
    with pytest.raises(ValueError, match="at least two models; got 1"):
        udr([z])
    with pytest.raises(ValueError, match=r"numbers of samples \[20, 19\]"):
        udr([z, z[1:]])
    with pytest.raises(ValueError, match=r"codes\[1\] contains NaN"):
        udr([z, z * np.nan])
    with pytest.raises(ValueError, match=r"similarity must be one of .*'pearson'"):
        udr([z, z], similarity="pearson")
    with pytest.raises(ValueError, match="alpha == 0, must be > 0"):
        udr([z, z], alpha=0)
    with pytest.raises(ValueError, match="not both"):
        udr([z, z], informative=[[True] * 2] * 2, coefs=[np.eye(2)] * 2)
    with pytest.raises(ValueError, match="each of the 2 models; got 1"):
        udr([z, z], informative=[[True, True]])
    with pytest.raises(ValueError, match=r"informative\[1\] must be a boolean mask"):
        udr([z, z], informative=[[True, True], [1, 1]])
    with pytest.raises(ValueError, match=r"coefs\[0\] must have shape \(n_tasks, 2\)"):
        udr([z, z], coefs=[np.eye(3), np.eye(2)])
    with pytest.raises(ValueError, match=r"coefs\[0\] has no head without NaN"):
        udr([z, z], coefs=[np.full((2, 2), np.nan), np.eye(2)])
