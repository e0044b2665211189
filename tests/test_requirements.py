"""The places that name versions agree: setup.cfg, the constraints and pre-commit."""

import re
from configparser import ConfigParser
from importlib.metadata import requires
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from sparsedis import __version__

ROOT = Path(__file__).parents[1]


def _pinned(name="constraints.txt"):
    """Versions in a file of constraints, by normalised name."""
    lines = (ROOT / name).read_text().splitlines()
    pins = [line.split("==") for line in lines if line and line[0] != "#"]
    return {canonicalize_name(name): version for name, version in pins}


def _options():
    """The options of setup.cfg, and the requirements among them."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].splitlines()
    requirements = [Requirement(line) for line in lines if line and line[0] != "#"]
    return config["options"], requirements


def test_every_requirement_is_pinned_to_a_version_that_it_admits():
    pinned = _pinned()
    for requirement in map(Requirement, requires("sparsedis")):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} != {version}"


def test_the_oldest_versions_are_the_lower_bounds():
    _, requirements = _options()
    oldest = _pinned(".ci/oldest.txt")
    assert len(requirements) > 5
    for requirement in requirements:
        pin = Version(oldest[requirement.name])
        bounds = [Version(spec.version) for spec in requirement.specifier]
        # Of torch there is no bound: the oldest that has been tried is the pinned one.
        assert bounds == ([] if requirement.name == "torch" else [pin])


def test_the_conda_recipe_asks_for_the_same():
    options, wanted = _options()
    wanted.append(Requirement(f"python{options['python_requires']}"))
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    needs = recipe["requirements"]
    found = {
        Requirement(line.replace("pytorch", "torch"))
        for line in needs["run"] + needs["run_constraints"]
    }
    for requirement in wanted:
        # celer is optional there: packages for all Pythons have no such markers.
        requirement.marker = None
    assert found == set(wanted)
    assert recipe["context"]["version"] == __version__
    # Fails where an optional package that pip requires is missing, and is the default.
    assert not recipe["tests"][0]["python"]["pip_check"]


def test_pre_commit_runs_the_pinned_versions():
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    pinned = _pinned()
    for repository, name in [("ruff-pre-commit", "ruff"), ("codespell", "codespell")]:
        (rev,) = re.findall(rf"/{repository}\n\s+rev: v(\S+)", config)
        assert rev == pinned[name]
