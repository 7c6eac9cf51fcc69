"""Options that name files: those of the session, by their names, and none of the machine's."""

from __future__ import annotations

import json
import shutil

import attrs
import pytest
from PIL import Image, ImageChops

import refhooks as rh
import refhooks_toy
from refhooks_play._cells import Cells
from refhooks_play._files import KINDS, named, within
from refhooks_play._recipes import read_recipe
from refhooks_play._state import Card, State, read_strategy, write_strategy
from refhooks_toy._weights import PROJECTION

REGISTRY = rh.load_registry()
PATHS = ("/etc/passwd", "../secret.safetensors", "secret.safetensors", "~/secret", "a\\b", "here")
OPTIONS = sorted(
    (key, name, field.alias)
    for key, kind in KINDS.items()
    for name, cls in getattr(REGISTRY, kind).items()
    if attrs.has(cls)
    for field in attrs.fields(cls)
    if field.init
)


@pytest.fixture
def folder(files, monkeypatch):
    """The folder of a session; the program runs beside a file that is nobody's business."""
    place = files.parent / "server"
    place.mkdir()
    for name in ("here", "secret.safetensors"):
        (place / name).write_bytes(b"private")
    monkeypatch.chdir(place)
    return files


def tables(key, name, option, value):
    """A strategy file in which an option has a value."""
    table = {key: name, option: value}
    stage = {"method": "default"}
    where = {
        "method": {"stage": [{"method": table}]},
        "schedule": {"stage": [{**stage, "strength": table}]},
        "switch": {"stage": [{**stage, "until": table}, stage]},
        "plugin": {"stage": [stage], "plugin": [table]},
        "shape": {"stage": [stage], "mask": [table]},
    }
    return where[key]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("key", "name", "option"), OPTIONS, ids="-".join)
def test_no_option_of_any_plugin_opens_a_file_of_the_machine(folder, key, name, option, path):
    """Declared as a path or not: it is refused, by the name of its option, before it is made."""
    for table in (tables(key, name, option, path), tables(key, name, option, [[path]])):
        for rule in (within, named):
            with pytest.raises(rh.StrategyError) as error:
                rule(table, folder)
            assert option in str(error.value)
            assert "\n" not in str(error.value)


def test_options_are_found():
    """The test above would pass on nothing."""
    assert ("method", "concat", "projection") in OPTIONS
    assert ("shape", "picture", "image") in OPTIONS
    assert {key for key, _, _ in OPTIONS} == set(KINDS)


@pytest.mark.parametrize("path", PATHS)
def test_what_is_typed_is_refused_at_its_lane_and_not_run(ready, folder, path):
    """In the cell of options, as a strength, as an end."""
    word = json.dumps(path)
    for cells in (
        Cells("concat", f"projection = {word}"),
        Cells("inject", "", path),
        Cells("inject", "", f'{{ schedule = "linear", start = {word}, end = 1 }}'),
        Cells("inject", "", "", f'{{ switch = "sigma", below = {word} }}'),
    ):
        ready.set_stages([cells, Cells("default")])
        assert "role='alert'" in ready.lanes()
        with pytest.raises(rh.StrategyError):
            ready.start_edit()
        with pytest.raises(rh.StrategyError):
            ready.exported()
    assert ready.job is None


@pytest.mark.parametrize("path", PATHS)
def test_a_strangers_file_opens_nothing(folder, path):
    """Methods, masks and run plugins of a strategy file that is uploaded."""
    word = json.dumps(path)
    state = State(cards=(Card("photo.png"),))
    for text in (
        f'[[stage]]\nmethod = {{ method = "concat", projection = {word} }}\n',
        f'[[stage]]\nmethod = "default"\n[[mask]]\nalpha = {word}\n',
        f'[[stage]]\nmethod = "default"\n[[plugin]]\nplugin = "guider"\nkind = {word}\n',
    ):
        (folder / "bad.toml").write_text(text)
        with pytest.raises(rh.RefhooksError) as error:
            read_strategy(folder / "bad.toml", state, folder)
        assert "private" not in str(error.value)


def same(one, other):
    """Whether two pictures are the same to the bit."""
    return ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox() is None


def test_a_projection_that_is_uploaded_is_used_exported_and_opened_again(tmp_path, toy_page):
    """By its name: the strategy file says that, and no message or file a path of the machine."""
    given = tmp_path / "given"
    given.mkdir()
    own = shutil.copy(PROJECTION, given / "own.safetensors")
    photo = shutil.copy(refhooks_toy.SAMPLES / "meadow.png", given / "photo.png")
    strategy = given / "mine.toml"
    strategy.write_text(
        '[[stage]]\nmethod = { method = "concat", projection = "x/own.safetensors" }\n'
    )
    page = toy_page()
    page.set_source(given / "photo.png")
    with pytest.raises(rh.StrategyError, match=r"projection is 'own\.safetensors', which is not"):
        page.open([strategy])

    page.open([strategy, given / "own.safetensors"])

    assert page.state.cards[0].stages == (Cells("concat", 'projection = "own.safetensors"'),)
    page.change(prompt="make it night", steps=2, seed=1)
    made = page.editor.edit(**page.state.arguments(page.folder))
    method = rh.method("concat", projection=str(own))
    alone = page.editor.edit(str(photo), "make it night", method=method, steps=2, seed=1)
    assert same(made.image, alone.image)
    path, text, line = page.exported()
    assert 'projection = "own.safetensors"' in text
    assert str(tmp_path) not in text
    assert "own.safetensors" in line.files
    assert read_strategy(path, page.state, page.folder) == page.state

    saved = page.saved(made)
    other = toy_page()
    with pytest.raises(rh.InputError, match=r"projection of this recipe is own\.safetensors"):
        other.open([saved])
    other.open([saved, given / "own.safetensors"])
    assert same(other.editor.edit(**other.state.arguments(other.folder)).image, made.image)


def test_another_file_of_a_recorded_name_is_not_taken_for_it(files, editor, tmp_path):
    """A mask by its pixels, as a picture is."""
    state = State(
        cards=(Card("photo.png"),), prompt="make it blue", steps=2, seed=1,
        edit_mask={"image": "white.png"},
    )  # fmt: skip
    saved = editor.edit(**state.arguments(files)).save(tmp_path / "made.png")[0]
    assert read_recipe(saved, files).edit_mask == {"image": "white.png"}
    Image.new("L", (32, 24), 255).save(files / "white.png")

    with pytest.raises(rh.InputError, match=r"the edit mask: image of this recipe is white\.png"):
        read_recipe(saved, files)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", ".hidden.png"])
def test_a_name_in_a_recipe_is_no_path(files, editor, tmp_path, monkeypatch, name):
    """Whatever a recipe calls its pictures."""
    state = State(cards=(Card("photo.png"),), prompt="make it blue", steps=2, seed=1)
    saved = editor.edit(**state.arguments(files)).save(tmp_path / "made.png")[0]
    shutil.copy(files / "photo.png", tmp_path / "secret.png")
    recipe = rh.load_recipe(saved)
    picture = attrs.evolve(recipe.references[0].picture)
    object.__setattr__(picture, "name", name)
    other = attrs.evolve(recipe, references=[attrs.evolve(recipe.references[0], picture=picture)])
    monkeypatch.setattr("refhooks_play._recipes.load_recipe", lambda _path: other)

    with pytest.raises(rh.InputError, match="neither inside of the picture nor"):
        read_recipe(saved, files)


def test_a_file_of_weights_does_not_replace_another(ready, files):
    """Said, rather than one edit made with the other's."""
    for number in (1, 2):
        place = files / str(number)
        place.mkdir()
        (place / "own.safetensors").write_bytes(bytes([number]))
    (files / "a.toml").write_text('[[stage]]\nmethod = "default"\n')
    ready.open([files / "a.toml", files / "1" / "own.safetensors"])
    ready.open([files / "a.toml", files / "1" / "own.safetensors"])

    with pytest.raises(rh.InputError, match=r"there is another own\.safetensors on the page"):
        ready.open([files / "a.toml", files / "2" / "own.safetensors"])


def test_an_exported_file_names_no_folder_of_the_machine(files):
    """Masks and pictures beside it."""
    card = Card("photo.png", (Cells("default"),), {"mask": [{"image": "white.png"}]})

    text = write_strategy(State(cards=(card,)), files).read_text()

    assert str(files) not in text
