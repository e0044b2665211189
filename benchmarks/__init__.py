"""Studies and timings, each run as ``python -m benchmarks.NAME``."""
