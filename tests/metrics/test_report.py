"""The report: its table, and the doubts, one by one."""

import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sparsedis.metrics import (
    bootstrap_interval,
    disentanglement_report,
    mean_correlation_coefficient,
    mutual_information_gap,
)
from sparsedis.metrics._registry import METRICS

QUICK = {"n_resamples": 3, "random_state": 0}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def doubts(factors, codes, **options):
    report = disentanglement_report(factors, codes, ["mcc", "mig"], **QUICK, **options)
    return "\n".join(report.doubts)


def test_all_quick_metrics_are_in_the_table(rng):
    factors = rng.integers(0, 2, (200, 3))
    codes = factors + 0.3 * rng.standard_normal((200, 3))
    few = {"n_train": 50, "n_test": 50, "batch_size": 8}
    report = disentanglement_report(factors, codes, **QUICK, **few)
    slow = {"dci_explicitness", "explicitness", "infom", "infoc", "infoe"}
    names = [name for name in METRICS if name not in {"dci", *slow}]
    assert report.table["metric"].tolist() == names
    assert report.shape == (200, 3, 3)
    score = dict(zip(names, report.table["score"], strict=True))
    assert score["mcc"] == mean_correlation_coefficient(factors, codes)
    assert score["mig"] == mutual_information_gap(factors, codes)
    assert (report.table["score"] > report.table["chance_high"]).all()
    assert (report.table["low"] <= report.table["high"]).all()
    again = disentanglement_report(factors, codes, **QUICK, **few)
    for name, column in report.table.items():
        assert_array_equal(again.table[name], column)


def test_intervals_without_their_score_are_doubted(rng):
    factors = rng.standard_normal((300, 3))
    codes = factors + 0.3 * rng.standard_normal((300, 3))
    report = disentanglement_report(factors, codes, ["mcc", "modularity"], **QUICK)
    table = report.table
    assert table["low"][0] < table["score"][0] < table["high"][0]
    assert table["score"][1] < table["low"][1]
    (doubt,) = [doubt for doubt in report.doubts if "intervals" in doubt]
    assert doubt.startswith("Too few samples for the intervals of modularity: ")


def test_good_codes_give_no_doubt(rng):
    factors = rng.standard_normal((2500, 2))
    codes = factors[:, ::-1] + 0.1 * rng.standard_normal((2500, 2))
    (only,) = disentanglement_report(factors, codes, ["mcc", "r"], **QUICK).doubts
    assert only.startswith("Continuous factors [0, 1] are cut into 20 bins")
    binary = (factors > 0).astype(int)
    codes = binary + 0.1 * factors
    assert not disentanglement_report(binary, codes, ["mcc", "r"], **QUICK).doubts


def test_few_samples(rng):
    factors, codes = rng.integers(0, 2, (40, 2)), rng.standard_normal((40, 8))
    text = doubts(factors, codes)
    assert "on 40 of them, the R2 of 8 random codes is 0.21" in text
    assert "40 in up to 40 cells" in text
    assert "More codes (8) than factors (2)" in text
    text = doubts(factors, codes[:, :1], n_bins=4)
    assert "cells" not in text
    assert "Fewer codes (1) than factors (2)" in text


def test_no_better_than_random_codes(rng):
    factors, codes = rng.integers(0, 2, (300, 2)), rng.standard_normal((300, 2))
    options = {"n_resamples": 40, "random_state": 0}
    report = disentanglement_report(factors, codes, ["mcc", "sap"], **options)
    assert report.doubts[0] == "No better than random codes: mcc, sap."


def test_dependent_factors_and_equal_codes(rng):
    factors = rng.standard_normal((2500, 4))
    factors[:, 1] = 0.0
    factors[:, 3] += np.exp(factors[:, 0])
    codes = np.column_stack([np.ones(2500), factors[:, :3], factors[:, 2] * -3])
    text = doubts(factors, codes)
    assert "Dependent factors: 0 and 3 have a rank correlation of 0.7" in text
    assert "Codes 3 and 4 have a correlation of 1.00" in text
    # Said by the metrics in warnings, and in the report as doubts.
    assert "Constant column(s) [1] of factors are left out" in text
    assert text.count("Dead (constant) column(s) [0, 2] of codes") == 1


def test_relations_that_are_not_linear(rng):
    factors = rng.standard_normal((2500, 2))
    text = doubts(factors, np.exp(2 * factors))
    assert "mcc is 1.00 with method='spearman', 0." in text
    assert "not linear" not in doubts(factors, 3 * factors)


def test_discrete_factors(rng):
    factors = np.column_stack(
        [rng.integers(0, 2, 2500), rng.integers(0, 5, 2500), rng.random(2500)]
    )
    text = doubts(factors, factors)
    assert "Discrete factors [1]: mcc, r, sap and those of dci take" in text
    assert "Continuous factors [2] are cut into 7 bins" in doubts(
        factors, factors, factor_bins=7
    ).replace("20", "7")


def test_metrics_that_need_more_columns_have_no_score(rng):
    factors = rng.integers(0, 2, (100, 1))
    metrics = ["mcc", "mig", "modularity", "sap"]
    report = disentanglement_report(factors, factors, metrics, **QUICK)
    assert_array_equal(np.isnan(report.table["score"]), [False, True, True, True])
    assert report.doubts[-1] == (
        "Not defined on so few columns or samples: mig, modularity, sap."
    )
    assert "mig             -" in repr(report)
    factors = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1]])
    report = disentanglement_report(factors, factors, ["mcc", "exclusivity"], **QUICK)
    assert_array_equal(np.isnan(report.table["score"]), [False, True])


def test_own_metrics_and_their_arguments(rng):
    factors = rng.standard_normal((100, 2))

    def half(z, c):
        return 0.5

    metrics = {"half": half, "MIG": "mig"}
    report = disentanglement_report(factors, factors, metrics, factor_bins=3, **QUICK)
    assert report.table["metric"].tolist() == ["half", "MIG"]
    expected = mutual_information_gap(factors, factors, factor_bins=3)
    assert_allclose(report.table["score"], [0.5, expected])


class Text(HTMLParser):
    """Collects the cells of the table, and the items of lists."""

    def __init__(self, html):
        super().__init__()
        self.found, self.tag = {"td": [], "th": [], "li": []}, None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Note the tag."""
        self.tag = tag

    def handle_data(self, data):
        """Note the text."""
        if self.tag in self.found:
            self.found[self.tag].append(data)


def test_text_html_and_frame_say_the_same(rng, monkeypatch):
    factors, noise = rng.standard_normal((2, 2500, 2))
    report = disentanglement_report(factors, factors + noise, ["mcc", "r"], **QUICK)
    text, html = repr(report), Text(report._repr_html_()).found
    lines = [line for line in text.splitlines() if line[:3] in ("mcc", "r  ")]
    assert " ".join(lines).split() == html["td"]
    assert html["li"][2:] == report.doubts
    assert all(f"- {doubt}" in text for doubt in report.doubts)
    frame = report.to_frame()
    assert frame.index.tolist() == ["mcc", "r"]
    interval = bootstrap_interval(factors, factors + noise, "mcc", **QUICK)
    assert frame.loc["mcc", "score"] == interval.score
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        report.to_frame()


def test_bad_input_raises(rng):
    factors = rng.standard_normal((50, 2))
    with pytest.raises(ValueError, match="a list or a dict of metrics, or None"):
        disentanglement_report(factors, factors, "mcc")
    with pytest.raises(TypeError, match="unmatch"):
        disentanglement_report(factors, factors, ["mcc"], unmatch="drop")
    with pytest.raises(ValueError, match="codes contains NaN"):
        disentanglement_report(factors, np.full((50, 2), np.nan))
