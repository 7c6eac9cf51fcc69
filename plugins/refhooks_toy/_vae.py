"""The toy autoencoder: its configuration, its single-frame path and its training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d
from torch import Tensor

from refhooks_toy._draw import draw
from refhooks_toy._pairs import HELD_OUT
from refhooks_toy._scenes import random_scene
from refhooks_toy._training import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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

    def flat(self: QwenImageCausalConv3d, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
        padding = (self._padding[2], self._padding[0])
        kernel = self.weight[:, :, -1]
        return F.conv2d(x[:, :, 0], kernel, self.bias, self.stride[1:], padding)[:, :, None]

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


def scene_batch(seed: int, size: int) -> Tensor:
    """Pictures of `size` random scenes, uint8 `[size, H, W, 3]`."""
    return torch.from_numpy(draw([random_scene(Random(seed * size + i)) for i in range(size)]))


def train_vae(folder: Path, *, steps: int, batch: int, compile: bool, seed: int) -> None:
    """Train the autoencoder in `folder`, or go on where a run stopped, and export it there.

    Loss: L1 + 2·MSE + L1 of the picture's gradients + 3e-4·KL.
    """
    torch.manual_seed(seed)
    vae = new_vae()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0)
    run = Run(folder, "vae", steps)
    run.resume({"vae": vae, "optimizer": optimizer})
    loss_of = torch.compile(_loss) if compile else _loss
    with single_frame():
        for step in run:
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * cosine(step / steps)
            with torch.autocast("cpu", torch.bfloat16):
                losses = loss_of(vae, pixels(scene_batch(seed * 10_000_000 + step, batch)))
            losses.sum().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            run.log(step, losses.tolist())
            if run.due(step, minutes=2):
                run.save(step, {"vae": vae, "optimizer": optimizer})
                run.say(f"held-out PSNR {psnr(vae):.2f} dB")
        measure_latents(vae)
        run.save(steps - 1, {"vae": vae, "optimizer": optimizer})
        run.say(f"held-out PSNR {psnr(vae):.2f} dB")
    vae.save_pretrained(folder / "vae")


def _loss(vae: AutoencoderKLQwenImage, x: Tensor) -> Tensor:
    mean, log_variance = moments(vae, x)
    mean, log_variance = mean.float(), log_variance.float()
    z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    error = vae.decoder(vae.post_quant_conv(z)).float() - x
    slope = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    return torch.stack([error.abs().mean(), 2 * (error**2).mean(), slope, 3e-4 * divergence])


def cosine(progress: float, warmup: float = 0.02) -> float:
    """Learning-rate factor (0 to 1) at a progress (0 to 1): a short ramp up, then a cosine down."""
    return min(1.0, (progress + 1e-4) / warmup, 0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0)))


@torch.no_grad()
def psnr(vae: AutoencoderKLQwenImage, count: int = 64) -> float:
    """Mean PSNR (dB) of held-out scenes after encoding and decoding. Only in `single_frame()`."""
    x = pixels(scene_batch(HELD_OUT // count + 1, count))
    y = vae.decoder(vae.post_quant_conv(moments(vae, x)[0])).clamp(-1, 1)
    errors = ((y - x) / 2).square().mean(dim=(1, 2, 3, 4))
    return float((-10 * errors.log10()).mean())


@torch.no_grad()
def measure_latents(vae: AutoencoderKLQwenImage, count: int = 512) -> None:
    """Write the mean and standard deviation of each latent channel into the configuration."""
    chunks = [moments(vae, pixels(scene_batch(7_000_000 + i, 64)))[0] for i in range(count // 64)]
    latents = torch.cat(chunks).transpose(0, 1).flatten(1)  # [C, values]
    mean, std = latents.mean(dim=1).tolist(), latents.std(dim=1).tolist()
    vae.register_to_config(latents_mean=mean, latents_std=std)


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
