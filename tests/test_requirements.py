"""The places that name versions agree: setup.cfg, the constraints and pre-commit."""

import re
from configparser import ConfigParser
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]


def _pinned(name="constraints.txt"):
    """Versions in a file of constraints, by normalised name."""
    lines = (ROOT / name).read_text().splitlines()
    pins = [line.split("==") for line in lines if line and line[0] != "#"]
    return {canonicalize_name(name): version for name, version in pins}


def test_every_requirement_is_pinned_to_a_version_that_it_admits():
    pinned = _pinned()
    for requirement in map(Requirement, requires("sparsedis")):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} != {version}"


def test_the_oldest_versions_are_the_lower_bounds():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    oldest = _pinned(".ci/oldest.txt")
    lines = config["options"]["install_requires"].splitlines()
    requirements = [Requirement(line) for line in lines if line and line[0] != "#"]
    assert len(requirements) > 5
    for requirement in requirements:
        pin = Version(oldest[requirement.name])
        bounds = [Version(spec.version) for spec in requirement.specifier]
        # Of torch there is no bound: the oldest that has been tried is the pinned one.
        assert bounds == ([] if requirement.name == "torch" else [pin])


def test_pre_commit_runs_the_pinned_versions():
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    pinned = _pinned()
    for repository, name in [("ruff-pre-commit", "ruff"), ("codespell", "codespell")]:
        (rev,) = re.findall(rf"/{repository}\n\s+rev: v(\S+)", config)
        assert rev == pinned[name]
