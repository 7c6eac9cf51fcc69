"""The toy model's parts, and the fast paths that must equal the pipeline's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from diffusers import QwenImageEditPlusPipeline
from PIL import Image

import refhooks as rh
from refhooks_toy._edits import EDIT_KINDS, TWO_PICTURES, make_edit
from refhooks_toy._fast import speed_up
from refhooks_toy._model import new_transformer
from refhooks_toy._modes import TEXT
from refhooks_toy._pairs import HELD_OUT, make_pairs
from refhooks_toy._pool import PROMPT
from refhooks_toy._scenes import COLOURS, KINDS
from refhooks_toy._text import Words, encode, padded, seen
from refhooks_toy._vae import (
    decode,
    encoder,
    moments,
    new_vae,
    pack,
    pixels,
    single_frame,
    unpack,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_the_template_prefix_is_what_the_pipeline_drops(
    untrained: QwenImageEditPlusPipeline,
) -> None:
    """The text before the prompt is 64 tokens."""
    before = untrained.prompt_template_encode.split("{}")[0]
    assert len(untrained.tokenizer(before).input_ids) == 64
    assert untrained.prompt_template_encode_start_idx == 64


def test_words_of_toyland_are_single_tokens(untrained: QwenImageEditPlusPipeline) -> None:
    """Colours and shapes are one token each, so each has an embedding of its own."""
    for word in (*COLOURS, *KINDS, "face", "night", "sketch", "remove"):
        assert len(untrained.tokenizer(f" {word}").input_ids) == 1


def test_prompts_fit_their_room(untrained: QwenImageEditPlusPipeline) -> None:
    """No prompt is longer than the training batches allow, with any number of pictures."""
    words = Words(untrained.tokenizer)
    prompts = [make_edit(kind, seed).prompt for kind in EDIT_KINDS for seed in range(300)]
    assert max(map(len, words.ids(prompts, 0))) <= PROMPT
    for pictures, room in TEXT.items():
        assert len(words.slots(pictures)) + PROMPT <= room


def test_a_picture_costs_four_tokens(untrained: QwenImageEditPlusPipeline) -> None:
    """A square picture of any size costs the same few text tokens."""
    for size in (40, 64, 384):
        inputs = untrained.processor(
            text=["<|image_pad|>"], images=[Image.new("RGB", (size, size))], return_tensors="pt"
        )
        assert inputs["input_ids"].shape == (1, 4)


@pytest.mark.parametrize("pictures", [0, 1, 2])
def test_encoding_a_batch_equals_the_pipeline(
    untrained: QwenImageEditPlusPipeline, pictures: int
) -> None:
    """Prefix once, pictures together, padding: the embeddings are the pipeline's."""
    pairs = make_pairs(TWO_PICTURES, range(HELD_OUT, HELD_OUT + 3))
    shown = [pairs.source, pairs.extra][:pictures]
    words = Words(untrained.tokenizer)
    ids, mask = padded(words.ids(pairs.prompts, pictures), 44)
    small = torch.stack([seen(each) for each in shown], 1).flatten(0, 1) if shown else None
    with torch.no_grad():
        batch = encode(untrained.text_encoder, torch.tensor(words.prefix), ids, small)
        for i, prompt in enumerate(pairs.prompts):
            images = [Image.fromarray(each[i]) for each in shown] or None
            expected, _ = untrained.encode_prompt(prompt, images)
            torch.testing.assert_close(batch[i, mask[i]], expected[0], atol=1e-4, rtol=1e-4)


def test_a_single_frame_needs_only_the_last_tap() -> None:
    """The 2-D path of the autoencoder gives the 3-D path's latents and pictures."""
    torch.manual_seed(0)
    vae = new_vae()
    x = pixels(torch.from_numpy(make_pairs("color-change", range(2)).source))
    with torch.no_grad():
        expected = vae.encode(x).latent_dist
        picture = vae.decode(expected.mean).sample
        with single_frame():
            mean, log_variance = moments(vae, x)
            flat = vae.decoder(vae.post_quant_conv(mean)).clamp(-1, 1)
    torch.testing.assert_close(mean, expected.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(log_variance, expected.logvar, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(flat, picture, atol=1e-4, rtol=1e-4)


def test_decoding_is_the_pipelines_decoding(untrained: QwenImageEditPlusPipeline) -> None:
    """Packed latents become the pictures that an editor makes of them, up to rounding."""
    pictures = torch.from_numpy(make_pairs("color-change", range(2)).source)
    with single_frame():
        latents = encoder(untrained.vae)(pictures)
        ours = decode(untrained.vae, latents, 64, 64)
    stock = rh.Editor(untrained).decode(latents, height=64, width=64)
    for own, picture in zip(ours.int(), stock, strict=True):
        assert (own - torch.from_numpy(np.array(picture)).int()).abs().max() <= 1


def test_packing_is_the_pipelines_packing() -> None:
    """Latents become tokens as in the pipeline, and come back."""
    latents = torch.randn(2, 16, 1, 16, 24)
    tokens = pack(latents)
    expected = QwenImageEditPlusPipeline._pack_latents(latents, 2, 16, 16, 24)
    assert torch.equal(tokens, expected)
    assert torch.equal(unpack(tokens, 64, 96), latents)


def test_the_fusible_transformer_gives_the_same_numbers() -> None:
    """Real rotary embedding and written-out attention equal the stock ones, padding included."""
    torch.manual_seed(0)
    transformer = new_transformer(heads=2, layers=2)
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1, 7:] = False
    inputs = {
        "hidden_states": torch.randn(2, 128, 64),
        "encoder_hidden_states": torch.randn(2, 12, 128),
        "encoder_hidden_states_mask": mask,
        "timestep": torch.tensor([0.9, 0.3]),
        "img_shapes": [[(1, 8, 8), (1, 8, 8)]] * 2,
        "return_dict": False,
    }
    with torch.no_grad():
        expected = transformer(**inputs)[0]
        speed_up(transformer, compiled=False)
        actual = transformer(**inputs)[0]
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-4)


def test_the_pipeline_survives_saving(untrained: QwenImageEditPlusPipeline, tmp_path: Path) -> None:
    """What `save_pretrained` wrote loads again, and is the genuine pipeline."""
    from refhooks_toy import load_pipeline

    untrained.save_pretrained(tmp_path)
    loaded = load_pipeline(folder=tmp_path)
    assert type(loaded) is QwenImageEditPlusPipeline
    weight = loaded.transformer.proj_out.weight
    assert torch.equal(weight, untrained.transformer.proj_out.weight)
    assert loaded.scheduler.config.shift == untrained.scheduler.config.shift
