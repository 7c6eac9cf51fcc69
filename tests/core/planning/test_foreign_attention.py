"""A model whose attention cannot be edited says so when an edit is planned, and what does work."""

from __future__ import annotations

import functools
import re
import sys

import attrs
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


def test_a_method_without_an_outlook(editor):
    """A stranger's, of a class that is made in a function."""

    class Late:
        name = "late"

        def bind(self, reference, run):
            return Weighs()

    with pytest.raises(rh.InputError, match="not diffusers' own but Fused"):
        editor.edit(PICTURE, "make it blue", strategy=rh.Stage(Late(), 0.6), **CALL)


@attrs.frozen
class Weighing:
    """What a stranger's ``bind`` returns, with its hooks."""

    reference: rh.BoundReference

    @rh.hookimpl
    def refhooks_attention(self):
        return [rh.AttentionEdit(self.reference.index, torch.tensor(0.5))]


@attrs.frozen
class Filling:
    """The same, of a method that leaves attention alone."""

    reference: rh.BoundReference

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        return inputs.fill(self.reference.index, rh.Tokens(self.reference.latents))


def bound(reference):
    """A function that makes it."""
    return Weighing(reference)


class Direct:
    name = "direct"

    def bind(self, reference, run):
        return Weighing(reference)


class Through(Direct):
    """By a method of its own, and a function."""

    def bind(self, reference, run):
        return self.make(reference)

    def make(self, reference):
        return bound(reference)


class Kept(Direct):
    """By what an attribute holds."""

    kind = functools.partial(Weighing)

    def bind(self, reference, run):
        return self.kind(reference)


class OfModule(Direct):
    """By a module's attribute."""

    def bind(self, reference, run):
        return here.Weighing(reference)


class Inside(Direct):
    """By a class that is made there."""

    def bind(self, reference, run):
        class Own:
            @rh.hookimpl
            def refhooks_attention(self):
                return [rh.AttentionEdit(reference.index, torch.tensor(0.5))]

        return Own()


class Annotated(Direct):
    """By what the signature says."""

    def bind(self, reference, run) -> Weighing:
        return KINDS[0](reference)


class Inherited(Direct):
    """By the method that it comes from."""

    def bind(self, reference, run):
        return super().bind(reference, run)


class Silent(Direct):
    """With an outlook that says nothing of it."""

    def outlook(self, planned):
        return rh.Outlook(remarks=("it does something",))


class Unknown(Direct):
    """Nobody can tell before it is bound."""

    def bind(self, reference, run):
        return KINDS[1](reference)


here = sys.modules[__name__]
KINDS = [Weighing, Filling]
UNSTATED = [Direct, Through, Kept, OfModule, Inside, Annotated, Inherited, Silent]


@pytest.mark.parametrize("method", UNSTATED)
@pytest.mark.usefixtures("nothing_encoded")
def test_what_a_stranger_s_method_does_not_state_is_read_from_its_code(editor, method):
    """Also refused before anything is encoded, as the methods that are here."""
    with pytest.raises(rh.InputError) as caught:
        editor.edit(PICTURE, "make it blue", strategy=rh.Stage(method(), 0.6), **CALL)

    assert str(caught.value).startswith("this model cannot do direct of reference 1: ")
    assert "What works on it as it is: concat" in str(caught.value)


@pytest.mark.usefixtures("nothing_encoded")
def test_where_the_code_does_not_tell_the_message_says_what_to_state(editor):
    """What would be refused after the text encoder otherwise."""
    with pytest.raises(rh.InputError, match=r"cannot do direct of reference 1, which does not say"):
        editor.edit(PICTURE, "make it blue", strategy=rh.Stage(Unknown(), 0.6), **CALL)


class Plain(Direct):
    """It states nothing, and its class has other hooks."""

    def bind(self, reference, run):
        return Filling(reference)


class Stated(Unknown):
    def outlook(self, planned):
        return rh.Outlook(attention=False)


class Never(Direct):
    """What never acts edits nothing."""


def with_processors_of_another():
    """An editor whose attention runs, and cannot be edited."""
    pipe = tiny.build("plus", "middle")
    stock = type(pipe.transformer.transformer_blocks[0].attn.processor)
    pipe.transformer.set_attn_processor(type("Other", (stock,), {})())
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=1024, reference=1024, vision=1024))


@pytest.mark.parametrize(("method", "strength"), [(Plain, 0.6), (Stated, 0.6), (Never, 0.0)])
def test_a_stranger_s_method_that_leaves_attention_alone_works(method, strength):
    """Stated or not, as it did."""
    editor = with_processors_of_another()

    result = editor.edit(PICTURE, "make it blue", strategy=rh.Stage(method(), strength), **CALL)

    assert result.image.size == (SIDE, SIDE)


@pytest.mark.parametrize("method", [*UNSTATED, Unknown, Plain])
def test_other_models_take_them_all(method):
    """Nothing is asked of a method where attention can be edited."""
    pipe = tiny.build("plus", "middle")
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(output=1024, reference=1024, vision=1024))

    assert rh.plan(rh.Stage(method(), 0.6), 2, editor=editor).steps


@attrs.frozen
class OfRun:
    """A run plugin whose object edits attention."""

    name = "of-run"

    def bind_run(self, run):
        return Weighs()


@pytest.mark.usefixtures("nothing_encoded")
def test_a_run_plugin_that_edits_attention_is_refused_likewise(editor):
    """Its description has no hooks itself."""
    with pytest.raises(rh.InputError, match="this model cannot do plugin of-run of the call: "):
        editor.edit(PICTURE, "make it blue", plugins=[OfRun()], **CALL)


@attrs.frozen
class Says(OfRun):
    """One whose code names what does, beside what it binds."""

    edits_attention: bool | None

    def bind_run(self, run):
        return Says(None) if run.blocks else Weighs()

    @rh.hookimpl
    def refhooks_step(self):
        return None


def test_a_run_plugin_says_whether_it_edits_attention():
    """What it says counts, whatever its code names."""
    editor = with_processors_of_another()
    for said in (True, None):
        with pytest.raises(rh.InputError, match="this model cannot do plugin of-run"):
            editor.edit(PICTURE, "make it blue", plugins=[Says(said)], **CALL)
    assert editor.edit(PICTURE, "make it blue", plugins=[Says(edits_attention=False)], **CALL)


def test_what_the_code_hides_is_still_refused_when_it_is_bound(editor):
    """A class that is named and another that is returned."""

    class Hidden(Direct):
        def bind(self, reference, run):
            return (KINDS[0] if run.blocks else Filling)(reference)

    with pytest.raises(rh.InputError, match="not diffusers' own but Fused"):
        editor.edit(PICTURE, "make it blue", strategy=rh.Stage(Hidden(), 0.6), **CALL)
