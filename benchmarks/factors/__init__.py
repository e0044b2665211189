"""Quality of factors, supports, counts and predictions with the default parameters.

``python -m benchmarks.factors`` fits the estimator on a matrix of conditions, row by
row into a CSV, and prints a table of the conditions and one line for each bar.
"""

import os

# Rows spread over processes, each on one thread: results then do not depend on the
# number of cores. The libraries read this when they are first loaded.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
