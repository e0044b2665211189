"""Display of the features that each task uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage

from sparsedis.identifiability import support_matrix
from sparsedis.inspection._estimators import (
    final_estimator,
    head_coefs,
    head_supports,
)
from sparsedis.inspection._style import (
    COLORS,
    as_label,
    check_names,
    make_axes,
    require_matplotlib,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

# Up to this many supports are clustered; more are only sorted.
MAX_CLUSTERED = 1_000
# Up to these many rows and columns are named.
MAX_NAMED_TASKS = 30
MAX_NAMED_FEATURES = 20


class TaskSupportDisplay:
    """Matrix of tasks and features: which task uses which feature.

    Rows are tasks, with similar supports next to each other. Columns are features; bars
    above show the share of the tasks that use them.

    Parameters
    ----------
    supports : array-like, (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Supports, as booleans, or coefficients. Heads with NaN are left out, with a
        warning.

    task_names : sequence of str, default=None
        Names of the tasks. None: their numbers.

    feature_names : sequence of str, default=None
        Names of the features. None: their numbers.

    Attributes
    ----------
    order : ndarray of shape (n_tasks,) of int
        Task in each row of the plot.

    im_ : matplotlib AxesImage
        The supports.

    bars_ : matplotlib BarContainer
        Share of the tasks that use each feature.

    ax_ : matplotlib Axes
        Axes with the supports.

    usage_ax_ : matplotlib Axes
        Axes with the bars, above.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When `supports` has another shape or holds infinity, or names do not match it.

    See Also
    --------
    sparsedis.identifiability.check_support_variability : Whether these supports
        separate all features.
    FeatureUsageDisplay : How often features are used, for several estimators.

    Notes
    -----
    Rows are in the order of the leaves of an average-linkage tree of the distinct
    supports, by Jaccard distance. More than 1,000 distinct supports are sorted instead.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Assumption 3.6.

    Examples
    --------
    >>> from sparsedis.inspection import TaskSupportDisplay
    >>> display = TaskSupportDisplay(
    ...     supports=[[1, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]]
    ... ).plot()
    >>> display.order
    array([0, 2, 3, 1])
    """

    def __init__(
        self,
        *,
        supports: ArrayLike,
        task_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        n_given = len(supports)
        task_names = check_names(task_names, n_given, "task_names")
        supports = np.asarray(supports, dtype=np.float64)
        self.supports = support_matrix(supports)
        if len(self.supports) < n_given:
            present = ~np.isnan(supports.reshape(n_given, -1)).any(1)
            task_names = [task_names[t] for t in np.flatnonzero(present)]
        self.task_names = task_names
        self.feature_names = check_names(
            feature_names, self.supports.shape[1], "feature_names"
        )
        self.order = _cluster(self.supports)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        task_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the supports of an estimator's heads.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator with `coef_` or `heads_`, also in a pipeline or search, or
            an ensemble of such estimators: then a head uses a feature if it does so in
            more than half of them.

        task_names : sequence of str, default=None
            Names of all tasks. None: `tasks_` if the estimator has it, otherwise their
            numbers.

        feature_names : sequence of str, default=None
            Names of the features. None: their numbers.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        TaskSupportDisplay
            The display, plotted. Tasks without any label, which have no head, are left
            out.
        """
        estimator = final_estimator(estimator)
        supports, tasks = head_supports(estimator)
        if task_names is None:
            task_names = getattr(estimator, "tasks_", None)
        names = check_names(task_names, len(head_coefs(estimator)), "task_names")
        display = cls(
            supports=supports,
            task_names=[names[t] for t in tasks],
            feature_names=feature_names,
        )
        return display.plot(**kwargs)

    def plot(self, ax: Axes | None = None) -> Self:
        """Plot the supports.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None: a new figure.

        Returns
        -------
        TaskSupportDisplay
            The display itself.
        """
        require_matplotlib(self)
        from matplotlib.colors import ListedColormap

        n_tasks, n_features = self.supports.shape
        height = float(np.clip(0.2 * n_tasks, 1.5, 4.5)) + 1.2
        self.ax_ = make_axes(ax, height=height)[0, 0]
        self.figure_ = self.ax_.figure
        self.im_ = self.ax_.imshow(
            self.supports[self.order],
            aspect="auto",
            interpolation="nearest",
            cmap=ListedColormap(["#f0f0f0", COLORS[0]]),
            vmin=0,
            vmax=1,
        )
        if n_features <= MAX_NAMED_FEATURES:
            self.ax_.set_xticks(
                range(n_features), [as_label(name) for name in self.feature_names]
            )
        if n_tasks <= MAX_NAMED_TASKS:
            self.ax_.set_yticks(
                range(n_tasks), [as_label(self.task_names[t]) for t in self.order]
            )
        else:
            self.ax_.set_yticks([])
        self._plot_edges()
        self.ax_.set(xlabel="feature", ylabel=f"{n_tasks} tasks, similar ones together")
        self._plot_usage()
        return self

    def _plot_edges(self):
        """Draw thin lines between the cells, unless the cells are too small."""
        n_tasks, n_features = self.supports.shape
        style = {"color": "white", "linewidth": 1}
        if n_features <= 2 * MAX_NAMED_FEATURES:
            edges = np.arange(n_features - 1) + 0.5
            self.ax_.vlines(edges, -0.5, n_tasks - 0.5, **style)
        if n_tasks <= 2 * MAX_NAMED_TASKS:
            edges = np.arange(n_tasks - 1) + 0.5
            self.ax_.hlines(edges, -0.5, n_features - 0.5, **style)

    def _plot_usage(self):
        usage = self.supports.mean(0)
        self.usage_ax_ = self.ax_.inset_axes([0, 1.02, 1, 0.16], sharex=self.ax_)
        self.bars_ = self.usage_ax_.bar(range(len(usage)), usage, color=COLORS[0])
        self.usage_ax_.set_ylim(0, 1)
        self.usage_ax_.set_yticks([0, 1])
        self.usage_ax_.set_ylabel("share")
        self.usage_ax_.tick_params(bottom=False, labelbottom=False)
        self.usage_ax_.spines[["top", "right"]].set_visible(False)


def _cluster(supports):
    patterns, which = np.unique(supports, axis=0, return_inverse=True)
    position = np.arange(len(patterns))
    if 2 < len(patterns) <= MAX_CLUSTERED:
        tree = linkage(patterns, "average", metric="jaccard", optimal_ordering=True)
        position[leaves_list(tree)] = np.arange(len(patterns))
    return np.argsort(position[which.ravel()], kind="stable")
