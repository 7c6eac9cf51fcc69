"""Both ends of the versions that refhooks states: the lowest, and what is there today.

    python .ci/edges.py lowest     prints constraints for pip: every lower bound of pyproject.toml
    python .ci/edges.py installed  prints what this interpreter has of them, beside the bounds
    python .ci/edges.py at-lowest  the same, and fails unless each is its lower bound

For ``make oldest`` and ``make newest``. It needs Python alone: nothing is installed where it runs.
"""

from __future__ import annotations

import itertools
import platform
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
_STATED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)>=([0-9][0-9.]*)")
_OWN = re.compile(r"refhooks\[[a-z,]+\]")


def lower_bounds(project: dict[str, Any]) -> dict[str, str]:
    """Return the lowest version of every library that a project states, its extras' included.

    Args:
        project: The table ``project`` of a ``pyproject.toml``.

    Raises:
        ValueError: A requirement is no ``name>=version``, or two of them differ.
    """
    bounds: dict[str, str] = {}
    extras = project["optional-dependencies"].values()
    stated = itertools.chain(project["dependencies"], *extras)
    for requirement in stated:
        if _OWN.fullmatch(requirement):
            continue
        found = _STATED.fullmatch(requirement)
        if found is None:
            raise ValueError(f"{requirement!r} has no lower bound to install: write 'name>=1.2'")
        name, lowest = found.groups()
        if bounds.setdefault(name, lowest) != lowest:
            raise ValueError(f"{name} has two lower bounds, {bounds[name]} and {lowest}")
    return bounds


def release(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what a build adds and without zeros at its end."""
    numbers = [int(number) for number in re.findall(r"\d+", text.partition("+")[0])]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def main(what: str) -> str | None:
    """Print what is asked for, and return what is wrong with it."""
    bounds = lower_bounds(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"])
    if what == "lowest":
        print(*(f"{name}=={lowest}" for name, lowest in bounds.items()), sep="\n")
        return None
    if what not in ("installed", "at-lowest"):
        return __doc__
    print(f"Python {platform.python_version()}")
    above = []
    for name, lowest in bounds.items():
        try:
            there = version(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
        print(f"{name} {there} (stated: >={lowest})")
        if release(there) != release(lowest):
            above.append(f"{name} is {there}, not {lowest}")
    return "; ".join(above) or None if what == "at-lowest" else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
