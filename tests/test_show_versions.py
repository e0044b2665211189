"""The report on the machine is complete, cheap to import and hard to break."""

import sys
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement

from sparsedis import __version__, _show_versions
from sparsedis._show_versions import show_versions


def _lines(capsys):
    """Printed entries, by name."""
    lines = capsys.readouterr().out.splitlines()
    pairs = [line.split(": ", maxsplit=1) for line in lines if ": " in line]
    return {key.strip(): value for key, value in pairs}


def test_names_versions_devices_and_threads(capsys):
    show_versions()
    lines = _lines(capsys)
    assert lines["sparsedis"] == __version__
    assert lines["executable"] == sys.executable
    assert lines["python"].startswith(sys.version.split()[0])
    assert int(lines["cpus"]) >= 1
    assert {"machine", "cuda", "mps", "torch intra-op", "torch inter-op"} <= set(lines)
    for name in _show_versions.DEPENDENCIES:
        assert lines[name] not in ("None", "")


@pytest.mark.parametrize(
    ("listed", "extras"),
    [
        (_show_versions.DEPENDENCIES, [""]),
        (_show_versions.OPTIONAL_DEPENDENCIES, ["plot", "data", "progress"]),
    ],
    ids=["required", "optional"],
)
def test_lists_what_setup_cfg_requires(listed, extras):
    requirements = list(map(Requirement, requires("sparsedis")))

    def needed(extra):
        return {
            r.name
            for r in requirements
            if r.marker is None or r.marker.evaluate({"extra": extra})
        }

    required = set().union(*map(needed, extras))
    if extras != [""]:
        required -= needed("")
    assert set(listed) == required


def test_a_missing_package_is_none(capsys, monkeypatch):
    def version(name):
        if name == "rich":
            raise PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(_show_versions, "version", version)
    show_versions()
    lines = _lines(capsys)
    assert lines["rich"] == "None"
    assert lines["celer"] == "1.2.3"


def test_a_torch_that_does_not_load_is_reported(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # `import torch` now raises
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    show_versions()
    assert "cannot be imported" in capsys.readouterr().out


def test_the_name_of_a_gpu_is_shown(capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: f"GPU {i}")
    show_versions()
    assert _lines(capsys)["cuda"].startswith("GPU 0, GPU 1 (CUDA")
