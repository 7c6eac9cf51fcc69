"""The lowest versions are stated once, and what is told of them elsewhere is the same."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from places import ROOT

EDGES = ROOT / ".ci" / "edges.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def stated():
    """Return the lower bounds of pyproject.toml by the names of their libraries."""
    project = PROJECT["project"]
    lines = itertools.chain(
        project["dependencies"], *project["optional-dependencies"].values(),
        PROJECT["build-system"]["requires"],
    )  # fmt: skip
    found = [Requirement(line) for line in lines]
    return {
        (canonicalize_name(it.name), str(it.specifier)) for it in found if it.name != "refhooks"
    }


def installed(name):
    """Return the version of a library here, if it is there."""
    try:
        return Version(version(name))
    except PackageNotFoundError:
        return None


def lowest():
    """Return what ``make oldest`` installs."""
    command = [sys.executable, "-I", EDGES, "lowest"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    pins = [Requirement(line) for line in printed.splitlines()]
    return {canonicalize_name(it.name): str(it.specifier).removeprefix("==") for it in pins}


def module():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("edges", EDGES)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_oldest_environment_has_the_stated_bounds():
    """Every library of every extra, and of the build, at its one lower bound."""
    assert {(name, f">={pin}") for name, pin in lowest().items()} == stated()


@pytest.mark.parametrize("requirement", ["torch", "torch>=2.9,<3", "torch==2.9", "torch>2.9"])
def test_a_requirement_without_one_lower_bound_is_named(requirement):
    """Nobody could install its lowest version."""
    project = {"dependencies": ["click>=8"], "optional-dependencies": {"x": [requirement]}}

    with pytest.raises(ValueError, match=f"'{requirement}' has no lower bound"):
        module().lower_bounds(project)


def test_two_bounds_of_one_library_are_an_error():
    """They could not both be the lowest."""
    project = {"dependencies": ["click>=8"], "optional-dependencies": {"x": ["click>=9"]}}

    with pytest.raises(ValueError, match="click has two lower bounds, 8 and 9"):
        module().lower_bounds(project)


def test_a_build_and_zeros_make_no_other_release():
    """``2.9.0+cu128`` is what ``torch>=2.9`` begins with; 2.9.1 and 2.10 are not."""
    release = module().release

    assert release("2.9") == release("2.9.0+cu128") == (2, 9)
    assert len({release(text) for text in ("2.9", "2.9.1", "2.10", "2.90")}) == 4


def test_a_bound_is_not_below_what_another_asks_for():
    """As far as it can be seen here: of what is installed in its lowest version, as diffusers."""
    bounds = lowest()
    there = [name for name, bound in bounds.items() if installed(name) == Version(bound)]
    asked = [(name, Requirement(line)) for name in there for line in requires(name) or ()]

    assert "diffusers" in there
    for name, it in asked:
        bound = bounds.get(canonicalize_name(it.name))
        if bound and (it.marker is None or it.marker.evaluate({"extra": ""})):
            assert it.specifier.contains(bound), f"{name} asks for {it}"


def test_the_tests_run_with_versions_that_are_allowed():
    """``constraints.txt`` is not below what users are asked for."""
    bounds = lowest()
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))

    assert pins
    for name, pin in pins.items():
        assert Version(pin) >= Version(bounds[canonicalize_name(name)]), name


def test_the_readme_tells_the_stated_bounds():
    """In the sentence of the README on what is needed."""
    at = lowest()
    needed = "Python {}, torch {}, diffusers {} and transformers {}, or newer".format(
        PROJECT["project"]["requires-python"].removeprefix(">="),
        *(at[name] for name in ("torch", "diffusers", "transformers")),
    )

    assert needed in " ".join((ROOT / "README.md").read_text().split())
