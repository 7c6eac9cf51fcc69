"""The page on schedules: its files, snippets and commands work as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner
from places import DOCS

import refhooks as rh
from refhooks.cli import main

PAGE = (DOCS / "schedules.md").read_text(encoding="utf-8")


def blocks(language):
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch, pipe):
    """A working folder with the pictures and files that the page names, and an embedded model."""
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    for seed, name in enumerate(("demo/photo.png", "demo/style.png")):
        tiny.picture(seed, (32, 32)).save(name)
    for text in blocks("toml"):
        Path(text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    sizes = rh.Checkpoint(output=1024, reference=1024, vision=1024, cfg=2.0, steps=6)
    model = rh.EmbeddedModel("toy", "random weights", lambda: pipe, sizes)
    monkeypatch.setitem(rh.load_registry().models, "toy", model)
    return rh.Editor(pipe, checkpoint=sizes)


def test_every_snippet_runs(folder, capsys):
    """With ``editor`` at hand."""
    namespace = {"editor": folder, "__name__": "page"}
    for source in blocks("python"):
        exec(compile(source, "docs/schedules.md", "exec"), namespace)

    assert "keyframes" in PAGE
    assert "cross_attn 0.33 minimal" in capsys.readouterr().out.splitlines()[-1]


def test_every_command_runs(folder):
    """In the order of the page."""
    [commands] = blocks("sh")
    for command in commands.splitlines():
        result = CliRunner().invoke(main, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output

    assert Path("plan.png").is_file()
    assert Path("night.png").is_file()


def test_every_registered_name_is_on_the_page():
    """With every option, in the line of its table."""
    registry = rh.load_registry()
    for name, cls in [*registry.schedules.items(), *registry.switches.items()]:
        lines = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line]
        assert lines, name
        for field in cls.__attrs_attrs__:
            if field.init:
                assert any(f"`{field.alias}`" in line for line in lines), (name, field.alias)
