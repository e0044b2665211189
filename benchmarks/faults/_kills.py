"""Trainings that are killed at random moments, or run out of disk, and go on."""

import os
import pickle
import resource
import signal
import tempfile
import time
import traceback
import warnings

import numpy as np

from benchmarks.faults._workloads import WORKLOADS, X, flaws

_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def kills(times):
    """Kill trainings at random moments, twice in a row, and continue them.

    Parameters
    ----------
    times : int
        Number of runs of each training with each signal.

    Yields
    ------
    name : str
        What was done.

    flaw : str or None
        What is wrong afterwards.
    """
    for name, make in WORKLOADS.items():
        rng = np.random.default_rng(0)
        expected, seconds = _reference(make)
        for number in _SIGNALS:
            for _ in range(times):
                delays = seconds * rng.uniform(0.0, 1.0, 2)
                with tempfile.TemporaryDirectory() as folder:
                    flaw = None
                    for delay in delays:
                        flaw = flaw or _killed(make, folder, number, delay)
                    flaw = flaw or _resumed(make, folder, expected)
                yield f"{number.name} of {name} after {delays.round(2)} s", flaw


def full_disks(times):
    """Limit files to a random size, as on a full disk, and continue afterwards.

    Parameters
    ----------
    times : int
        Number of runs of each training.

    Yields
    ------
    name : str

    flaw : str or None
    """
    for name, make in WORKLOADS.items():
        rng = np.random.default_rng(0)
        expected, _ = _reference(make)
        for _ in range(times):
            size = int(rng.integers(0, 60_000))
            with tempfile.TemporaryDirectory() as folder:
                flaw = _outcome(_start(_run_out_of_disk, make, folder, size))
                left = [file for file in os.listdir(folder) if "partial" in file]
                if flaw is None and left:
                    flaw = f"{left} are left"
                flaw = flaw or _resumed(make, folder, expected)
            yield f"{name} with files of at most {size} bytes", flaw


def _reference(make):
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        found = _outcome(_start(_result, make, folder))
        return found, time.monotonic() - start


def _result(make, folder):
    """Result of a training without interruption."""
    est, fit = make(folder)
    fit()
    found = [est.transform(X)]
    best = getattr(est, "best_estimator_", est)
    found += [best.history_[name] for name in sorted(best.history_)]
    if "coef_" in vars(best):
        found.append(best.coef_)
    if best is not est:
        found.append(est.cv_results_["mean_test_score"])
    return found


def _resumed(make, folder, expected):
    found = _outcome(_start(_result, make, folder))
    if isinstance(found, str):
        return f"not taken up: {found}"
    same = len(found) == len(expected) and all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in zip(found, expected, strict=True)
    )
    return None if same else "another result than of a training that was not cut"


def _killed(make, folder, number, delay):
    child = _start(_interruptible, make, folder)
    time.sleep(delay)
    os.kill(child[0], number)
    return _outcome(child, killed=number)


def _interruptible(make, folder):
    est, fit = make(folder)
    try:
        fit()
    except KeyboardInterrupt:
        return flaws(est)
    return None


def _run_out_of_disk(make, folder, size):
    # Python ignores the signal, so that writing fails.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    est, fit = make(folder)
    try:
        fit()
    except OSError as error:
        flaw = flaws(est)
        if flaw is None and folder not in str(error.filename):
            flaw = f"the error does not name the file: {error}"
        return flaw
    return None


def _start(function, *args):
    """Run something in a process of its own, which answers by a pipe."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        os.close(read)
        warnings.simplefilter("ignore")
        answer = function(*args)
    except KeyboardInterrupt:
        answer = None  # before or after the training
    except BaseException:
        answer = traceback.format_exc()
    try:
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        with os.fdopen(write, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
    finally:
        os._exit(0)


def _outcome(child, killed=None):
    pid, read = child
    with os.fdopen(read, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return None if number == killed else f"died of signal {number}"
    try:
        return pickle.loads(content)
    except (EOFError, pickle.UnpicklingError):
        return None if killed else "ended without an answer"
