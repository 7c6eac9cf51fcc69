"""Runs the command in a folder of its own."""

from __future__ import annotations

import shlex

import attrs
import flows
import pytest
from click.testing import CliRunner

from refhooks.cli import main


@attrs.frozen
class Ran:
    """What an import came to."""

    status: int
    out: str
    err: str
    folder: object

    @property
    def words(self):
        """The words of the command, as a shell reads them."""
        return shlex.split(self.out)

    def option(self, name):
        """Return the value of an option of the command; ``None``: it has none."""
        words = self.words
        return words[words.index(name) + 1] if name in words else None

    @property
    def strategy(self):
        """The text of the strategy file."""
        return (self.folder / "flow.toml").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the working one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def imports(folder):
    """Import a workflow, a table or the text of one, with options."""

    def run(data, *options):
        if isinstance(data, dict):
            flows.write(folder, data)
        else:
            (folder / "flow.json").write_text(data, encoding="utf-8")
        words = ["import-workflow", "flow.json", *map(str, options)]
        result = CliRunner().invoke(main, words)
        return Ran(result.exit_code, result.stdout, result.stderr, folder)

    return run
