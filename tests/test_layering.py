"""Modules import from below: the developer guide draws the order, the code keeps it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sparsedis"
GUIDE = ROOT / "doc" / "developer" / "index.rst"


def drawn_rows():
    """Rows of the guide's table, from top to bottom, as sets of names."""
    table = GUIDE.read_text().partition(".. list-table::")[2]
    first_cells = re.findall(r"^   \* - (.*)$", table, re.MULTILINE)[1:]
    return [
        {
            name.removesuffix("/").removesuffix(".py")
            for name in re.findall("`(.+?)`", c)
        }
        for c in first_cells
    ]


def modules():
    """Names of all modules, with their files."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()
LEVELS = {name: level for level, row in enumerate(drawn_rows()) for name in row}


def imported(name):
    """Modules of the package that a module imports, anywhere in its file."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


def room(name):
    """The folder or file directly in the package that a module belongs to."""
    return name.split(".")[1] if "." in name else ""


def test_the_guide_draws_what_there_is():
    rooms = {room(name) for name in MODULES} - {""}
    assert LEVELS.keys() == rooms
    assert sum(map(len, drawn_rows())) == len(rooms), "a name stands in two rows"


@pytest.mark.parametrize("name", [name for name in MODULES if room(name)])
def test_a_module_imports_from_below(name):
    own = room(name)
    for other in imported(name):
        if other.split(".")[0] != "sparsedis" or room(other) in ("", own):
            continue
        assert LEVELS[room(other)] > LEVELS[own], f"{name} imports {other}"


def test_the_package_itself_imports_nothing():
    # Public names are imported when they are first asked for.
    assert not [other for other in imported("sparsedis") if "sparsedis" in other]


LIGHT = """
import sys
from importlib import import_module

def check(name):
    heavy = {"torch", "skorch", "celer", "matplotlib", "h5py", "pooch"}
    if found := heavy & set(sys.modules):
        sys.exit(f"{name} imports {', '.join(found)}")

for name in sys.argv[1:]:
    import_module(name)
    check(name)
sys.modules["sparsedis.datasets"].Shapes3D(8).images([0])
check("rendering")
"""


def test_light_modules_import_nothing_heavy():
    names = ["_show_versions", "identifiability", "metrics", "rotation", "inspection"]
    names = ["sparsedis", *(f"sparsedis.{name}" for name in [*names, "datasets"])]
    # In one process, one after the other, since numpy and scipy take seconds to import.
    run = subprocess.run(
        [sys.executable, "-c", LIGHT, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
