"""All the studies, one after the other; figure5, which needs data, only by name."""

from importlib import import_module

from benchmarks.paper._study import NoSettingError, make_parser

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
    "beyond_rotation",
    "beyond_sparsity",
    "beyond_tasks",
    "beyond_udr",
)
# It needs data to run, and none to draw.
WITH_DATA = ("figure5",)


def main(argv=None):
    """Run what is missing of the studies that are named, and draw them."""
    parser = make_parser("python -m benchmarks.paper", __doc__)
    known = (*NAMES, *WITH_DATA)
    parser.add_argument("names", nargs="*", metavar="study", help=", ".join(known))
    args = vars(parser.parse_args(argv))
    named = args.pop("names")
    if unknown := sorted(set(named) - set(known)):
        parser.error(f"unknown studies {unknown}; there are {', '.join(known)}.")
    if named:
        for name in named:
            import_module(f"benchmarks.paper.{name}").STUDY.execute(**args)
        return
    names = known if args["plot_only"] else NAMES
    failures, without = [], []
    for name in names:
        try:
            import_module(f"benchmarks.paper.{name}").STUDY.execute(**args)
        except FileNotFoundError as error:
            print(error)
        except NoSettingError as error:
            print(error)
            without.append(name)
        except (RuntimeError, ValueError) as error:
            failures.append(f"{name}: {error}")
    if len(without) == len(names):
        parser.error(f"no study has the settings {args['only']}.")
    if failures:
        raise RuntimeError("\n".join(failures))


if __name__ == "__main__":
    main()
