"""Train the toy autoencoder."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from refhooks_toy._draw import draw
from refhooks_toy._pairs import HELD_OUT
from refhooks_toy._scenes import random_scene
from refhooks_toy._training import Run
from refhooks_toy._vae import moments, new_vae, pixels, single_frame

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKLQwenImage

LOSSES: Final = ("L1", "2·MSE", "L1 of gradients", "3e-4·KL")


def train_vae(folder: Path, *, steps: int, batch: int, compiled: bool, seed: int) -> None:
    """Train the autoencoder in `folder`, or go on where a run stopped, and export it there.

    Loss: L1 + 2·MSE + L1 of the picture's gradients + 3e-4·KL.
    """
    torch.manual_seed(seed)
    vae = new_vae()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0)
    run = Run(folder, "vae", steps, LOSSES)
    run.resume({"vae": vae, "optimizer": optimizer})
    loss_of = torch.compile(_loss) if compiled else _loss
    with single_frame():
        for step in run:
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * cosine(step / steps)
            with torch.autocast("cpu", torch.bfloat16):
                losses = loss_of(vae, pixels(scene_batch(seed * 10_000_000 + step, batch)))
            losses.sum().backward()
            torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            run.log(step, dict(zip(LOSSES, losses.tolist(), strict=True)))
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


def scene_batch(seed: int, size: int) -> Tensor:
    """Pictures of `size` random scenes, uint8 `[size, H, W, 3]`."""
    seeds = range(seed * size, (seed + 1) * size)
    scenes = [random_scene(Random(each)) for each in seeds]  # noqa: S311 - scenes are no secrets
    return torch.from_numpy(draw(scenes))


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
