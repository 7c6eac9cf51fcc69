"""A tiny random model, shared by the kinds of input that need one."""

from __future__ import annotations

import functools

import refhooks as rh
from refhooks.testing._tiny import tiny_pipeline

SIDE = 32  # of pictures, pixels


@functools.cache
def editor() -> rh.Editor:
    """Return an editor of a random Qwen-Image-Edit-Plus."""
    area = SIDE**2
    sizes = rh.Checkpoint(output=area, reference=area, vision=area, cfg=2.0, steps=2)
    return rh.Editor(tiny_pipeline("plus", "small"), checkpoint=sizes)
