"""The experiments of the paper, one module per figure, and some beyond it.

``python -m benchmarks.paper.figure4`` runs what is missing of a study, row by row into
a CSV, and draws a table and a plot from the CSV alone; ``python -m benchmarks.paper``
does so for every study.
"""

import os

# A study spreads over processes, each on one thread: results then do not depend on the
# number of cores. The libraries read this when they are first loaded.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
