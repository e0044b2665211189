"""Display of the history of training."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_scalar

from sparsedis.inspection._estimators import final_estimator, members
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

# Quantities that are set, not measured, and need no smoothing.
EXACT = ("alpha", "lr")
LABELS = {"active": "active share", "lr": "learning rate"}
# A positive quantity that spans this factor is plotted on a logarithmic axis.
LOG_SPAN = 30
VALID = "valid_"


class TrainingCurveDisplay:
    """Loss, penalty and sparsity over the steps of training.

    Each quantity has a panel; "valid_loss" is in that of "loss", and so on. Each curve
    is a moving mean, with the values themselves in the background.

    Parameters
    ----------
    history : dict of str to array-like of shape (n_steps,), or dict of these
        Quantities such as "loss", "alpha" and "active", as in `history_`; histories of
        several runs by name. NaN means that a step was not measured. A quantity with
        fewer values than the others was measured at regular intervals. A run without
        quantities is left out.

    param_name : str, default=None
        Name of the parameter whose values are the names of the runs, for the legend.

    Attributes
    ----------
    quantities : list of str
        Quantity of each panel.

    lines_ : dict of str to list of matplotlib Line2D
        The smoothed curves of each quantity, one for each run that has it.

    raw_lines_ : dict of str to list of matplotlib Line2D
        The values themselves.

    axes_ : ndarray of shape (n_panels,) of matplotlib Axes
        The panels.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When a quantity is not a vector or has no finite value.

    Examples
    --------
    >>> from sparsedis.inspection import TrainingCurveDisplay
    >>> history = {"loss": [0.5, 0.3, 0.2, 0.2], "alpha": [0.1, 0.2, 0.3, 0.3]}
    >>> display = TrainingCurveDisplay(history=history).plot()
    >>> display.quantities
    ['loss', 'alpha']
    """

    def __init__(self, *, history: dict, param_name: str | None = None) -> None:
        several = isinstance(history, dict) and all(
            isinstance(one, dict) for one in history.values()
        )
        runs = as_dict(history if several else {None: history})
        self.history = {
            name: {key: _check_column(key, column) for key, column in run.items()}
            for name, run in runs.items()
        }
        self.param_name = param_name
        keys = [key for run in self.history.values() for key in run]
        self.quantities = list(dict.fromkeys(key.removeprefix(VALID) for key in keys))
        if not self.quantities:
            raise ValueError(
                "history must hold at least one quantity, got none, as after a fit "
                "with encoder='identity', which trains nothing."
            )

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, param_name: str | None = None, **kwargs: Any
    ) -> Self:
        """Plot the training of estimators.

        Parameters
        ----------
        estimator : estimator, or dict of estimators
            Fitted estimators with `history_`, by name if there are several, also in a
            pipeline or search, or ensembles of them, whose members have a curve each.
            Estimators without training are left out.

        param_name : str, default=None
            Name of the parameter whose values are the names of the estimators, for the
            legend.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        TrainingCurveDisplay
            The display, plotted.
        """
        histories = {}
        for name, each in as_dict(estimator).items():
            final = final_estimator(each)
            several = [] if hasattr(final, "history_") else members(final)
            if not several:
                histories[name] = _curves(final)
            start = "" if name is None else f"{name}, "
            for number, member in enumerate(several):
                histories[f"{start}member {number}"] = _curves(member)
        return cls(history=histories, param_name=param_name).plot(**kwargs)

    def plot(self, ax: Any = None, *, smoothing: int | None = None) -> Self:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to divide, or one for each panel. None: a new figure.

        smoothing : int, default=None
            Number of values in the centred moving mean; 1 for no smoothing. None: about
            a fortieth of the run.

        Returns
        -------
        TrainingCurveDisplay
            The display itself.
        """
        require_matplotlib(self)
        if smoothing is not None:
            check_scalar(smoothing, "smoothing", numbers.Integral, min_val=1)
        n_panels = len(self.quantities)
        height = 1.3 + 1.3 * n_panels
        self.axes_ = make_axes(ax, n_panels, height=height, sharex=True)[:, 0]
        self.figure_ = self.axes_[0].figure
        self.lines_, self.raw_lines_ = {}, {}
        self._explained = set()
        styles = curve_styles(list(self.history))
        for (name, run), style in zip(self.history.items(), styles, strict=True):
            # A run without training, for example with "identity", has no curve.
            n_steps = max((len(column) for column in run.values()), default=0)
            for key, column in run.items():
                self._plot_column(name, key, column, n_steps, smoothing, style)
        for ax, quantity in zip(self.axes_, self.quantities, strict=True):
            self._finish(ax, quantity)
        self.axes_[-1].set_xlabel("step")
        self.figure_.align_ylabels(self.axes_)
        return self

    def _plot_column(self, name, key, column, n_steps, smoothing, style):
        quantity = key.removeprefix(VALID)
        ax = self.axes_[self.quantities.index(quantity)]
        every = n_steps / len(column)
        present = np.isfinite(column)
        steps = every * np.arange(1, len(column) + 1)[present]
        values = column[present]
        # An odd number, for a centred mean.
        window = len(values) // 40 | 1 if smoothing is None else smoothing
        if quantity in EXACT:
            window = 1
        label = curve_label(name, self.param_name)
        if key != quantity:
            label = f"{label} (validation)" if label else "validation"
            style = style | {"linestyle": "--"}
        elif not label and VALID + quantity in self.history[name]:
            label = "training"
        raw = ax.plot(steps, values, **style | {"linestyle": "-"}, alpha=0.25, lw=0.8)
        smooth = ax.plot(steps, _moving_mean(values, window), **style, label=label)
        self.raw_lines_.setdefault(key, []).extend(raw)
        self.lines_.setdefault(key, []).extend(smooth)

    def _finish(self, ax, quantity):
        ax.set_ylabel(LABELS.get(quantity, quantity.replace("_", " ")))
        ax.grid(alpha=0.3)
        if quantity == "active":
            ax.set_ylim(-0.03, 1.03)
        elif quantity not in EXACT:
            keys = (quantity, VALID + quantity)
            lines = [line for key in keys for line in self.raw_lines_.get(key, [])]
            shown = np.concatenate([line.get_ydata() for line in lines])
            if 0 < shown.min() < shown.max() / LOG_SPAN:
                ax.set_yscale("log")
        labels = ax.get_legend_handles_labels()[1]
        # The names of the runs are in only one legend.
        if set(labels) - self._explained:
            legend_above(ax)
        self._explained |= set(labels)


def _curves(estimator):
    """Return the entries of `history_` that are vectors with a finite value."""
    return {
        key: column
        for key, column in estimator.history_.items()
        if np.ndim(column) == 1 and np.isfinite(column).any()
    }


def _check_column(key, column):
    column = np.asarray(column, dtype=np.float64)
    if column.ndim != 1 or not np.isfinite(column).any():
        raise ValueError(
            f"history[{key!r}] must be a vector with finite values; got shape "
            f"{column.shape}{'' if column.ndim != 1 else ' without any'}."
        )
    return column


def _moving_mean(values, window):
    """Centred moving mean, of fewer values at both ends."""
    window = min(window, len(values))
    weights = np.ones(window)
    count = np.convolve(np.ones(len(values)), weights, mode="same")
    return np.convolve(values, weights, mode="same") / count
