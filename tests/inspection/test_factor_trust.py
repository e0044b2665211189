"""FactorTrustDisplay: which features are trusted as factors."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Lasso
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.inspection import FactorTrustDisplay
from sparsedis.inspection._style import COLORS


def legend(display):
    return [text.get_text() for text in display.legend_.get_texts()]


def test_each_feature_has_a_bar_of_its_kind():
    display = FactorTrustDisplay(
        stability=[0.99, 0.6, 0.97, 0.3, 0.95],
        unseparated=[False, False, True, True, False],
        feature_names="abcde",
    ).plot()
    assert_allclose([bar.get_height() for bar in display.bars_], display.stability)
    centres = [bar.get_x() + bar.get_width() / 2 for bar in display.bars_]
    assert_allclose(centres, range(5))
    assert_array_equal(display.trusted, [True, False, False, False, True])
    hatched = [bar.get_hatch() is not None for bar in display.bars_]
    assert_array_equal(hatched, display.unseparated)
    colors = [to_hex(bar.get_edgecolor()) for bar in display.bars_]
    assert colors == [COLORS[i] for i in (0, 1, 0, 1, 0)]
    assert legend(display) == ["trusted", "not separated", "halves disagree", "both"]
    assert set(display.line_.get_ydata()) == {0.95}
    names = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert names == list("abcde")


def test_the_legend_tells_of_what_there_is():
    display = FactorTrustDisplay(stability=[1.0, 0.99]).plot()
    assert legend(display) == ["trusted"]
    assert display.trusted.all()


def test_many_features_have_no_names():
    display = FactorTrustDisplay(stability=np.linspace(0, 1, 21)).plot()
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert len(labels) < 21


@pytest.mark.filterwarnings("ignore:.*may not be factors:UserWarning")
def test_an_estimator_of_a_pipeline_tells_what_its_report_does():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((200, 3))
    # The second factor is used with the third alone.
    supports = rng.random((40, 3)) < 0.5
    supports[:, 2] |= supports[:, 1]
    Y = Z @ (supports * rng.standard_normal((40, 3))).T
    est = SparseMultiTaskRepresentation(encoder="identity", max_iter=1, random_state=0)
    pipeline = make_pipeline(StandardScaler(), est).fit(Z, Y)
    display = FactorTrustDisplay.from_estimator(pipeline, feature_names="uvw")
    fitted = pipeline[-1]
    report = fitted.identifiability(random_state=0)
    assert_allclose(display.stability, fitted.stability_)
    assert_array_equal(display.trusted, report.trusted)
    first = np.unique(report.unseparated_pairs[:, 0])
    assert_array_equal(np.flatnonzero(display.unseparated), first)
    assert display.feature_names == ["u", "v", "w"]


@pytest.mark.parametrize("name", ["coef_", "heads_"])
def test_supports_of_other_estimators(fitted, name):
    heads = np.array([[1.0, 0.0], [np.nan, np.nan], [2.0, 3.0]])
    est = fitted(**{name: heads}, support_=heads > 0.5, stability_=np.array([1.0, 1.0]))
    display = FactorTrustDisplay.from_estimator(est)
    # The only task that would use the second feature alone has no label.
    assert_array_equal(display.unseparated, [False, True])


def test_correlations_may_exceed_one_by_rounding():
    assert FactorTrustDisplay(stability=[1 + 1e-12]).stability[0] == 1


def test_bad_input_raises(fitted):
    with pytest.raises(ValueError, match=r"\(n_features,\); got \(1, 2\)"):
        FactorTrustDisplay(stability=[[0.5, 0.5]])
    with pytest.raises(ValueError, match=r"from 0 to 1\.2"):
        FactorTrustDisplay(stability=[0, 1.2])
    with pytest.raises(ValueError, match="from nan to nan"):
        FactorTrustDisplay(stability=[0.5, np.nan])
    with pytest.raises(ValueError, match="a boolean for each of the 2 features"):
        FactorTrustDisplay(stability=[1, 1], unseparated=[True])
    with pytest.raises(ValueError, match="a boolean for each of the 2 features"):
        FactorTrustDisplay(stability=[1, 1], unseparated=[0, 1])
    with pytest.raises(ValueError, match="must hold 2 names"):
        FactorTrustDisplay(stability=[1, 1], feature_names=["a"])
    with pytest.raises(ValueError, match=r"rotation='sparsest'.*Lasso\(\)"):
        FactorTrustDisplay.from_estimator(Lasso().fit([[0.0], [1.0]], [0, 1]))
