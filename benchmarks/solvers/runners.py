"""Runners of contestants: in this process, or in another interpreter over a pipe."""

import json
import math
import os
import subprocess
import sys
import time
import traceback
from importlib.util import find_spec
from pathlib import Path

import numpy as np


class Here:
    """Runs contestants in this process."""

    def __init__(self):
        from benchmarks.solvers.contestants import CONTESTANTS

        self.contestants = CONTESTANTS
        self.call, self.last = {}, {}

    def missing(self, kind, name):
        """Modules that a contestant needs and that are not installed here."""
        modules = self._find(kind, name).modules
        return [module for module in modules if find_spec(module) is None]

    def prepare(self, kind, name, path):
        """Load the problem, solve it, and return about the seconds that it takes."""
        _one_torch_thread()
        with np.load(path) as file:
            problem = dict(file)
        self.call[name] = self._find(kind, name).prepare(problem)
        seconds = self.sample(name, 1)[0]
        # The first call may compile.
        return self.sample(name, 1)[0] if seconds < 20 else seconds

    def sample(self, name, n_calls):
        """Mean seconds of some calls, and processor time over elapsed time."""
        call = self.call[name]
        begin, begin_cpu = time.perf_counter(), time.process_time()
        for _ in range(n_calls):
            self.last[name] = call()
        seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
        return seconds / n_calls, cpu / seconds

    def result(self, name, path):
        """Save the last solution and its gradient, and forget the contestant."""
        del self.call[name]
        W, grad = self.last.pop(name)
        np.savez(path, W=np.asarray(W), grad=np.asarray(grad))

    def _find(self, kind, name):
        (found,) = (c for c in self.contestants[kind] if c.name == name)
        return found


class There:
    """The same in another interpreter, which needs the peers and NumPy only."""

    def __init__(self, python):
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.solvers.runners"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
        )

    def __getattr__(self, command):
        def ask(*args):
            self.process.stdin.write(json.dumps([command, *map(_plain, args)]) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the interpreter of the peers has ended")
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer["value"]

        return ask

    def close(self):
        """End the other interpreter."""
        self.process.stdin.close()
        self.process.wait()


def compare(entries, n_rounds, budget, shortest=0.02):
    """Samples of every contestant, interleaved: whatever slows one slows all.

    Parameters
    ----------
    entries : dict of str to (runner, float)
        Where each contestant runs, and its seconds when it was prepared.

    n_rounds : int
        Samples of each contestant, at most.

    budget : float
        Seconds for each contestant: slow ones give fewer samples, one at least.

    shortest : float, default=0.02
        Seconds of a sample, at least: fast contestants are called several times.

    Returns
    -------
    dict of str to array of shape (n_samples, 2)
        Seconds of a call, and processor time over elapsed time.
    """
    samples = {name: [] for name in entries}
    for _ in range(n_rounds):
        for name, (runner, seconds) in entries.items():
            n_calls = math.ceil(shortest / seconds)
            spent = len(samples[name]) * n_calls * seconds
            if not samples[name] or spent + n_calls * seconds <= budget:
                samples[name].append(runner.sample(name, n_calls))
    return {name: np.array(sample) for name, sample in samples.items()}


def _one_torch_thread():
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


def _plain(value):
    return value if isinstance(value, str | int | float) else str(value)


def _serve():
    """Answer commands, a line of JSON each, until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    # What libraries print is not an answer.
    os.dup2(2, 1)
    runner = Here()
    for line in sys.stdin:
        command, *args = json.loads(line)
        try:
            answer = {"value": getattr(runner, command)(*args)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
