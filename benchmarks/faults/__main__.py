"""Make faults of all kinds, and count those that are taken wrongly.

``python -m benchmarks.faults --only models steps --times 3`` makes some of them.
"""

import argparse
import sys
import time
import warnings

import torch

from benchmarks.faults._files import checkpoints, models
from benchmarks.faults._kills import full_disks, kills
from benchmarks.faults._steps import steps, streams

KINDS = {
    function.__name__: function
    for function in (models, checkpoints, steps, streams, full_disks, kills)
}


def main(argv=None):
    """Run the kinds that are asked for.

    Parameters
    ----------
    argv : list of str, default=None

    Returns
    -------
    int
        How many faults were taken wrongly.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--times", type=int, default=3, help="faults of a kind (%(default)s)")
    add("--only", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    n_faults = n_wrong = 0
    for kind in args.only:
        start, made, wrong = time.monotonic(), 0, 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, flaw in KINDS[kind](args.times):
                made += 1
                if flaw is not None:
                    wrong += 1
                    print(f"{name}: {flaw}", flush=True)
        seconds = time.monotonic() - start
        print(f"{kind:12} {made:5} faults, {wrong} wrong, {seconds:.0f} s", flush=True)
        n_faults, n_wrong = n_faults + made, n_wrong + wrong
    print(f"{n_faults} faults injected, {n_wrong} wrong")
    return n_wrong


if __name__ == "__main__":
    sys.exit(main() > 0)
