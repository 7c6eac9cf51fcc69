"""Two ways to save that were left out, and why: batched guidance, and decoding a part of a picture.

    python benchmarks/left_out.py [--only batch|part]

``batch``: processor time of one pass of a transformer over two prompts, over that of two passes, by
one thread; medians. ``part``: how far the middle of a picture, decoded with so many tokens around
it, is from the same place of the whole picture, for toy's VAE and held-out pictures put together.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _wide import Scale, build

import refhooks as rh
from refhooks_toy import HELD_OUT, make_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

SCALES = ((8, 8), (8, 16), (24, 16))  # heads of 128, and rows and columns of tokens
REPEATS = 3


def seconds(run: Callable[[], object]) -> float:
    """Return processor seconds; the first time is left out."""
    run()
    start = time.process_time()
    run()
    return time.process_time() - start


@torch.no_grad()
def batched(name: str, transformer: Any, side: int, text: int) -> None:
    """Print what a batch of two costs, and how far its results are off."""
    config, shape = transformer.config, [(1, side, side)] * 2
    torch.manual_seed(0)
    image = torch.randn(2, 2 * side**2, config.in_channels)
    prompt = torch.randn(2, text, config.joint_attention_dim)

    def run(which: slice) -> Any:
        count = which.stop - which.start
        return transformer(
            hidden_states=image[which], encoder_hidden_states=prompt[which],
            timestep=torch.full((count,), 0.5), img_shapes=[shape] * count, return_dict=False,
        )[0]  # fmt: skip

    def both() -> Any:
        return torch.cat([run(slice(0, 1)), run(slice(1, 2))])

    off = float((run(slice(0, 2)) - both()).abs().max())
    ratios = [seconds(lambda: run(slice(0, 2))) / seconds(both) for _ in range(REPEATS)]
    print(f"{name}: {statistics.median(ratios):.2f} of two passes, off by {off:.0e}", flush=True)


@torch.no_grad()
def parts(vae: Any) -> None:
    """Print how far parts of a picture are from the whole, by the tokens around them."""
    drawn = make_pairs("color-change", range(HELD_OUT, HELD_OUT + 32)).source  # [32,64,64,3]
    rows = [np.concatenate(list(drawn[start : start + 2]), axis=1) for start in range(0, 32, 2)]
    pictures = np.stack([np.concatenate(rows[at : at + 2]) for at in range(0, 16, 2)])
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2)[:, :, None] / 127.5 - 1.0
    latents = vae.encode(pixels.float()).latent_dist.mode()  # [8,C,1,h,w]
    whole = vae.decode(latents).sample
    per = latents.shape[-1] // 16  # latents of a token's side
    for halo in range(8):
        edge = slice((7 - halo) * per, (9 + halo) * per)
        part = vae.decode(latents[..., edge, edge]).sample
        inner = slice(halo * 8, halo * 8 + 16)
        off = (part[..., inner, inner] - whole[..., 56:72, 56:72]).abs() * 127.5
        near = float((off <= 1.0).float().mean())
        print(f"halo {halo}: worst {float(off.max()):.1f}/255, {near:.2f} within 1/255", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("batch", "part"))
    only = parser.parse_args().only
    torch.set_num_threads(1)
    pipe = rh.Editor.from_pretrained("toy").pipe
    if only != "batch":
        parts(pipe.vae)
    if only != "part":
        batched("toy", pipe.transformer, 8, 90)
        for heads, side in SCALES:
            made = build(Scale(blocks=2, side=side, text=64, heads=heads)).transformer
            batched(f"width {128 * heads}, {2 * side**2} tokens", made, side, 64)


if __name__ == "__main__":
    main()
