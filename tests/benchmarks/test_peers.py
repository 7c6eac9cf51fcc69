"""How others steer: their formulas on tensors, and the table of them beside the four methods."""

from __future__ import annotations

import math
from types import SimpleNamespace

import _peer_methods
import peers
import pytest
import tiny
import torch
from diffusers.models.transformers.transformer_qwenimage import QwenDoubleStreamAttnProcessor2_0
from PIL import Image

import refhooks as rh
from refhooks.attention import KeyGroup, combine, merged_attention
from refhooks.score import Pair
from refhooks_toy import HELD_OUT, make_pairs

LATENTS, OTHER, NOISY = torch.randn(3, 1, 5, 4, generator=torch.Generator().manual_seed(0))


def bound(method):
    """A method bound to a reference of made-up latents."""
    reference = SimpleNamespace(
        index=0, latents=LATENTS, fitted=lambda: LATENTS, strengths=(0.4, 1.5), steered=False
    )
    run = SimpleNamespace(blocks=2)
    return method.bind(reference, run)


def at(strength, sigma=0.6):
    """What a hook is told of a step."""
    return SimpleNamespace(
        step=SimpleNamespace(sigma=sigma), rows=[SimpleNamespace(strength=strength)]
    )


class ScaledStock(QwenDoubleStreamAttnProcessor2_0):
    """The stock processor, with keys and values of the reference multiplied."""

    def __init__(self, factor, target):
        super().__init__()
        self.factor, self.target = factor, target

    def __call__(self, attn, hidden_states, encoder_hidden_states, encoder_hidden_states_mask=None,
                 attention_mask=None, image_rotary_emb=None):  # fmt: skip
        factor = torch.ones(encoder_hidden_states.shape[1] + hidden_states.shape[1], 1)
        factor[encoder_hidden_states.shape[1] + self.target :] = self.factor
        stock = torch.nn.functional.scaled_dot_product_attention
        torch.nn.functional.scaled_dot_product_attention = lambda *, key, value, **others: stock(
            key=key * factor, value=value * factor, **others
        )
        try:
            return super().__call__(
                attn, hidden_states, encoder_hidden_states, None, None, image_rotary_emb
            )
        finally:
            torch.nn.functional.scaled_dot_product_attention = stock


@pytest.mark.parametrize("strength", [0.5, 1.15])
def test_keys_and_values_are_scaled(strength):
    """As if the stock attention were given K·s and V·s for the reference's tokens."""
    pipe = tiny.build("plus", "middle")
    area = 64 * 64
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area))
    arguments = {"steps": 2, "seed": 1, "cfg": 1.0}
    stage = rh.Stage(_peer_methods.KeysValues(), strength)

    scaled = editor.edit(tiny.picture(), "make it blue", strategy=stage, **arguments).latents

    native = editor.edit(tiny.picture(), "make it blue", **arguments).latents
    for block in pipe.transformer.transformer_blocks:
        block.attn.set_processor(ScaledStock(strength, scaled.shape[1]))
    expected = editor.edit(tiny.picture(), "make it blue", **arguments).latents
    torch.testing.assert_close(scaled, expected, atol=1e-5, rtol=0)
    assert (scaled - native).abs().max() > 1e-4


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_predicted_x0_is_pulled(weight):
    """``x0 + (ref − x0)·w·s``, whatever the noise level."""
    hooks = bound(_peer_methods.PullX0(weight=weight))
    for strength, sigma in ((0.5, 0.9), (1.0, 0.2)):
        before = NOISY - sigma * OTHER

        velocity = hooks.refhooks_velocity(at(strength, sigma), NOISY, OTHER)

        after = NOISY - sigma * velocity
        torch.testing.assert_close(after, before + (LATENTS - before) * weight * strength)


def test_a_pull_gives_tokens_only_if_asked():
    """Both kinds are in the table."""
    inputs = rh.Inputs(NOISY, (None,), rh.Text(torch.zeros(1, 2, 3)))

    kept = bound(_peer_methods.PullX0()).refhooks_conditioning(inputs)

    assert torch.equal(kept.slots[0].latents, LATENTS)
    assert bound(_peer_methods.PullX0(tokens="drop")).refhooks_conditioning(inputs) is None


def test_image_guidance_is_its_formula():
    """Without classifier-free guidance: ``v0 + s·(v_ref − v0)``."""
    hooks = bound(rh.method("guidance"))
    predictions = {"cond": OTHER, "without reference 1": NOISY}

    velocity = hooks.refhooks_velocity(at(1.5), predictions, OTHER)

    torch.testing.assert_close(velocity, NOISY + 1.5 * (OTHER - NOISY))


def test_a_log_bias_is_the_weight_of_cross_attn():
    """Softmax of logit + log s on the reference's keys, for the other tokens' queries."""
    query, keys, values = torch.randn(3, 1, 6, 1, 4, generator=torch.Generator().manual_seed(1))
    layout = rh.Layout(slice(0, 2), slice(2, 4), (slice(4, 6),), 6)
    (edit,) = combine(bound(rh.method("cross_attn")).refhooks_attention(at(0.4)), layout)

    out = merged_attention(
        query,
        [
            KeyGroup(keys[:, :4], values[:, :4]),
            KeyGroup(keys[:, 4:], values[:, 4:], edit.weight[0], own=slice(4, 6)),
        ],
    )

    logits = query[0, :, 0] @ keys[0, :, 0].T / 2.0
    logits[:4, 4:] += math.log(0.4)
    torch.testing.assert_close(out[0, :, 0], logits.softmax(-1) @ values[0, :, 0])


def test_windows_scale_the_latents_inside_only():
    """ReferenceLatentPlus: r·s from its start to its end, and no tokens elsewhere; pulls end."""
    held = {form.name: form.strategy for form in peers.forms()}

    strengths = rh.plan(held["latents·s 0.85, 0.2–1"], 11).strengths(0)

    assert strengths == (0.0, 0.0, *[0.85] * 9)
    assert rh.plan(held["x0 pull 0.5"], 10).strengths(0) == (*[0.5] * 8, 1.0, 1.0)
    assert rh.plan(held["x0 pull alone 0.5"], 10).strengths(0) == (*[0.5] * 8, 0.0, 0.0)
    hooks = bound(rh.method("default", above_one="latents"))
    inputs = rh.Inputs(NOISY, (None,), rh.Text(torch.zeros(1, 2, 3)))
    assert torch.equal(
        hooks.refhooks_conditioning(at(0.85), inputs).slots[0].latents, LATENTS * 0.85
    )


def test_forms_have_names_of_their_own():
    """What all times are over is the first; strengths are in range, so none is refused."""
    given = peers.forms()

    assert given[0].name == peers.PLAIN
    assert len({form.name for form in given}) == len(given)
    assert {"default", "inject", "concat", "cross_attn"} <= {
        stage.method for form in given for stage in form.strategy.stages
        if isinstance(stage.method, str)
    }  # fmt: skip


def test_the_front_is_what_nothing_beats():
    """Equal rows are both on it; a row without figures is not."""
    points = {"a": (0.5, 0.9), "b": (0.6, 0.8), "c": (0.5, 0.8), "d": (0.6, 0.8), "e": (0.6, 0.7)}
    rows = [
        {"form": name, "done": [done, 0, 1], "kept": [kept, 0, 1]}
        for name, (done, kept) in points.items()
    ]
    rows.append({"form": "f", "done": None, "kept": None})

    assert peers.front(rows) == {"a", "b", "d"}


def test_rows_that_were_not_measured_anew_stay():
    """In the order of the table; the front is of all of them."""
    rows = [{"form": name, "done": [done, 0, 1], "kept": [0.5, 0, 1]} for name, done in
            (("default 1", 0.5), ("inject 1", 0.4), ("away 1", 0.6))]  # fmt: skip
    better = [{"form": "inject 1", "done": [0.7, 0, 1], "kept": [0.5, 0, 1]}]

    held = peers.merged(better, rows, peers.forms())

    assert [row["form"] for row in held] == ["default 1", "inject 1", "away 1"]
    assert [row["front"] for row in held] == [False, True, False]


def test_rows_are_chosen_by_what_their_names_hold():
    """Of the group as well; without a text all are."""
    given = peers.forms()

    assert {it.name for it in given if it.is_one_of(("away",))} == {
        "away 0.25", "away 0.5", "away 1",
    }  # fmt: skip
    assert all(it.is_one_of(()) for it in given)


@pytest.fixture
def scenes():
    """Two scenes of one kind of a part of the picture, and of one of the whole."""
    found = []
    for kind in ("color-change", "lighting-change"):
        drawn = make_pairs(kind, range(HELD_OUT, HELD_OUT + 2))
        found += [
            Pair(
                Image.fromarray(drawn.source[place]), prompt, kind=kind, seed=place,
                right=Image.fromarray(drawn.right[place]), mask=drawn.mask[place],
            )
            for place, prompt in enumerate(drawn.prompts)
        ]  # fmt: skip
    return found


def test_a_table_of_a_tiny_run(tmp_path, pipe, scenes, never_called):
    """Every form has its figures and its time; a second run edits nothing again."""
    editor = rh.Editor(
        pipe,
        checkpoint=rh.Checkpoint(output=64**2, reference=64**2, vision=64**2, cfg=2.0),
        plugins=[_peer_methods],
    )
    wanted = {peers.PLAIN, "K and V·s 1.15", "away 0.5", "apg 2"}
    given = [form for form in peers.forms() if form.name in wanted]
    rows = peers.measured(editor, scenes, given, 2, store=tmp_path / "store")
    times = peers.timed(editor, scenes[0], given, 2, 1)

    with never_called():
        assert peers.measured(editor, scenes, given, 2, store=tmp_path / "store") == rows
    assert [row["form"] for row in rows] == [form.name for form in given]
    assert times[peers.PLAIN] == [1.0, 1.0, 1.0]
    figures = {"scenes": 2, "steps": 2, "cfg": 2.0, "rounds": 1}
    rows = [row | {"time": times[row["form"]]} for row in rows]
    page = peers.table(figures | {"rows": peers.merged(rows, [], given)}).splitlines()
    (own,) = (line.split(" | ") for line in page if line.startswith("| K and V·s 1.15"))
    assert len(own) == 8
    assert "–" not in {cell.strip() for cell in own[1:6]}  # every measure is there
