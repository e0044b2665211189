"""Share of the heads that use each feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparsedis.inspection._estimators import final_estimator, head_supports
from sparsedis.inspection._style import (
    as_dict,
    curve_label,
    curve_styles,
    legend_above,
    make_axes,
    require_matplotlib,
)

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

# Curves of up to this many features have a marker at each.
MAX_MARKED = 40


class FeatureUsageDisplay:
    """Share of the tasks that use each feature, sorted.

    A curve that falls gradually shows features that are reused by different subsets of
    the tasks; a tail at zero shows features that no task uses.

    Parameters
    ----------
    usage : array-like of shape (n_features,), or dict of these
        Shares of the tasks, in [0, 1]. A dict has several curves by name, such as the
        values of a penalty.

    param_name : str, default=None
        Name of the parameter whose values are the names of the curves, for the legend.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves.

    legend_ : matplotlib Legend
        Names of the curves, and the mean share of features that a task uses.

    ax_ : matplotlib Axes
        Axes with the curves.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When `usage` is not a vector of shares in [0, 1].

    See Also
    --------
    TaskSupportDisplay : Which tasks use which features.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Figure 5 (left).

    Examples
    --------
    >>> from sparsedis.inspection import FeatureUsageDisplay
    >>> display = FeatureUsageDisplay(
    ...     usage={0.1: [0.2, 0.9, 0.6], 0.5: [0.0, 0.7, 0.1]}, param_name="alpha"
    ... ).plot()
    >>> display.lines_[1].get_ydata()
    array([0.7, 0.1, 0. ])
    """

    def __init__(
        self, *, usage: ArrayLike | dict[str, ArrayLike], param_name: str | None = None
    ) -> None:
        self.usage = {name: _check_shares(u) for name, u in as_dict(usage).items()}
        self.param_name = param_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, param_name: str | None = None, **kwargs: Any
    ) -> Self:
        """Plot how often the heads of estimators use each feature.

        Parameters
        ----------
        estimator : estimator, or dict of estimators
            Fitted estimators, by name if there are several, also in a pipeline or
            search. They have heads or, after a stream of tasks, `feature_usage_`.

        param_name : str, default=None
            Name of the parameter whose values are the names of the estimators, for the
            legend.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        FeatureUsageDisplay
            The display, plotted.
        """
        usage = {name: _usage(est) for name, est in as_dict(estimator).items()}
        return cls(usage=usage, param_name=param_name).plot(**kwargs)

    def plot(self, ax: Axes | None = None) -> Self:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None: a new figure.

        Returns
        -------
        FeatureUsageDisplay
            The display itself.
        """
        require_matplotlib(self)
        self.ax_ = make_axes(ax, height=4.0)[0, 0]
        self.figure_ = self.ax_.figure
        self.lines_ = []
        styles = curve_styles(list(self.usage))
        for (name, usage), style in zip(self.usage.items(), styles, strict=True):
            n_features = len(usage)
            label = curve_label(name, self.param_name)
            mean = f"mean {usage.mean():.2f}"
            self.lines_ += self.ax_.plot(
                np.arange(1, n_features + 1),
                np.sort(usage)[::-1],
                marker="o" if n_features <= MAX_MARKED else None,
                markersize=4,
                label=f"{label} ({mean})" if label else mean,
                **style,
            )
        most = max(len(usage) for usage in self.usage.values())
        margin = 0.03 * most
        self.ax_.set(
            xlabel="features, sorted by usage",
            ylabel="share of tasks that use it",
            xlim=(1 - margin, most + margin),
            ylim=(-0.03, 1.03),
        )
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        self.ax_.grid(axis="y", alpha=0.3)
        self.legend_ = legend_above(self.ax_)
        return self


def _check_shares(usage):
    usage = np.asarray(usage, dtype=np.float64)
    if usage.ndim != 1 or not len(usage):
        raise ValueError(f"usage must have shape (n_features,); got {usage.shape}.")
    if not (usage.min() >= 0 and usage.max() <= 1):
        raise ValueError(
            "usage must hold shares in [0, 1], not counts: divide those by the number "
            f"of tasks; got values from {usage.min():g} to {usage.max():g}."
        )
    return usage


def _usage(estimator):
    estimator = final_estimator(estimator)
    if hasattr(estimator, "coef_"):
        return head_supports(estimator)[0].mean(0)
    if hasattr(estimator, "support_"):
        # Of an ensemble: shares of the members.
        return np.mean(estimator.support_, axis=0)
    return estimator.feature_usage_
