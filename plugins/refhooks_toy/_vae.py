"""The toy autoencoder: its configuration, its single-frame path, and packed latents."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch
from diffusers import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHANNELS: Final = 16
REDUCTION: Final = 4
"""Pixels per latent, on each side."""


def new_vae() -> AutoencoderKLQwenImage:
    """Build the untrained autoencoder: 4 pixels a latent, 16 channels."""
    return AutoencoderKLQwenImage(
        base_dim=16,
        z_dim=CHANNELS,
        dim_mult=[1, 2, 4],
        temperal_downsample=[False, True],
        latents_mean=[0.0] * CHANNELS,
        latents_std=[1.0] * CHANNELS,
    )


@contextmanager
def single_frame() -> Iterator[None]:
    """Run the causal 3-D convolutions as 2-D ones.

    A single frame meets only the last temporal tap (the others see zero padding), so this is exact,
    and about twice as fast. It holds for every Qwen autoencoder in the process while entered.
    """

    def flat(self: QwenImageCausalConv3d, x: Tensor, _cache: Tensor | None = None) -> Tensor:
        padding = (self._padding[2], self._padding[0])
        kernel = self.weight[:, :, -1]
        return functional.conv2d(x[:, :, 0], kernel, self.bias, self.stride[1:], padding)[
            :, :, None
        ]

    whole = QwenImageCausalConv3d.forward
    QwenImageCausalConv3d.forward = flat
    try:
        yield
    finally:
        QwenImageCausalConv3d.forward = whole


def pixels(pictures: Tensor) -> Tensor:
    """Turn uint8 pictures `[B, H, W, 3]` into what the autoencoder takes: `[B, 3, 1, H, W]`, ±1."""
    return pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1)[:, :, None].contiguous()


def moments(vae: AutoencoderKLQwenImage, x: Tensor) -> tuple[Tensor, Tensor]:
    """Encode single frames: mean and log variance of the latents, `[B, C, 1, h, w]` each.

    Only inside `single_frame()`.
    """
    mean, log_variance = vae.quant_conv(vae.encoder(x)).chunk(2, dim=1)
    return mean, log_variance.clamp(-30, 20)


def encoder(vae: AutoencoderKLQwenImage) -> Callable[[Tensor], Tensor]:
    """Return a function that encodes uint8 pictures `[B, H, W, 3]` to packed latents `[B, T, 64]`.

    The latents are normalised and packed exactly as the pipeline does. Only in `single_frame()`.
    """
    shape = (1, CHANNELS, 1, 1, 1)
    mean = torch.tensor(vae.config["latents_mean"]).view(shape)
    std = torch.tensor(vae.config["latents_std"]).view(shape)

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        latents = (moments(vae, pixels(pictures))[0].float() - mean) / std
        return pack(latents)

    return encode


@torch.no_grad()
def decode(vae: AutoencoderKLQwenImage, tokens: Tensor, height: int, width: int) -> Tensor:
    """Decode packed latents to uint8 pictures `[B, H, W, 3]`. Only in `single_frame()`."""
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(vae.config["latents_mean"]).view(shape)
    std = torch.tensor(vae.config["latents_std"]).view(shape)
    z = vae.post_quant_conv(unpack(tokens, height, width) * std + mean)
    pictures: Tensor = vae.decoder(z)[:, :, 0].clamp(-1, 1) / 2 + 0.5
    return (pictures.permute(0, 2, 3, 1).float() * 255).round().to(torch.uint8)


def pack(latents: Tensor) -> Tensor:
    """Pack latents `[B, C, 1, h, w]` into tokens `[B, h/2·w/2, 4C]` as the Qwen pipelines do."""
    b, c, _, h, w = latents.shape
    tokens = latents.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return tokens.reshape(b, (h // 2) * (w // 2), c * 4)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """Undo `pack` for a picture of `height` × `width` pixels: `[B, C, 1, h, w]`."""
    b, _, c = tokens.shape
    h, w = height // REDUCTION // 2, width // REDUCTION // 2
    latents = tokens.view(b, h, w, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return latents.reshape(b, c // 4, 1, h * 2, w * 2)
