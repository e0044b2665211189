"""Figure 15: DCI in the runs of Figure 4."""

from benchmarks.paper.figure4 import make_study

STUDY = make_study(
    "figure15",
    __doc__,
    "dci_d",
    {"dci_d": "D", "dci_c": "C"},
)

if __name__ == "__main__":
    STUDY.main()
