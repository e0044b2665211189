"""The scripts of the gallery find what they import, and the quick ones run.

Running all of them takes minutes: `make doc GALLERY=1` does, and fails where one does.
"""

import ast
import os
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("plot_*.py"))
# Those that take a few seconds.
QUICK = ["plot_lasso_layer.py"]
# What the extra "doc" alone installs: `make doc GALLERY=1` imports it.
DOC_ONLY = {"wordllama"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports_what_there_is(name):
    code = (EXAMPLES / name).read_text("utf-8")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for module in node.names:
                import_module(module.name)
        elif isinstance(node, ast.ImportFrom) and node.module not in DOC_ONLY:
            found = import_module(node.module)
            for thing in node.names:
                # A submodule is no attribute before it is imported.
                if not hasattr(found, thing.name):
                    import_module(f"{node.module}.{thing.name}")


@pytest.mark.parametrize("name", SCRIPTS)
def test_has_a_title_for_the_gallery(name):
    docstring = ast.get_docstring(ast.parse((EXAMPLES / name).read_text("utf-8")))
    title, underline = docstring.splitlines()[:2]
    assert title
    assert underline == "=" * len(title)


def test_each_has_a_place_in_the_gallery():
    order = runpy.run_path(str(EXAMPLES.parent / "doc" / "gallery_order.py"))
    position = order["RealProblemsFirst"](str(EXAMPLES))
    assert sorted(map(position, SCRIPTS)) == list(range(len(SCRIPTS)))


@pytest.mark.parametrize("name", QUICK)
def test_runs_without_a_warning(name, tmp_path):
    environment = os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    # There is no window to show a figure in.
    allowed = "ignore:FigureCanvasAgg is non-interactive:UserWarning"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", allowed, str(EXAMPLES / name)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
