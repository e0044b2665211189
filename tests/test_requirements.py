"""The places that name versions agree: setup.cfg, constraints.txt and pre-commit."""

import re
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def _pinned():
    """Versions in constraints.txt, by normalised name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and line[0] != "#"]
    return {canonicalize_name(name): version for name, version in pins}


def test_every_requirement_is_pinned_to_a_version_that_it_admits():
    pinned = _pinned()
    for requirement in map(Requirement, requires("sparsedis")):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} != {version}"


def test_pre_commit_runs_the_pinned_versions():
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    pinned = _pinned()
    for repository, name in [("ruff-pre-commit", "ruff"), ("codespell", "codespell")]:
        (rev,) = re.findall(rf"/{repository}\n\s+rev: v(\S+)", config)
        assert rev == pinned[name]
