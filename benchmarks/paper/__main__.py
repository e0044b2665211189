"""All the studies, one after the other; figure5 needs data and is left out without."""

from importlib import import_module

from benchmarks.paper._study import make_parser

NAMES = (
    "figure1",
    "figure4",
    "figure6",
    "figure7",
    "figure8",
    "figure9",
    "figure10",
    "figure11_14",
    "figure15",
    "beyond_alpha",
    "beyond_components",
    "beyond_faults",
    "beyond_sparsity",
    "beyond_tasks",
    "beyond_udr",
)


def main(argv=None):
    """Run what is missing of the studies that are named, and draw them."""
    parser = make_parser("python -m benchmarks.paper", __doc__)
    parser.add_argument("names", nargs="*", metavar="study", help=", ".join(NAMES))
    args = vars(parser.parse_args(argv))
    names = args.pop("names") or NAMES
    if unknown := sorted(set(names) - set(NAMES)):
        parser.error(f"unknown studies {unknown}; there are {', '.join(NAMES)}.")
    for name in names:
        import_module(f"benchmarks.paper.{name}").STUDY.execute(**args)


if __name__ == "__main__":
    main()
