"""Edits that are small enough for a test."""

from __future__ import annotations

import tiny

SIDE = 64  # pixels of every picture
FAMILIES = ("edit", "plus", "2.1", "stranger", "toy")
SOURCE = tiny.picture(0, (SIDE, SIDE))
OTHER = tiny.picture(1, (SIDE, SIDE))


def edit(editor, prompt="make it blue", **options):
    """Edit in two steps, with guidance."""
    call = {"steps": 2, "seed": 1, "cfg": 2.0, "height": SIDE, "width": SIDE, **options}
    return editor.edit(call.pop("image", SOURCE), prompt, **call)
