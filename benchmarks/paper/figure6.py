"""Figure 6: R, linear predictability of the factors, in the runs of Figure 4."""

from benchmarks.paper.figure4 import make_study

STUDY = make_study("figure6", __doc__, "r", {"r": "R"})

if __name__ == "__main__":
    STUDY.main()
