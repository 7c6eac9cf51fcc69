"""The command line, run in this process on a tiny model that is registered as the embedded one."""

from __future__ import annotations

import pytest
import tiny
from click.testing import CliRunner

import refhooks as rh
from refhooks.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder with a picture in it."""
    monkeypatch.chdir(tmp_path)
    tiny.picture(1, (32, 24)).save("photo.png")
    return tmp_path


@pytest.fixture
def cli(folder):
    """Run a command line; returns its exit status, stdout and stderr."""

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def edit(cli, toy):
    """Run ``refhooks edit`` on the folder's picture, two steps from seed 1 unless it says so."""

    def run(*arguments, image="photo.png", output="out.png"):
        given = ["--steps", 2, "--seed", 1, *arguments]
        return cli("edit", image, "make it blue", "-o", output, *given)

    return run


@pytest.fixture
def unloadable(monkeypatch):
    """Fail the test if the command goes as far as loading a model."""

    def load(*_arguments, **_options):
        pytest.fail("the model was loaded")

    monkeypatch.setattr(rh.Editor, "from_pretrained", load)
