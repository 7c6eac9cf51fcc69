"""What steers: strengths, parts of the run, masks, positions, guidance."""

from __future__ import annotations

import flows
import pytest
from flows import node

import refhooks as rh


def reference():
    """Return the strategy of the first reference of the file that was written."""
    return rh.load_references("flow.toml")[0].strategy


def names(strategy):
    """Return method, strength and end of each stage."""
    return [(it.method, it.strength, it.until) for it in strategy.stages]


def test_a_reference_latent_is_a_reference_of_its_own_size(imports):
    """Latents have the size of what was encoded, and so has the output."""
    flow = flows.klein(
        ("6", 0), **{"6": node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0))}
    )
    ran = imports(flow)
    assert 'resolution = "native"' in ran.strategy
    assert (ran.option("--width"), ran.option("--steps"), ran.option("--cfg")) == ("512", "4", None)

    flow["9"] = node("ImageScaleToTotalPixels", image=("4", 0), megapixels=0.5)
    flow["7"]["inputs"]["pixels"] = ["9", 0]
    flow["10"] = node("GetImageSize", image=("9", 0))
    flow["24"]["inputs"] |= {"width": ["10", 0], "height": ["10", 1]}
    ran = imports(flow, "--force")
    assert f"resolution = {2**19}" in ran.strategy
    assert (ran.option("--resolution"), ran.option("--width")) == (str(2**19), None)


def test_parts_of_the_run_become_stages(imports):
    """The picture acts up to 0.6 of the run; from there the prompt acts without it."""
    flow = flows.klein(("33", 0), **{
        "6": node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0)),
        "31": node("ConditioningSetTimestepRange", conditioning=("6", 0), start=0.0, end=0.6),
        "32": node("ConditioningSetTimestepRange", conditioning=("5", 0), start=0.6, end=1.0),
        "33": node("ConditioningCombine", conditioning_1=("31", 0), conditioning_2=("32", 0)),
    })  # fmt: skip
    ran = imports(flow)

    assert names(reference()) == [("default", 1.0, 0.6), ("default", 0.0, None)]
    assert "no equal" not in ran.err


def test_a_part_without_a_prompt_is_said(imports):
    """There nothing would act after 0.6; here the prompt and its picture do."""
    ran = imports(flows.klein(("31", 0), **{
        "6": node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0)),
        "31": node("ConditioningSetTimestepRange", conditioning=("6", 0), start=0.0, end=0.6),
    }))  # fmt: skip

    assert reference() is None
    assert "no equal: node 8 (SamplerCustomAdvanced): no prompt acts from 0.6 to 1" in ran.err


def test_prompts_at_once_are_guidance_between_them(imports):
    """The mean of both predictions by strength: 3 with the picture, 1 without, is 0.75."""
    ran = imports(flows.klein(("33", 0), **{
        "6": node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0)),
        "30": node("LoadImageMask", image="mask.png", channel="red"),
        "31": node("ConditioningSetMask", conditioning=("6", 0), mask=("30", 0), strength=3.0),
        "33": node("ConditioningCombine", conditioning_1=("31", 0), conditioning_2=("5", 0)),
    }))  # fmt: skip

    assert names(reference()) == [("guidance", 0.75, None)]
    (mask,) = reference().masks
    assert (mask.kind, mask.invert) == ("region", False)
    assert ran.status == 0


def test_the_strength_of_an_only_prompt_is_said_to_do_nothing(imports):
    """The mean of one prediction is that prediction."""
    ran = imports(flows.klein(("31", 0), **{
        "6": node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0)),
        "31": node("ConditioningSetAreaStrength", conditioning=("6", 0), strength=0.5),
    }))  # fmt: skip

    assert reference() is None
    assert "the strength of an only prompt, which has no effect there either" in ran.err


def plus(**changes):
    """Return a workflow with ReferenceLatentPlus."""
    values = {
        "max_megapixels": 1.0, "mask_fill_mode": "latent_zero", "image1_strength": 0.85,
        "image1_start_percent": 0.0, "image1_end_percent": 1.0, **changes,
    }  # fmt: skip
    made = node("ReferenceLatentPlus", conditioning=("5", 0), vae=("3", 0), image_1=("4", 0))
    made["inputs"] |= values
    return flows.klein(("6", 0), **{"6": made, "30": node("LoadImage", image="cut.png")})


def test_reference_latent_plus(imports):
    """Latents times a strength, a part of the run, a mask of the picture."""
    imports(plus())
    assert names(reference()) == [("default", 0.85, None)]

    imports(plus(image1_strength=1.5, image1_start_percent=0.5, mask_1=["30", 1]), "--force")
    first, second = reference().stages
    assert (first.strength, first.until, second.strength) == (0.0, 0.5, 1.5)
    assert second.method == rh.method("default", above_one="latents")
    (mask,) = reference().masks
    assert (mask.kind, mask.soft, mask.invert, mask.shape.name) == ("content", True, True, "alpha")


@pytest.mark.parametrize("strength", [-1.0, 3.0])
def test_a_strength_beyond_the_range_is_left_out_and_said(imports, strength):
    """There it goes from -5 to 50, here from 0 to 2."""
    ran = imports(plus(image1_strength=strength))

    assert reference() is None
    assert f"'photo.png': a strength of {strength:g}; strengths here go from 0 to 2" in ran.err


def test_klein_enhancer(imports):
    """Keys and values of one reference, or of all; a mask on the latents."""
    flow = flows.klein(("31", 0), **{
        "6": node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0)),
        "30": node("LoadImageMask", image="mask.png", channel="red"),
        "31": node("Flux2KleinMaskRefController", conditioning=("6", 0), mask=("30", 0),
                   strength=0.5, invert_mask=True),
        "32": node("Flux2KleinRefLatentWeight", model=("1", 0), reference_index=0, weight=1.1),
    })  # fmt: skip
    flow["21"]["inputs"]["model"] = ["32", 0]
    ran = imports(flow)

    (stage,) = reference().stages
    assert (stage.method, stage.strength) == (rh.method("cross_attn", gain="keys"), 1.1)
    (mask,) = reference().masks
    assert (mask.kind, mask.soft, mask.invert, mask.strength) == ("content", True, True, 0.5)
    assert "differs: node 32 (Flux2KleinRefLatentWeight): it scales keys and values" in ran.err

    flow["32"] = node("Flux2KleinTextRefBalance", model=("1", 0), balance=0.75)
    imports(flow, "--force")
    assert reference().stages[0].strength == 0.5
    flow["32"] = node("Flux2KleinTextRefBalance", model=("1", 0), balance=0.25)
    assert "keys and values of the text are scaled" in imports(flow, "--force").err


def methods(name, weights=flows.QWEN, second=True):
    """Return a workflow of Qwen-Image-Edit that names a method of positions."""
    flow = flows.qwen(**{
        "12": node("LoadImage", image="coat.png"),
        "13": node("FluxKontextMultiReferenceLatentMethod", conditioning=("5", 0),
                   reference_latents_method=name),
    })  # fmt: skip
    flow["1"]["inputs"]["unet_name"] = weights
    flow["8"]["inputs"]["positive"] = ["13", 0]
    if second:
        flow["5"]["inputs"]["image2"] = ["12", 0]
    return flow


def test_positions_that_the_model_has_by_itself(imports):
    """One picture beside the target is where diffusers has it; so is each on its own frame."""
    for name in ("index", "offset", "uxo", "index_timestep_zero"):
        ran = imports(methods(name, second=False), "--force")
        assert reference() is None, name
        assert "no equal" not in ran.err
    older = methods("index", "qwen_image_edit_2509_fp8.safetensors")
    assert "differs: node 13" not in imports(older, "--force").err
    assert "'index' does not modulate" in imports(methods("index"), "--force").err


def test_positions_that_are_named(imports):
    """Those that ``default`` has are its options, the others are said to have no equal."""
    older = "qwen_image_edit_2509_fp8.safetensors"
    wanted = {
        "offset": {"positions": "comfy-offset"},
        "uxo/uno": {"positions": "comfy-offset"},
        "negative_index": {"positions": "negative"},
        "index_timestep_zero": {"modulate": "zero"},
    }
    for name, options in wanted.items():
        ran = imports(methods(name, older), "--force")
        try:
            method = rh.method("default", **options)
        except rh.InputError:
            assert f"LatentMethod): the reference method {name!r}" in ran.err
        else:
            assert [stage.method for stage in reference().stages] == [method]
    ran = imports(methods("index_timestep_zero_isolated"), "--force")
    assert "the reference method 'index_timestep_zero_isolated'" in ran.err


def test_what_the_text_encoder_alone_sees(imports):
    """Without a VAE the model gets no tokens; latents that come besides bring them."""
    flow = flows.qwen()
    del flow["5"]["inputs"]["vae"]
    imports(flow)
    assert (names(reference()), reference().vision) == ([("default", 0.0, None)], "always")

    flow["12"] = node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0))
    flow["8"]["inputs"]["positive"] = ["12", 0]
    imports(flow, "--force")
    assert reference() is None

    flow["5"] = node("CLIPTextEncode", clip=("2", 0), text="make it night")
    imports(flow, "--force")
    assert (names(reference()), reference().vision) == ([("default", 1.0, None)], "never")


def test_an_edit_mask(imports):
    """What is white may change; what is transparent needs a picture of its own."""
    flow = flows.qwen(**{
        "12": node("LoadImageMask", image="mask.png", channel="red"),
        "13": node("InvertMask", mask=("12", 0)),
        "14": node("SetLatentNoiseMask", samples=("7", 0), mask=("13", 0)),
    })  # fmt: skip
    flow["8"]["inputs"]["latent_image"] = ["14", 0]
    ran = imports(flow)
    assert ran.option("--edit-mask") == "mask.png"
    assert "--invert-masks" in ran.words

    flow["14"]["inputs"]["mask"] = ["4", 1]
    ran = imports(flow, "--force")
    assert ran.option("--edit-mask") == "photo-mask.png"
    assert "to do: node 7 (VAEEncode): an edit mask that is what is transparent" in ran.err


def test_guidance_of_each_kind_of_model(imports):
    """Embedded guidance is cfg here; a distilled model takes none."""
    flow = flows.klein(("30", 0), **{
        "6": node("ReferenceLatent", conditioning=("5", 0), latent=("7", 0)),
        "30": node("FluxGuidance", conditioning=("6", 0), guidance=2.5),
    })  # fmt: skip
    ran = imports(flow)
    assert ran.option("--cfg") is None
    assert "FLUX.2 klein 4B has no embedded guidance" in ran.err

    flow["1"]["inputs"]["unet_name"] = "flux2_dev_fp8mixed.safetensors"
    assert imports(flow, "--force").option("--cfg") == "2.5"

    flow["1"]["inputs"]["unet_name"] = "flux-2-klein-base-9b.safetensors"
    flow["21"]["inputs"]["cfg"] = 5
    ran = imports(flow, "--force")
    assert (ran.option("--cfg"), ran.option("--negative")) == ("5", None)
    assert "the negative prompt's encoding is zeros there" in ran.err


def test_a_negative_prompt_and_the_norm_of_guidance(imports):
    """Read only where guidance reads it."""
    flow = flows.qwen()
    flow["6"]["inputs"]["prompt"] = "blurry"
    ran = imports(flow)
    assert ran.option("--negative") == "blurry"
    assert "as by CFGNorm" in ran.err

    flow["12"] = node("CFGNorm", model=("1", 0), strength=1.0)
    flow["8"]["inputs"] |= {"model": ["12", 0]}
    assert "as by CFGNorm" not in imports(flow, "--force").err
    flow["8"]["inputs"]["cfg"] = 1.0
    assert imports(flow, "--force").option("--negative") is None


def test_settings_without_an_equal_are_listed(imports):
    """Another sampler, other noise levels, a seed beyond the range, a part of a schedule."""
    flow = flows.qwen()
    flow["8"]["inputs"] |= {"sampler_name": "dpmpp_2m", "scheduler": "beta", "seed": 2**63}
    ran = imports(flow)
    assert "no equal: node 8 (KSampler): the sampler 'dpmpp_2m'; refhooks samples" in ran.err
    assert "the noise levels 'beta'" in ran.err
    assert "the seed 9223372036854775808" in ran.err
    assert ran.option("--seed") is None

    flow["8"] = node(
        "KSamplerAdvanced", "Second", model=("1", 0), positive=("5", 0), negative=("6", 0),
        latent_image=("7", 0), noise_seed=3, steps=20, cfg=1, sampler_name="euler",
        scheduler="simple", start_at_step=5, end_at_step=15, add_noise="enable",
    )  # fmt: skip
    ran = imports(flow, "--force")
    assert (ran.option("--steps"), ran.option("--denoise")) == ("15", "0.75")
    assert "node 8 (KSamplerAdvanced, 'Second'): it ends at step 15 of 20" in ran.err


def test_nodes_that_are_not_known_are_listed(imports):
    """On the model, on the prompt, before the picture, and after the edit."""
    flow = flows.qwen(**{
        "12": node("SageAttention", model=("1", 0)),
        "13": node("Emphasis", conditioning=("5", 0)),
        "14": node("Canny", image=("4", 0)),
        "15": node("Sharpen", image=("10", 0)),
        "16": node("SaveImage", images=("15", 0)),
    })  # fmt: skip
    flow["8"]["inputs"] |= {"model": ["12", 0], "positive": ["13", 0]}
    flow["5"]["inputs"]["image2"] = ["14", 0]
    ran = imports(flow)

    assert "no equal: node 12 (SageAttention): what it changes in the model" in ran.err
    assert "no equal: node 13 (Emphasis): what it does to the prompt's encoding" in ran.err
    assert "to do: node 14 (Canny): save the picture that it makes as node-14.png" in ran.err
    assert "no equal: node 15 (Sharpen): what is done to the picture after the edit" in ran.err
    assert [str(it.image) for it in rh.load_references("flow.toml")] == ["photo.png", "node-14.png"]
