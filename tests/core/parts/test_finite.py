"""NaN and infinity are met where they are made, and the message says who made them."""

from __future__ import annotations

import pytest
import torch
from small import FAMILIES, OTHER, SIDE, edit

import refhooks as rh

NAN, INF = float("nan"), float("inf")


def break_decoder(editor, value=NAN):
    """What comes out is not finite; infinity would be cut off by the VAE itself."""
    with torch.no_grad():
        editor.pipe.vae.decoder.conv_out.bias.fill_(value)


def break_encoder(editor):
    """Likewise on the way in."""
    with torch.no_grad():
        editor.pipe.vae.encoder.conv_in.weight.fill_(NAN)


def refused(call):
    """Return the message of the error, which suspects no plugin."""
    with pytest.raises(rh.NotFiniteError) as caught:
        call()
    said = str(caught.value)
    assert "plugin" not in said
    assert "default" not in said
    return said


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_vae_that_overflows_while_it_decodes(new, family, value):
    """No black picture, and no white one."""
    editor = new(family)
    break_decoder(editor, value)

    said = refused(lambda: edit(editor))

    assert said.startswith("the VAE, decoding picture 1 of 1, returned NaN or infinity from finite")
    assert "vae.decoder.conv_out.bias" in said
    assert "float32" in said


@pytest.mark.parametrize("check", ["final", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_vae_that_overflows_while_it_encodes(new, family, check):
    """Which picture it was."""
    editor = new(family)
    break_encoder(editor)

    said = refused(lambda: edit(editor, check=check))

    assert said.startswith("the VAE, encoding reference 1, returned NaN or infinity; ")
    assert "float32" in said


WAYS = {
    "second": ({"references": [rh.Reference(OTHER)], "strategy": rh.Stage("default", 0.0)},
               "reference 2"),
    "inject": ({"strategy": rh.Stage("inject", 0.5)}, "reference 1"),
    "denoise": ({"denoise": 0.5, "strategy": rh.Stage("default", 0.0)}, "reference 1, the source"),
    "edit mask": ({"edit_mask": "0,0,50%,50%",
                   "strategy": rh.Stage("default", 0.0)}, "reference 1, the source"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_way_into_the_vae_is_named(new, way):
    """The other references, methods that fit the picture, and the source itself."""
    editor = new("plus")
    break_encoder(editor)
    options, named = WAYS[way]

    assert refused(lambda: edit(editor, **options)).startswith(f"the VAE, encoding {named}, ")


def test_pixels_are_checked_wherever_they_are_made(new):
    """In a look at latents, in a chain that hands pixels on, inside an edit mask, in a callback."""
    editor = new("plus")
    latents = edit(editor).latents
    break_decoder(editor)
    size = {"height": SIDE, "width": SIDE}
    look = {"callback": lambda _step, _x, x0: editor.decode(x0, **size)}
    edits = [rh.Edit("make it blue"), rh.Edit("make it red")]

    said = [
        refused(lambda: editor.decode(latents, **size)),
        refused(lambda: editor.chain(OTHER, edits, handover="pixels", steps=2, seed=1, **size)),
        refused(lambda: edit(editor, edit_mask="0,0,50%,50%")),
        refused(lambda: edit(editor, **look)),
    ]

    assert all("the VAE, decoding picture 1 of 1, returned" in message for message in said)
    assert said[1].startswith("edit 1 of 2: ")


def test_one_picture_of_a_batch_is_named(new):
    """Also where it is infinity, which the VAE cuts off."""
    for value in (NAN, INF):
        editor = new("plus")

        def spoil(_module, _args, output, value=value):
            output[1] = value
            return output

        editor.pipe.vae.decoder.conv_out.register_forward_hook(spoil)

        assert "decoding picture 2 of 3, returned" in refused(lambda e=editor: edit(e, n=3))


def test_latents_that_cannot_be_decoded(new):
    """NaN that somebody gives, and another size."""
    editor = new("plus")
    latents = edit(editor, n=2).latents
    latents[1, 0, 0] = INF

    with pytest.raises(rh.NotFiniteError, match="cannot be decoded: picture 2 of 2"):
        editor.decode(latents, height=SIDE, width=SIDE)
    with pytest.raises(rh.InputError, match=r"of a picture of 32x64 are \[B,32,C\], got \[1, 64,"):
        editor.decode(latents[:1], height=SIDE, width=32)


def test_a_vae_in_float16_is_told_to_run_in_another_dtype(new):
    """Its weights are finite; numbers between them are not."""
    editor = new("plus")
    editor.pipe.vae.to(torch.float16)
    with torch.no_grad():
        editor.pipe.vae.decoder.conv_out.weight.fill_(6e4)

    said = refused(lambda: edit(editor))

    assert "but float16 may overflow: run it in bfloat16 or float32 (pipe.vae.to(torch." in said


@pytest.mark.parametrize("check", ["final", "eager"])
@pytest.mark.parametrize("strategy", [None, rh.Stage("inject", 0.5)], ids=["native", "inject"])
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_with_nan_are_named(new, family, strategy, check):
    """Whatever took part."""
    editor = new(family)
    name, weight = list(editor.pipe.transformer.named_parameters())[-1]
    with torch.no_grad():
        weight.view(-1)[0] = NAN

    said = refused(lambda: edit(editor, strategy=strategy, check=check))

    assert f"its weights hold NaN or infinity (transformer.{name})" in said
    assert ("prediction, cond, step 1 of 2" in said) == (check == "eager")


def test_a_lora_with_nan_is_named(new):
    """With what takes it off."""
    from peft import LoraConfig

    editor = new("plus")
    editor.pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q"]), "spoilt")
    layer = editor.pipe.transformer.transformer_blocks[0].attn.to_q
    with torch.no_grad():
        layer.lora_B["spoilt"].weight.fill_(NAN)

    for check in ("final", "eager"):
        said = refused(lambda check=check: edit(editor, check=check))
        assert "weights of a LoRA hold NaN or infinity (transformer.transformer_blocks.0" in said
        assert "unload_lora_weights()" in said


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (torch.float32, "its weights are finite and it runs in float32, so look at what changes"),
        (torch.bfloat16, "bfloat16 may overflow: run it in float32 (pipe.transformer.to("),
    ],
)
def test_a_model_that_overflows(new, dtype, words):
    """Nothing but its own method took part, so nothing else is suspected."""
    editor = new("plus")
    editor.pipe.to(dtype)
    editor.pipe.transformer.proj_out.register_forward_hook(lambda _m, _a, output: output * INF)

    for options in ({}, {"check": "eager"}, {"edit_mask": "0,0,50%,50%"}):
        said = refused(lambda options=options: edit(editor, **options))
        assert words in said


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_encoder_that_overflows(new, family):
    """It is named before the first step."""
    editor = new(family)
    with torch.no_grad():
        editor.pipe.text_encoder.get_input_embeddings().weight.fill_(NAN)

    said = refused(lambda: edit(editor))

    assert said.startswith("the text encoder, encoding the prompt, returned NaN or infinity; its")
    assert "text_encoder." in said


def test_nothing_is_left_on_the_vae(new):
    """What looks at its parts is taken off, also after an error."""
    editor = new("plus")
    edit(editor)
    break_decoder(editor)
    refused(lambda: edit(editor))

    assert not any(module._forward_hooks for module in editor.pipe.vae.modules())
