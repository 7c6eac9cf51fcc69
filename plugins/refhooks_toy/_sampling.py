"""Edit many pictures of one size at once, as the pipeline would edit each."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

import attrs
import numpy as np
import torch
from torch import Tensor

from refhooks_toy._text import Words, encode, padded, seen
from refhooks_toy._vae import REDUCTION, encoder, pack, single_frame, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from diffusers import QwenImageEditPlusPipeline

    Pictures = npt.NDArray[np.uint8]

CFG: Final = 2.0
STEPS: Final = 16


@attrs.frozen(eq=False)
class Request:
    """What to sample: `B` prompts with their seeds and references, each uint8 `[B, H, W, 3]`.

    `tokens` shows the references as image tokens, `shown` to the text encoder; `projection`
    `[width, 64]` lets the first one join the input channels.
    """

    prompts: Sequence[str]
    references: Sequence[Pictures]
    seeds: Sequence[int]
    steps: int = STEPS
    cfg: float = CFG
    tokens: bool = True
    shown: bool = True
    projection: Tensor | None = None


@torch.inference_mode()
def sample(pipe: QwenImageEditPlusPipeline, request: Request) -> Pictures:
    """Sample the edited pictures of a request, uint8 `[B, H, W, 3]`, of the references' size."""
    height, width = request.references[0].shape[1:3]
    with single_frame():
        pixels = [torch.from_numpy(picture) for picture in request.references]
        latents = [encoder(pipe.vae)(picture) for picture in pixels]
    references = torch.cat(latents, dim=1) if request.tokens else latents[0][:, :0]
    texts = [_text(pipe, request, request.prompts)]
    if request.cfg > 1:
        texts.append(_text(pipe, request, [" "] * len(request.prompts)))
    grid = (1, height // REDUCTION // 2, width // REDUCTION // 2)
    scheduler = copy.deepcopy(pipe.scheduler)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / request.steps, request.steps))
    x = torch.cat([_noise(seed, height, width) for seed in request.seeds])
    added = None if request.projection is None else latents[0] @ request.projection.T
    hook = pipe.transformer.img_in.register_forward_hook(
        lambda _module, _inputs, output: output if added is None else output + added
    )
    shapes = [[grid] * (1 + references.shape[1] // x.shape[1])] * len(x)
    try:
        for t in scheduler.timesteps:
            velocities = [_predict(pipe, x, references, text, t, shapes) for text in texts]
            x = scheduler.step(_guided(velocities, request.cfg), t, x, return_dict=False)[0]
    finally:
        hook.remove()
    return decode(pipe, x, height, width)


def decode(pipe: QwenImageEditPlusPipeline, x: Tensor, height: int, width: int) -> Pictures:
    """Decode packed latents to uint8 pictures `[B, H, W, 3]`."""
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(pipe.vae.config.latents_mean).view(shape)
    std = torch.tensor(pipe.vae.config.latents_std).view(shape)
    with single_frame():
        z = pipe.vae.post_quant_conv(unpack(x, height, width) * std + mean)
        pictures = pipe.vae.decoder(z)[:, :, 0].clamp(-1, 1) / 2 + 0.5
    array = pictures.permute(0, 2, 3, 1).float().numpy()
    rounded: Pictures = (array * 255).round().astype(np.uint8)
    return rounded


def _text(
    pipe: QwenImageEditPlusPipeline, request: Request, prompts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Embeddings `[B, S, width]` and mask `[B, S]` of prompts with the references shown."""
    words = Words(pipe.tokenizer)
    count = len(request.references) if request.shown else 0
    rows = words.ids(prompts, count)
    ids, mask = padded(rows, max(map(len, rows)))
    pictures = None
    if count:
        small = [seen(picture) for picture in request.references]
        pictures = torch.stack(small, dim=1).flatten(0, 1)
    return encode(pipe.text_encoder, torch.tensor(words.prefix), ids, pictures), mask


def _noise(seed: int, height: int, width: int) -> Tensor:
    """The pipeline's starting noise for a CPU generator with this seed: `[1, T, 64]`."""
    generator = torch.Generator().manual_seed(seed)
    shape = (1, 16, 1, height // REDUCTION, width // REDUCTION)
    return pack(torch.randn(shape, generator=generator))


def _predict(
    pipe: QwenImageEditPlusPipeline,
    x: Tensor,
    references: Tensor,
    text: tuple[Tensor, Tensor],
    t: Tensor,
    shapes: list[list[tuple[int, int, int]]],
) -> Tensor:
    velocity: Tensor = pipe.transformer(
        hidden_states=torch.cat([x, references], dim=1),
        encoder_hidden_states=text[0],
        encoder_hidden_states_mask=text[1],
        timestep=t.expand(len(x)) / 1000,
        img_shapes=shapes,
        return_dict=False,
    )[0]
    return velocity[:, : x.shape[1]]


def _guided(velocities: Sequence[Tensor], cfg: float) -> Tensor:
    """Classifier-free guidance with Qwen's norm: each token keeps the length it had without."""
    if len(velocities) == 1:
        return velocities[0]
    positive, negative = velocities
    guided = negative + cfg * (positive - negative)
    scale: Tensor = positive.norm(dim=-1, keepdim=True) / guided.norm(dim=-1, keepdim=True)
    return guided * scale
