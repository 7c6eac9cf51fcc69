"""The page of strategies: the same in Python and as a file, and what is planned is what runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from places import DOCS

import refhooks as rh

PAGE = (DOCS / "strategies.md").read_text(encoding="utf-8")
PAIRS = re.findall(
    r"^```python\n((?:(?!```)[^\n]*\n)*)```\n\n```toml\n# (\S+)\n(.*?)^```$",
    PAGE,
    flags=re.MULTILINE | re.DOTALL,
)


PLAIN = {}
VISIBLE = 8  # of 255, over the whole picture


def moved(result, other):
    """How far two pictures are apart: the mean of the absolute differences, 0–255."""
    one, other = (np.asarray(entry.image, np.float32) for entry in (result, other))
    return float(np.abs(one - other).mean())


def plain(toy, recipe):
    """The same edit without a strategy; kept, since many examples differ in the strategy alone."""
    files = [entry.picture.name for entry in recipe.references]
    key = (recipe.prompt, recipe.steps, recipe.seed, *files)
    if key not in PLAIN:
        source, *others = [f"demo/{name}" for name in files]
        PLAIN[key] = toy.edit(
            source, recipe.prompt, references=others, steps=recipe.steps, seed=recipe.seed
        )
    return PLAIN[key]


@pytest.fixture(scope="module")
def toy():
    """The embedded model, without a progress bar."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the pictures that the examples name."""
    monkeypatch.chdir(tmp_path)
    model = rh.load_registry().models["toy"]
    Path("demo").mkdir()
    for name, place in {"photo.png": model.samples()[0], **model.companions()}.items():
        shutil.copy(place, Path("demo", name))


def test_every_file_has_its_python():
    """And the other way round, but for the first lines and the last example, which reads a file."""
    assert len(PAIRS) == PAGE.count("```toml\n") == PAGE.count("```python\n") - 2


@pytest.mark.parametrize(
    ("python", "file", "toml"), PAIRS, ids=[file.removesuffix(".toml") for _, file, _ in PAIRS]
)
@pytest.mark.usefixtures("folder")
def test_an_example_is_its_file_and_does_what_is_planned(toy, python, file, toml):
    """At most ten lines; the file reads as the same values; the plan is what ran."""
    Path(file).write_text(toml)
    namespace = {"editor": toy, "rh": rh}
    exec(compile(python, file, "exec"), namespace)

    assert len(python.splitlines()) <= 10
    if "[[edit]]" in toml:
        assert rh.load_chain(file) == namespace["chain"]
        return
    if "[[reference]]" in toml:
        given = [namespace["source"], namespace["star"]]
        read = rh.load_references(file)
        assert [str(entry.image) for entry in read] == [entry.image for entry in given]
        expected = [rh.Strategy(entry.strategy) for entry in given]
        assert [entry.strategy for entry in read] == expected
    else:
        read, given = rh.load_strategy(file), namespace["strategy"]
        assert read == (given if isinstance(given, rh.Strategy) else rh.Strategy(given))
        read = [rh.Reference("demo/photo.png", read)]
    result = namespace["result"]
    assert moved(result, plain(toy, result.recipes[0])) >= VISIBLE
    assert rh.plan(read, len(result.timetable.steps), editor=toy) == result.timetable
