"""Manifests: the user's own pairs, and errors that name the file, the line and the field."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
from PIL import Image

from refhooks.errors import InputError
from refhooks.score import Pair, read_manifest

SIZE = (24, 16)


@pytest.fixture
def write(tmp_path):
    """Write a manifest of objects, or of raw lines, beside three pictures."""
    tiny.picture(1, SIZE).save(tmp_path / "a.png")
    tiny.picture(2, SIZE).save(tmp_path / "b.png")
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[:4, :6] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    tiny.picture(3, (8, 8)).save(tmp_path / "small.png")

    def write(*lines):
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path = tmp_path / "pairs.jsonl"
        path.write_text("\n".join(texts))
        return path

    return write


def line(**more):
    """A line with what is needed."""
    return {"source": "a.png", "prompt": "make it blue", **more}


def test_a_manifest_is_read(write):
    """Pictures are relative to it; what is left out has its default; empty lines are none."""
    path = write(
        line(kind="colour", seed=3, right="b.png", mask="m.png", references=["small.png"]),
        "",
        line(right="b.png"),
        line(mask=True),
    )

    first, second, third = read_manifest(path)

    assert (first.prompt, first.kind, first.seed) == ("make it blue", "colour", 3)
    assert first.sizes == (SIZE, (8, 8))
    assert first.mask.sum() == 24
    assert np.array_equal(first.region, first.mask)
    assert (second.kind, second.seed, second.references) == ("edit", 0, ())
    assert second.mask is None
    assert second.region.any()
    assert third.is_whole
    assert not first.is_whole


def test_a_pair_is_known_by_its_content(write):
    """The key is that of the pixels and words, wherever they come from."""
    (read,) = read_manifest(write(line(right="b.png", seed=3)))
    pictures = tiny.picture(1, SIZE), tiny.picture(2, SIZE)
    same = Pair(pictures[0], "make it blue", right=pictures[1], seed=3)
    others = [
        Pair(pictures[1], "make it blue", right=pictures[0], seed=3),
        Pair(pictures[0], "make it red", right=pictures[1], seed=3),
        Pair(pictures[0], "make it blue", right=pictures[1], seed=4),
        Pair(pictures[0], "make it blue", right=pictures[1], seed=3, kind="colour"),
        Pair(pictures[0], "make it blue", seed=3),
    ]

    assert read.key == same.key
    assert len({pair.key for pair in [same, *others]}) == 6


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "line 2 is not valid JSON"),
        ("[]", "line 2 must hold a table"),
        ('{"source": "a.png", "source": "b.png"}', "comes twice"),
        ({"source": "a.png"}, "line 2: prompt must be a text, got None"),
        ({"prompt": "x"}, "line 2: source must be a text, got None"),
        (line(pormpt="x"), "unknown field 'pormpt'. Did you mean 'prompt'?"),
        (line(source="none.png"), "line 2: source: there is no picture"),
        (line(right="small.png"), "line 2: the right answer is 8x8, its source 24x16"),
        (line(right="a.png"), "line 2: the right answer does not differ from its source"),
        (line(right=3), "line 2: right must be a picture's path, got 3"),
        (line(mask="small.png"), "line 2: the mask is 8x8, its source 24x16"),
        (line(mask=False), "line 2: mask must be a picture's path, or true, got False"),
        (line(references="b.png"), "line 2: references must be a list of at most 16"),
        (line(references=["pairs.jsonl"]), "line 2: references"),
        (line(seed=-1), "line 2: a pair's seed must be a whole number"),
        (line(seed=True), "line 2: a pair's seed must be a whole number"),
        (line(kind=""), "line 2: a pair's kind must be a text"),
    ],
)
def test_a_bad_line_is_named(write, bad, said):
    """With its number, its field, and what was given."""
    path = write(line(), bad)

    with pytest.raises(InputError) as caught:
        read_manifest(path)

    assert str(caught.value).startswith(f"{path}: line 2")
    assert said in str(caught.value)


def test_a_black_mask_marks_nothing(write, tmp_path):
    """Who wants the whole picture says true."""
    Image.new("L", SIZE).save(tmp_path / "m.png")

    with pytest.raises(InputError, match=r"line 1: a pair's mask is empty"):
        read_manifest(write(line(mask="m.png")))


def test_an_empty_manifest_and_a_missing_one(write, tmp_path):
    """Both are said."""
    with pytest.raises(InputError, match="holds no pair"):
        read_manifest(write(""))
    with pytest.raises(InputError, match="there is no file"):
        read_manifest(tmp_path / "none.jsonl")


def test_a_manifest_is_capped(write, monkeypatch):
    """In pairs and in bytes."""
    path = write(*[line()] * 3)
    monkeypatch.setattr("refhooks.score._manifest.MAX_LINES", 2)
    with pytest.raises(InputError, match="more than 2 pairs"):
        read_manifest(path)
    monkeypatch.setattr("refhooks.score._manifest.MAX_BYTES", 2)
    with pytest.raises(InputError, match="larger than"):
        read_manifest(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_of_class_numbers(write, tmp_path, dtype):
    """0 and 1 are black and white, as for the masks of an edit."""
    mask = np.zeros((SIZE[1], SIZE[0]), dtype)
    mask[:4, :6] = 1
    Image.fromarray(mask).save(tmp_path / "classes.png")

    [pair] = read_manifest(write(line(mask="classes.png")))

    assert pair.mask.sum() == 24
