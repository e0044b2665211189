"""Scores along a parameter of a search."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from sparsedis.inspection._cv_results import find_finalists, read_cv_results
from sparsedis.inspection._style import (
    GREY,
    as_text,
    curve_label,
    curve_styles,
    is_number,
    legend_above,
    make_axes,
    require_matplotlib,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from numpy.typing import ArrayLike

LABELS = {
    "mcc": "MCC",
    "r": "R",
    "r2": "$R^2$",
    "dci": "DCI",
    "mig": "MIG",
    "sap": "SAP",
}
# Up to this many values of the parameter all have a tick.
MAX_TICKS = 10
# A positive parameter whose largest step is this many times its smallest is plotted on
# a logarithmic axis.
LOG_STEPS = 4


class AlphaPathDisplay:
    """Scores of a search against a parameter, such as the penalty.

    Each score has a panel, with the mean over the splits (or seeds) as a curve and each
    split as a dot. If the search varies other parameters too, each of their settings
    has a curve. A dashed line marks the chosen setting.

    Parameters
    ----------
    param_values : array-like of shape (n_settings,)
        Value of the parameter in each setting: numbers, or other values, which are
        shown in order of appearance.

    scores : dict of str to array-like of shape (n_settings, n_splits)
        Scores by name. NaN is left out.

    param_name : str, default="alpha"
        Name of the parameter.

    groups : sequence of str, default=None
        Name of the curve that each setting belongs to. None: a single curve.

    best_index : int, default=None
        Index of the setting to mark.

    Attributes
    ----------
    lines_ : dict of str to list of matplotlib Line2D
        For each score, the mean curve of each group.

    points_ : dict of str to list of matplotlib Line2D
        For each score, the splits of each group.

    axes_ : ndarray of shape (n_scores,) of matplotlib Axes
        The panels.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When shapes do not match, a score has no finite value, or a group holds a value
        twice.

    See Also
    --------
    sparsedis.model_selection.UDRSearch : A search without ground truth.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Figures 4 to 6.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.linear_model import Lasso
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sparsedis.inspection import AlphaPathDisplay
    >>> X, y = make_regression(random_state=0)
    >>> search = GridSearchCV(Lasso(), {"alpha": [0.1, 1.0, 10.0]}).fit(X, y)
    >>> display = AlphaPathDisplay.from_estimator(search)
    >>> display.lines_["score"][0].get_xdata()
    array([ 0.1,  1. , 10. ])
    """

    def __init__(
        self,
        *,
        param_values: ArrayLike,
        scores: Mapping[str, ArrayLike],
        param_name: str = "alpha",
        groups: Sequence[str] | None = None,
        best_index: int | None = None,
    ) -> None:
        self.param_values = [v if is_number(v) else str(v) for v in param_values]
        self.param_name = param_name
        n_settings = len(self.param_values)
        self.scores = {
            name: _check_scores(name, score, n_settings)
            for name, score in scores.items()
        }
        if not self.scores:
            raise ValueError("scores must hold at least one score, got none.")
        self.groups = [None] * n_settings if groups is None else list(groups)
        if len(self.groups) != n_settings:
            raise ValueError(
                f"groups must name the group of each of {n_settings} settings; got "
                f"{len(self.groups)}."
            )
        pairs = list(zip(self.groups, self.param_values, strict=True))
        if len(set(pairs)) < len(pairs):
            raise ValueError(
                "Each group must hold each value of the parameter once; got "
                f"{max(pairs, key=pairs.count)} several times."
            )
        if best_index is not None:
            check_scalar(
                best_index,
                "best_index",
                numbers.Integral,
                min_val=0,
                max_val=n_settings - 1,
            )
        self.best_index = best_index

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        param_name: str = "alpha",
        metrics: list[str] | dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot a fitted search.

        Parameters
        ----------
        search : estimator
            Fitted search with `cv_results_`, such as
            :class:`~sklearn.model_selection.GridSearchCV` or
            :class:`~sparsedis.model_selection.UDRSearch`. The setting that it chose is
            marked.

        param_name : str, default="alpha"
            Name of the parameter; the prefix of a pipeline step can be left out.

        metrics : list of str, or dict of str to str, default=None
            Names of the scores to show, or labels by name. None: all of them.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        AlphaPathDisplay
            The display, plotted.
        """
        if not hasattr(search, "cv_results_"):
            check_is_fitted(search)
            raise TypeError(
                "search must have cv_results_, as GridSearchCV has; got "
                f"{type(search).__name__}."
            )
        best = getattr(search, "best_index_", None)
        found = read_cv_results(search.cv_results_, param_name, metrics, best)
        return cls(param_name=param_name, **found).plot(**kwargs)

    @classmethod
    def from_cv_results(
        cls,
        cv_results: dict,
        *,
        param_name: str = "alpha",
        metrics: list[str] | dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the results of a search.

        Parameters
        ----------
        cv_results : dict of array-like
            Such as `cv_results_` of :class:`~sklearn.model_selection.GridSearchCV`. The
            setting with the best mean of the first score is marked; for a halving
            search, the best one of the last round, which has the most resources.

        param_name : str, default="alpha"
            Name of the parameter; the prefix of a pipeline step can be left out.

        metrics : list of str, or dict of str to str, default=None
            Names of the scores to show, or labels by name. None: all of them.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        AlphaPathDisplay
            The display, plotted.
        """
        display = cls(
            param_name=param_name, **read_cv_results(cv_results, param_name, metrics)
        )
        finalists = find_finalists(cv_results, param_name)
        mean = _mean(next(iter(display.scores.values())))[finalists]
        # If all fits failed, the first setting, as in scikit-learn.
        best = np.where(np.isfinite(mean), mean, -np.inf).argmax()
        display.best_index = int(finalists[best])
        return display.plot(**kwargs)

    def plot(self, ax: Any = None) -> Self:
        """Plot the scores.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to divide, or one for each score. None: a new figure.

        Returns
        -------
        AlphaPathDisplay
            The display itself.
        """
        require_matplotlib(self)
        n_panels = len(self.scores)
        height = 1.2 + (1.6 if n_panels > 1 else 2.6) * n_panels
        self.axes_ = make_axes(ax, n_panels, height=height, sharex=True)[:, 0]
        self.figure_ = self.axes_[0].figure
        self.lines_, self.points_ = {}, {}
        axis = _ParameterAxis(self.param_values)
        for ax, (name, scores) in zip(self.axes_, self.scores.items(), strict=True):
            self._plot_score(ax, name, axis, scores)
            ax.set_ylabel(LABELS.get(name, name.replace("_", " ")))
            ax.grid(alpha=0.3)
            axis.apply(ax)
        self._mark_best(axis.positions)
        self.axes_[-1].set_xlabel(self.param_name)
        self.figure_.align_ylabels(self.axes_)
        legend_above(self.axes_[0])
        return self

    def _plot_score(self, ax, name, axis, scores):
        names = list(dict.fromkeys(self.groups))
        styles = curve_styles(names)
        self.lines_[name], self.points_[name] = [], []
        for group, style in zip(names, styles, strict=True):
            members = [i for i, g in enumerate(self.groups) if g == group]
            at = np.array(sorted(members, key=lambda i: axis.positions[i]))
            x, y = axis.positions[at], scores[at]
            if not axis.is_numeric:
                style = style | {"linestyle": "none"}  # no values in between
            self.lines_[name] += ax.plot(
                x, _mean(y), marker="o", markersize=5, label=group or "", **style
            )
            if y.shape[1] > 1:
                self.points_[name] += ax.plot(
                    np.repeat(x, y.shape[1]),
                    y.ravel(),
                    linestyle="none",
                    marker=".",
                    markersize=4,
                    color=style["color"],
                    alpha=0.4,
                )

    def _mark_best(self, positions):
        if self.best_index is None:
            return
        value = self.param_values[self.best_index]
        for ax in self.axes_:
            ax.axvline(
                positions[self.best_index],
                color=GREY,
                linestyle="--",
                linewidth=1.2,
                zorder=0,
                label=f"chosen: {curve_label(value, self.param_name)}",
            )


class _ParameterAxis:
    """Positions of the values of a parameter, and the format of the axis."""

    def __init__(self, values):
        self.is_numeric = all(is_number(value) for value in values)
        if self.is_numeric:
            self.values = sorted(set(values))
            self.positions = np.array(values, dtype=np.float64)
        else:
            self.values = list(dict.fromkeys(values))
            self.positions = np.array([self.values.index(v) for v in values])

    def apply(self, ax):
        """Set the scale and the ticks of the x axis."""
        if not self.is_numeric:
            ax.set_xticks(range(len(self.values)), self.values)
            return
        steps = np.diff(self.values)
        if len(steps) > 1 and steps.max() > LOG_STEPS * steps.min():
            if self.values[0] > 0:
                ax.set_xscale("log")
            elif self.values[0] == 0:
                ax.set_xscale("symlog", linthresh=self.values[1])
        if len(self.values) <= MAX_TICKS:
            ax.set_xticks(self.values, [as_text(value) for value in self.values])
            ax.set_xticks([], minor=True)


def _mean(scores):
    """Mean over the splits that have a score; NaN if none has."""
    present = np.isfinite(scores)
    total = np.where(present, scores, 0).sum(1)
    return np.where(present.any(1), total / np.maximum(present.sum(1), 1), np.nan)


def _check_scores(name, scores, n_settings):
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != n_settings or not np.isfinite(scores).any():
        raise ValueError(
            f"scores[{name!r}] must have shape ({n_settings}, n_splits), with a finite "
            f"score; got shape {scores.shape}."
        )
    return scores
