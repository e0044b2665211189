"""Which metrics of codes mislead under which conditions."""

import os

# One thread, so that times compare; the libraries read this when they are first loaded.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
