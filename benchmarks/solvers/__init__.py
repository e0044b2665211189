"""Speed and accuracy of the differentiable layers, beside other solvers."""

import os

# One thread for all. The libraries of linear algebra, and XLA, read this when they are
# first loaded, so that it stands before everything else.
os.environ.update(
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    NPROC="1",
    XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    JAX_PLATFORMS="cpu",
)
