"""Display of the features that are trusted as factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparsedis.identifiability import check_support_variability
from sparsedis.identifiability._report import STABLE
from sparsedis.inspection._estimators import final_estimator, head_supports
from sparsedis.inspection._style import (
    COLORS,
    GREY,
    as_label,
    check_names,
    legend_above,
    make_axes,
    require_matplotlib,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

# Up to this many features are named.
MAX_NAMED = 20


class FactorTrustDisplay:
    """Agreement of halves of the tasks on each feature; unreliable ones are marked.

    A bar that ends below the line is a feature on which halves of the tasks disagree.
    A hatched bar is a feature that no task separates from another one, or that no task
    uses: halves can agree on a mixture of the two.

    Parameters
    ----------
    stability : array-like of shape (n_features,)
        Agreement of each feature with its match among those of halves of the tasks, in
        [0, 1].

    unseparated : array-like of shape (n_features,) of bool, default=None
        Features that no task separates from another one, or that no task uses. None:
        no feature.

    feature_names : sequence of str, default=None
        Names of the features. None: their numbers.

    Attributes
    ----------
    trusted : ndarray of shape (n_features,) of bool
        Features that are neither below the line nor unseparated.

    bars_ : list of matplotlib Rectangle
        The bar of each feature.

    line_ : matplotlib Line2D
        Line at .95, the smallest agreement of a stable feature.

    legend_ : matplotlib Legend
        Explanation of the bars.

    ax_ : matplotlib Axes
        Axes with the bars.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When `stability` is not a vector of numbers in [0, 1], or the other arguments do
        not match it.

    See Also
    --------
    sparsedis.identifiability.IdentifiabilityReport : The same in numbers, with reasons.
    sparsedis.rotation.rotation_stability : Computes the agreement from arrays.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Assumption 3.6.

    Examples
    --------
    >>> from sparsedis.inspection import FactorTrustDisplay
    >>> display = FactorTrustDisplay(
    ...     stability=[0.99, 0.7, 0.98], unseparated=[False, False, True]
    ... ).plot()
    >>> display.trusted
    array([ True, False, False])
    """

    def __init__(
        self,
        *,
        stability: ArrayLike,
        unseparated: ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.stability = _check_stability(stability)
        n_features = len(self.stability)
        if unseparated is None:
            unseparated = np.zeros(n_features, dtype=bool)
        self.unseparated = np.asarray(unseparated)
        if (
            self.unseparated.dtype != bool
            or self.unseparated.shape != self.stability.shape
        ):
            raise ValueError(
                f"unseparated must hold a boolean for each of the {n_features} "
                f"features; got {unseparated!r}."
            )
        self.feature_names = check_names(feature_names, n_features, "feature_names")
        self.trusted = (self.stability >= STABLE) & ~self.unseparated

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot how reliable the features of an estimator are.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator with `stability_` and supports, also in a pipeline or
            search.

        feature_names : sequence of str, default=None
            Names of the features. None: their numbers.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        FactorTrustDisplay
            The display, plotted.

        Raises
        ------
        ValueError
            When the estimator has no `stability_`.
        """
        estimator = final_estimator(estimator)
        if not hasattr(estimator, "stability_"):
            raise ValueError(
                "estimator must have stability_, which fit sets with "
                f"rotation='sparsest'; got {estimator!r}. For an ensemble, pass one of "
                "its estimators_, or see its agreement_."
            )
        display = cls(
            stability=estimator.stability_,
            unseparated=_unseparated(estimator),
            feature_names=feature_names,
        )
        return display.plot(**kwargs)

    def plot(self, ax: Axes | None = None) -> Self:
        """Plot the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None: a new figure.

        Returns
        -------
        FactorTrustDisplay
            The display itself.
        """
        require_matplotlib(self)
        self.ax_ = make_axes(ax, height=3.4)[0, 0]
        self.figure_ = self.ax_.figure
        n_features = len(self.stability)
        stable = self.stability >= STABLE
        self.bars_ = [None] * n_features
        for at, label, style in (
            (self.trusted, "trusted", {"facecolor": COLORS[0], "edgecolor": COLORS[0]}),
            (
                stable & self.unseparated,
                "not separated",
                {"facecolor": "white", "edgecolor": COLORS[0], "hatch": "///"},
            ),
            (
                ~stable & ~self.unseparated,
                "halves disagree",
                {"facecolor": COLORS[1], "edgecolor": COLORS[1]},
            ),
            (
                ~stable & self.unseparated,
                "both",
                {"facecolor": "white", "edgecolor": COLORS[1], "hatch": "///"},
            ),
        ):
            features = np.flatnonzero(at)
            if len(features):
                bars = self.ax_.bar(
                    features, self.stability[features], label=label, **style
                )
                for j, bar in zip(features, bars, strict=True):
                    self.bars_[j] = bar
        self.line_ = self.ax_.axhline(STABLE, color=GREY, linestyle="--", linewidth=1)
        if n_features <= MAX_NAMED:
            self.ax_.set_xticks(
                range(n_features), [as_label(name) for name in self.feature_names]
            )
        self.ax_.set(
            xlabel="feature",
            ylabel="agreement of halves",
            xlim=(-0.7, n_features - 0.3),
            ylim=(0, 1.03),
        )
        self.ax_.spines[["top", "right"]].set_visible(False)
        self.legend_ = legend_above(self.ax_)
        return self


def _check_stability(stability):
    stability = np.asarray(stability, dtype=np.float64)
    if stability.ndim != 1 or not len(stability):
        raise ValueError(
            f"stability must have shape (n_features,); got {stability.shape}."
        )
    # Correlations can exceed 1 by rounding.
    if not (stability.min() >= 0 and stability.max() <= 1 + 1e-9):
        raise ValueError(
            "stability must hold correlations in [0, 1]; got values from "
            f"{stability.min():g} to {stability.max():g}."
        )
    return np.minimum(stability, 1.0)


def _unseparated(estimator):
    """Features that no task separates from another one, or that no task uses."""
    if hasattr(estimator, "identifiability"):
        pairs = estimator.identifiability(random_state=0).unseparated_pairs
    else:
        supports, _ = head_supports(estimator)
        check = check_support_variability(supports.astype(float))
        pairs = check.details.unseparated_pairs
    unseparated = np.zeros(len(estimator.stability_), dtype=bool)
    unseparated[pairs[:, 0]] = True
    return unseparated
