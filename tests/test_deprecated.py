"""Old names of penalties: they do what the new ones do, and warn."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from packaging.version import Version
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

import sparsedis
from sparsedis import GroupLassoSVMMetaLearner, implicit
from sparsedis._deprecated import REMOVED_IN
from sparsedis.heads import (
    GroupLassoSVMHead,
    Head,
    LinearHead,
    PrototypeHead,
    RidgeHead,
    check_head,
)
from sparsedis.implicit import group_lasso_svm, group_lasso_svm_alpha_max
from sparsedis.solvers.losses import log_loss
from sparsedis.solvers.penalties import GroupL1
from sparsedis.svm import GroupLassoSVC

RNG = np.random.default_rng(0)
Y = np.arange(4).repeat(8)
X = 2 * np.eye(4, 6)[Y] + 0.5 * RNG.standard_normal((32, 6))
OLD_OF_META = {
    "l1": ("alpha", 0.3),
    "l1_mode": ("alpha_mode", "absolute"),
    "l1_warmup": ("alpha_warmup", 0.0),
    "learn_l1": ("learn_alpha", True),
}


def meta_learner(**params):
    return GroupLassoSVMMetaLearner(
        "mlp", n_ways=3, n_shots=3, n_queries=2, max_iter=4, random_state=0, **params
    )


def renamed(old, new):
    message = f"^{old} is now called {new}; the old name will be removed"
    return pytest.warns(FutureWarning, match=message)


def test_old_names_are_gone_when_their_time_is_up():
    assert Version(sparsedis.__version__) < Version(REMOVED_IN)


def test_keyword_of_the_layer():
    Z, y = torch.as_tensor(X), torch.as_tensor(Y)
    expected = group_lasso_svm(Z, y, alpha=0.5, l2=1.0)
    with renamed("l1", "alpha"):
        found = group_lasso_svm(Z, y, l1=0.5, l2=1.0)
    assert torch.equal(found, expected)
    with pytest.raises(TypeError, match=r"both alpha=0.1 and its old name, l1=0.5"):
        group_lasso_svm(Z, y, alpha=0.1, l1=0.5, l2=1.0)


def test_name_of_the_function():
    Z, y = torch.as_tensor(X), torch.as_tensor(Y)
    old = implicit.group_lasso_svm_l1_max
    with renamed("group_lasso_svm_l1_max", "group_lasso_svm_alpha_max"):
        found = old(Z, y, n_classes=5)
    assert torch.equal(found, group_lasso_svm_alpha_max(Z, y, n_classes=5))
    assert old.__name__ not in implicit.__all__
    assert pickle.loads(pickle.dumps(old)) is old


@pytest.mark.parametrize(
    "head",
    [
        GroupLassoSVMHead(),
        LinearHead(log_loss, GroupL1()),
        RidgeHead(),
        PrototypeHead(),
    ],
    ids=repr,
)
def test_keyword_of_the_heads(head):
    Z, y = torch.as_tensor(X)[None], torch.as_tensor(Y)[None]
    expected, _ = head.fit_classes(Z, y, 4, alpha=0.2, l2=1.0, relative=True)
    with renamed("l1", "alpha"):
        found, _ = head.fit_classes(Z, y, 4, l1=0.2, l2=1.0, relative=True)
    assert torch.equal(found, expected)


def test_penalties_of_own_heads():
    with renamed("'l1' in the penalties of Own", "'alpha'"):

        class Own(Head):
            penalties = ("l1", "l2")

            def fit_classes(self, Z, y, n_classes, l1, l2, *, relative):
                return GroupLassoSVMHead().fit_classes(
                    Z, y, n_classes, l1, l2, relative=relative
                )

    assert Own.penalties == ("alpha", "l2")
    check_head(Own())
    est = meta_learner(head=Own(), learn_alpha=True).fit(X, Y)
    same = meta_learner(learn_alpha=True).fit(X, Y)
    assert_array_equal(est.transform(X), same.transform(X))
    assert est.alpha_ == same.alpha_


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"l1": 0.5}, {"alpha": 0.5}),
        ({"l1_mode": "absolute"}, {"alpha_mode": "absolute"}),
        ({"l1": 2.0, "l1_mode": "absolute"}, {"alpha": 2.0, "alpha_mode": "absolute"}),
    ],
)
def test_parameters_of_the_svm(old, new):
    expected = GroupLassoSVC(**new).fit(X, Y)
    est = clone(GroupLassoSVC().set_params(**old))
    with pytest.warns(FutureWarning) as warned:
        est.fit(X, Y)
    found = [str(warning.message).partition(" is now")[0] for warning in warned]
    assert found == [*old]
    assert_array_equal(est.coef_, expected.coef_)
    assert est.get_params() == GroupLassoSVC(**old).get_params()


@pytest.mark.parametrize("old", OLD_OF_META)
def test_parameters_of_the_meta_learner(old):
    new, value = OLD_OF_META[old]
    expected = meta_learner(**{new: value}).fit(X, Y)
    est = clone(meta_learner(**{old: value}))
    with renamed(old, new):
        est.fit(X, Y)
    assert_array_equal(est.history_["loss"], expected.history_["loss"])
    assert est.alpha_ == expected.alpha_
    assert_array_equal(est.transform(X), expected.transform(X))
    default = meta_learner().fit(X, Y)
    assert (est.history_["loss"] != default.history_["loss"]).any()


@pytest.mark.parametrize(
    ("est", "message"),
    [
        (GroupLassoSVC(0.2, l1=0.5), "Both alpha=0.2 and its old name, l1=0.5, are"),
        (
            meta_learner(alpha_warmup=0.1, l1_warmup=0.2),
            "Both alpha_warmup=0.1 and its old name, l1_warmup=0.2, are set",
        ),
    ],
)
def test_both_names_at_once(est, message):
    with pytest.raises(ValueError, match=message):
        est.fit(X, Y)


@pytest.mark.parametrize("est", [GroupLassoSVC(), meta_learner()])
@pytest.mark.parametrize(("name", "value"), [("l1", -1.0), ("l1_mode", "share")])
def test_old_parameters_have_the_bounds_of_the_new(est, name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter .* Got"):
        clone(est).set_params(**{name: value}).fit(X, Y)


@pytest.mark.parametrize("est", [GroupLassoSVC(), meta_learner()])
def test_fitted_penalty(est):
    est = clone(est)
    assert not hasattr(est, "l1_")
    est.fit(X, Y)
    with renamed("l1_", "alpha_"):
        assert est.l1_ == est.alpha_


def test_fitted_bound_of_the_svm():
    est = GroupLassoSVC().fit(X, Y)
    with renamed("l1_max_", "alpha_max_"):
        assert est.l1_max_ == est.alpha_max_


def test_files_know_the_new_names_only(tmp_path):
    est = meta_learner(l1_mode="absolute", learn_l1=True)
    with pytest.warns(FutureWarning):
        est.fit(X, Y)
    est.save_params(tmp_path / "model")
    for names in (
        {"l1_mode": "absolute", "learn_l1": True},
        {"alpha_mode": "absolute", "learn_alpha": True},
    ):
        loaded = meta_learner(**names).load_params(tmp_path / "model")
        assert loaded.alpha_ == est.alpha_
        assert_array_equal(loaded.transform(X), est.transform(X))
    with pytest.raises(ValueError, match="was saved with alpha_mode='absolute'"):
        meta_learner(learn_l1=True).load_params(tmp_path / "model")
