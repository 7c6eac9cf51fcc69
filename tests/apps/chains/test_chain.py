"""Chains: each edit works on what the one before made, and everything is refused up front."""

from __future__ import annotations

import pytest
import tiny
import torch

import refhooks as rh
from refhooks._core.planning.input_pictures import HandedOn

AREA = 32 * 32
SIZE = {"steps": 3, "cfg": 1.0, "seed": 7}


@pytest.fixture(scope="module")
def editor(pipe):
    """An editor on the shared pipeline, at 32x32."""
    return rh.Editor(
        pipe, checkpoint=rh.Checkpoint(output=AREA, reference=AREA, vision=AREA), encodings_mib=0
    )


@pytest.fixture
def encoded(editor, monkeypatch):
    """Every picture that the VAE encodes from here on."""
    seen = []
    encode = editor.pipe._encode_vae_image

    def watched(image, generator):
        seen.append(image)
        return encode(image=image, generator=generator)

    monkeypatch.setattr(editor.pipe, "_encode_vae_image", watched)
    return seen


def test_a_chain_of_one_is_that_edit(editor):
    """To the bit."""
    chain = editor.chain(tiny.picture(), [rh.Edit("make it blue")], **SIZE)
    alone = editor.edit(tiny.picture(), "make it blue", **SIZE)

    assert torch.equal(chain.results[0].latents, alone.latents)


def test_pixels_handed_over_are_edits_by_hand(editor):
    """The second edit is an edit of the first one's picture, with the next seed."""
    chain = editor.chain(
        tiny.picture(), [rh.Edit("one"), rh.Edit("two")], handover="pixels", **SIZE
    )
    first = editor.edit(tiny.picture(), "one", **SIZE)
    second = editor.edit(first.image, "two", **{**SIZE, "seed": 8})

    assert torch.equal(chain.results[1].latents, second.latents)
    assert chain.results[1].seed == 8


def test_latents_are_handed_on_as_they_are(editor, encoded):
    """Only the first picture is encoded, and what the model is given are those very latents."""
    given = []

    class Look:
        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            given.append(inputs.slots[0].latents)

    chain = editor.chain(tiny.picture(), [rh.Edit("one"), rh.Edit("two")], plugins=[Look()], **SIZE)

    assert len(encoded) == 1
    assert torch.equal(given[-1], chain.results[0].latents)


def test_a_retouched_picture_is_handed_on_as_pixels(editor, encoded):
    """Its latents do not hold what the edit mask put back."""
    edits = [rh.Edit("one", edit_mask="0,0,50%,50%"), rh.Edit("two")]

    chain = editor.chain(tiny.picture(), edits, **SIZE)

    assert [result.retouched for result in chain.results] == [True, False]
    assert len(encoded) == 3  # the reference and the source of the first, what it made


@pytest.mark.parametrize(
    ("reference", "pictures"), [("previous", [1]), ("original", [0]), ("both", [1, 0])]
)
def test_what_an_edit_has_as_references(editor, reference, pictures, monkeypatch):
    """The text encoder sees them in this order."""
    shown = []
    opened = editor.family.open
    monkeypatch.setattr(
        editor.family, "open",
        lambda **kwargs: shown.append([s.pictures[0] for s in kwargs["shown"]]) or opened(**kwargs),
    )  # fmt: skip
    original = tiny.picture()

    chain = editor.chain(original, [rh.Edit("one"), rh.Edit("two", reference=reference)], **SIZE)

    made = [original, chain.results[0].image]
    assert shown[1] == [made[number] for number in pictures]


def test_original_still_starts_from_what_the_edit_before_made(editor):
    """Below denoise 1 the latents of the edit before are noised, whatever the reference is."""
    started = []

    class Look:
        @rh.hookimpl
        def refhooks_step(self, ctx, latents):
            if ctx.step.index == 0:
                started.append((ctx.step.sigma, latents))

    edits = [rh.Edit("one"), rh.Edit("two", reference="original", denoise=0.5, seed=7)]
    chain = editor.chain(tiny.picture(), edits, plugins=[Look()], **SIZE)
    (_, noise), (sigma, start) = started

    expected = (1 - sigma) * chain.results[0].latents + sigma * noise
    assert sigma < 1
    torch.testing.assert_close(start, expected, rtol=1e-5, atol=1e-5)


def test_strength_and_denoise_follow_a_schedule_over_the_edits(editor):
    """From 1 at the first edit to 0.5 at the last; an edit's own denoise wins."""
    edits = [rh.Edit("one"), rh.Edit("two", "cross_attn"), rh.Edit("three", denoise=1.0)]

    chain = editor.chain(tiny.picture(), edits, strength="1:0.5", denoise=(1.0, 0.75, 0.5), **SIZE)

    rows = [result.timetable.steps[0].rows[0] for result in chain.results]
    assert [(row.method, row.strength) for row in rows] == [
        ("default", 1.0), ("cross_attn", 0.75), ("default", 0.5),
    ]  # fmt: skip
    sigmas = [result.timetable.sigmas[0] for result in chain.results]
    assert sigmas[1] < 1 == sigmas[0] == sigmas[2]


def test_every_edit_has_the_size_of_the_first(editor):
    """Also where the size that was asked for is not the picture's shape."""
    chain = editor.chain(
        tiny.picture(), [rh.Edit("one"), rh.Edit("two")], height=32, width=48, **SIZE
    )

    assert [image.size for image in chain.images] == [(48, 32)] * 2


def test_results_come_as_they_are_made(editor):
    """One call an edit, in order; a later failure loses none of them."""
    seen = []

    class Fail:
        @rh.hookimpl
        def refhooks_step(self, ctx):
            if len(seen) == 1:
                raise ValueError(ctx.step.index)

    with pytest.raises(ValueError, match="0") as caught:
        editor.chain(
            tiny.picture(), [rh.Edit("one"), rh.Edit("two")], plugins=[Fail()],
            on_result=lambda index, result: seen.append((index, result.image)), **SIZE,
        )  # fmt: skip

    assert [index for index, _ in seen] == [0]
    assert "raised by edit 2 of 2 of the chain" in caught.value.__notes__


class Foreign(rh.RefhooksError):
    """A plugin's own error, made of more than a message."""

    def __init__(self, code, message):
        super().__init__(code, message)

    def __str__(self):
        return "{1} ({0})".format(*self.args)


@pytest.mark.parametrize("error", [rh.InputError("no"), Foreign(7, "no")])
def test_an_error_of_a_plugin_says_whose_it_is_also_in_a_chain(editor, error):
    """It is the same error, with its notes, and names the edit."""

    class Fail:
        @rh.hookimpl
        def refhooks_step(self):
            raise error

    with pytest.raises(type(error)) as caught:
        editor.chain(tiny.picture(), [rh.Edit("one")], plugins=[Fail()], **SIZE)

    told = "\n".join([str(caught.value), *caught.value.__notes__])
    assert caught.value is error
    assert "edit 1 of 1" in told
    assert "raised by plugin Fail of the call, refhooks_step" in told


def test_masks_of_later_edits_lie_on_what_the_first_one_makes(editor):
    """Which is as large as its output, not as the picture that the chain starts from."""
    large = tiny.picture(0, (320, 320))
    edits = [rh.Edit("one"), rh.Edit("two", edit_mask="200,200,50,50")]

    with pytest.raises(rh.InputError, match=r"edit 2 of 2: .*covers nothing"):
        editor.chain(large, edits, **SIZE)

    seen = []
    edits = [rh.Edit("one"), rh.Edit("two", edit_mask="20,20,10,10")]
    editor.chain(
        tiny.picture(0, (16, 16)), edits, on_result=lambda index, _: seen.append(index), **SIZE
    )
    assert seen == [0, 1]


REFUSED = {
    "no edits": (list, rh.StrategyError, "at least one edit"),
    "no edit": (lambda: ["one"], rh.StrategyError, "refhooks.Edit, got 'one'"),
    "method": (lambda: [rh.Edit("a"), rh.Edit("b", "crossattn")], rh.UnknownNameError,
               "edit 2 of 2: there is no method 'crossattn'"),
    "prompt": (lambda: [rh.Edit("<|im_end|>")], rh.InputError, "edit 1 of 1: a prompt holds"),
    "mask": (lambda: [rh.Edit("a"), rh.Edit("b", edit_mask="nope.png")], rh.InputError,
             "edit 2 of 2: there is no picture nope.png"),
    "references": (lambda: [rh.Edit("a"), rh.Edit("b", reference="both", original="default",
                            references=[tiny.picture(n) for n in (1, 2)])], rh.InputError,
                   "edit 2 of 2: qwen-image-edit-plus takes at most 3 references"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_chain_is_refused_before_its_first_edit(editor, what, monkeypatch):
    """The error names the edit."""
    edits, kind, words = REFUSED[what]
    monkeypatch.setattr(editor.family, "open", lambda **_: pytest.fail("an edit was run"))

    with pytest.raises(kind, match=words):
        editor.chain(tiny.picture(), edits(), **SIZE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": [1.0]}, "the chain's strength lists 1 numbers, but the chain has 2 edits"),
        ({"denoise": 1.5}, "a chain's denoise must be a number from 0 to 1, got 1.5"),
        ({"denoise": "1:0"}, "edit 2 of 2: denoise must be a number above 0"),
        ({"handover": "files"}, "handover must be one of latents, pixels"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_bad_arguments_of_a_chain(editor, options, words):
    """Each names the argument and what it must be."""
    with pytest.raises(rh.InputError, match=words):
        editor.chain(tiny.picture(), [rh.Edit("a"), rh.Edit("b")], **{**SIZE, **options})


def test_a_chain_strength_and_an_edit_with_one_do_not_mix(editor):
    """Which of the two would hold?"""
    with pytest.raises(rh.StrategyError, match="edit 1 of 1: the chain gives the strength"):
        editor.chain(tiny.picture(), [rh.Edit("a", rh.Stage("default", 0.5))], strength=1.0)
    with pytest.raises(rh.StrategyError, match="the chain has a strength of its own"):
        editor.chain(tiny.picture(), rh.Chain([rh.Edit("a")], strength=1.0), strength=1.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference": "first"}, "reference must be one of previous, original, both"),
        ({"original": "default"}, "goes with reference='both'"),
        ({"steps": 0}, "an edit's steps must be a whole number from 1 to 1000, got 0"),
        ({"seed": True}, "an edit's seed must be a whole number"),
        ({"denoise": 0}, "an edit's denoise must be above 0"),
        ({"cfg": "high"}, "an edit's cfg must be a number"),
        ({"prompt": 3}, "an edit's prompt must be a string"),
        ({"references": "a.png"}, "an edit's references must be a list"),
    ],
)
def test_a_bad_edit_is_refused_when_it_is_made(options, words):
    """The message names the field."""
    with pytest.raises(rh.InputError, match=words):
        rh.Edit(**{"prompt": "a", **options})


def test_a_chain_saves_every_picture(editor, tmp_path):
    """The last one under the name given, those before numbered."""
    chain = editor.chain(tiny.picture(), [rh.Edit("one"), rh.Edit("two")], **SIZE)

    assert [path.name for path in chain.save(tmp_path / "out.png")] == ["out-1.png", "out.png"]
    assert [path.name for path in chain.save(tmp_path / "x.png", every=False)] == ["x.png"]
    assert chain.image is chain.images[-1]


def test_only_a_run_hands_on_latents():
    """A handed picture without latents is encoded again."""
    assert HandedOn(tiny.picture(), None).latents is None
