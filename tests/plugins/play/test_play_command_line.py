"""The command line of a page: it says everything, or says in words what it cannot carry."""

from __future__ import annotations

import functools
import inspect
import shlex
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from PIL import Image, ImageChops

import refhooks as rh
import refhooks_toy
from refhooks.cli import main
from refhooks_play._cells import Cells
from refhooks_play._command_line import FIELDS, MORE_SAYS, command_line
from refhooks_play._state import MORE, Card, State, write_strategy

BASE = State(cards=(Card("photo.png", (Cells("inject", "", "0.5"),)),), prompt="make it blue")
BRUSH = {"image": "white.png", "feather": 2.0}
INSIDE = {"halo": 2, "reuse": 7, "near": None}
NOT_ON_THE_PAGE = {
    "strategy", "method", "strength", "preset", "n", "callback", "check", "record_attention",
    "wait", "unknown",
}  # fmt: skip
SAID = [
    attrs.evolve(BASE, cards=(BASE.cards[0], Card("coat.png", (Cells("default"),)))),
    attrs.evolve(
        BASE,
        cards=(
            Card(
                "photo.png",
                (Cells("inject", 'formula = "blend"', "0.4:1.0", "0.5"), Cells("default")),
                {"vision": "never", "mask": [{"polygon": [[0, 0], [20, 0], [0, 20]]}]},
            ),
        ),
    ),
    attrs.evolve(BASE, plugins=({"plugin": "origin", "center": "floor"},)),
    attrs.evolve(BASE, prompt="--strategy=/etc/passwd"),
    attrs.evolve(BASE, prompt="a\nb \"c\" $(d) 'e'"),
    attrs.evolve(BASE, negative="-ugly"),
    attrs.evolve(BASE, steps=3),
    attrs.evolve(BASE, seed=0),
    attrs.evolve(BASE, cfg="0.5@4"),
    attrs.evolve(BASE, cfg=" 1:4 "),
    attrs.evolve(BASE, denoise=0.123456789),
    attrs.evolve(BASE, height=32, width=64),
    attrs.evolve(BASE, edit_mask=BRUSH),
    attrs.evolve(BASE, edit_mask={**BRUSH, "invert": True}),
    attrs.evolve(BASE, edit_mask={"box": [4, 4, 16, 8]}),
    attrs.evolve(BASE, edit_mask={"box": ["10%", "10%", "50%", "50%"], "feather": 0.25}),
    attrs.evolve(BASE, more={"resolution": "native"}),
    attrs.evolve(BASE, more={"resolution": 1024}),
    attrs.evolve(BASE, more={"vision_resolution": 1024}),
    attrs.evolve(BASE, more={"align": True}),
    attrs.evolve(BASE, edit_mask=BRUSH, more={"compute": INSIDE}),
    attrs.evolve(BASE, edit_mask=BRUSH, more={"compute": {}}),
    attrs.evolve(BASE, more={"cache": "fbcache:threshold=0.2"}),
]
POLYGON = {"polygon": [[0, 0], [20, 0], [0, 20]]}
TOLD = {
    "polygon": attrs.evolve(BASE, edit_mask=POLYGON),
    "text": attrs.evolve(BASE, edit_mask={**BRUSH, "text": "area"}),
    "strength": attrs.evolve(BASE, edit_mask={**BRUSH, "strength": "0.4:1.0"}),
    "alpha": attrs.evolve(BASE, edit_mask={"alpha": "white.png"}),
    "compute": attrs.evolve(BASE, edit_mask=POLYGON, more={"compute": INSIDE}),
    "NUL": attrs.evolve(BASE, prompt="make\0it blue"),
    "cache": attrs.evolve(BASE, more={"cache": {"a": 1}}),
    "align": attrs.evolve(BASE, more={"align": 1}),
    "tomorrow": attrs.evolve(BASE, more={"tomorrow": 3}),
}


@pytest.fixture
def given(files, monkeypatch):
    """Run a command line in the folder of its files; returns what ``edit()`` is given."""

    def run(state):
        taken, original = {}, rh.Editor.edit

        @functools.wraps(original)
        def edit(_editor, *values, **options):
            bound = inspect.signature(original).bind(_editor, *values, **options)
            bound.apply_defaults()
            taken.update(bound.arguments)
            raise rh.InputError("taken")

        monkeypatch.setattr(rh.Editor, "edit", edit)
        monkeypatch.chdir(files)
        write_strategy(state, files)
        outcome = CliRunner().invoke(main, shlex.split(command_line(state, files).text)[1:])
        assert "taken" in outcome.output, outcome.output
        return taken

    return run


def told(value, folder):
    """An argument so that it compares: references as a file says them, a mask by its cover."""
    if isinstance(value, rh.Mask):
        own = (value.kind, value.soft, value.strength, value.text)
        return own, value.cover(rh.Size(24, 32)).tolist()
    if isinstance(value, dict):
        return rh.Inside(**value)
    if isinstance(value, rh.Reference):
        value = [value]
    if isinstance(value, list | tuple) and not value:
        return []
    if isinstance(value, list | tuple) and isinstance(value[0], rh.Reference):
        return rh.dump_strategy(value, folder / "told.json").read_text()
    return value


def test_every_field_and_every_other_argument_has_a_word():
    """A new one that nobody thought of fails here."""
    assert {field.name for field in attrs.fields(State)} == set(FIELDS)
    assert set(MORE_SAYS) == set(MORE)
    arguments = set(inspect.signature(rh.Editor.edit).parameters) - {"self"}
    own = {"image", "references", "negative_prompt"}
    fields = {field.name for field in attrs.fields(State)} - {"cards", "negative", "more"}
    assert arguments == own | fields | set(MORE) | NOT_ON_THE_PAGE
    changed = {
        name
        for state in [*SAID, *TOLD.values()]
        for name in set(FIELDS)
        if getattr(state, name) != getattr(BASE, name)
    }
    assert changed == set(FIELDS)
    assert {key for state in SAID for key in state.more} == set(MORE)


def changes(state):
    """What is not as in the plainest state."""
    fields = [it.name for it in attrs.fields(State)]
    return " ".join(
        f"{it}={getattr(state, it)!r:.40}"
        for it in fields
        if getattr(state, it) != getattr(BASE, it)
    )


@pytest.mark.parametrize("state", SAID, ids=changes)
def test_what_has_words_reaches_the_edit(given, files, state):
    """Each argument, as the page itself gives it; nothing is said to be left out."""
    line = command_line(state, files)
    expected = state.arguments(files)

    taken = given(state)

    assert line.left_out == ()
    taken["image"] = attrs.evolve(taken["image"], image=expected["image"].image)
    assert {it: told(taken[it], files) for it in expected} == {
        it: told(value, files) for it, value in expected.items()
    }


@pytest.mark.parametrize("name", TOLD)
def test_what_has_no_words_is_told(files, name):
    """By its name, with where it goes instead; no word claims to be it."""
    line = command_line(TOLD[name], files)

    told = " ".join(line.left_out)
    assert "the command line cannot carry" in told
    assert name in told
    assert "refhooks replay" in told
    for word in ("--edit-mask", "--compute", "--cache", "--align", "\0"):
        assert word not in line.text


def test_the_files_that_it_reads_are_named(files):
    """Pictures, masks of references, and the edit mask's."""
    cards = (BASE.cards[0], Card("coat.png", (), {"mask": [{"image": "white.png"}]}))
    line = command_line(attrs.evolve(BASE, cards=cards, edit_mask=BRUSH), files)

    assert line.files == ("strategy.toml", "photo.png", "coat.png", "white.png")


def test_the_model_of_the_page_is_named(files):
    """As it was loaded."""
    line = command_line(BASE, files, ["--model=a b", "--dtype=float32"])

    assert "'--model=a b' --dtype=float32" in line.text


def test_the_command_in_its_own_process_makes_the_picture_of_the_page(ready, toy_page):
    """Plugins, region and edit mask, what is computed, guidance over the steps: to the bit."""
    ready.set_source(refhooks_toy.SAMPLES / "meadow.png")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 40))
    mask.save(ready.folder / "mask-edit.png")
    mask.save(ready.folder / "mask-region-1.png")
    region = {"image": "mask-region-1.png", "feather": 3.0}
    ready.set_stages([Cells("inject", 'formula = "blend"', "0.4:1.0", "0.5"), Cells("default")])
    ready.state = ready.state.with_card(0, ready.card.masked("region", region))
    ready.change(
        plugins=({"plugin": "origin", "center": "floor"},),
        edit_mask={"image": "mask-edit.png", "feather": 2.0},
        more={"compute": {"halo": 1, "reuse": 1}},
        prompt="make it night",
        cfg="1:4",
        negative="grey",
    )
    toy = toy_page()
    toy.folder, toy.state = ready.folder, ready.state
    _path, _text, line = toy.exported()
    assert line.left_out == ()
    for word in ("--edit-mask", "--feather", "--compute", "--cfg", "--negative"):
        assert word in line.text

    command = [sys.executable, "-m", *shlex.split(line.text)]
    run = subprocess.run(
        command, cwd=ready.folder, capture_output=True, text=True, timeout=300, check=False
    )

    assert run.returncode == 0, run.stderr
    page = toy.editor.edit(**toy.state.arguments(toy.folder)).image
    made = Image.open(Path(ready.folder) / "edited.png")
    assert ImageChops.difference(made.convert("RGB"), page.convert("RGB")).getbbox() is None
