"""CorrelationMatrixDisplay: order, numbers and names."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from sparsedis.inspection import CorrelationMatrixDisplay
from sparsedis.metrics import mean_correlation_coefficient


@pytest.fixture
def factors():
    return np.random.default_rng(0).standard_normal((400, 3))


@pytest.fixture
def codes(factors):
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((400, 5))
    # Code 4 is factor 0, code 1 is factor 1 and code 3 is factor 2; 2 has some of 0.
    noise[:, [4, 1, 3]] = factors * [-1.0, 10.0, 0.1] + 0.1 * noise[:, :3]
    noise[:, 2] += factors[:, 0]
    return noise


def names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_matched_codes_come_first(factors, codes):
    display = CorrelationMatrixDisplay.from_codes(factors, codes)
    assert_array_equal(display.matching, [4, 1, 3])
    assert_array_equal(display.order, [4, 1, 3, 2, 0])
    expected = np.abs(np.corrcoef(factors.T, codes.T)[:3, 3:])[:, [4, 1, 3, 2, 0]]
    assert_allclose(display.im_.get_array(), expected, atol=1e-12)
    assert display.im_.get_clim() == (0, 1)
    assert names(display.ax_.xaxis) == ["4", "1", "3", "2", "0"]
    assert names(display.ax_.yaxis) == ["0", "1", "2"]
    (line,) = display.ax_.lines
    assert_array_equal(line.get_xdata(), [2.5, 2.5])


def test_numbers_stand_in_their_cells(factors, codes):
    display = CorrelationMatrixDisplay.from_codes(factors, codes)
    shown = display.im_.get_array()
    assert display.text_.shape == (3, 5)
    for (i, j), text in np.ndenumerate(display.text_):
        assert text.get_position() == (j, i)
        assert text.get_text() == f"{shown[i, j]:.2f}"
    assert to_rgb(display.text_[0, 0].get_color()) == (1, 1, 1)
    assert to_rgb(display.text_[0, 1].get_color()) == (0, 0, 0)


def test_title_is_the_score(factors, codes):
    display = CorrelationMatrixDisplay.from_codes(factors, codes)
    mcc = mean_correlation_coefficient(factors, codes)
    assert display.ax_.get_title() == f"MCC = {mcc:.3f}"
    assert CorrelationMatrixDisplay(correlation=[[1]]).plot().ax_.get_title() == ""


def test_from_estimator(factors):
    X = factors @ [[1.0, 0.5, 0.2], [0.1, 2.0, 0.0], [0.0, 0.3, 3.0]]
    pca = PCA().fit(X)
    display = CorrelationMatrixDisplay.from_estimator(
        pca, X, pd.DataFrame(factors, columns=["hue", "size", "shape"])
    )
    expected = CorrelationMatrixDisplay.from_codes(factors, pca.transform(X))
    assert_allclose(display.im_.get_array(), expected.im_.get_array(), atol=1e-12)
    assert names(display.ax_.yaxis) == ["hue", "size", "shape"]


def test_rank_correlation(factors, codes):
    display = CorrelationMatrixDisplay.from_codes(
        factors, codes**3, method="spearman", factor_names=["a", "b", "c"]
    )
    expected = spearmanr(factors, codes).statistic[:3, 3:]
    assert_allclose(display.correlation, expected, atol=1e-12)
    assert names(display.ax_.yaxis) == ["a", "b", "c"]


def test_fewer_codes_than_factors(factors, codes):
    display = CorrelationMatrixDisplay.from_codes(factors, codes[:, [3, 4]])
    assert_array_equal(display.matching, [1, -1, 0])
    assert_array_equal(display.order, [1, 0])
    assert not display.ax_.lines


def test_given_matching_and_names():
    display = CorrelationMatrixDisplay(
        correlation=[[0.9, -0.8], [0.1, 0.2]],
        matching=[1, 0],
        code_names=["first", "second"],
    ).plot()
    assert_array_equal(display.im_.get_array(), [[0.8, 0.9], [0.2, 0.1]])
    assert names(display.ax_.xaxis) == ["second", "first"]


def test_many_codes(factors):
    codes = np.random.default_rng(2).standard_normal((400, 30))
    codes[:, [7, 9, 8]] = factors
    display = CorrelationMatrixDisplay.from_codes(factors, codes)
    assert display.text_ is None
    assert names(display.ax_.xaxis) == ["7", "9", "8"]
    display.plot(include_values=True)
    assert display.text_.shape == (3, 30)


def test_colorbar_is_optional(factors, codes):
    display = CorrelationMatrixDisplay.from_codes(factors, codes, cmap="magma")
    assert display.im_.get_cmap().name == "magma"
    assert display.im_.colorbar is not None
    assert display.plot(colorbar=False).im_.colorbar is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"correlation": [[1.5]]}, r"correlation must lie in \[-1, 1\]; got 1.5"),
        ({"correlation": [[np.nan]]}, "correlation contains NaN"),
        ({"correlation": [1.0]}, "Expected 2D array"),
        (
            {"correlation": [[1.0, 0.0]], "matching": [2]},
            r"matching must hold 1 different codes from 0 to 1, .* got \[2\]",
        ),
        ({"correlation": np.eye(2), "matching": [1, 1]}, r"got \[1, 1\]"),
        ({"correlation": np.eye(2), "matching": [0.5, 1]}, r"got \[0.5, 1.0\]"),
        (
            {"correlation": np.eye(2), "factor_names": ["a"]},
            r"factor_names must hold 2 names; got 1: \['a'\]",
        ),
        ({"correlation": np.eye(2), "code_names": "abc"}, "code_names must hold 2"),
    ],
)
def test_bad_input_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        CorrelationMatrixDisplay(**arguments)
