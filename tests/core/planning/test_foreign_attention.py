"""A model whose attention cannot be edited says so when an edit is planned, and what does work."""

from __future__ import annotations

import re

import pytest
import tiny
import torch
from torch import nn

import refhooks as rh
from refhooks_qwen21 import _tiny as tiny21

SIDE = 32
PICTURE = tiny.picture(0, (SIDE, SIDE))
TOP = "0,0,100%,50%"
CALL = {"steps": 2, "seed": 1, "height": SIDE, "width": SIDE}


class OwnProcessor:
    """Somebody's."""


class Fused(nn.Module):
    """Projections in one, and processors by name only, as libraries that quantise have them."""

    def __init__(self, other):
        super().__init__()
        self.heads = other.heads
        self.to_qkv = nn.Linear(8, 24)
        self.processor = OwnProcessor()

    def set_processor(self, processor):
        raise ValueError(f"Processor {processor} is not supported")


class ByName(nn.Module):
    """All parts of the stock module, but processors by name only."""

    def __init__(self, other):
        super().__init__()
        self.__dict__.update(other.__dict__)

    def set_processor(self, processor):
        raise ValueError(f"Processor {processor} is not supported")


def none_of_them(_other):
    """A module without a processor at all."""
    return nn.Identity()


def fused_editor(kind, make=Fused):
    """An editor on a small model whose attention modules are another library's."""
    pipe = tiny21.tiny_pipeline() if kind == "21" else tiny.build(kind, "middle")
    for block in pipe.transformer.transformer_blocks:
        block.attn = make(block.attn)
    area = SIDE**2
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area))


@pytest.fixture(scope="module", params=["edit", "plus", "21"])
def editor(request):
    """Of each family, fused."""
    return fused_editor(request.param)


@pytest.fixture
def nothing_encoded(editor, monkeypatch):
    """Neither the text encoder nor the VAE is called."""
    for part in (editor.pipe.text_encoder, editor.pipe.vae):
        monkeypatch.setattr(part, "forward", None)
        monkeypatch.setattr(part, "encode", None, raising=False)


class Weighs:
    """An object of the call that edits attention."""

    @rh.hookimpl
    def refhooks_attention(self):
        return [rh.AttentionEdit(0, torch.tensor(0.5))]


REGION = rh.Strategy("default", masks=[rh.mask(TOP, kind="region")])
REFUSED = {
    "cross_attn of reference 1": {"strategy": rh.Stage("cross_attn", 0.6)},
    "default of reference 1": {"strategy": rh.Stage("default", 1.4)},
    "the region mask of reference 1": {"strategy": REGION},
    "record_attention": {"record_attention": True},
    "plugin Weighs of the call": {"plugins": [Weighs()]},
}
KEYS = {"strategy": rh.Stage(rh.method("cross_attn", reuse="once"))}
SEPARATE = {"strategy": rh.Stage(rh.method("cross_attn", softmax="separate"))}


@pytest.mark.parametrize(
    ("needs", "options"),
    [
        *REFUSED.items(),
        ("cross_attn of reference 1", KEYS),
        ("cross_attn of reference 1", SEPARATE),
    ],
)
@pytest.mark.usefixtures("nothing_encoded")
def test_what_edits_or_records_attention_is_refused_before_anything_is_encoded(
    editor, needs, options
):
    """The message names what needs it, why not, and what works; no advice that cannot be taken."""
    with pytest.raises(rh.InputError) as caught:
        editor.edit(PICTURE, "make it blue", **CALL, **options)

    message = str(caught.value)
    assert message.startswith(f"this model cannot do {needs}: ")
    assert "not diffusers' own but Fused, without to_q, to_k" in message
    works = message.split("What works on it as it is: ")[1]
    assert "default up to strength 1, guidance, inject" in works
    assert "concat" in works
    assert "set_attn_processor" not in message


@pytest.mark.usefixtures("nothing_encoded")
def test_plans_chains_and_lists_refuse_it_too(editor):
    """None of the edits of a chain runs; a plan needs no picture for it."""
    stage = rh.Stage("cross_attn", 0.6)
    words = "this model cannot do cross_attn of reference 1"
    with pytest.raises(rh.InputError, match=words):
        rh.plan(stage, 2, editor=editor)
    with pytest.raises(rh.InputError, match=words):
        rh.plan([rh.Reference(PICTURE, stage)], 2, editor=editor)
    with pytest.raises(rh.InputError, match="cannot do the region mask of reference 1"):
        rh.plan(REGION, 2, editor=editor)
    with pytest.raises(rh.InputError, match=words):
        editor.chain(PICTURE, [rh.Edit("a"), rh.Edit("b", strategy=stage)], **CALL)


@pytest.mark.parametrize("make", [ByName, none_of_them])
@pytest.mark.parametrize("kind", ["plus", "21"])
def test_every_kind_of_foreign_module(kind, make):
    """Whether it lacks parts, or cannot be given a processor."""
    with pytest.raises(rh.InputError, match=r"not diffusers' own but (ByName|Identity),") as caught:
        rh.plan(rh.Stage("cross_attn", 0.6), 2, editor=fused_editor(kind, make))

    assert "set_attn_processor" not in str(caught.value)


def test_a_content_mask_of_a_model_that_keeps_its_prefix():
    """It leaves rows out of what is kept, which its own attention does not do."""
    content = rh.Strategy("default", masks=[rh.mask(TOP, kind="content")])
    with pytest.raises(rh.InputError, match=r"cannot do a content mask: .*without masks and"):
        fused_editor("21").edit(PICTURE, "make it blue", strategy=content, **CALL)


def test_where_the_stock_processor_can_be_put_back_the_message_says_so():
    """That advice can be followed, and then it works."""
    pipe = tiny.build("plus", "middle")
    stock = type(pipe.transformer.transformer_blocks[0].attn.processor)
    pipe.transformer.set_attn_processor(type("Other", (stock,), {})())
    editor = rh.Editor(pipe)
    stage = rh.Stage("cross_attn", 0.6)
    with pytest.raises(rh.InputError, match="attention processor Other") as caught:
        rh.plan(stage, 2, editor=editor)

    advice = re.search(r"transformer\.set_attn_processor\(\w+\(\)\)", str(caught.value))[0]
    assert advice == f"transformer.set_attn_processor({stock.__name__}())"
    pipe.transformer.set_attn_processor(stock())
    rh.plan(stage, 2, editor=editor)


def test_what_a_method_does_not_foresee_is_found_when_it_is_bound(editor):
    """A stranger's, before the first step."""

    class Late:
        name = "late"

        def bind(self, reference, run):
            return Weighs()

    with pytest.raises(rh.InputError, match="not diffusers' own but Fused"):
        editor.edit(PICTURE, "make it blue", strategy=rh.Stage(Late(), 0.6), **CALL)
