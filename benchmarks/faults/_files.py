"""Files of models and of trainings, damaged in all ways."""

import glob
import os
import tempfile

import numpy as np

from benchmarks.faults._workloads import (
    LABELS,
    WORKLOADS,
    X,
    Y,
    meta_learner,
    representation,
)


def models(times):
    """Damage files of models: reading them must fail, and change nothing.

    Parameters
    ----------
    times : int
        Hundredths of the damages to each file.

    Yields
    ------
    name : str

    flaw : str or None
    """
    made = {
        "table": representation(max_iter=5).fit(X, Y),
        "stream": representation(max_iter=5).fit_stream([(X, Y)]),
        "episodes": meta_learner(max_iter=5).fit(X, LABELS),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        for name, est in made.items():
            est.save_params(path)
            before = est.transform(X)
            for what, content in _damages(path, 100 * times):
                with open(path, "wb") as file:
                    file.write(content)
                yield f"model of {name}, {what}", _refused(est, path, before)


def _refused(est, path, before):
    try:
        est.load_params(path)
    except ValueError as error:
        if not np.array_equal(est.transform(X), before):
            return "the estimator has changed"
        return None if str(error) else "an error without a word"
    except Exception as error:
        return f"raised {error!r}"
    return "was read"


def checkpoints(times):
    """Damage files of trainings: they must not be taken up.

    Parameters
    ----------
    times : int
        Tenths of the damages to the file of each training.

    Yields
    ------
    name : str

    flaw : str or None
    """
    for name in ("lasso", "stream", "episodes"):
        with tempfile.TemporaryDirectory() as folder:
            make = WORKLOADS[name]
            make(folder)[1]()
            [path] = glob.glob(os.path.join(folder, "*.training"))
            for what, content in _damages(path, 10 * times):
                with open(path, "wb") as file:
                    file.write(content)
                est, fit = make(folder)
                try:
                    fit()
                except ValueError as error:
                    flaw = None if path in str(error) else f"raised {error!r}"
                    if "module_" in vars(est):
                        flaw = "weights without a training"
                except Exception as error:
                    flaw = f"raised {error!r}"
                else:
                    flaw = "was taken up"
                yield f"checkpoint of {name}, {what}", flaw


def _damages(path, n):
    """Damaged versions of a file."""
    rng = np.random.default_rng(0)
    with open(path, "rb") as file:
        whole = file.read()
    yield "empty", b""
    yield "of zeros", bytes(len(whole))
    yield "of noise", rng.bytes(len(whole))
    yield "longer", whole + b"\0"
    yield "twice", whole + whole
    for i in range(n):
        content = bytearray(whole)
        # Every other one in what comes first, the description.
        at = int(rng.integers(min(len(whole), 3000) if i % 2 else len(whole)))
        if i % 3 == 0:
            bit = int(rng.integers(8))
            content[at] ^= 1 << bit
            yield f"bit {bit} of byte {at} flipped", bytes(content)
        elif i % 3 == 1:
            yield f"cut after {at} bytes", whole[:at]
        else:
            size = int(rng.integers(1, 600))
            content[at : at + size] = rng.bytes(len(content[at : at + size]))
            if content != whole:
                yield f"noise of {size} bytes from {at}", bytes(content)
