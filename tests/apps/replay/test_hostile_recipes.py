"""A recipe from a stranger gets an error, and nothing of it runs."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import struct

import pytest
import tiny

import refhooks as rh
from refhooks._apps.recipes import metadata


@pytest.fixture
def table(edit):
    """A good recipe, as JSON holds it."""
    mask = rh.mask("face.png")
    return edit(strategy=rh.Strategy(rh.Stage("inject", 0.5), masks=[mask])).recipe.as_dict()


@pytest.fixture
def carrying(folder):
    """Write a PNG that carries a text, and pictures by the hashes written beside them."""

    def carrying(text, embedded=()):
        tiny.picture(0, (8, 8)).save("bare.png")
        data = (folder / "bare.png").read_bytes()
        (folder / "bad.png").write_bytes(metadata.into_png(data, text, dict(embedded)))
        return folder / "bad.png"

    return carrying


@pytest.fixture
def refused(editor, pipe, carrying):
    """Replay a table, and return the error; the model is not called."""

    def refused(table, **embedded):
        path = carrying(json.dumps(table), embedded.items())
        calls = []
        handles = [
            part.register_forward_pre_hook(lambda *_: calls.append(1))
            for part in (pipe.transformer, pipe.text_encoder)
        ]
        try:
            with pytest.raises(rh.RefhooksError) as caught:
                editor.replay(path)
        finally:
            for handle in handles:
                handle.remove()
        assert not calls
        assert len(str(caught.value)) < 2000
        return str(caught.value)

    return refused


def changed(table, path, value):
    """Return a table with another value at a path of keys and indices."""
    made = json.loads(json.dumps(table))
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


STAGE = ("references", 0, "strategy", "stage", 0)
MASK = ("references", 0, "strategy", "mask", 0)
PICTURE = ("references", 0, "picture")
CHANGES = {
    "format": (("format",), 3, "format 3"),
    "format text": (("format",), "1", "format '1'"),
    "key": (("extra",), 1, "no recipe"),
    "folder": (("folder",), "/etc", "unknown key 'folder'"),
    "embedded": (("embedded",), {}, "unknown key 'embedded'"),
    "seed": (("seed",), 99, "not its picture's"),
    "seeds": (("seeds",), [-1], "a seed must be"),
    "seeds float": (("seeds",), [1.0], "is no int"),
    "seeds bool": (("seeds",), [True], "is no int"),
    "seeds huge": (("seeds",), [10**30], "a whole number beyond 64 bits"),
    "cfg huge": (("cfg",), 10**400, "a whole number beyond 64 bits"),
    "no seeds": (("seeds",), [], "no picture 0"),
    "many seeds": (("seeds",), list(range(5000)), "no recipe"),
    "prompts text": (("prompts",), "blue", "no recipe"),
    "prompts none": (("prompts",), [None], "is no str"),
    "picture": (("picture",), 7, "no picture 7"),
    "steps": (("steps",), 10**9, "no recipe"),
    "steps text": (("steps",), "2", "is no int"),
    "denoise": (("denoise",), -1, "no recipe"),
    "denoise 0": (("denoise",), 0, "denoise must be"),
    "denoise tiny": (("denoise",), 1e-9, "denoise"),
    "cfg": (("cfg",), 1e9, "no recipe"),
    "height": (("height",), 2**40, "no recipe"),
    "ratio": (("height",), 2**16, "64 times the other"),
    "width": (("width",), 0, "no recipe"),
    "references": (("references",), [1], "no recipe"),
    "compute": (("compute",), {"halo": 1}, "compute='inside' needs an edit mask"),
    "compute word": (("compute",), "inside", "no recipe"),
    "compute key": (("compute",), {"hallo": 1}, "Did you mean 'halo'"),
    "compute range": (("compute",), {"halo": -1}, "halo .* from 0 to 64, got -1"),
    "name path": ((*PICTURE, "name"), "../../etc/passwd", "without a folder"),
    "name absolute": ((*PICTURE, "name"), "/etc/passwd", "without a folder"),
    "name drive": ((*PICTURE, "name"), "C:\\x.png", "without a folder"),
    "name escape": ((*PICTURE, "name"), "a\x1b[31m.png", "without a folder"),
    "name dots": ((*PICTURE, "name"), "..", "without a folder"),
    "name long": ((*PICTURE, "name"), "x" * 300, "without a folder"),
    "hash": ((*PICTURE, "sha256"), "0", "64 hexadecimal"),
    "hash path": ((*PICTURE, "sha256"), "../" * 21 + "x", "64 hexadecimal"),
    "hash other": ((*PICTURE, "sha256"), "0" * 64, "not here with its recorded"),
    "resolution": (("references", 0, "resolution"), [1], "resolution must be"),
    "method": ((*STAGE, "method"), "os.system", "no method 'os.system'"),
    "method table": ((*STAGE, "method"), {"method": "injct"}, "no method 'injct'"),
    "method option": ((*STAGE, "method"), {"method": "inject", "x": 1}, "no option 'x'"),
    "projection": (
        (*STAGE, "method"), {"method": "concat", "projection": "/etc/passwd"}, "does not list",
    ),
    "projection list": (
        (*STAGE, "method"), {"method": "concat", "projection": ["a"]}, "does not list",
    ),
    "strength": ((*STAGE, "strength"), 3, "from 0 to 2"),
    "strength list": ((*STAGE, "strength"), [0.1] * 99, "strength"),
    "schedule": ((*STAGE, "strength"), {"schedule": "x"}, "no schedule 'x'"),
    "function": (
        (*STAGE, "strength"), {"schedule": "callable", "function": "os.system"}, "callable",
    ),
    "until": ((*STAGE, "until"), {"switch": "callable", "function": "print"}, "callable"),
    "no stage": (("references", 0, "strategy"), {}, "no \\[\\[stage\\]\\]"),
    "strategy key": (("references", 0, "strategy", "x"), 1, "unknown key 'x'"),
    "mask path": ((*MASK, "image"), "/etc/passwd", "does not list"),
    "mask beside": ((*MASK, "image"), "face.png", "does not list"),
    "mask shape": ((*MASK, "shape"), "x", "no mask shape 'x'"),
    "mask text": (("references", 0, "strategy", "mask"), "face.png", "mask"),
    "edit mask": (("edit_mask",), {"image": "/etc/passwd"}, "does not list"),
    "edit mask none": (("edit_mask",), {}, "mask"),
    "alpha": (("edit_mask",), {"shape": "alpha", "alpha": "/etc/passwd"}, "does not list"),
    "plugin": (("plugins",), [{"plugin": "x"}], "no plugin 'x'"),
    "plugin name": (("plugins",), [{"plugin": ["x"]}], "no name"),
    "plugin none": (("plugins",), [{}], "no name"),
    "plugin option": (("plugins",), [{"plugin": "edit-mask", "value": 1}], "edit-mask"),
    "lost": (("lost",), ["because"], "cannot be replayed: because"),
    "file": (("files",), [{"sha256": "x"}], "64 hexadecimal"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_recipe_is_refused(table, refused, kind):
    """Unknown names, path tricks, other types and ranges."""
    import re

    path, value, words = CHANGES[kind]

    assert re.search(words, refused(changed(table, path, value)))


TEXTS = {
    "empty": "",
    "no json": "{",
    "a list": "[]",
    "deep": "[" * 100_000,
    "deep table": '{"a":' * 99 + "1" + "}" * 99,
    "twice": '{"format": 1, "format": 1}',
    "nan": '{"format": NaN}',
    "huge": '{"format": 1' + "0" * 5000 + "}",
    "large": json.dumps({"format": 1, "prompt": "x" * 2**20}),
    "surrogate": '{"format": 1, "prompts": ["\\ud800"]}',
    "pickle": "cos\nsystem\n(S'touch owned'\ntR.",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_no_recipe_is_refused(carrying, kind):
    """Too large, too deep, no JSON."""
    with pytest.raises(rh.InputError) as caught:
        rh.load_recipe(carrying(TEXTS[kind]))

    assert len(str(caught.value)) < 1000


def test_two_recipes_are_refused(carrying, table, folder):
    """Which one is meant is not guessed."""
    path = carrying(json.dumps(table))
    path.write_bytes(metadata.into_png(path.read_bytes(), json.dumps(table), {}))

    with pytest.raises(rh.InputError, match="two recipes"):
        rh.load_recipe(path)


def test_a_picture_inside_is_the_one_that_is_named(table, refused, folder):
    """Neither another one, nor one that nothing names, nor what is no picture."""
    key = table["references"][0]["picture"]["sha256"]
    other = (folder / "style.png").read_bytes()

    assert "is not the one that it names" in refused(table, **{key: other})
    assert "is not the one that it names" in refused(table, **{key: b"GIF89a"})
    assert "the recipe does not name" in refused(table, **{"0" * 64: other})


def test_what_is_inside_has_a_cap(carrying, table, monkeypatch):
    """64 MiB in all, and 1 MiB of recipe; a chunk that is longer than its file ends it."""
    monkeypatch.setattr(metadata, "MAX_EMBEDDED", 2**20)
    key = table["references"][0]["picture"]["sha256"]

    with pytest.raises(rh.InputError, match="larger than 64 MiB"):
        rh.load_recipe(carrying(json.dumps(table), {key: bytes(2**20)}.items()))
    path = carrying("x")
    path.write_bytes(path.read_bytes()[:33] + struct.pack(">I", 2**31) + b"iTXtrefhooks\0")
    with pytest.raises(rh.InputError, match="carries no recipe"):
        rh.load_recipe(path)


def test_a_sidecar_is_no_more_trusted(table, folder):
    """Its form, its base64, its size."""
    tiny.picture(0, (8, 8)).save("a.png")
    beside = folder / "a.png.recipe.json"
    for data, words in (
        ([], "must hold a table"),
        ({"recipe": table}, "nothing else"),
        ({"recipe": table, "embedded": {}, "x": 1}, "nothing else"),
        ({"recipe": [], "embedded": {}}, "must hold a table"),
        ({"recipe": table, "embedded": {"0" * 64: "?"}}, "no base64"),
        ({"recipe": table, "embedded": {"0" * 64: 3}}, "no base64"),
        ({"recipe": table, "embedded": {"0" * 64: base64.b64encode(b"x").decode()}}, "not name"),
    ):
        beside.write_text(json.dumps(data))
        with pytest.raises(rh.InputError, match=words):
            rh.load_recipe("a.png")


def test_what_is_no_picture_is_refused(folder):
    """Missing, a folder, empty, text, another format."""
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("hello")
    tiny.picture(0, (8, 8)).save("a.gif")
    for name in ("none.png", ".", "empty.png", "text.png", "a.gif", "a\0b.png", "x" * 5000):
        with pytest.raises(rh.InputError):
            rh.load_recipe(name)
        if name not in {"empty.png", "text.png", "a.gif"}:
            with pytest.raises((rh.InputError, ValueError)):
                rh.strip_recipe(name)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_damaged_files_never_do_more_than_fail(edit, folder, ending):
    """Bytes changed, cut off and doubled at random: a recipe, or an error of this project."""
    [path] = edit().save(f"out.{ending}")
    data, rng = path.read_bytes(), random.Random(0)
    for _ in range(200):
        bad = bytearray(data)
        for _ in range(rng.randrange(1, 12)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        if rng.random() < 0.3:
            del bad[rng.randrange(len(bad)) :]
        if rng.random() < 0.2:
            at = rng.randrange(len(bad) + 1)
            bad[at:at] = bad[: rng.randrange(len(bad) + 1)]
        path.write_bytes(bytes(bad))
        with contextlib.suppress(rh.InputError):
            assert isinstance(rh.load_recipe(path), rh.Recipe)
        rh.strip_recipe(path)


def test_random_values_never_do_more_than_fail(table, carrying, editor):
    """Every value of a recipe replaced by others: it is refused, or reads as a whole recipe."""
    from refhooks._apps.replay.replay import check_replay

    values = [None, True, -1, 1e308, 2**70, "", "../x", "\x00", [], [[]], {}, {"a": {}}, "0" * 64]

    def places(value, path=()):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, held in inner:
            yield (*path, key)
            if isinstance(held, dict | list):
                yield from places(held, (*path, key))

    for path in places(table):
        for value in values:
            file = carrying(json.dumps(changed(table, path, value)))
            with contextlib.suppress(rh.RefhooksError):
                check_replay(rh.load_recipe(file), [], {}, editor.registry)
