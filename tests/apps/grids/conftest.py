"""The command line of grids, on a tiny model that is registered as the embedded one."""

from __future__ import annotations

import functools

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
def grid(folder, toy):
    """Run ``refhooks grid`` on the folder's picture, two steps unless it says so."""

    def run(*arguments, image="photo.png", output="grid.png"):
        given = ["grid", image, "make it blue", "-o", output, "--steps", 2, *arguments]
        return CliRunner().invoke(main, [str(argument) for argument in given])

    return run


@pytest.fixture
def loads(monkeypatch):
    """Count how often a model is loaded."""
    counted = []
    original = rh.Editor.from_pretrained.__func__

    def load(cls, *arguments, **options):
        counted.append(arguments)
        return original(cls, *arguments, **options)

    monkeypatch.setattr(rh.Editor, "from_pretrained", classmethod(load))
    return counted


@pytest.fixture
def edits(monkeypatch):
    """Note the arguments of every edit."""
    noted = []
    original = rh.Editor.edit

    @functools.wraps(original)
    def edit(self, *arguments, **options):
        noted.append(options)
        return original(self, *arguments, **options)

    monkeypatch.setattr(rh.Editor, "edit", edit)
    return noted
