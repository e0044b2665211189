"""Faults, made on purpose: nothing may be lost, let in, or silently wrong.

``python -m benchmarks.faults`` (or ``make faults``) kills trainings at random moments
and takes them up again, damages files, fills disks, and lets numbers, streams,
encoders and callbacks fail at random steps. It prints how many faults it made and how
many of them the package took wrongly, and fails where there are any. Seeds decide
all but the moments of the kills.
"""

import os

# Trainings that are compared must not depend on the number of cores, and processes
# are forked, which threads would not survive.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
