"""Display of the correlations between factors and codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_array

from sparsedis.inspection._style import (
    WIDTH,
    as_label,
    check_matching,
    check_names,
    ink,
    make_axes,
    require_matplotlib,
)
from sparsedis.metrics import mean_correlation_coefficient
from sparsedis.metrics._mcc import match

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import ArrayLike

# Matrices with more columns than this are plotted without the numbers.
MAX_ANNOTATED = 15
# Up to this many codes are all named.
MAX_NAMED = 20


class CorrelationMatrixDisplay:
    """Absolute correlations between factors and codes, in matched order.

    Rows are factors. The first columns are the codes that are matched with them, in
    the order of the rows. Codes without a match follow, by decreasing correlation. A
    disentangled representation has one dark cell in each row, on the diagonal.

    Parameters
    ----------
    correlation : array-like of shape (n_factors, n_codes)
        Correlations in [-1, 1].

    matching : array-like of shape (n_factors,) of int, default=None
        Code of each factor, -1 for none. None: the pairs with the largest sum of
        absolute correlations.

    score : float, default=None
        The mean correlation coefficient (MCC), for the title.

    factor_names : sequence of str, default=None
        Names of the factors. None: their numbers.

    code_names : sequence of str, default=None
        Names of the codes. None: their numbers.

    Attributes
    ----------
    order : ndarray of shape (n_codes,) of int
        Code in each column of the plot.

    im_ : matplotlib AxesImage
        The matrix.

    text_ : ndarray of shape (n_factors, n_codes) of matplotlib Text, or None
        Numbers in the cells; None if they are not shown.

    ax_ : matplotlib Axes
        Axes with the matrix.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When a correlation is not in [-1, 1], or `matching` or names do not match it.

    See Also
    --------
    sparsedis.metrics.mean_correlation_coefficient : The score and the matching.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inspection import CorrelationMatrixDisplay
    >>> factors = np.random.default_rng(0).standard_normal((500, 3))
    >>> codes = factors[:, [2, 0, 1]] * [-1.0, 10.0, 0.1]
    >>> display = CorrelationMatrixDisplay.from_codes(factors, codes)
    >>> display.order
    array([1, 2, 0])
    """

    def __init__(
        self,
        *,
        correlation: ArrayLike,
        matching: ArrayLike | None = None,
        score: float | None = None,
        factor_names: Sequence[str] | None = None,
        code_names: Sequence[str] | None = None,
    ) -> None:
        self.correlation = check_array(
            correlation, dtype=np.float64, input_name="correlation"
        )
        largest = np.abs(self.correlation).max()
        if largest > 1 + 1e-8:
            raise ValueError(f"correlation must lie in [-1, 1]; got {largest:g}.")
        n_factors, n_codes = self.correlation.shape
        if matching is None:
            matching = np.full(n_factors, -1)
            rows, columns = match(np.abs(self.correlation))
            matching[rows] = columns
        self.matching = check_matching(matching, n_factors, n_codes)
        self.score = score
        self.factor_names = check_names(factor_names, n_factors, "factor_names")
        self.code_names = check_names(code_names, n_codes, "code_names")
        matched = self.matching[self.matching >= 0]
        others = np.setdiff1d(np.arange(n_codes), matched)
        strength = np.abs(self.correlation[:, others]).max(0)
        self.order = np.r_[matched, others[np.argsort(-strength, kind="stable")]]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        factors: ArrayLike,
        *,
        method: Literal["pearson", "spearman"] = "pearson",
        factor_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the correlations of an estimator's features with factors.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator with a method `transform`.

        X : array-like of shape (n_samples, ...)
            Inputs.

        factors : array-like of shape (n_samples, n_factors)
            Factors of the inputs.

        method : {"pearson", "spearman"}, default="pearson"
            Correlation of the values, or of their ranks.

        factor_names : sequence of str, default=None
            Names of the factors. None: the columns of a DataFrame, or their numbers.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        CorrelationMatrixDisplay
            The display, plotted.
        """
        return cls.from_codes(
            factors,
            estimator.transform(X),
            method=method,
            factor_names=factor_names,
            **kwargs,
        )

    @classmethod
    def from_codes(
        cls,
        factors: ArrayLike,
        codes: ArrayLike,
        *,
        method: Literal["pearson", "spearman"] = "pearson",
        factor_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the correlations of codes with factors.

        Parameters
        ----------
        factors : array-like of shape (n_samples, n_factors)
            Ground-truth factors.

        codes : array-like of shape (n_samples, n_codes)
            Learned codes of the same samples.

        method : {"pearson", "spearman"}, default="pearson"
            Correlation of the values, or of their ranks.

        factor_names : sequence of str, default=None
            Names of the factors. None: the columns of a DataFrame, or their numbers.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        CorrelationMatrixDisplay
            The display, plotted.
        """
        found = mean_correlation_coefficient(
            factors, codes, method=method, return_details=True
        )
        display = cls(
            correlation=found.correlation,
            matching=found.matching,
            score=found.score,
            factor_names=(
                getattr(factors, "columns", None)
                if factor_names is None
                else factor_names
            ),
        )
        return display.plot(**kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        include_values: bool | None = None,
        cmap: str | Colormap = "Blues",
        colorbar: bool = True,
    ) -> Self:
        """Plot the matrix.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None: a new figure.

        include_values : bool, default=None
            Whether to write the numbers into the cells. None: up to 15 codes.

        cmap : str or matplotlib Colormap, default="Blues"
            Colours from 0 to 1.

        colorbar : bool, default=True
            Whether to add a colour bar.

        Returns
        -------
        CorrelationMatrixDisplay
            The display itself.
        """
        require_matplotlib(self)
        shown = np.abs(self.correlation[:, self.order])
        n_factors, n_codes = shown.shape
        # Square cells, with space for the title and the names.
        cell = min(0.6, 0.7 * WIDTH / n_codes)
        height = float(np.clip(cell * n_factors, 1.0, 8.0)) + 1.0
        self.ax_ = make_axes(ax, height=height)[0, 0]
        self.figure_ = self.ax_.figure
        self.im_ = self.ax_.imshow(shown, vmin=0, vmax=1, cmap=cmap)
        if include_values is None:
            include_values = n_codes <= MAX_ANNOTATED
        self.text_ = self._annotate(shown) if include_values else None
        if colorbar:
            # A bar as high as the matrix.
            width = float(np.clip(0.25 / n_codes, 0.02, 0.1))
            side = self.ax_.inset_axes([1 + width, 0, width, 1])
            self.figure_.colorbar(self.im_, cax=side, label="|correlation|")
        self._name_cells()
        self.ax_.set(xlabel="code", ylabel="factor")
        if self.score is not None:
            self.ax_.set_title(f"MCC = {self.score:.3f}")
        n_matched = int((self.matching >= 0).sum())
        if n_matched < n_codes:
            # The codes to the right belong to no factor.
            self.ax_.axvline(n_matched - 0.5, color="black", linewidth=1.5)
        return self

    def _name_cells(self):
        n_factors, n_codes = self.correlation.shape
        self.ax_.set_yticks(
            range(n_factors), [as_label(name) for name in self.factor_names]
        )
        # If not all names fit, show those of the matched codes, which come first.
        n_named = n_codes
        if n_codes > MAX_NAMED:
            n_named = int((self.matching >= 0).sum())
        names = [as_label(self.code_names[j], 20) for j in self.order[:n_named]]
        rotation = 45 if max(map(len, names)) * n_codes >= 60 else 0
        if n_named < n_codes:
            rotation = 90
        self.ax_.set_xticks(
            range(n_named),
            names,
            rotation=rotation,
            ha="right" if rotation == 45 else "center",
        )

    def _annotate(self, shown):
        text = np.empty(shown.shape, dtype=object)
        size = "medium" if shown.shape[1] <= 8 else "small"
        for (i, j), value in np.ndenumerate(shown):
            text[i, j] = self.ax_.text(
                j,
                i,
                f"{value:.2f}",
                ha="center",
                va="center",
                size=size,
                color=ink(self.im_.cmap(value)),
            )
        return text
