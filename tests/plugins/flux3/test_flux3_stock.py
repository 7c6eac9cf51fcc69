"""With no strategy the output is that of diffusers' FLUX.3 blocks, to the bit."""

from __future__ import annotations

import pytest
import torch
from diffusers import ClassifierFreeGuidance, Flux3DistilledModularPipeline
from results import assert_equal
from small3 import SIDE, Small, rgb

import refhooks as rh
from refhooks import testing
from refhooks_flux3._shape import shape
from refhooks_flux3._tiny import tiny_modular


@pytest.mark.parametrize("count", [0, 1, 4])
def test_it_is_the_blocks(small, count):
    """None, one kept whole, and four that are cut; guided by a second pass, or a flow map."""
    assert_equal(small.stock(rgb(count)), small.edit(rgb(count)))


@pytest.mark.parametrize("count", [0, 2])
def test_it_is_the_blocks_in_bfloat16(small_bf16, count):
    """Where one order of rounding is not another, and noise is drawn in float32."""
    assert_equal(small_bf16.stock(rgb(count)), small_bf16.edit(rgb(count)))


@pytest.mark.parametrize("size", [(64, 64), (61, 203), (10, 90)])
def test_a_lone_picture_is_kept_whole(small, size):
    """Its edges are filled up with their reflection; several pictures are cut."""
    picture = testing.picture(7, size)

    assert_equal(small.stock([picture]), small.edit([picture]))


class SeenError(Exception):
    """Carries the pixels that the VAE was given."""


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("size", [(1501, 901), (3000, 1000), (2100, 2050)])
def test_what_the_vae_is_given_of_large_pictures(size, count, monkeypatch):
    """A lone one up to 4 MP, filled up; of several, each up to 1 MP, cut."""
    small, pictures = Small(distilled=True), [testing.picture(0, size)] * count

    def seen(image):
        raise SeenError(image)

    monkeypatch.setattr(small.modular.vae, "encode", seen)
    with pytest.raises(SeenError) as expected:
        small.stock(pictures)
    with pytest.raises(SeenError) as given:
        small.edit(pictures)

    assert torch.equal(expected.value.args[0], given.value.args[0])


def test_guidance_is_that_of_the_blocks():
    """Its scale unless the call says another; at 1 there is no second pass."""
    modular = tiny_modular()
    own = Small()
    for scale in (1.0, 2.5):
        modular.update_components(guider=ClassifierFreeGuidance(guidance_scale=scale))
        own.modular.guider = ClassifierFreeGuidance(guidance_scale=scale)
        expected = own.stock(rgb(1))
        given = {} if scale > 1 else {"negative_prompt": " "}

        assert rh.Editor(modular).family.default_cfg == scale
        assert_equal(expected, own.edit(rgb(1), cfg=scale, **given))


def test_steps_are_those_of_the_blocks(small):
    """50 of the base, 16 of the flow map, whose guidance is distilled away."""
    family = small.editor.family

    expected = {"true": (50, 3.5), "none": (16, 1.0)}
    assert expected[family.guidance_kind] == (family.default_steps, family.default_cfg)


def test_what_blocks_state_holds(monkeypatch):
    """Padding and the scale of positions, as the blocks of this pipeline have them."""
    own = Small(distilled=True)
    for name in ("text_encoder", "denoise"):
        for block in _blocks(own.modular._blocks.sub_blocks[name]):
            for setting, value in {"pad_multiple": 48, "image_rope_scale": 1.0}.items():
                if setting in vars(block):
                    monkeypatch.setattr(block, setting, value)  # pipelines share their blocks
    own.editor = rh.Editor(own.modular)

    assert_equal(own.stock(rgb(1)), own.edit(rgb(1)))


def _blocks(block):
    yield block
    for part in getattr(block, "sub_blocks", {}).values():
        yield from _blocks(part)


def test_a_flow_map_is_told_where_each_step_goes(monkeypatch):
    """Also from the middle of its noise levels on: to the next timestep, after the last to 0."""
    own, seen = Small(distilled=True), []
    forward = own.modular.transformer.forward

    def told(**call):
        seen.append((float(call["timestep"][0]), float(call["target_timestep"][0])))
        return forward(**call)

    monkeypatch.setattr(own.modular.transformer, "forward", told)
    picture = testing.picture(0, (SIDE, SIDE))
    own.edit([picture], steps=2, denoise=0.5)

    [(_, first), (second, last)] = seen
    assert (first, last) == (second, 0.0)


def test_several_seeds_and_prompts(small):
    """One prompt of several pictures as the blocks; several of one padding each as alone."""
    assert_equal(small.stock(rgb(2), seeds=(5, 6)), small.edit(rgb(2), seed=5, n=2))

    together = small.edit(rgb(1), ["make it blue", "make it red"])
    alone = small.edit(rgb(1), "make it red")
    torch.testing.assert_close(together.latents[1:], alone.latents, atol=1e-5, rtol=0)


def test_prompts_that_no_batch_holds(small, monkeypatch):
    """Of other padding, which the model reads, or longer than it is; before anything is encoded."""
    monkeypatch.setattr(small.pipe.text_encoder, "forward", lambda **_: pytest.fail("encoded"))

    with pytest.raises(rh.InputError, match="padded to 80 and 160 tokens"):
        small.edit(rgb(1), ["make it blue", "make it blue " * 6])
    with pytest.raises(rh.InputError, match=r"the prompt comes to \d+ tokens.* 8192"):
        small.edit(rgb(1), "a" * 8200)
    with pytest.raises(rh.InputError, match="control token"):
        small.edit(rgb(1), "<|im_end|>")


def test_a_picture_thinner_than_a_token(small):
    """Cut to whole tokens among several, nothing would be left of it."""
    thin = testing.picture(0, (180, 3))

    with pytest.raises(rh.InputError, match=r"180x3 pixels.*thinner than a token of flux3"):
        small.edit([rgb(1)[0], thin])


def test_an_upsampler_that_would_be_left_out(small):
    """And blocks that are not made for the transformer: both are said when the editor is made."""
    modular = Flux3DistilledModularPipeline()
    modular.update_components(**small.modular.components)
    if not small.pipe.transformer.config.flow_map:
        with pytest.raises(rh.ModelError, match=r"is no flow map.*use Flux3ModularPipeline"):
            rh.Editor(modular)
        return
    modular.prompt_upsampler = small.modular.text_encoder
    with pytest.raises(rh.ModelError, match=r"would leave out the prompt upsampler.*unload it"):
        rh.Editor(modular)


def test_it_loads_from_a_folder(small, tmp_path):
    """Without the upsampler of prompts, in the type of its files; so does a plan alone."""
    small.modular.save_pretrained(str(tmp_path), overwrite_modular_index=True)

    editor = rh.Editor.from_pretrained(tmp_path)
    bare = rh.Editor.from_pretrained(tmp_path, weights=False)
    editor.pipe.set_progress_bar_config(disable=True)
    editor.pipe.image_processor = small.pipe.image_processor  # the blocks make one of 16 pixels

    options = {"steps": 3, "seed": 1, "height": SIDE, "width": SIDE, **small.negative}
    result = editor.edit(rgb(1)[0], "make it blue", **options)
    # What is read from a file lies elsewhere in memory, for which a CPU may round otherwise.
    torch.testing.assert_close(result.latents, small.stock(rgb(1))[0], atol=1e-5, rtol=0)
    assert bare.family.name == small.editor.family.name


def test_the_number_of_weights(small):
    """As its configuration says."""
    planned = shape(dict(small.pipe.transformer.config))

    assert small.pipe.transformer.num_parameters() == planned.parameters


@testing.parametrize_with_checks("flux3")
def test_it_keeps_the_contract(check):
    """By every check of `refhooks check flux3`."""
    check()
