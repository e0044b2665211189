"""Display of images and codes while one factor changes."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_scalar

from sparsedis.inspection._style import (
    GREY,
    WIDTH,
    as_label,
    check_matching,
    check_names,
    line_style,
    make_axes,
    require_matplotlib,
)
from sparsedis.metrics._mcc import match

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from numpy.typing import ArrayLike

# Curves of up to this many steps have a marker at each.
MAX_MARKED = 20
# Range of a traversal, as quantiles of the code over the samples.
QUANTILES = (0.02, 0.98)


class LatentTraversalDisplay:
    """Images while one factor changes, and the response of each code.

    Each row shows images in which one factor changes, and next to them the codes of
    these images, minus their mean over the row. In a disentangled representation, one
    code changes in each row, a different one each time. Each row is matched with the
    code that changes mainly in this row; the curve of the code and the name of the row
    have the same colour. If there are more rows than colours, the codes of later rows
    are dashed or dotted.

    Parameters
    ----------
    images : sequence of array-like, (n_steps, height, width[, n_channels])
        Images of each row, of 1 (grey) or 3 channels: 8-bit integers, or floats in
        [0, 1]. Rows may differ in `n_steps`.

    codes : sequence of array-like of shape (n_steps, n_codes)
        Codes of these images, in comparable units.

    matching : array-like of shape (n_rows,) of int, default=None
        Code of each row, -1 for none. None: match them by their changes.

    row_names : sequence of str, default=None
        Names of the rows. None: their numbers.

    code_names : sequence of str, default=None
        Names of the codes. None: "code 0" and so on.

    Attributes
    ----------
    images_ : list of matplotlib AxesImage
        The images of each row, side by side.

    lines_ : ndarray of shape (n_rows, n_codes) of matplotlib Line2D
        Response of each code in each row.

    axes_ : ndarray of shape (n_rows, 2) of matplotlib Axes
        Images on the left, codes on the right.

    figure_ : matplotlib Figure
        Figure with the axes.

    Raises
    ------
    ValueError
        When shapes do not match, images are not in range, or codes are not finite.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Figures 11 to 14.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.datasets import Shapes3D
    >>> from sparsedis.inspection import LatentTraversalDisplay
    >>> shapes = Shapes3D(image_size=16)
    >>> hues = [[0, i, 5, 4, 1, 7] for i in range(10)]
    >>> sizes = [[0, 0, 5, i, 1, 7] for i in range(8)]
    >>> rows = [shapes.factors_to_index(row) for row in (hues, sizes)]
    >>> display = LatentTraversalDisplay(
    ...     images=[shapes.images(row) for row in rows],
    ...     codes=[shapes.factors(row)[:, [3, 1]] for row in rows],
    ...     row_names=["wall hue", "scale"],
    ... ).plot()
    >>> display.matching
    array([1, 0])
    """

    def __init__(
        self,
        *,
        images: Sequence[ArrayLike],
        codes: Sequence[ArrayLike],
        matching: ArrayLike | None = None,
        row_names: Sequence[str] | None = None,
        code_names: Sequence[str] | None = None,
    ) -> None:
        self.images = [_check_images(i, one) for i, one in enumerate(images)]
        n_rows = len(self.images)
        if n_rows == 0 or len(codes) != n_rows:
            raise ValueError(
                "images and codes must hold the same number of rows, at least one; got "
                f"{n_rows} and {len(codes)}."
            )
        self.codes = [
            _check_codes(i, one, len(self.images[i])) for i, one in enumerate(codes)
        ]
        shapes = {one.shape[1:] for one in self.images}
        widths = {one.shape[1] for one in self.codes}
        if len(shapes) > 1 or len(widths) > 1:
            raise ValueError(
                "All rows must have images of one shape and the same number of codes; "
                f"got shapes {sorted(shapes)} and {sorted(widths)} codes."
            )
        n_codes = widths.pop()
        self.row_names = check_names(row_names, n_rows, "row_names")
        if code_names is None:
            code_names = [f"code {j}" for j in range(n_codes)]
        self.code_names = check_names(code_names, n_codes, "code_names")
        if matching is None:
            matching = _match(self.codes)
        self.matching = check_matching(matching, n_rows, n_codes)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        images: Sequence[ArrayLike],
        *,
        row_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the response of an estimator's features to images.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator with a method `transform`.

        images : sequence of array-like, (n_steps, height, width, n_channels)
            Images of each row, in which one factor changes. Rows may differ in
            `n_steps`.

        row_names : sequence of str, default=None
            Names of the rows. None: their numbers.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        LatentTraversalDisplay
            The display, plotted.
        """
        codes = [_codes(estimator, row) for row in images]
        return cls(images=images, codes=codes, row_names=row_names).plot(**kwargs)

    @classmethod
    def from_samples(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        n_steps: int = 6,
        base: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot images along which one code changes, chosen from a sample.

        No factor needs to be known. For each code, a traversal goes from low to high
        values. Each step shows the image whose code is close to the value and whose
        other codes are close to those of a base image. The curves show how close they
        are.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator with a method `transform`.

        X : array-like of shape (n_samples, height, width, n_channels)
            Images to choose from: the more, the better.

        n_steps : int, default=6
            Number of images in each row.

        base : int, default=None
            Index of the base image. None: the one nearest to the median of all codes.

        **kwargs : dict
            Arguments of `plot`.

        Returns
        -------
        LatentTraversalDisplay
            The display, plotted.
        """
        check_scalar(n_steps, "n_steps", numbers.Integral, min_val=2)
        codes = _codes(estimator, X)
        if base is not None:
            check_scalar(
                base, "base", numbers.Integral, min_val=0, max_val=len(codes) - 1
            )
        walks = _walks(codes, n_steps, base)
        display = cls(
            images=[np.asarray(X)[walk] for walk in walks],
            codes=[codes[walk] for walk in walks],
            matching=np.arange(len(walks)),
            row_names=[f"code {j}" for j in range(len(walks))],
        )
        return display.plot(**kwargs)

    def plot(self, ax: Any = None, *, n_images: int = 6) -> Self:
        """Plot the images and the codes.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to divide, or two for each row. None: a new figure.

        n_images : int, default=6
            Largest number of images in a row, evenly spaced over its steps. The codes
            of all steps are shown.

        Returns
        -------
        LatentTraversalDisplay
            The display itself.
        """
        require_matplotlib(self)
        check_scalar(n_images, "n_images", numbers.Integral, min_val=1)
        n_images = min(n_images, max(len(row) for row in self.images))
        n_rows = len(self.images)
        ratio = 1.9
        height, width = self.images[0].shape[1:3]
        strip = 0.5 * WIDTH / n_images * height / width
        self.axes_ = make_axes(
            ax, n_rows, 2, height=0.6 + n_rows * (strip + 0.12), width_ratios=[ratio, 1]
        )
        self.figure_ = self.axes_[0, 0].figure
        self.images_ = []
        self.lines_ = np.empty((n_rows, len(self.code_names)), dtype=object)
        moved = [codes - codes.mean(0) for codes in self.codes]
        limit = 1.1 * max(np.abs(one).max() for one in moved) or 1.0
        for row, (images_ax, codes_ax) in enumerate(self.axes_):
            self._plot_images(images_ax, row, n_images)
            self._plot_codes(codes_ax, row, moved[row])
            codes_ax.set_ylim(-limit, limit)
        self.axes_[0, 1].set_title("change of the codes", size="medium")
        return self

    def _plot_images(self, ax, row, n_images):
        images = self.images[row]
        if len(images) > n_images:
            steps = np.linspace(0, len(images) - 1, n_images).round().astype(int)
            images = images[steps]
        height, width, n_channels = images.shape[1:]
        gap = max(1, width // 20)
        white = 255 if images.dtype == np.uint8 else 1
        shape = (height, n_images * (width + gap) - gap, n_channels)
        strip = np.full(shape, white, dtype=images.dtype)
        for i, image in enumerate(images):
            strip[:, i * (width + gap) : i * (width + gap) + width] = image
        if n_channels == 1:
            shown = ax.imshow(strip[..., 0], cmap="gray", vmin=0, vmax=white)
        else:
            shown = ax.imshow(strip)
        self.images_.append(shown)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        name, code = as_label(self.row_names[row]), self.matching[row]
        if code >= 0 and self.code_names[code] != self.row_names[row]:
            name = f"{name}\n{as_label(self.code_names[code])}"
        ax.set_ylabel(
            name,
            rotation=0,
            ha="right",
            va="center",
            color=line_style(row)["color"] if code >= 0 else "black",
            weight="bold",
        )

    def _plot_codes(self, ax, row, moved):
        steps = np.arange(len(moved))
        ax.axhline(0, color="black", linewidth=0.5)
        owner = {code: r for r, code in enumerate(self.matching) if code >= 0}
        for code, line in enumerate(moved.T):
            own = owner.get(code) == row
            (self.lines_[row, code],) = ax.plot(
                steps,
                line,
                **line_style(owner[code]) if code in owner else {"color": GREY},
                linewidth=2.2 if own else 1.2,
                marker="o" if own and len(steps) <= MAX_MARKED else None,
                markersize=3,
                zorder=3 if own else 2,
            )
        ax.set_xticks([])
        ax.yaxis.tick_right()
        ax.spines[["top", "left", "bottom"]].set_visible(False)


def _codes(estimator, X):
    """Features of X, as an array even if the estimator returns DataFrames."""
    return np.asarray(estimator.transform(X))


def _check_images(row, images):
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"images[{row}] must have shape (n_steps, height, width[, n_channels]), "
            f"with 1 or 3 channels; got {images.shape}."
        )
    if images.dtype != np.uint8 and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"images[{row}] must be 8-bit integers, or floats in [0, 1]; got "
            f"{images.dtype} from {images.min():g} to {images.max():g}."
        )
    return images


def _check_codes(row, codes, n_steps):
    codes = np.asarray(codes, dtype=np.float64)
    if codes.ndim != 2 or len(codes) != n_steps or not codes.shape[1]:
        raise ValueError(
            f"codes[{row}] must have shape ({n_steps}, n_codes), a row for each image; "
            f"got {codes.shape}."
        )
    if not np.isfinite(codes).all():
        raise ValueError(f"codes[{row}] holds NaN or infinity.")
    return codes


def _match(codes):
    """Code of each row: the one that changes mainly in this row."""
    movement = np.array([np.ptp(row, axis=0) for row in codes])
    total = np.linalg.norm(movement, axis=0)
    rows, columns = match(movement / np.where(total > 0, total, 1.0))
    matching = np.full(len(codes), -1)
    matching[rows] = columns
    return matching


def _walks(codes, n_steps, base):
    """Samples along each code."""
    scale = codes.std(0)
    Z = codes / np.where(scale > 0, scale, 1.0)
    if base is None:
        base = ((Z - np.median(Z, axis=0)) ** 2).sum(1).argmin()
    # Of the distance to an aim, only the part of code j depends on the step.
    squared = (Z - Z[base]) ** 2
    walks = []
    for j in range(Z.shape[1]):
        aims = np.linspace(*np.quantile(Z[:, j], QUANTILES), n_steps)
        others = squared.sum(1) - squared[:, j]
        distance = (Z[:, j, None] - aims) ** 2 + others[:, None]
        walks.append(distance.argmin(0))
    return walks
