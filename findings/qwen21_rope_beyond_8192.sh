#!/usr/bin/env bash
# QwenImage21Rope gives a text token at position 8192 the rotary embedding of position -1024.
#
# Packages: torch 2.13.0 (CPU), diffusers 0.42.1.
# Behaviour: its table has rows for positions 0 to 8191 and, behind them, for -1024 to -1, which the rows and
#   columns of pictures use. Positions of text are taken as row numbers, so from 8192 on they run into the rows
#   of negative positions, without a word; only a text beyond 9215 is an error.
# Seen:
#   position 8191: as computed for 8191, to 0.0e+00
#   position 8192: as computed for -1024, to 0.0e+00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 numpy==2.3.5

"$work/venv/bin/python" - <<'PYTHON'
import sys

import torch
from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Rope

AXES, TEXT, SIDE = [16, 56, 56], 8200, 2
rope = QwenImage21Rope(theta=10000, axes_dim=AXES)
is_picture = torch.zeros(TEXT + SIDE * SIDE, dtype=torch.bool)
is_picture[TEXT:] = True  # a prompt, then a picture of four tokens
given = rope([(1, SIDE, SIDE)], is_picture, torch.device("cpu"))


def computed(position):
    """Return the rotary embedding of a text token, by its formula."""
    turns = [rope.rope_params(torch.tensor([position]), size)[0] for size in AXES]
    return torch.cat(turns)


for place, expected in ((8191, 8191), (8192, -1024)):
    apart = (given[place] - computed(expected)).abs().max().item()
    print(f"position {place}: as computed for {expected}, to {apart:.1e}")
    if apart > 1e-6:
        sys.exit("this has changed")
PYTHON
