"""Text and HTML of a report."""

from html import escape

import numpy as np

# Up to this many rows of a table are shown.
MAX_ROWS = 20
# Up to this many features of a task are listed.
MAX_LISTED = 8

# Headings of the columns.
HEADINGS = {
    "task": "task",
    "type": "type",
    "n_labels": "labels",
    "score": "score",
    "held_out": "held-out",
    "held_out_heads": "head only",
    "held_out_linear": "linear only",
    "held_out_inputs": "X only",
    "gain": "gain",
    "share": "head share",
    "n_features": "used",
    "features": "features",
    "feature": "feature",
    "n_tasks": "tasks",
    "stability": "stability",
    "trusted": "trusted",
    "metric": "metric",
    "low": "low",
    "high": "high",
    "chance": "chance",
    "chance_low": "chance low",
    "chance_high": "chance high",
}
_SIGNED = "gain"
_TO_THE_LEFT = ("task", "type", "features", "trusted", "metric")

_STYLE = (
    ".sparsedis-report table{border-collapse:collapse;margin:.5em 0}"
    ".sparsedis-report th,.sparsedis-report td"
    "{padding:.1em .6em;text-align:right;border-bottom:1px solid #8c8c8c55}"
    ".sparsedis-report .left{text-align:left}"
)


class Report:
    """Base class of reports, which notebooks show as HTML.

    `_parts` returns the arguments of `as_text` and `as_html`.
    """

    def __repr__(self):
        return as_text(*self._parts())

    def _repr_html_(self):
        return as_html(*self._parts())


def as_text(title, summary, tables, notes):
    """Text of a report.

    Parameters
    ----------
    title : str

    summary, notes : list of str

    tables : list of dict of str to ndarray of shape (n_rows,)
        Columns.

    Returns
    -------
    str
    """
    lines = [title, *summary]
    for table in tables:
        cells, n_more = _cells(table)
        columns = {name: [HEADINGS[name], *column] for name, column in cells.items()}
        lines += ["", *aligned(columns, _TO_THE_LEFT)]
        if n_more:
            lines.append(f"... and {n_more} more")
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines)


def aligned(columns, to_the_left):
    """Lines of a table whose cells stand below each other.

    Parameters
    ----------
    columns : dict of str to list of str
        Cells of each column, with its heading.

    to_the_left : sequence of str
        Columns to align on the left.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from sparsedis._report_text import aligned
    >>> aligned({"a": ["task", "x"], "b": ["R2", "0.95"]}, ["a"])
    ['task    R2', 'x     0.95']
    """
    adjusted = []
    for name, cells in columns.items():
        width, left = max(map(len, cells)), name in to_the_left
        adjusted.append([c.ljust(width) if left else c.rjust(width) for c in cells])
    return ["  ".join(row).rstrip() for row in zip(*adjusted, strict=True)]


def as_html(title, summary, tables, notes):
    """Self-contained HTML of a report.

    Parameters
    ----------
    title : str

    summary, notes : list of str

    tables : list of dict of str to ndarray of shape (n_rows,)
        Columns.

    Returns
    -------
    str
    """
    parts = [f"<style>{_STYLE}</style>", f"<strong>{escape(title)}</strong>"]
    parts.append(_list(summary))
    for table in tables:
        cells, n_more = _cells(table)
        parts.append("<table><thead>")
        parts.append(_row("th", cells, [HEADINGS[name] for name in cells]))
        parts.append("</thead><tbody>")
        rows = zip(*cells.values(), strict=True)
        parts += [_row("td", cells, row) for row in rows]
        parts.append("</tbody></table>")
        if n_more:
            parts.append(f"<p>... and {n_more} more</p>")
    if notes:
        parts += ["<strong>Notes</strong>", _list(notes)]
    return f'<div class="sparsedis-report">{"".join(parts)}</div>'


def _list(lines):
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _row(tag, names, texts):
    cells = [
        f"<{tag}{' class=left' if name in _TO_THE_LEFT else ''}>{escape(text)}</{tag}>"
        for name, text in zip(names, texts, strict=True)
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _cells(table):
    """Text of the first rows of each column, and the number of the others."""
    n_rows = len(next(iter(table.values())))
    cells = {
        name: [_cell(name, value) for value in column[:MAX_ROWS].tolist()]
        for name, column in table.items()
    }
    return cells, max(0, n_rows - MAX_ROWS)


def _cell(name, value):
    if isinstance(value, tuple):
        some = " ".join(str(j) for j in value[:MAX_LISTED])
        return some + " ..." * (len(value) > MAX_LISTED)
    if name in ("task", "type", "metric"):
        return str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and np.isnan(value):
        return "-"
    if name == "n_features":
        return f"{value:g}"
    if isinstance(value, float):
        value = round(value, 2) + 0.0  # no negative zeros
        return f"{value:+.2f}" if name == _SIGNED else f"{value:.2f}"
    return str(value)
