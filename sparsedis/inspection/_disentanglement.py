"""Display of metrics of codes, with chance levels and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparsedis.inspection._style import (
    COLORS,
    GREY,
    check_names,
    legend_above,
    make_axes,
    require_matplotlib,
)
from sparsedis.metrics import disentanglement_report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from sparsedis.metrics import DisentanglementReport


class DisentanglementDisplay:
    """Metrics of codes, their confidence intervals, and what random codes score.

    Parameters
    ----------
    metric : sequence of str
        Names of the metrics.

    score : array-like of shape (n_metrics,)
        Scores; NaN where a metric is not defined.

    low, high : array-like of shape (n_metrics,)
        Ends of the confidence intervals.

    chance_low, chance_high : array-like of shape (n_metrics,)
        Quantiles of the scores of random codes.

    Attributes
    ----------
    points_ : matplotlib Line2D
        The scores.

    intervals_ : matplotlib LineCollection
        The confidence intervals.

    bars_ : list of matplotlib Rectangle
        The range of random codes, for each metric.

    legend_ : matplotlib Legend
        Explanation of the marks.

    ax_ : matplotlib Axes
        Axes with a row for each metric.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When the arrays do not have an entry for each metric.

    See Also
    --------
    sparsedis.metrics.disentanglement_report : The same in numbers, with doubts.

    Examples
    --------
    >>> from sparsedis.inspection import DisentanglementDisplay
    >>> display = DisentanglementDisplay(
    ...     metric=["mcc", "r"], score=[0.7, 0.9], low=[0.6, 0.8], high=[0.8, 0.95],
    ...     chance_low=[0.0, 0.1], chance_high=[0.1, 0.2],
    ... ).plot()
    >>> display.points_.get_xdata()
    array([0.7, 0.9])
    """

    def __init__(
        self,
        *,
        metric: Sequence[str],
        score: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        chance_low: ArrayLike,
        chance_high: ArrayLike,
    ) -> None:
        self.metric = check_names(metric, len(np.ravel(score)), "metric")
        columns = {
            "score": score,
            "low": low,
            "high": high,
            "chance_low": chance_low,
            "chance_high": chance_high,
        }
        for name, column in columns.items():
            column = np.asarray(column, dtype=np.float64)
            if column.shape != (len(self.metric),):
                raise ValueError(
                    f"{name} must have an entry for each of the {len(self.metric)} "
                    f"metrics; got shape {column.shape}."
                )
            setattr(self, name, column)

    @classmethod
    def from_report(cls, report: DisentanglementReport, **kwargs: Any) -> Self:
        """Plot a report.

        Parameters
        ----------
        report : DisentanglementReport
            Returned by :func:`~sparsedis.metrics.disentanglement_report`.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        DisentanglementDisplay
            The display, plotted.
        """
        columns = {name: c for name, c in report.table.items() if name != "chance"}
        return cls(**columns).plot(**kwargs)

    @classmethod
    def from_codes(
        cls,
        factors: ArrayLike,
        codes: ArrayLike,
        metric: list | dict | None = None,
        *,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Compute metrics of codes, and plot them.

        Parameters
        ----------
        factors : array-like of shape (n_samples, n_factors)
            Ground-truth factors.

        codes : array-like of shape (n_samples, n_codes)
            Learned codes.

        metric : list or dict of metrics, default=None
            Metrics to plot. None: those of the report.

        ax : matplotlib Axes, default=None
            Axes to plot on. None: a new figure.

        **kwargs : dict
            Other arguments of :func:`~sparsedis.metrics.disentanglement_report`.

        Returns
        -------
        DisentanglementDisplay
            The display, plotted.
        """
        report = disentanglement_report(factors, codes, metric, **kwargs)
        return cls.from_report(report, ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Plot the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None: a new figure.

        Returns
        -------
        DisentanglementDisplay
            The display itself.
        """
        require_matplotlib(self)
        n_metrics = len(self.metric)
        self.ax_ = make_axes(ax, height=1.2 + 0.28 * n_metrics)[0, 0]
        self.figure_ = self.ax_.figure
        rows = np.arange(n_metrics)
        self.bars_ = list(
            self.ax_.barh(
                rows,
                self.chance_high - self.chance_low,
                left=self.chance_low,
                height=0.7,
                color=GREY,
                alpha=0.5,
                label="random codes",
            )
        )
        self.intervals_ = self.ax_.hlines(
            rows,
            self.low,
            self.high,
            color=COLORS[0],
            linewidth=2,
            label="confidence interval",
        )
        (self.points_,) = self.ax_.plot(
            self.score, rows, "o", color=COLORS[0], markersize=5, label="score"
        )
        self.ax_.set_yticks(rows, self.metric)
        low = np.nanmin([0.0, *self.low, *self.chance_low])
        self.ax_.set(
            xlabel="score",
            xlim=(low - 0.03, 1.03),
            ylim=(n_metrics - 0.4, -0.6),
        )
        self.ax_.grid(axis="x", alpha=0.3)
        self.ax_.spines[["top", "right"]].set_visible(False)
        self.legend_ = legend_above(self.ax_)
        return self
