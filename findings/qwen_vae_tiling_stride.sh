#!/usr/bin/env bash
# AutoencoderKLQwenImage.enable_tiling() with a tile below its default stride drops what lies between tiles.
#
# Packages: torch 2.13.0 (CPU), diffusers 0.42.1.
# Behaviour: tile_sample_min_height/width set the tile alone; the stride stays 192, the default for tiles of
#   256. With tiles of 128 pixels every second strip of 64 pixels is in no tile: the encoder returns fewer
#   latents, the decoder a smaller picture, and nothing is raised or warned.
# Seen:
#   untiled: 512x512 pixels -> 64x64 latents; 64x64 latents -> 512x512 pixels
#   tiles of 128, default stride: 512x512 pixels -> 48x48 latents; 64x64 latents -> 384x384 pixels
#   tiles of 128, stride 96: 512x512 pixels -> 64x64 latents; 64x64 latents -> 512x512 pixels
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.3.5

"$work/venv/bin/python" - <<'PYTHON'
import sys

import torch
from diffusers import AutoencoderKLQwenImage

torch.manual_seed(0)
vae = AutoencoderKLQwenImage(base_dim=8, z_dim=4, dim_mult=[1, 2, 4, 4], num_res_blocks=1).eval()


@torch.no_grad()
def sizes():
    """Return the sides of the latents of 512 pixels, and of the picture of 64 latents."""
    latents = vae.encode(torch.zeros(1, 3, 1, 512, 512)).latent_dist.mode()
    picture = vae.decode(torch.zeros(1, 4, 1, 64, 64)).sample
    return tuple(latents.shape[-2:]), tuple(picture.shape[-2:])


def tell(label, got, expected):
    (height, width), (rows, columns) = got
    print(f"{label}: 512x512 pixels -> {width}x{height} latents; 64x64 latents -> {columns}x{rows} pixels")
    if got != expected:
        sys.exit(f"this has changed: {label}: expected {expected}, got {got}")


whole = ((64, 64), (512, 512))
tell("untiled", sizes(), whole)
vae.enable_tiling(tile_sample_min_height=128, tile_sample_min_width=128)
tell("tiles of 128, default stride", sizes(), ((48, 48), (384, 384)))
vae.enable_tiling(
    tile_sample_min_height=128, tile_sample_min_width=128,
    tile_sample_stride_height=96, tile_sample_stride_width=96,
)
tell("tiles of 128, stride 96", sizes(), whole)
PYTHON
