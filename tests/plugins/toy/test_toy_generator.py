"""The generator of toyland scenes and edits."""

from __future__ import annotations

from random import Random

import attrs
import numpy as np
import pytest

from refhooks import load_registry
from refhooks_toy._draw import draw
from refhooks_toy._edits import EDIT_KINDS, TWO_PICTURES, WHOLE_PICTURE, make_edit
from refhooks_toy._pairs import HELD_OUT, make_pairs
from refhooks_toy._scenes import PLACES, SIZE, Scene, Shape, random_scene

LOCAL = [kind for kind in EDIT_KINDS if kind not in WHOLE_PICTURE]
SEEDS = range(HELD_OUT, HELD_OUT + 150)


def things(scene: Scene) -> list[int]:
    """The places of everything in a scene."""
    places = [shape.place for shape in scene.shapes]
    return places + ([scene.face.place] if scene.face else [])


def test_the_kinds_are_those_of_the_guide_and_one_with_two_pictures() -> None:
    """The eight kinds with one picture come first."""
    assert EDIT_KINDS == (
        "color-change",
        "style-transfer",
        "object-swap",
        "add-elements",
        "remove-elements",
        "lighting-change",
        "expression-change",
        "background-swap",
        TWO_PICTURES,
    )


def test_scenes_hold_at_most_one_thing_in_a_place() -> None:
    """Nothing overlaps, and no two shapes agree in kind and colour."""
    for seed in range(500):
        scene = random_scene(Random(seed))
        assert len(set(things(scene))) == len(things(scene)) <= len(PLACES)
        looks = [(shape.kind, shape.colour) for shape in scene.shapes]
        assert len(set(looks)) == len(looks)


def test_pictures_are_pixels_of_the_stated_size() -> None:
    """A drawn batch is uint8 and uses dark and light values."""
    pictures = draw([random_scene(Random(seed)) for seed in range(20)])
    assert pictures.shape == (20, SIZE, SIZE, 3)
    assert pictures.dtype == np.uint8
    assert pictures.min() < 40
    assert pictures.max() > 215


def test_edges_are_anti_aliased() -> None:
    """Between a black square's outline and the sky lie pixels of values between the two."""
    scene = Scene("clear", "snow", 38, (Shape("circle", "red", 0),))
    empty = attrs.evolve(scene, shapes=())
    with_it, without = draw([scene, empty]).astype(int)
    change = np.abs(with_it - without).max(axis=-1)
    assert len(np.unique(change[:32, :32])) > 30


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_the_same_seeds_give_the_same_bytes(kind: str) -> None:
    """A batch depends on its kind and seeds only, not on what else is in it."""
    whole = make_pairs(kind, SEEDS[:6])
    one = make_pairs(kind, SEEDS[3:4])
    assert whole.edits[3] == one.edits[0]
    np.testing.assert_array_equal(whole.source[3], one.source[0])
    np.testing.assert_array_equal(whole.right[3], one.right[0])
    np.testing.assert_array_equal(whole.extra[3], one.extra[0])


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_every_edit_visibly_changes_its_region_and_nothing_else(kind: str) -> None:
    """Inside the mask the pictures differ clearly; outside they are the same but for rounding."""
    pairs = make_pairs(kind, SEEDS)
    difference = np.abs(pairs.source.astype(int) - pairs.right).max(axis=-1)
    assert (difference * ~pairs.mask).max() <= 5
    assert ((difference > 20) & pairs.mask).sum(axis=(1, 2)).min() >= 20
    assert pairs.mask.all() == (kind in WHOLE_PICTURE)


@pytest.mark.parametrize("kind", LOCAL)
def test_local_edits_leave_something_outside(kind: str) -> None:
    """Something must be kept in every local edit."""
    outside = ~make_pairs(kind, SEEDS).mask
    assert outside.mean(axis=(1, 2)).min() > 0.02


@pytest.mark.parametrize("kind", ["color-change", "object-swap", "remove-elements"])
def test_the_prompt_names_exactly_one_shape(kind: str) -> None:
    """What a prompt calls the shape fits one shape of the source and no other."""
    for seed in SEEDS:
        edit = make_edit(kind, seed)
        gone = set(edit.source.shapes) - set(edit.right.shapes)
        if not gone:  # the face was removed
            assert "the face" in edit.prompt.lower()
            continue
        (target,) = gone
        words = edit.prompt.lower().replace(".", "").split()
        end = words.index(target.kind if target.kind in words else "shape")
        colour = words[end - 1]
        place = next((i for i, name in enumerate(PLACES) if name in edit.prompt), None)
        fits = [
            shape
            for shape in edit.source.shapes
            if words[end] in (shape.kind, "shape")
            and colour in (shape.colour, "the")
            and place in (shape.place, None)
        ]
        assert fits == [target], edit.prompt


def test_where_to_add_is_said_unless_one_place_is_free() -> None:
    """An added shape's place follows from the prompt, or from the scene."""
    for kind in ("add-elements", TWO_PICTURES):
        for seed in SEEDS:
            edit = make_edit(kind, seed)
            said = any(place in edit.prompt for place in PLACES)
            assert said or len(edit.source.free) == 1


def test_picture_two_holds_the_shape_to_add() -> None:
    """The added shape has the kind and colour of the one shape of Picture 2."""
    for seed in SEEDS:
        edit = make_edit(TWO_PICTURES, seed)
        (added,) = set(edit.right.shapes) - set(edit.source.shapes)
        assert edit.extra is not None
        (shown,) = edit.extra.shapes
        assert (added.kind, added.colour) == (shown.kind, shown.colour)
        assert "Picture 2" in edit.prompt


def test_held_out_edits_are_not_training_edits() -> None:
    """Held-out seeds start far above any training pool; their edits are others."""
    held_out = {make_edit("add-elements", seed).right for seed in SEEDS}
    trained = {make_edit("add-elements", seed).right for seed in range(150)}
    assert not held_out & trained


def test_prompts_vary() -> None:
    """A kind of edit is asked for in many ways."""
    for kind in EDIT_KINDS:
        assert len({make_edit(kind, seed).prompt for seed in SEEDS}) > 60


def test_a_style_rounds_alike_on_every_processor() -> None:
    """Two scenes of which a product of matrices made other pixels on another one: by their hash."""
    pairs = load_registry().models["toy"].pairs(10)
    keys = [pair.key for pair in pairs if pair.kind == "style-transfer"]
    assert keys[8:] == ["700bcff2515bcb3a1b1f", "de4e86941aba92a57eff"]
