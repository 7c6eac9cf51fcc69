"""Recipes of a batch, and what a stripped file says of itself."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import refhooks as rh


def test_each_picture_of_a_batch_has_its_own_prompt_and_seed(edit, editor):
    """Prompts outermost; replayed alone, it has its own negative prompt as well."""
    made = edit(prompt=["one", "two"], negative_prompt=["n1", "n2"], seed=[1, 2, 3], steps=2)

    expected = [(prompt, seed) for prompt in ("one", "two") for seed in (1, 2, 3)]
    assert expected == [(recipe.prompt, recipe.seed) for recipe in made.recipes]
    for number, prompt, negative in ((1, "one", "n1"), (5, "two", "n2")):
        seed = made.recipes[number].seed
        alone = edit(prompt=prompt, negative_prompt=negative, seed=seed, steps=2, cfg=1.5)
        again = editor.replay(made.recipes[number], cfg=1.5)
        assert ((prompt,), (negative,)) == (again.recipe.prompts, again.recipe.negative)
        assert np.array_equal(np.asarray(alone.image), np.asarray(again.image))


def test_a_stripped_webp_says_that_it_has_no_xmp(edit, tmp_path):
    """The flag in its extended header goes with the chunk, and its size fits."""
    path = edit().save(tmp_path / "a.webp")[0]
    before = path.read_bytes()
    rh.strip_recipe(path)
    after = path.read_bytes()

    assert (before[12:16], before[20] & 4) == (b"VP8X", 4)
    assert len(after) - 8 == int.from_bytes(after[4:8], "little")
    assert after[12:16] != b"VP8X" or not after[20] & 4


def test_a_made_up_batch_of_thousands_is_run_alone(edit, editor, monkeypatch):
    """A small file cannot ask for 4,096 pictures at once to make one of them."""
    import attrs

    from refhooks._apps.editing import edit as editing

    recipe = edit().recipe
    many = attrs.evolve(
        recipe, prompts=("x",) * 64, negative=(" ",) * 64, seeds=tuple(range(64)), picture=70
    )
    asked, real = [], editing.run_plan

    def run_plan(loaded, request, plan):
        asked.append((request.prompts, request.batch_seeds))
        return real(loaded, request, plan)

    monkeypatch.setattr(editing, "run_plan", run_plan)
    with pytest.warns(rh.RefhooksWarning, match=r"batch of 4096, .* made alone"):
        again = editor.replay(many)

    assert asked == [(("x",), (6,))]
    assert len(again.images) == 1


def test_what_follows_a_webp_stays_behind_it(edit, tmp_path):
    """Its header says where it ends; bytes that another program put after it are no chunk."""
    [path] = edit().save(tmp_path / "out.webp")
    path.write_bytes(path.read_bytes() + b"\n\x97v\x8f of another program")
    pixels = Image.open(path).tobytes()

    assert rh.strip_recipe(path)

    assert Image.open(path).tobytes() == pixels
    assert path.read_bytes().endswith(b" of another program")
    assert not rh.strip_recipe(path)
