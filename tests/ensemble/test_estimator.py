"""Ensembles of the estimators."""

import pickle

import numpy as np
import pytest
from joblib import parallel_config
from scipy.sparse import csr_array
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import SparseMultiTaskEnsemble, SparseMultiTaskRepresentation
from sparsedis.ensemble._matching import match_features

# The quickest members: two steps, and no rotation.
QUICK = SparseMultiTaskRepresentation(2, rotation=None, max_iter=2, alpha=0.1)

pytestmark = pytest.mark.filterwarnings(
    "ignore:(Warnings of|No head|.* may not be|No feature occurs):UserWarning",
    "ignore:The encoder overfits:UserWarning",
)


def test_features_are_the_factors_and_agree(data, frame, regression):
    Z = regression.transform(frame)
    correlation = np.abs(np.corrcoef(data.factors.T, Z.T)[:3, 3:])
    assert (correlation.max(0) > 0.98).all()
    assert sorted(correlation.argmax(0)) == [0, 1, 2]
    assert (regression.agreement_ > 0.95).all()
    assert regression.matching_.shape == (3, 3)
    assert regression.n_components_ == 3
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)


def test_members_are_fits_with_other_seeds(data, frame, regression):
    seeds = [member.random_state for member in regression.estimators_]
    assert len(set(seeds)) == 3
    base = clone(regression.estimator).set_params(random_state=seeds[1])
    Y = np.where(np.random.default_rng(0).random(data.target.shape) < 0.8, 1.0, np.nan)
    alone = base.fit(frame, data.target * Y)
    member = regression.estimators_[1]
    np.testing.assert_array_equal(alone.predict(frame), member.predict(frame))


def test_support_is_the_share_of_the_members(regression):
    share = np.mean(
        [
            member.support_[:, columns] & (columns >= 0)
            for member, columns in zip(
                regression.estimators_, regression.matching_, strict=True
            )
        ],
        axis=0,
    )
    np.testing.assert_allclose(regression.support_, share)
    np.testing.assert_allclose(regression.feature_usage_, share.sum(0))


def test_score_is_the_mean_r2_in_every_form(data, frame, regression):
    prediction = regression.predict(frame)
    Y = data.target.copy()
    Y[::2, 5] = np.nan
    Y[1:, 7] = np.nan
    weight = np.random.default_rng(1).integers(0, 3, 80)
    each = []
    for t in np.delete(np.arange(20), 7):
        at = ~np.isnan(Y[:, t])
        each.append(r2_score(Y[at, t], prediction[at, t], sample_weight=weight[at]))
    expected = pytest.approx(np.mean(each))
    assert regression.score(frame, Y, sample_weight=weight) == expected
    rows, tasks = np.nonzero(~np.isnan(Y))
    table = csr_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape)
    assert regression.score(frame, table, sample_weight=weight) == expected
    long = frame.iloc[rows], Y[rows, tasks], tasks, weight[rows]
    assert regression.score(*long) == expected


def test_score_of_one_member_is_its_own(data, frame, regression, classification):
    for ensemble, X, Y in (
        (regression, frame, data.target),
        (classification, data.data, np.where(data.target > 0, "yes", "no")),
    ):
        single = clone(ensemble).set_params(n_estimators=1)
        single.estimators_ = ensemble.estimators_[:1]
        single.tasks_, single._layout = ensemble.tasks_, "wide"
        if is_classifier(ensemble):
            single.classes_ = ensemble.classes_
        assert single.score(X, Y) == pytest.approx(single.estimators_[0].score(X, Y))


def test_labels_that_cannot_be_scored(frame, regression):
    with pytest.raises(ValueError, match="No task can be scored by 'r2'"):
        regression.score(frame[:1], np.ones((1, 20)))
    with pytest.raises(ValueError, match="a column for each task"):
        regression.score(frame, np.ones((80, 3)))


def test_kinds_and_methods_are_those_of_the_members(regression, classification):
    assert is_regressor(SparseMultiTaskEnsemble())
    assert is_regressor(regression)
    assert not hasattr(regression, "predict_proba")
    assert is_classifier(classification)
    assert hasattr(clone(classification), "predict_proba")


def test_names_and_frames(frame, regression):
    assert regression.feature_names_in_.tolist() == ["u", "v", "w"]
    assert regression.n_features_in_ == 3
    names = [f"sparsemultitaskensemble{i}" for i in range(3)]
    assert regression.get_feature_names_out().tolist() == names
    Z = clone(regression)
    Z.__dict__.update(regression.__dict__)
    Z = Z.set_output(transform="pandas").transform(frame)
    assert list(Z.columns) == names
    np.testing.assert_array_equal(Z, regression.transform(frame))


def test_pickled(frame, regression):
    again = pickle.loads(pickle.dumps(regression))
    np.testing.assert_array_equal(again.predict(frame), regression.predict(frame))
    np.testing.assert_array_equal(again.transform(frame), regression.transform(frame))


def test_the_seed_decides(data):
    X, Y = data.data, data.target
    first = SparseMultiTaskEnsemble(QUICK, 2, random_state=3).fit(X, Y)
    with parallel_config("threading"):
        again = SparseMultiTaskEnsemble(QUICK, 3, n_jobs=2, random_state=3).fit(X, Y)
    other = SparseMultiTaskEnsemble(QUICK, 2, random_state=4).fit(X, Y)
    for one, same, different in zip(
        *(e.estimators_ for e in (first, again, other)), strict=False
    ):
        np.testing.assert_array_equal(one.predict(X), same.predict(X))
        assert one.random_state != different.random_state
    assert QUICK.random_state is None


def test_long_form_and_weights_reach_the_members(data):
    X = np.repeat(data.data[:40], 6, axis=0)
    task = np.tile(list("abcdef"), 40)
    y = data.target[:40, :6].ravel()
    weight = np.random.default_rng(0).uniform(size=240)
    ensemble = SparseMultiTaskEnsemble(QUICK, 2, random_state=0)
    ensemble.fit(X, y, task=task, sample_weight=weight)
    assert ensemble.tasks_.tolist() == list("abcdef")
    alone = clone(ensemble.estimators_[1]).fit(X, y, task=task, sample_weight=weight)
    np.testing.assert_array_equal(alone.predict(X), ensemble.estimators_[1].predict(X))
    # A task that is not known does not count.
    with pytest.warns(UserWarning, match="were not seen in fit"):
        score = ensemble.score(
            [*X, X[0]], [*y, 9.0], task=[*task, "z"], sample_weight=[*weight, 1]
        )
    assert score == pytest.approx(ensemble.score(X, y, task, weight))


def test_pipelines_outside_and_inside(data):
    X, Y = 100 * data.data, data.target
    outside = make_pipeline(
        StandardScaler(), SparseMultiTaskEnsemble(QUICK, 2, random_state=0)
    )
    inside = SparseMultiTaskEnsemble(
        make_pipeline(StandardScaler(), QUICK), 2, random_state=0
    )
    outside.fit(X, Y)
    inside.fit(X, Y)
    np.testing.assert_allclose(inside.predict(X), outside.predict(X))
    assert inside.score(X, Y) == pytest.approx(outside.score(X, Y))
    np.testing.assert_array_equal(inside.support_, outside[-1].support_)


def test_grid_search(data):
    search = GridSearchCV(
        SparseMultiTaskEnsemble(QUICK, 2, random_state=0),
        {"estimator__alpha": [0.05, 0.99]},
        cv=KFold(2),
    )
    search.fit(data.data, data.target)
    assert search.best_params_ == {"estimator__alpha": 0.05}
    assert search.best_estimator_.estimators_[0].alpha == 0.05


def test_repr_shows_what_is_set():
    assert (
        repr(SparseMultiTaskEnsemble(n_jobs=2)) == "SparseMultiTaskEnsemble(n_jobs=2)"
    )


def test_invalid_parameters(data):
    X, Y = data.data, data.target
    with pytest.raises(ValueError, match=r"'n_estimators' .* Got 0"):
        SparseMultiTaskEnsemble(QUICK, 0).fit(X, Y)
    with pytest.raises(ValueError, match=r"random_state, .* PLSRegression has none"):
        SparseMultiTaskEnsemble(PLSRegression()).fit(X, Y)
    with pytest.raises(ValueError, match="'estimator'"):
        SparseMultiTaskEnsemble(StandardScaler()).fit(X, Y)


def test_a_failed_fit_changes_nothing(data):
    ensemble = SparseMultiTaskEnsemble(QUICK, 2, random_state=0)
    ensemble.fit(data.data, data.target)
    before = vars(ensemble).copy()
    with pytest.raises(ValueError, match="y holds no label at all"):
        ensemble.fit(data.data, np.full((80, 2), np.nan))
    assert vars(ensemble) == before


def test_weights_of_labels_and_of_tasks_reach_the_members(data):
    X, Y = data.data, data.target
    weight = np.random.default_rng(1).uniform(size=Y.shape)
    weight[weight < 0.2] = 0.0
    of_tasks = np.array([0.0, *np.arange(1.0, Y.shape[1])])
    ensemble = SparseMultiTaskEnsemble(QUICK, n_estimators=2, random_state=0)
    ensemble.fit(X, Y, sample_weight=weight, task_weight=of_tasks)
    for member in ensemble.estimators_:
        alone = clone(member).fit(X, Y, sample_weight=weight, task_weight=of_tasks)
        np.testing.assert_array_equal(alone.transform(X), member.transform(X))
    # Matching takes the rows with the sum of their weights.
    codes = [member.transform(X).astype(float) for member in ensemble.estimators_]
    found = match_features(codes, weight.sum(1))
    np.testing.assert_array_equal(found.agreement, ensemble.agreement_)
    missing = np.where(weight > 0, Y, np.nan)
    assert ensemble.score(X, Y, sample_weight=np.ceil(weight)) == pytest.approx(
        ensemble.score(X, missing)
    )
    stored = csr_array(weight)
    again = clone(ensemble).fit(X, csr_array(Y), sample_weight=stored)
    assert again.n_components_ == ensemble.n_components_


def test_searches_and_ensembles_are_members(data):
    search = GridSearchCV(QUICK, {"max_iter": [2]}, cv=2)
    plain = SparseMultiTaskEnsemble(QUICK, 2, random_state=0)
    plain.fit(data.data, data.target)
    est = SparseMultiTaskEnsemble(search, 2, random_state=0)
    est.fit(data.data, data.target)
    np.testing.assert_array_equal(est.tasks_, plain.tasks_)
    np.testing.assert_array_equal(est.predict(data.data), plain.predict(data.data))
    np.testing.assert_array_equal(est.support_, plain.support_)
    nested = SparseMultiTaskEnsemble(plain, 2, random_state=0)
    nested.fit(data.data, data.target)
    assert nested.support_.shape == (data.target.shape[1], nested.n_components_)
