"""Studies, and their common command line."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import pandas as pd

from benchmarks.paper._runner import as_text, run_study

# Settings over which tables and plots average.
_SEEDS = ("seed", "coef_seed")
# The columns that pick a row's part in tables and plots may hold "" for None.
_READ = {"keep_default_na": False, "na_values": ["nan"]}


class NoSettingError(ValueError):
    """A name in --only is not in the study."""


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

    by : tuple of str
        Settings that table and plot tell apart.

    table : callable
        ``table(rows)`` gives a DataFrame of text from the DataFrame of the rows.

    plot : callable
        ``plot(rows)`` gives a matplotlib figure.

    rows : str, default=None
        Name of the CSV, where it is that of another figure. None: `name`.

    added : tuple of str, default=()
        Those of the results that rows of an earlier version may lack.

    n_seeds : int, default=1
        Seeds by default.

    data : str, default=None
        What ``--data`` names, for the studies that have it.

    data_setting : dict, default={}
        What ``--data`` changes in every setting, `images` among it; those rows have
        files of their own, which that names.
    """

    name: str
    title: str
    settings: Callable
    run: Callable
    results: tuple
    by: tuple
    table: Callable
    plot: Callable
    rows: str | None = None
    added: tuple = ()
    n_seeds: int = 1
    data: str | None = None
    data_setting: dict = field(default_factory=dict)

    def main(self, argv=None):
        """Run what is missing, and draw tables and plots."""
        parser = make_parser(f"python -m benchmarks.paper.{self.name}", self.title)
        if self.data is not None:
            parser.add_argument("--data", help=self.data)
        study = self
        if self.run.__module__ == "__main__":
            # Worker processes find a function by its module, and not in a script.
            study = import_module(f"benchmarks.paper.{self.name}").STUDY
        study.execute(**vars(parser.parse_args(argv)))

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
        change = self.data_setting if data is not None else {}
        kind = "_full" if full else ""
        if change:
            kind += f"_{change['images']}"
        path = Path(out) / f"{self.rows or self.name}{kind}.csv"
        failure = None
        if not plot_only:
            n_seeds = self.n_seeds if seeds is None else seeds
            settings = [setting | change for setting in self.settings(full, n_seeds)]
            wanted = [setting for setting in settings if _is_wanted(setting, only)]
            if not wanted:
                raise NoSettingError(f"no setting of {self.name} has {only}.")
            run = self.run if self.data is None else partial(self.run, data=data)
            try:
                n_rows = run_study(
                    run, wanted, self.results, path, n_jobs=jobs, added=self.added
                )
                print(f"{path}: {n_rows} new rows of {len(wanted)} asked for")
            except RuntimeError as error:
                # That some settings fail is no reason not to show the others.
                failure = error
        if failure is None or path.exists():
            self.draw(path, kind, full)
        if failure is not None:
            raise failure

    def draw(self, path, kind="", full=False):
        """Table and plot of the rows in a CSV, beside it."""
        rows = self.read(path, full)
        if rows.empty:
            return
        import matplotlib

        matplotlib.use("Agg")
        folder, name = path.parent, f"{self.name}{kind}"
        self.table(rows).to_csv(folder / f"{name}_table.csv", index=False)
        # Without the date and the versions, the same rows give the same file.
        self.plot(rows).savefig(
            folder / f"{name}.png", dpi=150, metadata={"Software": None}
        )
        matplotlib.pyplot.close("all")

    def read(self, path, full=False):
        """Rows of a CSV, all of which table and plot can show."""
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run without --plot-only.")
        rows = pd.read_csv(path, **_READ)
        rows = rows.assign(
            **{name: float("nan") for name in self.added if name not in rows}
        )
        if not rows.empty:
            self._check(rows, path, full)
        return rows

    def _check(self, rows, path, full):
        """Refuse rows that differ where tables and plots do not separate them."""
        settings = self.settings(full, 2)
        if missing := sorted({*settings[0], *self.results} - set(rows)):
            raise ValueError(f"{path} lacks the columns {missing}: run it again.")
        for name in set(settings[0]) - {*self.by, *_SEEDS}:
            varied = len({as_text(setting[name]) for setting in settings}) > 1
            groups = (
                rows.groupby(list(self.by)) if varied else rows.groupby(lambda _: 0)
            )
            if (groups[name].nunique(dropna=False) > 1).any():
                found = ", ".join(map(str, rows[name].unique()))
                raise ValueError(
                    f"{path} holds rows with {name} = {found}, which {self.name} does "
                    "not tell apart: move all but one kind to another folder."
                )


def make_parser(prog, description):
    """Make the options that all studies have."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    add = parser.add_argument
    add("--full", action="store_true", help="the scale of the paper")
    add("--seeds", type=_positive, help="seeds of each setting")
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


def _positive(text):
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}.")
    return number


def _is_wanted(setting, only):
    """Whether a setting has, of each key that is named, one of the values."""
    wanted = {}
    for pair in only:
        key, separator, value = pair.partition("=")
        if not separator or key not in setting:
            raise NoSettingError(
                f"--only takes KEY=VALUE with a key of {sorted(setting)}, got {pair!r}."
            )
        # "1", "1.0" and "1e0" are one value.
        with suppress(ValueError):
            value = float(value)
        wanted.setdefault(key, set()).add(as_text(value))
    return all(as_text(setting[key]) in values for key, values in wanted.items())
