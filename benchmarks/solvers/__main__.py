"""Forward and backward of the layers against other differentiable solvers.

Everything runs on one thread, and the contestants take turns, so that the ratios hold
on a busy machine. Accuracy stands beside speed: errors of the solution and of the
gradient are relative to a float64 reference, the gap to the optimal objective. A row
is accurate with an error of the solution up to 1e-6 or a gap up to 1e-5.

Peers that are missing here are looked for in the interpreter of ``--peers-python``,
which can be an environment of its own.
"""

import argparse
import csv
import tempfile
from pathlib import Path

from benchmarks.solvers.runners import Here, There, compare

HEADER = (
    f"{'':30} {'median':>10} {'lowest':>10} {'ratio':>8} {'w error':>9} "
    f"{'gradient':>9} {'gap':>9} {'accurate':>9} {'cpu/s':>6} {'runs':>5}"
)


def cases(quick):
    """Title, kind of problem, kind of contestants, and the problem of each case."""
    from benchmarks.solvers.problems import make_lasso, make_svm

    for n_tasks in (64, 8) if quick else (512, 8):
        for correlation in (0.0, 0.5, 0.9):
            title = f"Lasso, {n_tasks} tasks, n = 50, k = 6, correlation {correlation}"
            problem = make_lasso(n_tasks, correlation=correlation)
            yield title, "lasso", "lasso", problem
    for p in (640,) if quick else (640, 16_000):
        title = f"Group Lasso SVM, 8 tasks, n = 25, 5 classes, p = {p:,}"
        yield title, "svm", "svm" if p < 1000 else "wide svm", make_svm(8, p, 0.3)
    p = 640 if quick else 16_000
    title = f"Dense SVM, 8 tasks, n = 25, 5 classes, p = {p:,}"
    yield title, "svm", "dense svm", make_svm(8, p, 0.0)


def place(contestant, kind, path, here, there):
    """Prepare a contestant where it can run; None, with a line, where it cannot."""
    skipped = f"{contestant.name:30} skipped:"
    for runner in (here, there):
        if runner is None or runner.missing(kind, contestant.name):
            continue
        try:
            return runner, runner.prepare(kind, contestant.name, path)
        except ImportError as error:
            print(skipped, str(error).partition(" (")[0])
        except Exception as error:
            print(f"{contestant.name:30} failed: {type(error).__name__}: {error}")
        return None
    print(skipped, f"{contestant.install}, here or for --peers-python")
    return None


def run_case(title, kind, contestants, problem, folder, here, there, args):
    """Measure the contestants of one case, print their lines and return them."""
    import numpy as np

    from benchmarks.solvers import problems

    print(f"\n{title}")
    path = folder / "problem.npz"
    np.savez(path, **problem)
    try:
        reference = getattr(problems, f"{kind}_reference")(problem)
    except ImportError as error:
        print(f"skipped: {error}")
        return []
    print(f"reference: relative duality gap {reference[-1]:.0e}")
    entries = {}
    for contestant in here.contestants[contestants]:
        entry = place(contestant, contestants, path, here, there)
        if entry is not None:
            entries[contestant.name] = entry
    samples = compare(entries, args.rounds, args.budget)
    print(HEADER)
    rows = []
    ours = np.median(samples["sparsedis"][:, 0]) if "sparsedis" in samples else np.nan
    for name, (runner, _) in entries.items():
        runner.result(name, folder / "solution.npz")
        with np.load(folder / "solution.npz") as file:
            found = file["W"], file["grad"]
        row = {"case": title, "solver": name}
        row["seconds"], row["cpu_per_second"] = np.median(samples[name], 0)
        row["lowest_seconds"] = samples[name][:, 0].min()
        row["n_samples"] = len(samples[name])
        row["ratio"] = row["seconds"] / ours
        row |= problems.errors(kind, problem, reference, found)
        row["accurate"] = bool(row["w_error"] <= 1e-6 or row["gap"] <= 1e-5)
        rows.append(row)
        print(
            f"{name:30} {1e3 * row['seconds']:7.2f} ms "
            f"{1e3 * row['lowest_seconds']:7.2f} ms {row['ratio']:8.2f} "
            f"{row['w_error']:9.0e} {row['grad_error']:9.0e} {row['gap']:9.0e} "
            f"{'yes' if row['accurate'] else 'no':>9} {row['cpu_per_second']:6.2f} "
            f"{row['n_samples']:5}",
            flush=True,
        )
    return rows


def plot(rows, path):
    """Error of the solution against time, a panel for each case."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.ticker import NullFormatter

    titles = list(dict.fromkeys(row["case"] for row in rows))
    solvers = list(dict.fromkeys(["sparsedis"] + [row["solver"] for row in rows]))
    n_columns = min(3, len(titles) + 1)
    n_rows = -(-(len(titles) + 1) // n_columns)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(4.3 * n_columns, 3.6 * n_rows), squeeze=False
    )
    axes = axes.ravel()
    shapes = "*osD^vP<X>hpd"
    colors = plt.colormaps["tab20"](np.arange(20).reshape(10, 2).T.ravel())
    for ax, title in zip(axes, titles, strict=False):
        for row in rows:
            if row["case"] == title:
                at = solvers.index(row["solver"])
                ax.loglog(
                    1e3 * row["seconds"],
                    max(row["w_error"], 1e-16),
                    shapes[at % len(shapes)],
                    color=colors[at % 20],
                    markersize=12 if at == 0 else 7,
                )
        ax.set_ylim(3e-17, 3)
        # Whole decades: what is labelled then has room.
        low, high = np.log10(ax.get_xlim())
        ax.set_xlim(10 ** np.floor(low), 10 ** np.ceil(high))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.axhline(1e-6, color="0.7", linewidth=1, zorder=0)
        ax.set_title(title.replace(", n =", "\nn =", 1), fontsize=9)
        ax.set_xlabel("forward + backward (ms)")
        ax.set_ylabel("relative error of w")
    legend, *unused = axes[len(titles) :]
    for at, solver in enumerate(solvers):
        shape = shapes[at % len(shapes)]
        legend.plot([], [], shape, color=colors[at % 20], label=solver)
    legend.plot([], [], color="0.7", label="accurate below")
    legend.legend(loc="center", frameon=False, fontsize=9)
    for ax in (legend, *unused):
        ax.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    print(f"wrote {path}")


def save(rows, out):
    """Write the table as CSV and the plot as PNG."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "solvers.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(f"\nwrote {out / 'solvers.csv'}")
    try:
        plot(rows, out / "solvers.png")
    except ImportError:
        print("no plot: pip install matplotlib")


def main():
    """Print the tables and write them with the plot."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.solvers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--peers-python", help="interpreter that has the other peers")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--rounds", type=int, help="samples of each row, at most")
    parser.add_argument("--budget", type=float, help="seconds for each row")
    parser.add_argument("--only", default="", help="part of the titles of the cases")
    parser.add_argument("--quick", action="store_true", help="small, in a minute")
    args = parser.parse_args()
    args.rounds = args.rounds or (3 if args.quick else 15)
    args.budget = args.budget or (1.0 if args.quick else 10.0)

    here = Here()
    there = There(args.peers_python) if args.peers_python else None
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(args.quick):
            if args.only.lower() in case[0].lower():
                rows += run_case(*case, Path(folder), here, there, args)
    if there is not None:
        there.close()
    if rows:
        save(rows, args.out)


if __name__ == "__main__":
    main()
