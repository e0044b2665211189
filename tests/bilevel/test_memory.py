"""Memory of freed blocks stays with the process."""

import subprocess
import sys

STEPS = """
import resource
from sparsedis.bilevel._memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        blocks = [b"x" * 12_000_000 for _ in range(3)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
keep_freed_memory()
faults()
assert faults() < before / 10, (before, faults())
"""


def test_blocks_of_a_step_are_reused():
    subprocess.run([sys.executable, "-c", STEPS], check=True)
