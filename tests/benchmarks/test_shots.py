"""What the claims measure beside every scorecard, on pictures whose values are known."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from _claims import _shots as shots
from _claims._own import chains, measure_chains, watch_attention
from PIL import Image

from refhooks.score import Pair, Settings, Shot

SIDE = 64


def flat(*colour):
    """A picture of one colour."""
    return np.broadcast_to(np.array(colour, np.uint8), (SIDE, SIDE, 3)).copy()


def shot(out, *, right=None, region=None, without=None):
    """A result of an edit of a black picture."""
    source = flat(0, 0, 0)
    pair = Pair(Image.fromarray(source), "do", mask=np.ones((SIDE, SIDE), bool))
    return Shot(pair, out, source, right, region, without)


def test_mixtures_of_source_and_right_answer_are_no_artifacts():
    """Not made, made in part, made: 0. Beyond both, or aside: how far."""
    right = flat(200, 100, 0)

    for out in (flat(0, 0, 0), flat(100, 50, 0), right):
        assert shots.artifacts(shot(out, right=right)) == 0
    beside = shots.artifacts(shot(flat(100, 50, 51), right=right))
    assert round(beside, 6) == round(0.2 / np.sqrt(3), 6)
    assert shots.artifacts(shot(flat(255, 100, 0), right=right)) > 0.1
    assert shots.artifacts(shot(right)) is None


def test_a_shift_of_colour_is_coarse_and_a_pattern_is_fine():
    """Outside of the region only, whose edge counts as nothing."""
    region = np.zeros((SIDE, SIDE), bool)
    region[16:32, 16:32] = True
    shifted = flat(51, 51, 51)
    shifted[region] = 255
    checked = flat(0, 0, 0)
    checked[::2, ::2] = checked[1::2, 1::2] = 51

    assert round(shots.coarse(shot(shifted, region=region)), 4) == 0.2
    assert shots.fine(shot(shifted, region=region)) < 1e-6
    assert shots.fine(shot(checked, region=region)) > 5 * abs(
        shots.coarse(shot(checked, region=region)) - 0.1
    )
    assert shots.coarse(shot(shifted, region=np.ones_like(region))) is None


def test_the_right_half_is_compared_with_no_reference():
    """The left one does not count."""
    out = flat(0, 0, 0)
    out[:, : SIDE // 2] = 255
    aside = out.copy()
    aside[:, SIDE // 2 :] = 51

    assert shots.right_half(shot(out, without=flat(0, 0, 0))) == 0
    assert round(shots.right_half(shot(aside, without=flat(0, 0, 0))), 6) == 0.2
    assert shots.right_half(shot(out)) is None


def test_a_stranger_is_another_scene_of_the_kind():
    """A result that is its source agrees with it, and not with the stranger."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for _ in range(3)]
    pairs = [
        Pair(Image.fromarray(it), "do", kind=kind, mask=np.ones((SIDE, SIDE), bool))
        for it, kind in zip(pictures, ("a", "b", "a"), strict=True)
    ]
    found = shots.measures(pairs)
    first = Shot(pairs[0], pictures[0], pictures[0], None, None, None)
    as_stranger = attrs.evolve(first, out=pictures[2])

    assert found["own edges"](first) == 1.0 == found["other edges"](as_stranger)
    assert found["other edges"](first) < 0.9
    assert tuple(found) == shots.NAMES


def test_chains_ask_for_three_edits_of_one_scene():
    """The same each time; the right answer has another colour, expression and ground."""
    drawn = chains(6)

    assert drawn == chains(6)
    for chain in drawn:
        assert len(chain.prompts) == 3
        assert chain.source.ground != chain.right.ground
        assert chain.source.face.mood != chain.right.face.mood
        assert chain.source.shapes[0].colour != chain.right.shapes[0].colour
        assert chain.source.shapes[1:] == chain.right.shapes[1:]


@pytest.fixture(scope="module")
def toy():
    """The embedded model, without a progress bar."""
    import refhooks as rh

    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


def test_chains_and_attention_are_measured(toy):
    """A value for every chain and scene, of what the claims ask for."""
    import refhooks as rh

    settings = Settings(steps=3, cfg=1.0, batch=3)
    made = measure_chains(toy, 1, settings)
    pairs = [it for it in rh.load_registry().models["toy"].pairs(1) if not it.references][:3]
    watched = watch_attention(toy, pairs, settings)

    assert [it["name"] for it in made["cells"]] == ["chain 0.6 0.9 1.2", "chain 0.9 0.9 0.9"]
    for cell in made["cells"]:
        assert [len(cell["values"][it]["chain"]) for it in ("done", "kept")] == [1, 1]
    (cell,) = watched["cells"]
    for third in ("first third", "middle third", "last third"):
        assert all(0 < share < 1 for share in cell["values"][third]["attention"])
        assert len(cell["values"][third]["attention"]) == 3


@pytest.mark.parametrize("measure", [shots.copied_ciede2000, shots.copied_ssim])
def test_closeness_to_the_source_by_other_measures(measure):
    """The source is copied whole, the right answer not at all; nothing to change, no value."""
    right, region = flat(200, 100, 0), np.ones((SIDE, SIDE), bool)

    assert measure(shot(flat(0, 0, 0), right=right, region=region)) == 1
    assert measure(shot(right, right=right, region=region)) == 0
    assert 0 < measure(shot(flat(100, 50, 0), right=right, region=region)) < 1
    assert measure(shot(right, right=right, region=~region)) is None
    assert measure(shot(right)) is None
