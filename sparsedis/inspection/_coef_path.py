"""Display of the coefficients of heads along their penalties."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from sparsedis.inspection._estimators import final_estimator, final_inputs
from sparsedis.inspection._style import (
    GREY,
    as_label,
    check_names,
    legend_above,
    line_style,
    make_axes,
    require_matplotlib,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from numpy.typing import ArrayLike

# Features with a line of their own in the legend of a panel.
N_NAMED = 6
# Tasks that are drawn if none are named.
N_TASKS = 3


class CoefPathDisplay:
    """Coefficients of heads against the penalty.

    Each task has a panel, with a curve for each feature. The features with the largest
    coefficients at the chosen penalty have a name, and the same style in all panels;
    others are grey. A dashed line marks the chosen penalty.

    Parameters
    ----------
    alphas : array-like of shape (n_tasks, n_alphas)
        Penalties, positive.

    coefs : array-like of shape (n_tasks, n_features, n_alphas)
        Coefficients.

    chosen : array-like of shape (n_tasks,), default=None
        Penalty to mark in each panel. Features have the names of the end of the path if
        there is none.

    task_names : sequence of str of length n_tasks, default=None
        Titles of the panels. None: none if there is one task, numbers for several.

    feature_names : sequence of str of length n_features, default=None
        Names of the features. None: their numbers.

    Attributes
    ----------
    lines_ : list of list of matplotlib Line2D
        For each task, the curves of the features.

    axes_ : ndarray of shape (n_tasks,) of matplotlib Axes
        The panels.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When shapes do not match, values are missing, or penalties are not positive.

    See Also
    --------
    AlphaPathDisplay : Scores of a search against the penalty.
    sparsedis.heads.SparseHeadsCV.coef_path : What is drawn.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsedis.heads import SparseHeadsCV
    >>> from sparsedis.inspection import CoefPathDisplay
    >>> X, Y = make_regression(n_features=8, n_targets=2, noise=9.0, random_state=0)
    >>> display = CoefPathDisplay.from_estimator(SparseHeadsCV().fit(X, Y), X, Y)
    >>> len(display.axes_), len(display.lines_[0])
    (2, 8)
    """

    def __init__(
        self,
        *,
        alphas: ArrayLike,
        coefs: ArrayLike,
        chosen: ArrayLike | None = None,
        task_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.alphas, self.coefs = (np.asarray(a, dtype=float) for a in (alphas, coefs))
        shape = self.coefs.shape
        if len(shape) != 3 or self.alphas.shape != (shape[0], shape[-1]) or 0 in shape:
            raise ValueError(
                "coefs must have shape (n_tasks, n_features, n_alphas), and alphas "
                f"(n_tasks, n_alphas); got {shape} and {self.alphas.shape}."
            )
        if not (self.alphas > 0).all() or not np.isfinite(self.coefs).all():
            raise ValueError("alphas must be positive, and coefs finite.")
        self.chosen = None if chosen is None else np.asarray(chosen, dtype=float)
        if self.chosen is not None and self.chosen.shape != shape[:1]:
            raise ValueError(
                f"chosen must hold {shape[0]} penalties; got shape {self.chosen.shape}."
            )
        if self.chosen is not None and not (self.chosen > 0).all():
            raise ValueError(f"chosen must be positive, got {chosen!r}.")
        self.task_names = [""]
        if shape[0] > 1 or task_names is not None:
            self.task_names = check_names(task_names, shape[0], "task_names")
        self.feature_names = check_names(feature_names, shape[1], "feature_names")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        task: ArrayLike | None = None,
        tasks: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the paths of fitted heads.

        Parameters
        ----------
        estimator : SparseHeadsCV, search or pipeline
            Fitted :class:`~sparsedis.heads.SparseHeadsCV`, alone or as the last step.

        X, y, sample_weight, task : array-like
            The data of `fit`.

        tasks : array-like, default=None
            Names of the tasks to draw. None: the first three that have labels.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        CoefPathDisplay
            The display, plotted.

        Raises
        ------
        TypeError
            When the estimator has no `coef_path`.
        """
        heads = final_estimator(estimator)
        if not hasattr(heads, "coef_path"):
            raise TypeError(
                "estimator must be a SparseHeadsCV, which has coef_path; got "
                f"{type(heads).__name__}."
            )
        X = final_inputs(estimator, X)
        chosen = np.atleast_1d(heads.alpha_)
        if tasks is None:
            tasks = heads.tasks_[~np.isnan(chosen)][:N_TASKS]
        alphas, coefs = heads.coef_path(X, y, sample_weight, task=task, tasks=tasks)
        if coefs.ndim == 2:
            alphas, coefs = alphas[None], coefs[None]
        number = {name: t for t, name in enumerate(heads.tasks_.tolist())}
        order = [number[name] for name in np.asarray(tasks).tolist()]
        return cls(
            alphas=alphas,
            coefs=coefs,
            chosen=chosen[order],
            task_names=tasks if len(heads.tasks_) > 1 else None,
            feature_names=getattr(heads, "feature_names_in_", None),
        ).plot(**kwargs)

    def plot(self, ax: Any = None) -> Self:
        """Plot the paths.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to divide, or one for each task. None: a new figure.

        Returns
        -------
        CoefPathDisplay
            The display itself.
        """
        require_matplotlib(self)
        n_tasks = len(self.coefs)
        height = 1.0 + 2.6 * n_tasks
        self.axes_ = make_axes(ax, n_tasks, height=height)[:, 0]
        self.figure_ = self.axes_[0].figure
        named = [self._named(t) for t in range(n_tasks)]
        # Each feature once, in the order in which they appear.
        distinct = dict.fromkeys(chain.from_iterable(named))
        styles = {j: line_style(i) for i, j in enumerate(distinct)}
        self.lines_ = [self._plot_task(t, named[t], styles) for t in range(n_tasks)]
        self.axes_[-1].set_xlabel("alpha")
        self.figure_.align_ylabels(self.axes_)
        return self

    def _named(self, t):
        """Features with a name in a panel, the largest first."""
        alphas = self.alphas[t]
        at = alphas.argmin()
        if self.chosen is not None:
            at = np.abs(np.log(alphas / self.chosen[t])).argmin()
        size = np.abs(self.coefs[t, :, at])
        largest = np.argsort(-size, kind="stable")[:N_NAMED]
        return [j for j in largest.tolist() if size[j] > 0]

    def _plot_task(self, t, named, styles):
        ax, alphas, coefs = self.axes_[t], self.alphas[t], self.coefs[t]
        lines = ax.plot(alphas, coefs.T, color=GREY, linewidth=0.8, alpha=0.6)
        for j in named:
            name = as_label(self.feature_names[j])
            lines[j].set(label=f"feature {name}", **styles[j])
            lines[j].set(linewidth=1.6, alpha=1.0, zorder=3)
        if self.chosen is not None:
            ax.axvline(
                self.chosen[t],
                color=GREY,
                linestyle="--",
                linewidth=1.2,
                zorder=0,
                label=f"chosen: alpha = {self.chosen[t]:.3g}",
            )
        ax.set_xscale("log")
        name = as_label(self.task_names[t])
        ax.set_ylabel(f"coefficient\n(task {name})" if name else "coefficient")
        ax.grid(alpha=0.3)
        legend_above(ax)
        return lines
