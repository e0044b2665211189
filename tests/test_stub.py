"""The stub that editors read names what the package imports at the first access."""

import ast
from pathlib import Path

import sparsedis

STUB = Path(sparsedis.__file__).with_suffix(".pyi")


def test_the_stub_has_every_public_name():
    imports = [
        node
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.ImportFrom)
    ]
    homes = {
        alias.asname: f"sparsedis.{node.module}"
        for node in imports
        for alias in node.names
    }
    assert homes == {name: sparsedis._HOMES[name] for name in sparsedis.__all__}
