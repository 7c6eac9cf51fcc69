"""The walls inside the package: which storey imports which, and how large the core may grow."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import refhooks

PACKAGE = Path(refhooks.__file__).parent
LINT = Path(sys.executable).with_name("lint-imports")
TYPING = "\n\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    "
INSIDE = "\n\ndef _on_purpose() -> None:\n    "
CIRCLE = "No circle inside a package"
KERNEL = (
    "hookspecs.py", "loop.py", "errors.py", "_core/contract/*.py", "_core/running/*.py",
)  # fmt: skip


@pytest.fixture
def checkout(tmp_path):
    """A copy of the package and of the contract, for what is put in on purpose."""
    shutil.copytree(PACKAGE, tmp_path / "refhooks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE.parent / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder):
    """Run a bare ``lint-imports`` at the root; return its exit status and what it says."""
    run = subprocess.run(
        [LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )
    return run.returncode, run.stdout


def test_the_contract_is_kept(checkout):
    """As it stands."""
    status, said = lint(checkout)

    assert (status, " 0 broken" in said) == (0, True), said


@pytest.mark.parametrize(
    ("file", "put", "broken"),
    [
        ("_base/names.py", INSIDE + "import refhooks._core.contract.values", "A storey"),
        ("_base/names.py", TYPING + "import refhooks._core.contract.values", "A storey"),
        ("errors.py", TYPING + "from refhooks._base import size", "A storey"),
        ("loop.py", TYPING + "from refhooks import batch", "A storey"),
        ("loop.py", TYPING + "from refhooks import batch", "The core knows no application"),
        ("_apps/files/loader.py", TYPING + "import refhooks._editor", "A storey"),
        ("score/_run.py", INSIDE + "import refhooks.testing", "A storey"),
        ("_core/contract/values.py", TYPING + "import refhooks._core.running.run", "The packages"),
        ("_core/masks/mask.py", INSIDE + "import refhooks._core.models.loaded", "The packages"),
        ("_apps/recipes/parts.py", TYPING + "import refhooks._apps.editing.edit", "The packages"),
        ("_core/planning/bounds.py", TYPING + "import refhooks._core.planning.strategy", CIRCLE),
        ("_base/files.py", INSIDE + "import refhooks._base.figures", CIRCLE),
        ("somewhere.py", "", "A storey"),
        ("_core/somewhere.py", "", "The packages"),
    ],
)  # fmt: skip
def test_an_import_the_wrong_way_breaks_it(checkout, file, put, broken):
    """Upwards, sideways, in a circle; for types, or inside a function. So does an unplaced file."""
    place = checkout / "refhooks" / file
    place.write_text((place.read_text() if place.exists() else "") + put + "\n")

    status, said = lint(checkout)

    kept = [line for line in said.splitlines() if line.startswith(broken) and "BROKEN" in line]
    assert status == 1
    assert kept, said


def test_the_contract_has_no_exceptions():
    """No import is left out of it, nor are those for types."""
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    section = text[text.index("[tool.importlinter]") : text.index("[tool.ruff]")]

    for exception in ("ignore_imports", "exhaustive_ignores", "exclude_type_checking_imports"):
        assert exception not in section


def test_no_file_is_in_a_circle():
    """Also none that goes through a package and the file beside it: a reader can start anywhere."""
    graph = grimp.build_graph("refhooks", cache_dir=None)
    assert len(graph.modules) > 100

    rest = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while free := {module for module, imported in rest.items() if not imported & rest.keys()}:
        rest = {module: imported for module, imported in rest.items() if module not in free}

    assert set() == set(rest)


def test_nobody_takes_a_private_name_of_another_module():
    """What has an underscore is its module's own; a package has it once, on the folder."""
    taken = {
        f"{path.relative_to(PACKAGE)}: {node.module}.{alias.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("refhooks")
        for alias in node.names
        if alias.name.startswith("_")
        and not (PACKAGE.parent / as_path(node.module, alias)).exists()
    }

    assert set() == taken


def as_path(module, alias):
    """Return where a module that is imported from a package would be."""
    return f"{module}.{alias.name}".replace(".", "/") + ".py"


def lines(*patterns):
    """Count the lines of the files that match."""
    files = [path for pattern in patterns for path in PACKAGE.glob(pattern)]
    assert len(files) >= len(patterns)
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)


def test_the_kernel_is_read_in_an_hour():
    """What a plugin may do, and what the loop does with it."""
    assert lines(*KERNEL) <= 4_000


def test_the_core_is_small():
    """All that decides what happens at a step."""
    assert lines("_core/**/*.py") <= 8_300


def test_few_modules_stand_outside_of_the_packages():
    """Those that a reader opens first, and public paths."""
    assert len(list(PACKAGE.glob("*.py"))) <= 12


@pytest.mark.parametrize("package", ["_base", "_core", "_apps"])
def test_every_package_says_what_is_in_it(package):
    """In one docstring: what is here, what it may import, where a new thing goes; and no export."""
    for place in (PACKAGE / package).rglob("__init__.py"):
        tree = ast.parse(place.read_text(encoding="utf-8"))
        doc = " ".join(ast.get_docstring(tree).split())
        assert len(tree.body) == 1, place
        assert "may import" in doc, place
        assert re.search(r"A new|new thing|comes? (here|into)", doc), place
