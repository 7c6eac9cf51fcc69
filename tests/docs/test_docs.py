"""Every example of the README and the docs runs as written; what is generated is up to date."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import refhooks as rh
from refhooks.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SAMPLES = {"photo.png": "meadow", "style.png": "beach", "star.png": "star"}


def blocks(page, language):
    """The fenced blocks of a language, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


COMMANDS = [
    line for page in PAGES for block in blocks(page, "") for line in block.splitlines()
    if line.startswith("refhooks ")
]  # fmt: skip


@pytest.fixture(scope="module")
def toy():
    """The embedded model, without a progress bar."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder of a reader who has the pictures that the docs name."""
    monkeypatch.chdir(tmp_path)
    samples = {path.stem: path for path in rh.load_registry().models["toy"].samples()}
    for name, sample in SAMPLES.items():
        shutil.copy(samples[sample], name)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
@pytest.mark.usefixtures("folder")
def test_python_examples_run(page, toy, monkeypatch, capsys):
    """The blocks of a page run one after the other, with ``editor`` and ``rh`` at hand."""
    monkeypatch.setattr(rh.Editor, "from_pretrained", lambda _name: toy)
    for text in blocks(page, "toml"):
        if text.startswith("# "):  # a file that the examples read
            Path(text.splitlines()[0].removeprefix("# ")).write_text(text)
    namespace = {"editor": toy, "rh": rh, "__name__": "example"}
    for source in blocks(page, "python"):
        exec(compile(source, str(page), "exec"), namespace)
    capsys.readouterr()
    if "result" in namespace:
        assert torch.isfinite(namespace["result"].latents).all()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("folder")
def test_commands_run(command):
    """Each command of the README and the docs works as it stands there."""
    result = CliRunner().invoke(main, shlex.split(command)[1:])

    assert result.exit_code == 0, result.output


def test_the_readme_names_the_two_commands():
    """A newcomer finds them, and the picture they make."""
    text = (ROOT / "README.md").read_text()

    assert "make demo" in text
    assert "make test" in text
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ROOT / link).exists(), link


def test_the_plugin_table_is_generated():
    """Run docs/write_readme_table.py after adding a plugin."""
    made = runpy.run_path(str(ROOT / "docs" / "write_readme_table.py"))
    text = (ROOT / "README.md").read_text()

    assert made["with_table"](text) == text
