"""Means, best penalties and methods, from rows made by hand."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.paper import beyond_faults, beyond_rotation, figure1
from benchmarks.paper._tables import best_alpha, by_method, side_by_side, summary


@pytest.fixture
def rows():
    """Two penalties with two seeds each, of both methods."""
    return pd.DataFrame(
        {
            "penalty": ["l1"] * 4 + ["l2"] * 4,
            "rho": 0.9,
            "alpha": [0.1, 0.1, 0.4, 0.4] * 2,
            "seed": [0, 1] * 4,
            "mcc": [0.5, 0.7, 0.8, 0.6, 0.3, 0.3, 0.2, 0.2],
            "ica_mcc": [np.nan] * 4 + [0.4, 0.4, 0.6, 0.6],
            "n_effective": 2754.6,
        }
    )


def test_ica_becomes_a_method(rows):
    long = by_method(rows)
    assert "ica_mcc" not in long
    means = long.groupby("method").mcc.mean()
    assert means.round(6).to_dict() == {
        "inner-Lasso": 0.65,
        "inner-Ridge": 0.25,
        "inner-Ridge + ICA": 0.5,
    }


def test_rotation_becomes_a_method_where_there_is_one(rows):
    rows = rows.assign(
        rot_mcc=[np.nan, 0.9, np.nan, np.nan] + [0.7, 0.8] + [np.nan] * 2
    )
    long = by_method(rows.assign(trust_min=0.99))
    assert "rot_mcc" not in long
    found = long[long.method.str.endswith("+ rotation")]
    assert found[["method", "alpha", "seed", "mcc"]].to_numpy().tolist() == [
        ["inner-Ridge + rotation", 0.1, 0, 0.7],
        ["inner-Ridge + rotation", 0.1, 1, 0.8],
        ["inner-Lasso + rotation", 0.1, 1, 0.9],
    ]
    pd.testing.assert_frame_equal(
        long[~long.method.str.endswith("+ rotation")].drop(columns="trust_min"),
        by_method(rows.drop(columns="rot_mcc")),
        check_dtype=False,
    )


def test_trust_is_that_of_rotated_features_and_r_that_of_the_trained(rows):
    rows = rows.assign(rot_mcc=0.9, r=0.95, rot_r=0.95, ica_r=0.95, trust_min=0.99)
    metrics = {"mcc": "MCC", "r": "R", "trust_min": "trust"}
    headings = list(side_by_side(by_method(rows), ["rho"], metrics))
    assert [name for name in headings if name.startswith("R")] == [
        "R, inner-Lasso",
        "R, inner-Ridge",
    ]
    assert [name for name in headings if name.startswith("trust")] == [
        "trust, inner-Ridge + rotation",
        "trust, inner-Lasso + rotation",
    ]


def test_best_alpha_is_that_of_the_best_mean(rows):
    best = best_alpha(by_method(rows), ["rho"])
    chosen = best.groupby("method").alpha.unique()
    assert {name: list(values) for name, values in chosen.items()} == {
        "inner-Lasso": [0.4],
        "inner-Ridge": [0.1],
        "inner-Ridge + ICA": [0.4],
    }
    assert len(best) == 6


def test_penalties_with_fewer_seeds_do_not_compete(rows):
    lucky = rows.iloc[[0]].assign(alpha=0.7, mcc=0.99)
    best = best_alpha(by_method(pd.concat([rows, lucky])), ["rho"])
    assert list(best[best.method == "inner-Lasso"].alpha.unique()) == [0.4]


def test_summary_has_mean_and_deviation(rows):
    table = summary(rows, ["penalty", "alpha"], {"mcc": "MCC"})
    assert list(table) == ["penalty", "alpha", "seeds", "MCC"]
    assert table.iloc[1].tolist() == ["l1", "0.4", 2, "0.700 (0.141)"]


def test_methods_stand_side_by_side(rows):
    table = side_by_side(by_method(rows), ["rho"], {"mcc": "MCC"})
    assert table.to_dict("records") == [
        {
            "rho": "0.9",
            "seeds": "2",
            "MCC, inner-Lasso": "0.700 (0.141), alpha 0.4",
            "MCC, inner-Ridge": "0.300 (0.000), alpha 0.1",
            "MCC, inner-Ridge + ICA": "0.600 (0.000), alpha 0.4",
        }
    ]


def test_ridge_does_not_see_a_rotation():
    setting = figure1.settings(False, 1)[0]
    row = figure1.run(setting)
    assert row["disentangled_ridge"] == pytest.approx(row["entangled_ridge"], abs=1e-6)
    assert row["disentangled_lasso"] > row["entangled_lasso"] + 0.3


@pytest.mark.parametrize("share", figure1.SHARES)
def test_share_of_coefficients_is_as_asked(share):
    coef = figure1._coefficients(share, 0)
    assert np.count_nonzero(coef) == round(share * figure1.N_FEATURES)


def test_published_curves_have_a_point_for_each_size():
    assert {len(curve) for curve in figure1.PUBLISHED.values()} == {6}


def test_switching_columns_on_makes_supports_denser():
    settings = beyond_faults.settings(False, 1)
    cases = {s["case"]: s | {"max_iter": 3} for s in settings if s["n_tasks"] == 100}
    sizes = {case: beyond_faults.run(s)["true_active"] for case, s in cases.items()}
    # Without empty ones, supports have 3 / (1 - 1 / 64) of the six factors.
    assert sizes["as described"] == pytest.approx(3 / (1 - 2**-6), abs=0.15)
    assert sizes["denser supports"] > sizes["as described"] + 0.3


@pytest.mark.filterwarnings("ignore:.*may not be factors")
def test_each_rotated_feature_has_a_stability_and_a_truth():
    rows = [s | {"max_iter": 3} for s in beyond_rotation.settings(False, 1)]
    setting = next(s for s in rows if s["support"] == "all")
    found = beyond_rotation.run(setting)
    assert set(found) == set(beyond_rotation.RESULTS)
    assert found["trust_min"] == min(found["stability"])
    assert len(found["stability"]) == len(found["truth"]) == 6
    assert all(0 <= value <= 1 for value in found["truth"])
    assert found["n_trusted"] == 0  # tasks that use all factors separate none
