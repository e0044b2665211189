"""Resumable studies: a list of settings, a row of results for each, in a CSV."""

import csv
import json
import os
import subprocess
import time
import warnings
from importlib.metadata import version
from numbers import Real
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from joblib import Parallel, delayed

PACKAGES = ("sparsedis", "torch", "scikit-learn", "numpy")
# What the runner adds to the results of a setting.
ADDED = ("seconds", "warnings", "versions")


def run_study(function, settings, results, path, *, n_jobs=None, added=()):
    """Run the settings that a CSV does not hold yet, and append a row for each.

    A row is written, by this process alone, as soon as its setting is done, so that a
    study that is killed goes on where it stopped. The rest of a line that was being
    written is removed.

    Parameters
    ----------
    function : callable
        Called with a setting, returns a dict of results: numbers, strings or (nested)
        lists of numbers, which are stored as JSON. It must depend on nothing but the
        setting.

    settings : list of dict
        Settings, with the same keys and values that are numbers, strings or None.

    results : sequence of str
        Names of the results, the keys of what `function` returns.

    path : path-like
        The CSV, made where it is missing: a column for each key of the settings, for
        each result, and for the seconds, the warnings and the versions of a row.

    n_jobs : int, default=None
        Settings run at a time, see :class:`joblib.Parallel`. None leaves it, and where
        they run, to :func:`joblib.parallel_config`.

    added : sequence of str, default=()
        Those of the results that a CSV of an earlier version may lack: its rows stay,
        with NaN for them.

    Returns
    -------
    int
        Number of rows written.

    Raises
    ------
    ValueError
        When the settings differ in their keys, or the CSV has other columns.
    RuntimeError
        When another process is writing to the CSV; or, once all the other settings are
        done, when `function` failed for some.
    """
    path = Path(path)
    names = list(settings[0]) if settings else []
    for setting in settings:
        if list(setting) != names:
            raise ValueError(
                f"all settings must have the keys {names}, got {list(setting)}."
            )
    columns = [*names, *results, *ADDED]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{path}.lock", timeout=0):
            _mend(path, columns, added)
            done = {_key(row, names) for row in _read(path)}
            wanted = {_key(setting, names): setting for setting in settings}
            missing = [setting for key, setting in wanted.items() if key not in done]
            return _run(function, missing, columns, path, n_jobs)
    except Timeout:
        raise RuntimeError(f"another process is writing to {path}.") from None


def _run(function, missing, columns, path, n_jobs):
    versions = _versions()
    varying = [
        name
        for name in (missing[0] if missing else ())
        if len({as_text(setting[name]) for setting in missing}) > 1
    ]
    failures, n_written = [], 0
    # One setting a batch: a row is worth saving as soon as it is there.
    parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        jobs = (delayed(_attempt)(function, setting) for setting in missing)
        for setting, row, error in parallel(jobs):
            label = " ".join(f"{name}={as_text(setting[name])}" for name in varying)
            if error is None and (unlike := set(setting | row) ^ set(columns[:-1])):
                error = f"results {sorted(unlike)} are missing or too many"
            if error is not None:
                failures.append(f"{label}: {error}")
                continue
            row = setting | row | {"versions": versions}
            writer.writerow({name: as_text(value) for name, value in row.items()})
            file.flush()
            os.fsync(file.fileno())
            n_written += 1
            print(
                f"[{n_written + len(failures)}/{len(missing)}] {path.stem}: {label} "
                f"({row['seconds']:.0f} s)",
                flush=True,
            )
    if failures:
        raise RuntimeError(
            f"{len(failures)} of {len(missing)} settings failed, the others are in "
            f"{path}:\n" + "\n".join(failures)
        )
    return n_written


def _attempt(function, setting):
    """A setting's results, or what went wrong; in a worker."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            row = {name: as_text(value) for name, value in function(setting).items()}
        except Exception as error:
            return setting, None, f"{type(error).__name__}: {error}"
    # The first sentence of each kind: what follows are numbers.
    seen = {f"{w.category.__name__}: {w.message}".split(". ")[0] for w in caught}
    row |= {
        "seconds": time.perf_counter() - start,
        "warnings": " | ".join(sorted(seen)),
    }
    return setting, row, None


def _versions():
    """Versions of the packages, the commit, and where training runs."""
    found = [f"{name}={version(name)}" for name in PACKAGES]
    if commit := _git("rev-parse", "--short=9", "HEAD"):
        # Results, which are written meanwhile, do not count.
        changed = _git("status", "--porcelain", "--", ":/*.py")
        found.append(f"commit={commit}{'+changes' if changed else ''}")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return " ".join([*found, f"device={device}".replace(" ", "_")])


def _git(*command):
    """Output of git in this folder; empty without git or a history."""
    try:
        done = subprocess.run(
            ["git", *command], cwd=Path(__file__).parent, capture_output=True, text=True
        )
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.strip()


def _mend(path, columns, added):
    """Write, check or widen the header, and cut off a line without end."""
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        path.write_text(",".join(columns) + "\n")
        return
    header = next(csv.reader([whole.split(b"\n", 1)[0].decode()]))
    lacking = [name for name in columns if name in added and name not in header]
    if header != [name for name in columns if name not in lacking]:
        raise ValueError(
            f"{path} has the columns {header}, this study writes {columns}: move the "
            "file away, or choose another folder."
        )
    if len(whole) < len(content):
        with open(path, "r+b") as file:
            file.truncate(len(whole))
    if lacking:
        _widen(path, columns, lacking)


def _widen(path, columns, lacking):
    rows = [row | dict.fromkeys(lacking, "nan") for row in _read(path)]
    # A copy takes the place of the file at once, so that no row is ever lost.
    copy = path.with_name(f"{path.name}.wide")
    with open(copy, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(copy, path)


def _read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _key(row, names):
    return tuple(as_text(row[name]) for name in names)


def as_text(value):
    """Write a value as it stands in the CSV: equal numbers give equal text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Real):
        return f"{float(value):.9g}"
    if isinstance(value, str):
        return " ".join(value.split())  # no line break ever: a line is a row
    return json.dumps(_rounded(value), separators=(",", ":"))


def _rounded(values):
    if isinstance(values, Real):
        return float(f"{float(values):.4g}")
    return [_rounded(value) for value in values]
