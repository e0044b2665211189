"""What a study is, and the command line that all of them share."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.paper._runner import as_text, run_study

# The columns that pick a row's part in tables and plots may hold "" for None.
_READ = {"keep_default_na": False, "na_values": ["nan"]}


@dataclass(frozen=True)
class Study:
    """A figure: what to run, and what to draw from its rows.

    Parameters
    ----------
    name : str
        Name of the files that are drawn.

    title : str
        One line about the study.

    settings : callable
        ``settings(full, n_seeds)`` gives the list of settings, dicts with the same
        keys: what finishes in minutes, or the scale of the paper.

    run : callable
        ``run(setting)`` gives the results of one setting, a dict; with `data`,
        ``run(setting, data)``.

    results : sequence of str
        Names of the results.

    table : callable
        ``table(rows)`` gives a DataFrame of text from the DataFrame of the rows.

    plot : callable
        ``plot(rows)`` gives a matplotlib figure.

    rows : str, default=None
        Name of the CSV, where it is that of another figure. None: `name`.

    n_seeds : int, default=1
        Seeds by default.

    data : str, default=None
        What ``--data`` names, for the studies that have it.
    """

    name: str
    title: str
    settings: Callable
    run: Callable
    results: tuple
    table: Callable
    plot: Callable
    rows: str | None = None
    n_seeds: int = 1
    data: str | None = None

    def main(self, argv=None):
        """Run what is missing, and draw tables and plots."""
        parser = make_parser(f"python -m benchmarks.paper.{self.name}", self.title)
        if self.data is not None:
            parser.add_argument("--data", help=self.data)
        self.execute(**vars(parser.parse_args(argv)))

    def execute(
        self,
        out,
        *,
        full=False,
        seeds=None,
        jobs=None,
        only=(),
        data=None,
        plot_only=False,
    ):
        """Do what the command line asks for: its options are the arguments."""
        scale = "_full" if full else ""
        path = Path(out) / f"{self.rows or self.name}{scale}.csv"
        failure = None
        if not plot_only:
            settings = self.settings(full, seeds or self.n_seeds)
            settings = [s for s in settings if _is_wanted(s, only)]
            run = self.run if self.data is None else partial(self.run, data=data)
            try:
                n_rows = run_study(run, settings, self.results, path, n_jobs=jobs)
                print(f"{path}: {n_rows} new rows of {len(settings)} asked for")
            except RuntimeError as error:
                # That some settings fail is no reason not to show the others.
                failure = error
        self.draw(path, scale)
        if failure is not None:
            raise failure

    def draw(self, path, scale=""):
        """Table and plot of the rows in a CSV, beside it."""
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run without --plot-only.")
        rows = pd.read_csv(path, **_READ)
        if rows.empty:
            return
        import matplotlib

        matplotlib.use("Agg")
        folder, name = path.parent, f"{self.name}{scale}"
        self.table(rows).to_csv(folder / f"{name}_table.csv", index=False)
        # Without the date and the versions, the same rows give the same file.
        self.plot(rows).savefig(
            folder / f"{name}.png", dpi=100, metadata={"Software": None}
        )
        matplotlib.pyplot.close("all")


def make_parser(prog, description):
    """Make the options that all studies have."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    add = parser.add_argument
    add("--full", action="store_true", help="the scale of the paper")
    add("--seeds", type=int, help="seeds of each setting")
    add("--jobs", type=int, help="settings run at a time, in processes")
    add("--out", type=Path, default=Path("results"), help="folder (%(default)s)")
    add("--plot-only", action="store_true", help="draw the rows that are there")
    add(
        "--only",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="run these settings alone; may be repeated",
    )
    return parser


def _is_wanted(setting, only):
    """Whether a setting has, of each key that is named, one of the values."""
    wanted = {}
    for pair in only:
        key, separator, value = pair.partition("=")
        if not separator or key not in setting:
            raise ValueError(
                f"--only takes KEY=VALUE with a key of {sorted(setting)}, got {pair!r}."
            )
        # "1", "1.0" and "1e0" are one value.
        with suppress(ValueError):
            value = float(value)
        wanted.setdefault(key, set()).add(as_text(value))
    return all(as_text(setting[key]) in values for key, values in wanted.items())
