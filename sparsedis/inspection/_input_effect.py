"""Display of the effects of input columns on features and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_array

from sparsedis.inspection._estimators import final_estimator, score_name
from sparsedis.inspection._input_importance import input_importance
from sparsedis.inspection._style import (
    as_label,
    check_names,
    ink,
    make_axes,
    require_matplotlib,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.colors import Colormap
    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState, SparseMatrix

# Up to these many input columns, and tasks or features, are named.
MAX_NAMED_INPUTS = 40
MAX_NAMED = 20
# Matrices with up to this many columns have numbers in the cells, if they also have few
# rows.
MAX_ANNOTATED = 8


class InputEffectDisplay:
    """Effects of input columns on features and tasks.

    Rows are input columns. The left matrix shows their effect on the features, from 0
    to 1. The right matrix shows their importance for the tasks; tasks with the same
    most important column are next to each other.

    Parameters
    ----------
    features : array-like of shape (n_components, n_inputs)
        Effect of each input column on each feature, from 0 to 1.

    tasks : array-like of shape (n_tasks, n_inputs), default=None
        Importance of each input column for each task; NaN if unknown. Negative values
        count as 0. None: only the features are shown.

    input_names : sequence of str, default=None
        Names of the input columns. None: their numbers.

    feature_names : sequence of str, default=None
        Names of the features. None: their numbers.

    task_names : sequence of str, default=None
        Names of the tasks. None: their numbers.

    score_name : str, default="score"
        Name of the score of the tasks, for the label of the colour bar.

    Attributes
    ----------
    order : ndarray of shape (n_tasks,) of int
        Task in each column of the right matrix.

    im_ : list of matplotlib AxesImage
        The matrices, that of the features first.

    text_ : list of ndarray of matplotlib Text, or of None
        Numbers in the cells of each matrix; None if they are not shown.

    axes_ : ndarray of shape (1,) or (2,) of matplotlib Axes
        Axes with the matrices.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When shapes or names do not match, or an effect on a feature is not in [0, 1].

    See Also
    --------
    input_importance : Computes the importances.
    input_gradients : Direction and size of the effects on features.

    Examples
    --------
    >>> from sparsedis.inspection import InputEffectDisplay
    >>> display = InputEffectDisplay(
    ...     features=[[0.9, 0.1, 0.0], [0.0, 0.0, 1.0]],
    ...     tasks=[[0.5, 0.0, 0.6]],
    ...     input_names=["mass", "charge", "volume"],
    ... ).plot()
    >>> [ax.get_xlabel() for ax in display.axes_]
    ['feature', 'task']
    """

    def __init__(
        self,
        *,
        features: ArrayLike,
        tasks: ArrayLike | None = None,
        input_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        task_names: Sequence[str] | None = None,
        score_name: str = "score",
    ) -> None:
        self.features = check_array(features, dtype=np.float64, input_name="features")
        low, high = self.features.min(), self.features.max()
        if low < 0 or high > 1:
            raise ValueError(
                "features must hold effects in [0, 1]; got values from "
                f"{low:g} to {high:g}."
            )
        n_features, n_inputs = self.features.shape
        self.input_names = check_names(input_names, n_inputs, "input_names")
        self.feature_names = check_names(feature_names, n_features, "feature_names")
        self.tasks, self.task_names, self.score_name = None, None, score_name
        self.order = np.arange(0)
        if tasks is not None:
            self.tasks = check_array(
                tasks,
                dtype=np.float64,
                ensure_all_finite="allow-nan",
                input_name="tasks",
            )
            if self.tasks.shape[1] != n_inputs:
                raise ValueError(
                    f"tasks must have a column for each of the {n_inputs} columns of "
                    f"features; got {self.tasks.shape[1]}."
                )
            self.task_names = check_names(task_names, len(self.tasks), "task_names")
            known = np.nan_to_num(self.tasks)
            self.order = np.lexsort((-known.max(1), known.argmax(1)))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix | None = None,
        *,
        task: ArrayLike | None = None,
        n_repeats: int = 5,
        random_state: RandomState = None,
        input_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        task_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the permutation importance of the input columns.

        Parameters
        ----------
        estimator : estimator
            Estimator fitted on tables. For a pipeline or search, columns are those of
            its inputs.

        X : array-like of shape (n_samples, n_features)
            Inputs, preferably rows that `fit` has not seen.

        y : array-like, DataFrame or sparse matrix, default=None
            Labels, in the forms that `fit` accepts. None: only the features are shown.

        task : array-like of shape (n_samples,), default=None
            The task of each row, in the long form.

        n_repeats : int, default=5
            Number of shuffles of each column.

        random_state : int, RandomState instance or None, default=None
            Shuffles the columns.

        input_names : sequence of str, default=None
            Names of the input columns. None: the columns of a DataFrame, or their
            numbers.

        feature_names : sequence of str, default=None
            Names of the features. None: their numbers.

        task_names : sequence of str, default=None
            Names of all tasks. None: `tasks_`. Tasks that cannot be scored are left
            out.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        InputEffectDisplay
            The display, plotted.
        """
        found = input_importance(
            estimator, X, y, task=task, n_repeats=n_repeats, random_state=random_state
        )
        tasks = None
        if y is not None:
            if task_names is None:
                task_names = final_estimator(estimator).tasks_
            task_names = check_names(task_names, len(found.baseline), "task_names")
            scored = np.flatnonzero(~np.isnan(found.baseline))
            tasks = found.tasks.importances_mean[scored]
            task_names = [task_names[t] for t in scored]
        display = cls(
            features=found.features.importances_mean,
            tasks=tasks,
            input_names=(
                getattr(X, "columns", None) if input_names is None else input_names
            ),
            feature_names=feature_names,
            task_names=task_names,
            score_name=score_name(final_estimator(estimator)),
        )
        return display.plot(**kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        include_values: bool | None = None,
        cmap: str | Colormap = "Blues",
        colorbar: bool = True,
    ) -> Self:
        """Plot the matrices.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to divide, or one for each matrix. None: a new figure.

        include_values : bool, default=None
            Whether to write the numbers into the cells. None: in a matrix with up to 8
            columns.

        cmap : str or matplotlib Colormap, default="Blues"
            Colours from 0 to the largest value.

        colorbar : bool, default=True
            Whether to add colour bars.

        Returns
        -------
        InputEffectDisplay
            The display itself.
        """
        require_matplotlib(self)
        panels = [(self.features, self.feature_names, "feature", 1.0, "effect")]
        if self.tasks is not None:
            largest = np.nanmax(self.tasks, initial=0) or 1.0
            label = f"drop in {self.score_name}"
            names = [self.task_names[t] for t in self.order]
            panels.append((self.tasks[self.order], names, "task", largest, label))
        # Wide enough for the numbers, but neither matrix much wider than the other.
        sizes = [np.clip(len(values), 3, 12) for values, *_ in panels]
        n_inputs = len(self.input_names)
        height = float(np.clip(0.26 * n_inputs, 1.2, 8.0)) + 1.6
        self.axes_ = make_axes(ax, 1, len(panels), height=height, width_ratios=sizes)[0]
        self.figure_ = self.axes_[0].figure
        self.im_, self.text_ = [], []
        for ax, (values, names, label, largest, meaning) in zip(
            self.axes_, panels, strict=True
        ):
            image = ax.imshow(
                values.T,
                aspect="auto",
                interpolation="nearest",
                cmap=cmap,
                vmin=0,
                vmax=largest,
            )
            self.im_.append(image)
            if colorbar:
                side = ax.inset_axes([0, 1.03, 1, 0.1 / height * 2.5])
                self.figure_.colorbar(
                    image, cax=side, orientation="horizontal", label=meaning
                )
                side.xaxis.set_ticks_position("top")
                side.xaxis.set_label_position("top")
            few = len(values) <= MAX_ANNOTATED and n_inputs <= MAX_NAMED_INPUTS
            shown = few if include_values is None else include_values
            self.text_.append(_annotate(ax, image, values.T) if shown else None)
            _name_columns(ax, names, label)
            ax.set_yticks([])
        if n_inputs <= MAX_NAMED_INPUTS:
            self.axes_[0].set_yticks(
                range(n_inputs), [as_label(name) for name in self.input_names]
            )
        self.axes_[0].set_ylabel("input column")
        return self


def _name_columns(ax, names, label):
    many = len(names) > MAX_NAMED
    ax.set_xlabel(f"{len(names)} {label}s" if many else label)
    if many:
        ax.set_xticks([])
        return
    # 24 characters fit below a matrix.
    names = [as_label(name, 20) for name in names]
    rotation = 90 if max(map(len, names)) * len(names) > 24 else 0
    ax.set_xticks(range(len(names)), names, rotation=rotation)


def _annotate(ax, image, values):
    text = np.empty(values.shape, dtype=object)
    for (i, j), value in np.ndenumerate(values):
        color = ink(image.cmap(image.norm(value)))
        # Show no negative zeros.
        shown = f"{round(value, 2) + 0:.2f}"
        text[i, j] = ax.text(
            j, i, shown, ha="center", va="center", size="small", color=color
        )
    return text
