"""The example of a third-party package passes its own tests, found by its entry point."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest
from places import DOCS

pytestmark = pytest.mark.long

EXAMPLE = DOCS / "example-plugin"


@pytest.fixture
def installed(tmp_path):
    """The environment of a process in which the package is installed: its metadata are enough."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    (group, points), *others = project["entry-points"].items()
    assert (group, others) == ("refhooks", [])
    place = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    place.mkdir()
    named = f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"
    (place / "METADATA").write_text(named)
    lines = [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
    (place / "entry_points.txt").write_text("\n".join(lines))
    paths = [str(EXAMPLE / "src"), str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def test_its_tests_pass(installed):
    """All but the slowest check of the kit; .ci/run has that one too, with the built wheel."""
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-k", "not compiles"]

    ran = subprocess.run(
        [sys.executable, *command], cwd=EXAMPLE, env=installed, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "deselected" in ran.stdout
