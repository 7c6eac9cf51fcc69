"""`refhooks new`: what it writes is a plugin that passes the kit, and nothing is overwritten."""

from __future__ import annotations

import importlib.util
import runpy
import sys
import tomllib

import pytest
from click.testing import CliRunner
from places import DOCS

import refhooks as rh
from refhooks import testing
from refhooks._core.plugins.inline import with_plugins
from refhooks.cli import _scaffold, main
from refhooks.testing._kit import tasks_of

FORMS = [("method", hook) for hook in _scaffold.HOOKS] + [
    (kind, "conditioning") for kind in _scaffold.KINDS if kind != "method"
]
FILES = {"pyproject.toml", "README.md", "my_own.py", "tests/test_my_own.py"}
MORE = {"family": {"my_own_tiny.py"}, "preset": {"my-own.toml"}}
LINES = {"family": 90, "plugin": 45}


def load(path, monkeypatch):
    """Import a module from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("kind", "hook"), FORMS)
def test_a_new_plugin_passes_the_kit(kind, hook, tmp_path, monkeypatch):
    """One module of at most 30 lines (90), registered by one line of its pyproject.toml."""
    result = CliRunner().invoke(
        main, ["new", "my-own", "--kind", kind, "--hook", hook, "-o", str(tmp_path)]
    )

    assert result.exit_code == 0, result.output
    root = tmp_path / "my-own"
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == (
        FILES | MORE.get(kind, set())
    )
    module = root / "my_own.py"
    assert len(module.read_text().splitlines()) <= LINES.get(kind, 30)
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["project"]["entry-points"] == {"refhooks": {"my-own": "my_own"}}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"] == [
        "my_own.py", *MORE.get(kind, ()),
    ]  # fmt: skip
    assert 'parametrize_with_checks("my-own")' in (root / "tests/test_my_own.py").read_text()
    assert "$" not in "".join(path.read_text() for path in root.rglob("*.*") if path.is_file())
    monkeypatch.syspath_prepend(root)
    for task in tasks_of(load(module, monkeypatch)):
        if task.check.name != "compiles":  # the slowest; .ci/run has all of them
            task()


def test_a_new_family_is_the_stock_pipeline(tmp_path, monkeypatch):
    """To the bit: the tests that are written for it say so."""
    _scaffold.new_plugin("my-own", "family", folder=tmp_path)
    root = tmp_path / "my-own"
    monkeypatch.syspath_prepend(root)
    held = with_plugins(rh.load_registry(), [load(root / "my_own.py", monkeypatch)])
    monkeypatch.setattr("refhooks._core.models.loaded.load_registry", lambda: held)
    monkeypatch.setattr(testing, "parametrize_with_checks", lambda _name: lambda function: function)
    tests = load(root / "tests/test_my_own.py", monkeypatch)

    for distilled in (True, False):
        tests.test_without_a_strategy_it_is_the_stock_pipeline(distilled)
    for option in ({"negative_prompt": "red"}, {"cfg": 2.0}):
        tests.test_guidance_that_would_do_nothing_is_refused(option)


def test_nothing_is_overwritten(tmp_path):
    """A folder of that name is left as it is."""
    (tmp_path / "my-own").mkdir()

    with pytest.raises(rh.InputError, match="is there already; nothing was written"):
        _scaffold.new_plugin("my-own", folder=tmp_path)

    assert list((tmp_path / "my-own").iterdir()) == []


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_half_a_package_is_never_left(tmp_path, monkeypatch, error):
    """Nor does it stand in the way of the next try."""
    written = []

    def write(path, *arguments):
        if written:
            raise error
        written.append(path)
        original(path, *arguments)

    original = _scaffold._write
    monkeypatch.setattr(_scaffold, "_write", write)
    expected = rh.InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        _scaffold.new_plugin("my-own", folder=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    """With its name."""
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(rh.InputError, match=r"notes.txt/my-own cannot be written"):
        _scaffold.new_plugin("my-own", folder=tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My_Method", "lower case"),
        ("-x", "lower case"),
        ("../x", "lower case"),
        ("class", "no Python keyword"),
        ("inject", "is the name of an installed plugin"),
        ("json", "there is a Python module 'json' already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name, words, tmp_path):
    """Before anything is written."""
    with pytest.raises(rh.InputError, match=words):
        _scaffold.new_plugin(name, folder=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_table_of_checks_is_generated():
    """Run docs/write_checks_table.py after adding one."""
    made = runpy.run_path(str(DOCS / "write_checks_table.py"))
    text = (DOCS / "testing-plugins.md").read_text()

    assert made["with_table"](text) == text
