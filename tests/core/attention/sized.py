"""An editor whose pictures have tokens enough to weigh and to drop some."""

from __future__ import annotations

import tiny

import refhooks as rh

ARGS = {"steps": 3, "seed": 1}
PROMPT = "make it blue"


def editor_for(pipe):
    """An editor at the tests' size."""
    return rh.Editor(
        pipe, checkpoint=rh.Checkpoint(output=tiny.AREA, reference=tiny.AREA, vision=tiny.AREA)
    )
