"""Colours, axes and input checks of the displays."""

import numbers

import numpy as np

from sparsedis._optional import import_optional

# Okabe and Ito's palette, which readers with any colour vision can tell apart, without
# the yellow that is hard to see on white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
LINE_STYLES = ("-", "--", ":", "-.")
# Colour of marks in the background, such as codes without a match.
GREY = "#8c8c8c"

# In inches. At matplotlib's 100 dots per inch a figure is 640 pixels wide.
WIDTH = 6.4
# Characters that fit above axes that are alone in such a figure, and the share of its
# width that they have before a layout.
LEGEND_WIDTH, ALONE = 80, 0.775


def require_matplotlib(caller):
    """Raise an error that says how to install matplotlib if it is missing.

    Parameters
    ----------
    caller : object
        The display.
    """
    import_optional("matplotlib", f"{type(caller).__name__}.plot")


def make_axes(ax, n_rows=1, n_columns=1, *, height, sharex=False, width_ratios=None):
    """Create the axes of a display, or check the given ones.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of Axes or None
        None: a new figure. Axes are divided if several are needed.

    n_rows, n_columns : int, default=1
        Numbers of axes to create.

    height : float
        Height of a new figure, in inches.

    sharex : bool, default=False
        Whether the axes of a column share their x axis.

    width_ratios : sequence of float, default=None
        Relative widths of the columns.

    Returns
    -------
    ndarray of shape (n_rows, n_columns) of Axes
        The axes.
    """
    from matplotlib import pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        figure = plt.figure(figsize=(WIDTH, height), layout="constrained")
        grid = figure.add_gridspec(n_rows, n_columns, width_ratios=width_ratios)
    elif isinstance(ax, Axes) and n_rows * n_columns > 1:
        if not ax.axison:
            raise ValueError(
                "ax is switched off, as after an earlier plot that divided it: pass "
                "the axes_ of that display to plot there again."
            )
        if ax.get_subplotspec() is None:
            raise ValueError(
                "ax must be one of a figure's subplots, so that it can be divided; got "
                f"{ax!r}."
            )
        ax.set_axis_off()
        grid = ax.get_subplotspec().subgridspec(
            n_rows, n_columns, width_ratios=width_ratios
        )
    else:
        axes = np.array(ax, dtype=object)
        if axes.size != n_rows * n_columns or not all(
            isinstance(one, Axes) for one in axes.flat
        ):
            raise ValueError(
                f"ax must be a matplotlib Axes or hold {n_rows * n_columns} of them; "
                f"got {ax!r}."
            )
        return axes.reshape(n_rows, n_columns)
    return grid.subplots(sharex="col" if sharex else False, squeeze=False)


def line_style(i):
    """Colour and dashes of the i-th of several curves.

    Parameters
    ----------
    i : int
        Number of the curve.

    Returns
    -------
    dict
        Arguments of ``Axes.plot``.
    """
    dashes = LINE_STYLES[i // len(COLORS) % len(LINE_STYLES)]
    return {"color": COLORS[i % len(COLORS)], "linestyle": dashes}


def curve_styles(names):
    """Styles of named curves: an ordered palette if the names are numbers.

    Parameters
    ----------
    names : list
        Names of the curves.

    Returns
    -------
    list of dict
        Arguments of ``Axes.plot``.
    """
    if len(names) > 1 and all(is_number(name) for name in names):
        from matplotlib import colormaps

        # The bright end is hard to see on white.
        shades = colormaps["viridis"](np.linspace(0, 0.85, len(names)))
        rank = np.argsort(np.argsort(names))
        return [{"color": shades[i]} for i in rank]
    return [line_style(i) for i in range(len(names))]


def legend_above(ax):
    """Add a legend above the axes, where it covers no curve.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes with labelled curves.

    Returns
    -------
    matplotlib Legend or None
        The legend; None if no curve has a label.
    """
    labels = ax.get_legend_handles_labels()[1]
    if not labels:
        return None
    # As many columns as fit above the axes, which may be one of several in a figure.
    width = ax.get_position().width * ax.figure.get_figwidth()
    n_characters = LEGEND_WIDTH * width / (WIDTH * ALONE)
    n_columns = max(1, int(n_characters / (max(len(label) for label in labels) + 6)))
    return ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=min(n_columns, len(labels)),
        frameon=False,
    )


def is_number(value):
    """Whether the value of a parameter is a number, and so has an order.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    bool
        Whether it is a number.
    """
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def as_text(value):
    """Text of the value of a parameter.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    str
        The text.
    """
    return f"{value:g}" if is_number(value) else str(value)


def as_label(name, longest=40):
    """Text to draw for a name: not too long, with dollars that are no formula.

    Parameters
    ----------
    name : str
        Name of a task, a feature or a curve.

    longest : int, default=40
        Characters to draw; fewer fit below a small matrix.

    Returns
    -------
    str
        The text. A valid formula between dollars is left to matplotlib.

    Examples
    --------
    >>> from sparsedis.inspection._style import as_label
    >>> as_label("$x^2$"), as_label("US$_total_$")
    ('$x^2$', 'US\\\\$_total_\\\\$')
    """
    from matplotlib.mathtext import MathTextParser

    if len(name) > longest:
        name = f"{name[: longest - 3]}..."
    try:
        if "$" in name:
            MathTextParser("agg").parse(name)
    except ValueError:
        return name.replace("$", r"\$")
    return name


def ink(background):
    """Colour of text that is readable on a background.

    Parameters
    ----------
    background : tuple of float
        Red, green and blue in [0, 1].

    Returns
    -------
    {"black", "white"}
        The colour.
    """
    return "black" if np.dot(background[:3], (0.299, 0.587, 0.114)) > 0.55 else "white"


def check_names(names, n, argument):
    """Check names of n things, by default their numbers.

    Parameters
    ----------
    names : sequence of str or None
        The names.

    n : int
        Required number of names.

    argument : str
        Name of the argument, for the error.

    Returns
    -------
    list of str
        The names.
    """
    names = [str(i) for i in range(n)] if names is None else [str(x) for x in names]
    if len(names) != n:
        raise ValueError(f"{argument} must hold {n} names; got {len(names)}: {names}.")
    return names


def check_matching(matching, n, n_codes):
    """Check the codes that are matched with n things; -1 for none.

    Parameters
    ----------
    matching : array-like of shape (n,) of int
        The codes, each at most once.

    n : int
        Required number of codes.

    n_codes : int
        Number of codes to choose from.

    Returns
    -------
    ndarray of shape (n,) of int
        The codes.
    """
    matching = np.asarray(matching)
    fits = matching.shape == (n,) and np.issubdtype(matching.dtype, np.integer)
    if fits:
        matched = matching[matching >= 0]
        fits = len(np.unique(matched)) == len(matched)
        fits = fits and matching.min() >= -1 and matching.max() < n_codes
    if not fits:
        raise ValueError(
            f"matching must hold {n} different codes from 0 to {n_codes - 1}, or -1 "
            f"for none; got {matching.tolist()}."
        )
    return matching


def as_dict(value):
    """Return one or several objects as a dictionary by name.

    Parameters
    ----------
    value : dict or object
        A single object, or several by name.

    Returns
    -------
    dict
        The objects by name. The name of a single object is None.
    """
    value = dict(value) if isinstance(value, dict) else {None: value}
    if not value:
        raise ValueError("There is nothing to plot: the dictionary is empty.")
    return value


def curve_label(name, param_name=None):
    """Label of a named curve.

    Parameters
    ----------
    name : object
        Name of the curve, such as the value of a parameter.

    param_name : str, default=None
        The parameter.

    Returns
    -------
    str
        The label; empty for a curve that has no name.
    """
    if name is None:
        return ""
    label = as_text(name) if param_name is None else f"{param_name} = {as_text(name)}"
    return as_label(label)
