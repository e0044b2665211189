"""Draws doc/_static/idea.png, the picture of the front page, from a run.

Above, what the method does; below, what the features of dense and of sparse heads are
on the data of the README. Run ``python doc/figures/idea.py`` from the root.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import CorrelationMatrixDisplay

OUT = Path(__file__).parents[1] / "_static" / "idea.png"
COLORS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"]
# Features that the heads drawn above use.
SUPPORTS = [(0, 3), (1,), (0, 2, 5), (4, 5), (1, 2, 3)]

data = make_sparse_tasks(
    1000, 100, n_factors=6, mixing="mlp", rho=0.5, return_bunch=True, random_state=0
)


def learn(penalty, alpha):
    """Features of the inputs, learned with one kind of head."""
    est = SparseMultiTaskRepresentation(
        6, rotation=None, penalty=penalty, alpha=alpha, random_state=0
    )
    return est.fit_transform(data.data, data.target)


def box(ax, x, y, width, height, text):
    """Rounded box with a text in its middle."""
    style = "round,pad=0,rounding_size=0.12"
    ax.add_patch(
        FancyBboxPatch((x, y), width, height, style, fc="#eef3f8", ec="#33506b")
    )
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center")


def arrow(ax, start, end):
    """Arrow between two points."""
    ax.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color="0.35")
    )


def draw_method(ax):
    """The shared encoder, its features, and heads that use a few of them."""
    box(ax, 0, 1.5, 1.5, 1.4, "inputs\n$X$")
    arrow(ax, (1.55, 2.2), (2.0, 2.2))
    box(ax, 2.05, 1.5, 2.0, 1.4, "one encoder\nfor all tasks")
    arrow(ax, (4.1, 2.2), (4.55, 2.2))
    for j, color in enumerate(COLORS):
        ax.add_patch(Rectangle((4.65, 3.55 - 0.55 * j), 0.45, 0.45, fc=color, ec="w"))
    ax.text(4.9, 0.35, "features", ha="center", va="center")
    for t, support in enumerate(SUPPORTS):
        y = 3.55 - 0.66 * t
        arrow(ax, (5.25, 2.4), (6.15, y + 0.22))
        for j, color in enumerate(COLORS):
            used = j in support
            ax.add_patch(
                Rectangle(
                    (6.25 + 0.5 * j, y),
                    0.42,
                    0.42,
                    fc=color if used else "w",
                    ec=color if used else "0.75",
                )
            )
        name = f"task {t + 1}" if t < len(SUPPORTS) - 1 else "task 100"
        ax.text(9.4, y + 0.21, name, va="center")
    ax.text(7.75, 0.35, "sparse heads, solved exactly", ha="center", va="center")
    ax.set(xlim=(-0.1, 10.7), ylim=(0.1, 4.2), aspect="equal")
    ax.set_axis_off()


def draw_result(ax, codes, title):
    """Which feature follows which factor."""
    display = CorrelationMatrixDisplay.from_codes(data.factors, codes)
    display.plot(ax, colorbar=False)
    ax.set(title=f"{title}: MCC {display.score:.2f}", xlabel="learned feature")
    ax.set_xticks([])


def main():
    """Train both, and draw."""
    plt.rcParams.update({"font.size": 12, "axes.titlesize": 12.5})
    figure = plt.figure(figsize=(7.6, 6.6), layout="constrained", facecolor="w")
    top, bottom = figure.subfigures(2, 1, height_ratios=[3.05, 3.55])
    draw_method(top.subplots())
    left, right = bottom.subplots(1, 2)
    draw_result(left, learn("l2", 0.01), "dense heads")
    draw_result(right, learn("l1", 0.4), "sparse heads")
    figure.savefig(OUT, dpi=200)


if __name__ == "__main__":
    main()
