#!/usr/bin/env bash
# Modular blocks of diffusers share their inner blocks: what is changed in one pipeline's changes all others'.
#
# Packages: torch 2.13.0 (CPU), diffusers 0.42.1, transformers 5.23.0.
# Behaviour: the blocks of a class are made once, in the class itself, and each instance holds the same objects
#   below its own first row. A block taken out of an inner row, or a setting of a block that is changed, is
#   gone or changed in every other pipeline of the class, earlier and later ones, without a word. The first row
#   is an instance's own.
# Seen:
#   first row: decode in one: False, in another: True
#   inner row: unpack_latents in one: False, in another: False, in a later pipeline: False
#   setting: sample_mode in one: sample, in another: sample, in a later pipeline: sample
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 \
  transformers==5.23.0 accelerate==1.15.0 numpy==2.3.5

"$work/venv/bin/python" - <<'PYTHON' | tee "$work/said"
from diffusers import FluxKontextAutoBlocks, FluxKontextModularPipeline


def encoder(blocks):
    """Return the block that encodes the picture; it takes the mode of its latents (argmax)."""
    return blocks.sub_blocks["vae_encoder"].sub_blocks["image_conditioned"].sub_blocks["encode"]


one, other = FluxKontextAutoBlocks(), FluxKontextAutoBlocks()
assert encoder(other).sample_mode == "argmax"
assert "unpack_latents" in other.sub_blocks["denoise"].sub_blocks

one.sub_blocks.pop("decode")
print(f"first row: decode in one: {'decode' in one.sub_blocks}, in another: {'decode' in other.sub_blocks}")

one.sub_blocks["denoise"].sub_blocks.pop("unpack_latents")
encoder(one).sample_mode = "sample"
later = FluxKontextModularPipeline().blocks
inner = ["unpack_latents" in each.sub_blocks["denoise"].sub_blocks for each in (one, other, later)]
print("inner row: unpack_latents in one: {}, in another: {}, in a later pipeline: {}".format(*inner))
modes = [encoder(each).sample_mode for each in (one, other, later)]
print("setting: sample_mode in one: {}, in another: {}, in a later pipeline: {}".format(*modes))
PYTHON

diff "$work/said" - <<'SEEN' > /dev/null || { echo "this has changed"; exit 1; }
first row: decode in one: False, in another: True
inner row: unpack_latents in one: False, in another: False, in a later pipeline: False
setting: sample_mode in one: sample, in another: sample, in a later pipeline: sample
SEEN
