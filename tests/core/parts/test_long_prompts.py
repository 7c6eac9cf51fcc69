"""Prompts longer than the model has positions for are refused when the edit is planned."""

from __future__ import annotations

import re

import pytest
import torch
from small import OTHER, SIDE, SOURCE, edit

import refhooks as rh

FAMILIES = ("edit", "plus", "2.1", "toy")
LONG = "blue and " * 2000
SAID = (
    r"comes to (\d+) tokens with its template and the pictures that it shows.*positions for (\d+)"
)
SIZE = {"height": SIDE, "width": SIDE}


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({"prompt": LONG}, "the prompt"),
        ({"prompt": ["short", LONG]}, "the prompt"),
        ({"negative_prompt": LONG}, "the negative prompt"),
        ({"prompt": LONG, "strategy": rh.Stage("default", 0.0)}, "the prompt"),
        ({"prompt": LONG, "image": None}, "the prompt"),
    ],
    ids=["prompt", "one of two", "negative", "picture not shown", "no picture"],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_refused_before_anything_is_encoded(new, never_encoded, family, options, who):
    """With how many tokens there are, and how many fit."""
    editor = new(family)
    never_encoded(editor)

    with pytest.raises(rh.InputError, match=f"^{who} {SAID}") as caught:
        edit(editor, **options)

    tokens, room = map(int, re.search(SAID, str(caught.value)).groups())
    assert tokens > room > 1000


def test_a_negative_prompt_that_nobody_reads_may_be_long(new):
    """Without guidance there is no pass for it."""
    editor = new("plus")

    result = edit(editor, cfg=1.0, negative_prompt=" " * 6000)

    assert torch.equal(edit(editor, cfg=1.0).latents, result.latents)


@pytest.mark.parametrize(
    ("family", "count"),
    [
        (family, count)
        for family in FAMILIES
        for count in (0, 1, 2)
        if (family, count) != ("edit", 2)
    ],
)
def test_every_token_is_counted(new, family, count):
    """Also those of pictures: as many as are encoded."""
    editor = new(family)
    sizes = [rh.Size(SIDE, SIDE), rh.Size(96, 32)][:count]
    pictures = [SOURCE, OTHER.resize((32, 96))][:count]
    opened = [picture.convert(editor.family.picture_mode) for picture in pictures]
    shown = [rh.Shown(number, (picture,)) for number, picture in enumerate(opened, 1)]
    prompt = "make the sky blue, ünd more"

    tokens, _ = editor.family.text_positions(prompt, rh.Size(SIDE, SIDE), sizes, shown)
    with torch.no_grad():
        text = editor.family.encode_texts([prompt], shown, sizes, 1)

    assert text.embeds.shape[1] == tokens


@pytest.mark.parametrize("family", ["edit", "plus", "toy"])
def test_the_last_position_can_be_used(new, never_encoded, family):
    """As many tokens as there is room for run; one more is refused."""
    editor = new(family)
    embedding = editor.pipe.transformer.pos_embed
    embedding.pos_freqs = embedding.pos_freqs[:200]
    size = rh.Size(SIDE, SIDE)
    shown = [rh.Shown(1, (SOURCE,))]
    fits = [
        "7" * length for length in range(1, 200) if _tokens(editor, "7" * length, size, shown) <= 0
    ]

    result = edit(editor, fits[-1], negative_prompt=fits[-1])

    assert _tokens(editor, fits[-1], size, shown) == 0
    assert torch.isfinite(result.latents).all()
    never_encoded(editor)
    with pytest.raises(rh.InputError, match=r"^the prompt comes to (\d+) tokens.*shorten it"):
        edit(editor, fits[-1] + "7")


def _tokens(editor, prompt, size, shown):
    """How many there are beyond the room."""
    tokens, room = editor.family.text_positions(prompt, size, [size], shown)
    return tokens - room


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chain_is_refused_before_its_first_edit(new, never_encoded, family):
    """Whichever edit it is."""
    editor = new(family)
    never_encoded(editor)

    with pytest.raises(rh.InputError, match=f"^edit 2 of 2: the prompt {SAID}"):
        editor.chain(SOURCE, [rh.Edit("make it blue"), rh.Edit(LONG)], steps=2, seed=1, **SIZE)


def test_a_batch_is_refused(new, never_encoded):
    """With the job that it is."""
    from refhooks.batch import Job, edit_batch

    editor = new("plus")
    never_encoded(editor)
    jobs = [Job(SOURCE, "make it blue"), Job(OTHER, LONG)]

    with pytest.raises(rh.InputError, match=f"^the prompt {SAID}") as caught:
        edit_batch(editor, jobs, steps=2, **SIZE)

    assert caught.value.__notes__ == ["raised by job 2 of a batch"]


def test_a_stranger_says_how_many_fit(new, never_encoded, monkeypatch):
    """By one method of the base class of families."""
    editor = new("stranger")
    monkeypatch.setattr(
        type(editor.family), "text_positions", lambda _self, prompt, *_: (len(prompt), 20)
    )
    never_encoded(editor)

    with pytest.raises(rh.InputError, match=r"the prompt comes to 21 tokens .* positions for 20"):
        edit(editor, "a" * 21, negative_prompt="")
