"""Weights of labels and of tasks in the estimators."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
import torch
from sklearn.linear_model import Lasso
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, cross_validate

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.tasks import TaskBatch

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge|The tasks use|"
    "The heads of the tasks use no):UserWarning"
)

N, T = 60, 6
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 3))
Y = X @ RNG.standard_normal((3, T)) + 0.3 * RNG.standard_normal((N, T))
ZERO = RNG.random((N, T)) < 0.3
LEFT = np.where(ZERO, 0.0, 1.0)
Y_LEFT = np.where(ZERO, np.nan, Y)
TIMES = RNG.integers(0, 4, (N, T))
ROTATIONS = pytest.mark.parametrize("rotation", [None, "sparsest"])
CLASSES = pytest.mark.parametrize(
    "cls", [SparseMultiTaskRepresentation, SparseMultiTaskClassifier]
)
MIXED = pd.DataFrame(Y, columns=list("abcdef")).assign(
    c=Y[:, 2] > 0, f=RNG.poisson(np.exp(Y[:, 5].clip(-1, 1)))
)


def make(cls=SparseMultiTaskRepresentation, **params):
    defaults = {"n_components": 2, "rotation": None, "max_iter": 3, "random_state": 0}
    return cls(**(defaults | params))


def given(cls=SparseMultiTaskRepresentation, **params):
    """An estimator that only fits heads, to features as they are."""
    return make(cls, n_components=3, encoder="identity", normalization=None, **params)


def labels(cls, Y):
    if cls is SparseMultiTaskRepresentation:
        return Y
    return np.where(np.isnan(Y), np.nan, np.digitize(Y, [-0.5, 0.5]))


def assert_same_encoder(one, other):
    first, second = (est.module_.state_dict() for est in (one, other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def assert_same(one, other):
    assert_same_encoder(one, other)
    for name in ("coef_", "intercept_", "alpha_", "support_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# Weights of labels


@ROTATIONS
@CLASSES
def test_labels_of_weight_zero_are_missing(cls, rotation):
    how = {"rotation": rotation}
    missing, there = labels(cls, Y_LEFT), labels(cls, Y)
    expected = make(cls, **how).fit(X, missing)
    # What they hold does not matter.
    assert_same(make(cls, **how).fit(X, there, sample_weight=LEFT), expected)
    assert_same(make(cls, **how).fit(X, missing, sample_weight=LEFT), expected)
    odd = np.where(ZERO, 7e200 if cls is SparseMultiTaskRepresentation else 99, there)
    assert_same(make(cls, **how).fit(X, odd, sample_weight=LEFT), expected)


@CLASSES
def test_labels_of_weight_zero_are_missing_in_every_form(cls):
    expected = make(cls).fit(X, labels(cls, Y_LEFT))
    there = labels(cls, Y)
    names = list("abcdef")
    frame = pd.DataFrame(there, columns=names)
    weights = pd.DataFrame(LEFT, columns=names)[names[::-1]]
    assert_same(make(cls).fit(X, frame, sample_weight=weights), expected)
    stored = sp.csr_array(LEFT)  # what is not stored is zero
    listed = np.indices((N, T)).reshape(2, -1)
    sparse = sp.coo_array((there.ravel(), tuple(listed)), shape=(N, T))
    for weight in (stored, sp.csc_matrix(LEFT), LEFT):
        assert_same(make(cls).fit(X, sparse, sample_weight=weight), expected)
    assert_same(make(cls).fit(X, there, sample_weight=stored), expected)
    rows, tasks = listed
    order = RNG.permutation(N * T)
    rows, tasks = rows[order], tasks[order]
    est = make(cls).fit(X[rows], there[rows, tasks], tasks, LEFT[rows, tasks])
    assert_same(est, expected)


def test_target_vectors_have_one_weight():
    Y2 = np.stack([Y, Y[:, ::-1]], -1)
    expected = make().fit(X, np.where(ZERO[..., None], np.nan, Y2))
    assert_same(make().fit(X, Y2, sample_weight=LEFT), expected)
    with pytest.raises(ValueError, match=r"\(60, 6\), got \(60, 6, 2\)"):
        make().fit(X, Y2, sample_weight=np.ones((N, T, 2)))


def repeated(Y):
    """Rows and labels, each label as often as its weight says."""
    rows, tables = [], []
    for time in range(TIMES.max()):
        kept = time < TIMES
        rows.append(np.flatnonzero(kept.any(1)))
        tables.append(np.where(kept, Y, np.nan)[rows[-1]])
    # A row without any label stays.
    alone = np.flatnonzero(~TIMES.any(1))
    rows, tables = [*rows, alone], [*tables, np.full((len(alone), T), np.nan)]
    return X[np.concatenate(rows)], np.concatenate(tables)


@ROTATIONS
@CLASSES
def test_weights_are_repetitions_of_labels(cls, rotation):
    there = labels(cls, Y)
    weighted = make(cls, rotation=rotation).fit(X, there, sample_weight=TIMES)
    assert_same(make(cls, rotation=rotation).fit(*repeated(there)), weighted)


@CLASSES
def test_the_weights_of_a_row_are_those_of_its_labels(cls):
    weight = RNG.uniform(0.5, 2.0, N)
    there = labels(cls, Y_LEFT)
    expected = make(cls).fit(X, there, sample_weight=weight)
    each = np.repeat(weight[:, None], T, axis=1)
    assert_same(make(cls).fit(X, there, sample_weight=each), expected)


WEIGHT = RNG.uniform(0.2, 3.0, (N, T))


def test_penalised_heads_are_those_of_each_task_and_its_weights():
    est = given(alpha=0.1, alpha_mode="absolute", refit="lasso", normalize_y=False)
    est.fit(X, Y_LEFT, sample_weight=WEIGHT)
    for t in range(T):
        own = ~ZERO[:, t]
        reference = Lasso(alpha=0.1, tol=1e-12)
        reference.fit(X[own], Y[own, t], sample_weight=WEIGHT[own, t])
        np.testing.assert_allclose(est.coef_[t], reference.coef_, atol=1e-6)


@pytest.mark.parametrize(
    ("cls", "refit"),
    [
        (SparseMultiTaskRepresentation, "relaxed"),
        (SparseMultiTaskRepresentation, "lasso"),
        # Refitted logistic heads have the l2 penalty of C=1, which is worth a label.
        (SparseMultiTaskClassifier, "lasso"),
    ],
)
def test_a_factor_in_the_weights_of_a_task_changes_no_head(cls, refit):
    there = labels(cls, Y_LEFT)
    one = given(cls, refit=refit, alpha=0.2).fit(X, there, sample_weight=WEIGHT)
    factor = 10.0 ** np.arange(-2, 4)
    est = given(cls, refit=refit, alpha=0.2)
    est.fit(X, there, sample_weight=factor * WEIGHT)
    np.testing.assert_allclose(est.coef_, one.coef_, atol=1e-7)
    np.testing.assert_allclose(est.intercept_, one.intercept_, atol=1e-7)
    np.testing.assert_array_equal(est.support_, one.support_)


@pytest.mark.parametrize("selection", ["bic", "cv", "1se"])
def test_supports_are_selected_with_the_weights_of_each_task(selection):
    few = Y.copy()
    few[8:, 0] = np.nan  # too few labels for folds
    how = {"rotation": "sparsest", "selection": selection, "early_stopping": False}
    est = given(**how).fit(X, few, sample_weight=1.0 + TIMES)
    # As when nothing but the labels of a task are there to select by.
    rows = np.repeat(X, 4, axis=0)
    kept = (np.arange(4)[:, None] <= TIMES[:, None]).reshape(-1, T)
    same = given(**how).fit(rows, np.where(kept, np.repeat(few, 4, axis=0), np.nan))
    np.testing.assert_array_equal(est.support_, same.support_)
    np.testing.assert_allclose(est.coef_, same.coef_, atol=1e-10)


@ROTATIONS
@CLASSES
def test_new_tasks_have_weights_of_labels(cls, rotation):
    est = make(cls, rotation=rotation).fit(X, labels(cls, Y))
    new = labels(cls, Y[:, ::-1])
    expected = est.adapt(X, np.where(ZERO, np.nan, new))
    assert_same(est.adapt(X, new, sample_weight=LEFT), expected)


@CLASSES
def test_scores_have_weights_of_labels(cls):
    there = labels(cls, Y_LEFT)
    est = make(cls).fit(X, there)
    metric = r2_score if cls is SparseMultiTaskRepresentation else accuracy_score
    predicted, weight = est.predict(X), WEIGHT * LEFT[::-1]
    own = [~ZERO[:, t] & (weight[:, t] > 0) for t in range(T)]
    expected = np.mean(
        [
            metric(there[at, t], predicted[at, t], sample_weight=weight[at, t])
            for t, at in enumerate(own)
        ]
    )
    assert est.score(X, there, sample_weight=weight) == pytest.approx(expected)
    # By names, in another order of the tasks.
    order = [3, 1, 0, 5, 2, 4]
    frame, weights = (pd.DataFrame(table)[order] for table in (there, weight))
    for own in (weights, pd.DataFrame(weight), weights.to_numpy()):
        assert est.score(X, frame, sample_weight=own) == pytest.approx(expected)
    rows, tasks = np.nonzero(~ZERO)
    values = there[rows, tasks]
    sparse = sp.csr_array((values, (rows, tasks)), shape=(N, T))
    for own in (weight, sp.csr_array(weight)):
        assert est.score(X, sparse, sample_weight=own) == pytest.approx(expected)
    own = weight[rows, tasks]
    score = est.score(X[rows], values, task=tasks, sample_weight=own)
    assert score == pytest.approx(expected)


def test_no_label_is_left():
    with pytest.raises(ValueError, match="no label with a positive sample_weight"):
        make().fit(X, Y_LEFT, sample_weight=1.0 - LEFT)


# Weights of tasks


@ROTATIONS
@CLASSES
def test_a_task_of_weight_zero_teaches_nothing(cls, rotation):
    there = labels(cls, Y)
    how = {"rotation": rotation, "n_components": "auto", "task_batch_size": 3}
    weight = np.array([1, 0, 1, 1, 0, 1])
    est = make(cls, **how).fit(X, there, task_weight=weight)
    alone = make(cls, **how).fit(X, there[:, weight > 0], task_weight=np.ones(4))
    assert_same_encoder(est, alone)
    np.testing.assert_array_equal(est.history_["loss"], alone.history_["loss"])
    # But it gets a head.
    assert np.isfinite(est.coef_).all()
    assert est.support_[weight == 0].any()


def test_only_ratios_of_task_weights_matter():
    weight = np.array([1.0, 2, 3, 0.5, 1, 0])
    one = make().fit(X, Y, task_weight=weight)
    assert_same_encoder(make().fit(X, Y, task_weight=4 * weight), one)
    plain = make(lr=1e-3).fit(X, Y)
    same = make(lr=1e-3).fit(X, Y, task_weight=np.full(T, 3.0))
    np.testing.assert_allclose(same.history_["loss"], plain.history_["loss"], rtol=1e-5)


@CLASSES
def test_the_loss_is_the_weighted_mean_of_the_tasks(cls):
    # Tasks of two and of three classes are solved in groups.
    there = labels(cls, Y)
    if cls is SparseMultiTaskClassifier:
        there[:, ::2] = there[:, ::2] > 0
    how = {"max_iter": 1, "early_stopping": True, "batch_size": N}

    def losses(weight):
        history = make(cls, lr=1e-12, **how).fit(X, there, task_weight=weight).history_
        return np.array([history["loss"][0], history["valid_loss"][0]])

    # All but nothing, and not nothing, so that the same is drawn.
    each = np.stack([losses(np.eye(T)[t] + 1e-12) for t in range(T)])
    assert (np.ptp(each, axis=0) > 0.01).all()
    weight = np.array([3.0, 1, 0.5, 2, 1, 4])
    expected = weight @ each / weight.sum()
    np.testing.assert_allclose(losses(weight), expected, rtol=1e-5)
    np.testing.assert_allclose(losses(None), each.mean(0), rtol=1e-5)


def test_task_weights_by_name_and_in_the_long_form():
    weight = np.array([1.0, 2, 3, 0.5, 1, 0])
    expected = make().fit(X, Y, task_weight=weight)
    names = np.array(list("fbcdea"))
    frame = pd.DataFrame(Y, columns=names)
    by_name = dict(zip(names.tolist(), weight, strict=True))
    del by_name["e"]
    assert_same(make().fit(X, frame, task_weight=by_name), expected)
    order = np.argsort(names)
    expected = make().fit(X, Y[:, order], task_weight=weight[order])
    rows, tasks = np.indices((N, T)).reshape(2, -1)
    for own in (by_name, weight[order]):
        est = make().fit(X[rows], Y[rows, tasks], names[tasks], task_weight=own)
        np.testing.assert_array_equal(est.tasks_, names[order])
        assert_same(est, expected)


def test_no_task_to_learn_from():
    lacking = Y.copy()
    lacking[:, 2] = np.nan
    with pytest.raises(ValueError, match="task_weight must be positive for a task to"):
        make().fit(X, lacking, task_weight=np.eye(T)[2])
    classes = labels(SparseMultiTaskClassifier, Y)
    classes[:, 2] = 1
    est = make(SparseMultiTaskClassifier)
    with (
        pytest.warns(UserWarning, match="a single class"),
        pytest.raises(ValueError, match="task_weight must be positive for a task to"),
    ):
        est.fit(X, classes, task_weight=np.eye(T)[2])


@ROTATIONS
def test_streams_of_weighted_tasks(rotation):
    weight = np.array([1.0, 2, 3, 0.5, 1, 0])
    how = {"rotation": rotation, "max_iter": 3, "batch_size": N}
    est = make(**how).fit_stream([TaskBatch(X, Y.T, task_weight=weight)])
    alone = make(**how).fit_stream([TaskBatch(X, Y.T[:5], task_weight=weight[:5])])
    assert_same_encoder(est, alone)
    plain = make(**how).fit_stream([TaskBatch(X, Y.T[:5])])
    assert not np.allclose(plain.history_["loss"], alone.history_["loss"], rtol=1e-3)
    with pytest.raises(ValueError, match="positive task_weight for some task"):
        make().fit_stream([TaskBatch(X, Y.T, task_weight=np.zeros(T))])


@CLASSES
@pytest.mark.parametrize("unit", [1e-3, 1e-200, 1e307])
def test_the_unit_of_weights_that_are_no_repetitions_does_not_matter(cls, unit):
    y = labels(cls, Y_LEFT)
    weight = np.linspace(0.5, 1.5, N)
    own = np.where(np.isnan(Y_LEFT), 0.0, weight[:, None])
    mean = own[own > 0].mean()
    # Further training of classes, without a given number, amplifies rounding errors.
    numbers = cls is SparseMultiTaskRepresentation
    how = {"rotation": "sparsest", "n_components": "auto" if numbers else 3}
    expected = make(cls, **how).fit(X, y, sample_weight=weight / mean)
    for given_weight in (weight * (unit / 2), own * (unit / 2)):
        est = make(cls, **how).fit(X, y, sample_weight=given_weight)
        assert est.count_.n_factors == expected.count_.n_factors
        np.testing.assert_array_equal(est.support_, expected.support_)
        np.testing.assert_allclose(est.coef_, expected.coef_, rtol=1e-5, atol=1e-5)


@CLASSES
def test_the_unit_of_weights_of_streams_does_not_matter(cls):
    y = np.nan_to_num(labels(cls, Y).T)
    weight = np.linspace(0.5, 1.5, N) * np.ones((T, 1))
    how = {"rotation": "sparsest", "n_components": "auto"}
    expected, *others = (
        make(cls, **how).fit_stream([TaskBatch(X, y, weight=weight * unit)])
        for unit in (1.0, 1e-3, 1e307)
    )
    for est in others:
        assert est.count_.n_factors == expected.count_.n_factors
        Z = est.transform(X)
        np.testing.assert_allclose(Z, expected.transform(X), rtol=1e-5, atol=1e-5)


# In scikit-learn's tools, and in files


def test_weights_are_routed():
    rows, tasks = np.indices((N, T)).reshape(2, -1)
    wide = X, Y_LEFT, {"sample_weight": WEIGHT, "task_weight": {0: 2.0, 3: 0.0}}
    long = (
        X[rows],
        Y[rows, tasks],
        {
            "task": tasks,
            "sample_weight": WEIGHT[rows, tasks],
            "task_weight": {0: 2.0, 3: 0.0},
        },
    )
    with sklearn.config_context(enable_metadata_routing=True):
        for inputs, y, params in (wide, long):
            routed = dict.fromkeys(params, True)
            est = make().set_fit_request(**routed)
            del routed["task_weight"]
            est.set_score_request(**routed)
            folds = KFold(2, shuffle=True, random_state=0)
            found = cross_validate(est, inputs, y, params=params, cv=folds)
            for score, (train, test) in zip(
                found["test_score"], folds.split(inputs), strict=True
            ):
                parts = [
                    {
                        name: value[at]
                        for name, value in params.items()
                        if name != "task_weight"
                    }
                    for at in (train, test)
                ]
                own = make().fit(
                    inputs[train],
                    y[train],
                    task_weight=params["task_weight"],
                    **parts[0],
                )
                assert score == own.score(inputs[test], y[test], **parts[1])


def test_training_is_taken_up_with_the_same_weights_only(tmp_path):
    fits = [
        {},
        {"task_weight": np.arange(1, T + 1)},
        {"task_weight": np.arange(2, T + 2)},
        {"sample_weight": WEIGHT},
    ]
    for number, how in enumerate(fits):
        first = make(checkpoint=tmp_path, max_iter=25).fit(X, Y, **how)
        assert len(list(tmp_path.iterdir())) == number + 1
        again = make(checkpoint=tmp_path, max_iter=25).fit(X, Y, **how)
        assert len(list(tmp_path.iterdir())) == number + 1
        assert_same(first, again)
    batches = [TaskBatch(X, Y.T, task_weight=np.arange(1, T + 1) ** p) for p in (0, 1)]
    for number, batch in enumerate(batches):
        make(checkpoint=tmp_path, max_iter=25).fit_stream([batch])
        assert len(list(tmp_path.iterdir())) == len(fits) + number + 1


# Tasks of several types


def mixed(**params):
    return make(SparseMultiTaskMixed, task_types={"f": "count"}, **params)


@ROTATIONS
def test_labels_of_several_types_and_weight_zero_are_missing(rotation):
    expected = mixed(rotation=rotation).fit(X, MIXED.mask(ZERO))
    est = mixed(rotation=rotation).fit(X, MIXED, sample_weight=LEFT)
    assert_same(est, expected)
    score = est.score(X, MIXED, sample_weight=LEFT)
    assert score == pytest.approx(expected.score(X, MIXED.mask(ZERO)))


@ROTATIONS
def test_a_task_of_another_type_and_weight_zero_teaches_nothing(rotation):
    weight = {"c": 0.0, "f": 0.0}
    est = mixed(rotation=rotation).fit(X, MIXED, task_weight=weight)
    alone = mixed(rotation=rotation).set_params(task_types=None)
    alone.fit(X, MIXED.drop(columns=list(weight)), task_weight=np.ones(4))
    assert_same_encoder(est, alone)
    assert np.isfinite(est.coef_).all()
