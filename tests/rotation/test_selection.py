"""Supports of heads: agreement with task by task computations, and limit cases."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression, lars_path

from sparsedis.rotation._folds import assign_folds
from sparsedis.rotation._moments import regression_moments
from sparsedis.rotation._paths import elimination_path
from sparsedis.rotation._selection import select_from_moments, select_heads


def make_tasks(T=12, k=6, n=80, C=1, *, missing=0.3, noise=0.5, share=0.4, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, k)) @ (np.eye(k) + 0.3 * rng.standard_normal((k, k)))
    support = rng.random((T, k)) < share
    W = support[:, None] * rng.choice([-1.0, 1.0], (T, C, k))
    W *= rng.uniform(0.7, 2, W.shape)
    Y = np.einsum("nk,tck->ntc", Z, W) + noise * rng.standard_normal((n, T, C)) + 3
    Y[rng.random((n, T)) < missing] = np.nan
    return Z, Y, support


def residual(Z, y, features):
    """Residual sum of squares of least squares with an intercept."""
    A = np.column_stack([np.ones(len(Z)), Z[:, features]])
    return ((y - A @ np.linalg.lstsq(A, y)[0]) ** 2).sum()


def eliminate(Z, y):
    """Backward elimination by refits: supports by size, and their residuals."""
    features = list(range(Z.shape[1]))
    supports = [features.copy()]
    while features:
        options = [[i for i in features if i != j] for j in features]
        features = min(options, key=lambda option: residual(Z, y, option))
        supports.append(features)
    supports = supports[::-1]
    return supports, np.array([residual(Z, y, s) for s in supports])


@pytest.mark.parametrize("C", [1, 3])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_path_is_that_of_elimination_by_refits(C, missing):
    Z, Y, _ = make_tasks(C=C, missing=missing, noise=2.0)
    moments, units = regression_moments(Z, Y)
    path = elimination_path(moments)
    for t in range(Y.shape[1]):
        rows = ~np.isnan(Y[:, t, 0])
        supports, rss = eliminate(Z[rows], Y[rows, t])
        for s, support in enumerate(supports):
            assert sorted(path.order[t, :s]) == support
            model = LinearRegression().fit(Z[rows][:, support or [0]], Y[rows, t])
            expected = model.coef_ if support else np.zeros((C, 0))
            assert_allclose(
                path.heads[t, s][:, support] * units.scale[t], expected, 1e-8
            )
        assert_allclose(path.rss[t] * units.scale[t] ** 2, rss, rtol=1e-8)


def test_path_of_few_labels_is_forward_selection():
    Z, Y, _ = make_tasks(T=5, k=8, n=8, missing=0.0)
    moments, units = regression_moments(Z, Y)
    path = elimination_path(moments)
    assert_array_equal(path.largest, 6)
    assert_array_equal(np.isinf(path.rss), np.tile(np.arange(9) > 6, (5, 1)))
    for t in range(5):
        taken = []
        for s in range(6):
            options = [j for j in range(8) if j not in taken]
            taken.append(min(options, key=lambda j: residual(Z, Y[:, t], taken + [j])))
            assert_array_equal(path.order[t, : s + 1], taken)
            expected = residual(Z, Y[:, t], taken)
            assert_allclose(
                path.rss[t, s + 1] * units.scale[t] ** 2, expected, rtol=1e-6
            )


def test_orthogonal_features_leave_in_the_order_of_the_lasso():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60, 7))
    Z = np.linalg.qr(Z - Z.mean(0))[0]
    Y = Z @ rng.standard_normal((7, 20)) + 0.1 * rng.standard_normal((60, 20))
    path = elimination_path(regression_moments(Z, Y[..., None])[0])
    for t, y in enumerate((Y - Y.mean(0)).T):
        assert_array_equal(path.order[t], np.argsort(-np.abs(Z.T @ y)))
        assert_array_equal(path.order[t], lars_path(Z, y, method="lasso")[1])


@pytest.mark.parametrize("C", [1, 2])
def test_bic_is_least_on_the_path(C):
    Z, Y, _ = make_tasks(C=C, noise=3.0, T=30)
    moments, units = regression_moments(Z, Y)
    noise = moments.residual_variance(moments.solve()[0]) * units.scale**2
    selected = select_from_moments(moments)
    for t in range(Y.shape[1]):
        rows = ~np.isnan(Y[:, t, 0])
        supports, rss = eliminate(Z[rows], Y[rows, t])
        price = C * np.log(rows.sum()) + np.log(Z.shape[1])
        best = np.argmin(rss / noise[t] + price * np.arange(len(rss)))
        assert_array_equal(np.flatnonzero(selected.support[t]), supports[best])
        assert selected.n_selected[t] == best


def test_finds_strong_signals():
    Z, Y, support = make_tasks(T=50, k=8, n=400, noise=0.1)
    assert_array_equal(select_heads(Z, Y, spike=0.03).support, support)
    for rule in ("bic", "cv", "1se"):
        found = select_heads(Z, Y, rule=rule, random_state=0).support
        assert (found >= support).all()
        assert (found > support).mean() < (0.12 if rule == "cv" else 0.02)


@pytest.mark.parametrize("rule", ["bic", "cv", "1se"])
def test_coefficients_are_least_squares_on_the_support(rule):
    Z, Y, _ = make_tasks(C=2)
    Z = Z * [1, 1e3, 1e-3, 1, 1, 1] + 100
    weight = np.random.default_rng(1).uniform(0, 2, len(Z))
    weight[:5] = 0
    selected = select_heads(Z, Y, rule=rule, sample_weight=weight, random_state=0)
    for t in range(Y.shape[1]):
        rows = ~np.isnan(Y[:, t, 0])
        on = selected.support[t]
        model = LinearRegression().fit(Z[rows][:, on], Y[rows, t], weight[rows])
        assert_allclose(selected.coef[t][:, on], model.coef_, rtol=1e-6)
        assert_allclose(selected.intercept[t], model.intercept_, rtol=1e-6)
        assert_array_equal(selected.coef[t][:, ~on], 0)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_sizes_of_cv_are_those_of_an_explicit_loop(missing):
    Z, Y, _ = make_tasks(T=6, noise=4.0, missing=missing)
    fold = assign_folds(~np.isnan(Y[..., 0]), 5, random_state=0)
    found = {
        rule: select_heads(Z, Y, rule=rule, random_state=0).support
        for rule in ("cv", "1se")
    }
    for t in range(6):
        y, f = Y[:, t, 0], fold[:, t]
        errors, counts = [], []
        for i in range(5):
            train, test = (f >= 0) & (f != i), f == i
            supports, _ = eliminate(Z[train], y[train])
            error = [((y[test] - y[train].mean()) ** 2).mean()]
            for support in supports[1:]:
                model = LinearRegression().fit(Z[train][:, support], y[train])
                rest = y[test] - model.predict(Z[test][:, support])
                error.append((rest**2).mean())
            errors.append(error)
            counts.append(test.sum())
        mean = np.average(errors, axis=0, weights=counts)
        best = mean.argmin()
        spread = np.average((np.array(errors) - mean) ** 2, axis=0, weights=counts)
        bound = mean[best] + np.sqrt(spread[best] / 4)
        assert found["cv"][t].sum() == best
        assert found["1se"][t].sum() == np.argmax(mean <= bound)
    assert (found["1se"] <= found["cv"]).all()


def test_folds_have_labels_of_every_task():
    present = np.random.default_rng(0).random((200, 30)) < np.linspace(0, 1, 30)
    present[:10, 1], present[10:, 1] = True, False
    fold = assign_folds(present, 5, random_state=0)
    assert_array_equal(fold < 0, ~present)
    counts = np.array([(fold == f).sum(0) for f in range(5)])
    assert np.ptp(counts, axis=0).max() <= 1
    full = assign_folds(np.ones((50, 3), dtype=bool), 5, random_state=0)
    assert_array_equal(full, full[:, :1].repeat(3, axis=1))


def test_cv_of_few_labels_is_bic():
    Z, Y, _ = make_tasks(n=60, missing=0.0)
    Y[9:, :6] = np.nan
    bic, cv = (select_heads(Z, Y, rule=r, random_state=0) for r in ("bic", "cv"))
    assert_array_equal(bic.coef[:6], cv.coef[:6])


def test_outputs_share_their_features():
    Z, Y, support = make_tasks(C=3, n=300, noise=0.1)
    Y[:, :, 1:] *= 1e-3
    selected = select_heads(Z, Y)
    assert_array_equal(selected.support, support)
    assert_array_equal(selected.coef != 0, np.repeat(support[:, None], 3, axis=1))


def test_spike_drops_small_coefficients_of_many_labels():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((100_000, 6))
    support = rng.random((20, 6)) < 0.4
    support[:, 0] = True
    W = np.where(support, rng.choice([-1.0, 1.0], (20, 6)), 0.0)
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    W += ~support * 0.02 * rng.choice([-1.0, 1.0], (20, 6))
    Y = Z @ W.T + 0.3 * rng.standard_normal((100_000, 20))
    assert select_heads(Z, Y).support.all()
    assert_array_equal(select_heads(Z, Y, spike=0.02).support, support)
    # By feature: those without a spike stay.
    some = select_heads(Z, Y, spike=[0.02] * 3 + [0] * 3).support
    assert_array_equal(some, support | (np.arange(6) > 2))


@pytest.mark.parametrize("rule", ["bic", "cv", "1se"])
def test_units_do_not_matter(rule):
    Z, Y, _ = make_tasks(noise=2.0)
    options = {"rule": rule, "spike": 0.05, "random_state": 0}
    plain = select_heads(Z, Y, **options)
    unit = 10.0 ** np.arange(-6, 6)[:, None]
    other = select_heads(Z / 50 + 7, Y * unit + 5 * unit, **options)
    assert_array_equal(plain.support, other.support)
    assert_allclose(other.coef, 50 * unit[..., None] * plain.coef, rtol=1e-7)
    predictions = [s.intercept + s.coef @ Z[0] for s in (plain, other)]
    predictions[1] += other.coef @ (Z[0] / 50 + 7 - Z[0])
    assert_allclose(predictions[1], unit * (predictions[0] + 5), rtol=1e-7)


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e160, 1e300])
def test_features_may_be_huge_or_tiny(unit):
    Z, Y, _ = make_tasks(noise=2.0)
    plain, other = select_heads(Z, Y), select_heads(Z * unit, Y)
    assert_array_equal(plain.support, other.support)
    assert_allclose(other.coef * unit, plain.coef, rtol=1e-9)


def test_weights_are_repetitions():
    Z, Y, _ = make_tasks(n=200, noise=0.2)
    weight = np.random.default_rng(0).integers(0, 4, len(Z))
    weighted = select_heads(Z, Y, sample_weight=weight)
    repeated = select_heads(Z.repeat(weight, axis=0), Y.repeat(weight, axis=0))
    assert_array_equal(weighted.support, repeated.support)
    assert_allclose(weighted.coef, repeated.coef, rtol=1e-8)
    assert_allclose(weighted.intercept, repeated.intercept, rtol=1e-8)
    rows = weight > 0
    for rule in ("bic", "cv"):
        zero = select_heads(Z, Y, rule=rule, sample_weight=rows * 1.0, random_state=0)
        left = select_heads(Z[rows], Y[rows], rule=rule, random_state=0)
        assert_allclose(zero.coef, left.coef, rtol=1e-10)


@pytest.mark.parametrize("unit", [1e-3, 1e-300, 1e8, 1e307])
def test_only_ratios_of_other_weights_matter(unit):
    Z, Y, _ = make_tasks(n=200, noise=0.2)
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(Z))
    expected = select_heads(Z, Y, sample_weight=weight / weight.mean())
    found = select_heads(Z, Y, sample_weight=weight * unit)
    assert_array_equal(found.support, expected.support)
    assert_allclose(found.coef, expected.coef, rtol=1e-8)


def test_blocks_of_tasks_do_not_matter(monkeypatch):
    Z, Y, _ = make_tasks(noise=2.0)
    whole = [select_heads(Z, Y, rule=r, random_state=0) for r in ("bic", "cv")]
    monkeypatch.setattr("sparsedis.rotation._paths._BLOCK", 300)
    parts = [select_heads(Z, Y, rule=r, random_state=0) for r in ("bic", "cv")]
    for one, other in zip(whole, parts, strict=True):
        assert_allclose(one.coef, other.coef, rtol=1e-12)


@pytest.mark.parametrize("rule", ["bic", "cv", "1se"])
@pytest.mark.parametrize("spike", [None, 0.05])
@pytest.mark.parametrize("C", [1, 2])
def test_edge_cases(rule, spike, C):
    Z, Y, support = make_tasks(C=C, n=100, missing=0.0, noise=0.05)
    Z = np.column_stack([Z, np.full(100, 3.3), Z[:, 0]])
    Y[:, 0] = np.nan
    for labels in (1, 2, 3, 7):
        Y[labels:, labels] = np.nan
    Y[:, 4] = 0.1
    Y[50:, 5] = np.nan
    Z[:50, 4] = 0.7  # constant for this task
    Y[:, 8] = 1e6
    selected = select_heads(Z, Y, rule=rule, spike=spike, random_state=0)
    assert np.isnan(selected.coef[0]).all()
    assert np.isnan(selected.intercept[0]).all()
    assert np.isfinite(selected.coef[1:]).all()
    assert np.isfinite(selected.intercept[1:]).all()
    assert_array_equal(selected.support[[0, 1, 2, 4, 8]], False)
    assert_array_equal(selected.coef[[1, 2, 4, 8]], 0)
    assert_allclose(selected.intercept[1], Y[0, 1])
    assert_allclose(selected.intercept[2], Y[:2, 2].mean(0))
    assert_allclose(selected.intercept[8], 1e6)
    assert selected.support[3].sum() <= 1
    assert not selected.support[:, 6].any()
    assert not selected.support[:, [0, 7]].all(1).any()
    assert not selected.support[5, 4]
    if rule == "bic":
        # The first feature and its copy stand for each other.
        found = selected.support[9:].copy()
        found[:, 0] |= found[:, 7]
        assert (found[:, :6] >= support[9:]).all()


def test_noiseless_targets_have_exact_heads():
    Z, Y, support = make_tasks(noise=0.0)
    for rule in ("bic", "cv"):
        selected = select_heads(Z, Y, rule=rule, random_state=0)
        assert_array_equal(selected.support, support)


def test_only_tasks_of_few_labels():
    Z, Y, _ = make_tasks(n=5, missing=0.0)
    Y[2:, 0] = np.nan
    Y[:, 1] = np.nan
    selected = select_heads(Z, Y)
    assert np.isfinite(np.delete(selected.coef, 1, axis=0)).all()
    assert selected.support.sum(1).max() <= 3
    nothing = select_heads(Z, np.full((5, 2), np.nan))
    assert np.isnan(nothing.coef).all()


def test_classes_have_the_noise_of_their_moments():
    Z, Y, support = make_tasks(n=400, noise=0.3)
    moments, _ = regression_moments(Z, Y)
    information = 25.0
    classes = type(moments)(
        moments.hessian * information,
        moments.gradient * information,
        moments.square * information,
        moments.n_labels,
        moments.n_outputs,
        np.ones(len(moments)),
    )
    selected = select_from_moments(classes)
    assert (selected.support >= support).all()
    known = replace(moments, noise=np.full(len(moments), 1 / information))
    same = select_from_moments(known)
    assert_allclose(selected.heads, same.heads, rtol=1e-8)


def test_shapes_follow_those_of_the_targets():
    Z, Y, _ = make_tasks(C=2)
    three, two = select_heads(Z, Y), select_heads(Z, Y[..., 0])
    one = select_heads(Z, Y[:, 3, 0])
    assert three.coef.shape == (12, 2, 6)
    assert three.intercept.shape == (12, 2)
    assert three.support.shape == two.support.shape == two.coef.shape == (12, 6)
    assert two.intercept.shape == (12,)
    assert one.coef.shape == one.support.shape == (6,)
    assert one.intercept.shape == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "aic"}, "rule must be one of .*'aic'"),
        ({"spike": -1.0}, "spike must be finite and not negative"),
        ({"spike": [0.1, 0.2]}, "spike must have one value or 6"),
        ({"rule": "cv", "n_folds": 1}, "n_folds == 1, must be >= 2"),
        ({"sample_weight": np.zeros(80)}, "[Ss]ample.weight"),
    ],
)
def test_bad_input(options, message):
    Z, Y, _ = make_tasks()
    with pytest.raises(ValueError, match=message):
        select_heads(Z, Y, **options)


def test_bad_targets():
    Z, Y, _ = make_tasks()
    with pytest.raises(ValueError, match="one to three dimensions"):
        select_heads(Z, Y[..., None])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        select_heads(Z[:-1], Y)
