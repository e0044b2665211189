"""The README's code runs as it is written, and gives the numbers beside it."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.S | re.M)


@pytest.mark.parametrize("code", BLOCKS)
def test_python_block(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "readme"}
    exec(compile(code, str(README), "exec"), namespace)
    claims = re.findall(r"^(\w.*\))  # (\d\.\d+)$", code, re.MULTILINE)
    for expression, number in claims:
        # Rounding differs between machines, and training amplifies it a little.
        assert eval(expression, namespace) == pytest.approx(float(number), abs=0.02)


def test_a_block_was_found():
    assert BLOCKS
