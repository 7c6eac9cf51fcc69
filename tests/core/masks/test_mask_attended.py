"""Masks at the level of attention: equal to plain attention with −∞ where nothing may be seen."""

from __future__ import annotations

import contextlib

import pytest
import tiny
import torch
from confining import LEFT, OUTSIDE, Watched, strategy
from diffusers.models.transformers.transformer_qwenimage import (
    QwenDoubleStreamAttnProcessor2_0,
    apply_rotary_emb_qwen,
)
from PIL import Image
from plugs import plugin

import refhooks as rh
from refhooks._base.coverage import BLANK

PICTURE = tiny.picture(3, (32, 32))
UPPER = "0,0,100%,50%"
KEPT = torch.arange(16) < 8  # tokens of the upper half


class Plain(QwenDoubleStreamAttnProcessor2_0):
    """Plain attention; ``allowed(length)`` says which query may see which key, ``[L,L]``."""

    def __init__(self, allowed):
        super().__init__()
        self._allowed = allowed

    def __call__(
        self, attn, hidden_states, encoder_hidden_states, encoder_hidden_states_mask=None,
        attention_mask=None, image_rotary_emb=None,
    ):  # fmt: skip
        size = attn.inner_dim // attn.heads

        def heads(image, text):
            return image.unflatten(-1, (-1, size)), text.unflatten(-1, (-1, size))

        queries = heads(attn.to_q(hidden_states), attn.add_q_proj(encoder_hidden_states))
        keys = heads(attn.to_k(hidden_states), attn.add_k_proj(encoder_hidden_states))
        values = heads(attn.to_v(hidden_states), attn.add_v_proj(encoder_hidden_states))
        queries = attn.norm_q(queries[0]), attn.norm_added_q(queries[1])
        keys = attn.norm_k(keys[0]), attn.norm_added_k(keys[1])
        queries, keys = (
            [
                apply_rotary_emb_qwen(one, rotary, use_real=False)
                for one, rotary in zip(pair, image_rotary_emb, strict=True)
            ]
            for pair in (queries, keys)
        )
        query, key, value = (
            torch.cat([text, image], dim=1).transpose(1, 2)
            for image, text in (queries, keys, values)
        )
        bias = torch.zeros(query.shape[2], query.shape[2])
        bias = bias.masked_fill(~self._allowed(query.shape[2]), float("-inf"))
        weights = (query @ key.transpose(-1, -2) * size**-0.5 + bias).softmax(-1)
        out = (weights @ value).transpose(1, 2).flatten(2)
        split = encoder_hidden_states.shape[1]
        return attn.to_out[1](attn.to_out[0](out[:, split:])), attn.to_add_out(out[:, :split])


@pytest.fixture
def plainly(pipe):
    """A context manager: the model attends plainly in it."""

    @contextlib.contextmanager
    def plainly(allowed):
        modules = [block.attn for block in pipe.transformer.transformer_blocks]
        stock = [module.processor for module in modules]
        for module in modules:
            module.set_processor(Plain(allowed))
        try:
            yield
        finally:
            for module, processor in zip(modules, stock, strict=True):
                module.set_processor(processor)

    return plainly


@pytest.mark.parametrize("references", [1, 2])
@pytest.mark.parametrize("text", ["full", "none"])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_region(edit, plainly, references, text, cfg):
    """Target queries outside, other references and, with text="none", the prompt see no key."""
    others = [tiny.picture(number, (32, 32)) for number in range(1, references)]

    def allowed(length):
        prompt = length - 16 * (1 + references)
        seen = torch.ones(length, length, dtype=torch.bool)
        keys = slice(prompt + 16, prompt + 32)
        seen[prompt : prompt + 16, keys] = ~OUTSIDE[:, None]
        seen[prompt + 32 :, keys] = False
        seen[:prompt, keys] = text == "full"
        return seen

    with plainly(allowed):
        expected = edit(PICTURE, references=others, cfg=cfg).latents
    masked = strategy("default", rh.mask(LEFT, text=text), strength=1)

    found = edit(PICTURE, strategy=masked, references=others, cfg=cfg).latents

    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert not torch.allclose(
        edit(PICTURE, references=others, cfg=cfg).latents, expected, atol=1e-3
    )


@pytest.mark.parametrize("method", ["default", "cross_attn"])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_content_dropped_equals_keys_masked(edit, plainly, method, cfg):
    """The positions of what is left stay."""
    hidden = PICTURE.copy()
    hidden.paste((BLANK,) * 3, (0, 16, 32, 32))

    def allowed(length):
        return torch.cat([torch.ones(length - 16, dtype=torch.bool), KEPT]).expand(length, -1)

    with plainly(allowed):
        expected = edit(hidden, cfg=cfg).latents
    masked = strategy(method, rh.mask(UPPER, kind="content"), strength=1)

    result = edit(PICTURE, strategy=masked, cfg=cfg)

    torch.testing.assert_close(result.latents, expected, atol=1e-4, rtol=0)
    assert [step.rows[0].tokens for step in result.timetable.steps] == [8, 8]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    "method",
    ["default", "cross_attn", "guidance", rh.method("concat", tied=True),
     *[rh.method("inject", formula=formula, where=where) for formula, where in (
         ("add", "input"), ("add", "latents"), ("blend", "input"), ("blend", "latents"),
         ("pull", "input"))]],
)  # fmt: skip
def test_what_is_hidden_reaches_nothing(edit, method, soft):
    """Two pictures that differ only in it give the same bits: by tokens and by the text encoder."""
    masked = strategy(method, rh.mask(UPPER, kind="content", soft=soft))
    other = PICTURE.copy()
    other.paste(tiny.picture(9, (32, 16)), (0, 16))

    results = [
        edit(references=[rh.Reference(picture, masked)], cfg=2.0) for picture in (PICTURE, other)
    ]

    assert torch.equal(results[0].latents, results[1].latents)
    free = edit(references=[rh.Reference(other, strategy(method))], cfg=2.0)
    assert not torch.equal(results[0].latents, free.latents)


def test_what_is_hidden_reaches_no_text_encoder(edit):
    """Also where the picture is shown though its strength is 0."""
    masked = strategy("default", rh.mask(UPPER, kind="content"), strength=0, vision="always")
    other = PICTURE.copy()
    other.paste(tiny.picture(9, (32, 16)), (0, 16))

    runs = [edit(references=[rh.Reference(it, masked)]).latents for it in (PICTURE, other)]

    assert torch.equal(*runs)


def test_soft_scales_the_latents(edit):
    """By the cover of each token, ``reference_latent * spatial_mask``."""
    grey = Image.new("L", (32, 32), 51)
    grey.paste(255, (0, 0, 32, 16))

    def latents(*masks):
        seen = Watched()
        result = edit(strategy=strategy("default", *masks, strength=1), plugins=seen.plugins)
        return seen.pairs("conditioning")[0][1].slots[0], result

    soft, result = latents(rh.mask(grey, kind="content", soft=True))
    free, _ = latents()

    scale = torch.where(KEPT, 1.0, 0.2)[None, :, None]
    torch.testing.assert_close(soft.latents, free.latents * scale)
    assert soft.keep is None
    assert result.timetable.steps[0].rows[0].tokens == 16


def test_a_token_stays_from_a_half_on(edit):
    """Of which less is covered is left out; if that were all, those that are covered at all."""

    def kept(box):
        seen = Watched()
        masked = strategy("default", rh.mask(box, kind="content"), strength=1)
        edit(strategy=masked, plugins=seen.plugins)
        slot = seen.pairs("conditioning")[0][1].slots[0]
        return None if slot.keep is None else slot.keep.tolist()

    assert kept("0,0,12,8") == [0, 1]
    assert kept("0,0,11,8") == [0]
    assert kept("0,0,3,3") == [0]
    assert kept("0,0,32,28") is None


def test_a_method_that_keeps_tokens_itself(edit):
    """What both keep is kept, found once a run; where they share none the slot is empty."""
    found = []

    def run(kept):
        keep = torch.tensor(kept)

        @rh.hookimpl(trylast=True)
        def note(inputs):
            found.append(inputs.slots[0])

        class Keeps:
            name = "keeps"

            def bind(self, reference, run):
                tokens = rh.Tokens(reference.latents, keep=keep)
                return plugin(refhooks_conditioning=lambda inputs: inputs.fill(0, tokens))

        found.clear()
        masked = strategy(Keeps(), rh.mask(UPPER, kind="content"), strength=1)
        edit(strategy=masked, plugins=[plugin(refhooks_conditioning=note)])
        return [None if slot is None else slot.keep for slot in found]

    first, second = run([1, 7, 8, 9])
    assert first.tolist() == [1, 7]
    assert first is second
    assert run([8, 9]) == [None, None]


def test_content_and_region_together(edit):
    """Less of the reference, in less of the picture."""
    masks = [rh.mask(UPPER, kind="content"), rh.mask(LEFT)]

    def row(*masks):
        return edit(strategy=strategy("default", *masks)).timetable.steps[0].rows[0]

    assert (row(*masks).tokens, row(*masks).area) == (8, 0.5)
    assert (row(*masks[:1]).tokens, row(*masks[:1]).area) == (8, None)
    assert (row().tokens, row().area) == (16, None)
