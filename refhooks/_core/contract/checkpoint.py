"""What a checkpoint prescribes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import validators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from PIL.Image import Image

    from refhooks._base.size import Size


_COUNT = validators.optional(validators.and_(validators.instance_of(int), validators.ge(1)))


@attrs.frozen
class Checkpoint:
    """What a checkpoint prescribes where its stock pipeline's own defaults do not fit it.

    Attributes:
        output: Pixel area of the output where no size is given.
        reference: Pixel area to which references are resized before the VAE encodes them.
        vision: Pixel area to which pictures are resized for the text encoder.
        cfg: Default guidance scale.
        steps: Default number of steps.
        judge: Given the source picture, returns a warning if the model will not know what to make
            of it, else ``None``.
        judge_prompt: Likewise, given a prompt.
        judge_size: Likewise, given the size of the output.
        base: What files made for this checkpoint name as their base; by default the repository it
            was loaded from, if it was.
        files: Files that it brings along, by the name of the method they are for.
    """

    output: int | None = attrs.field(default=None, validator=_COUNT)
    reference: int | None = attrs.field(default=None, validator=_COUNT)
    vision: int | None = attrs.field(default=None, validator=_COUNT)
    cfg: float | None = None
    steps: int | None = attrs.field(default=None, validator=_COUNT)
    judge: Callable[[Image], str | None] | None = None
    judge_prompt: Callable[[str], str | None] | None = None
    judge_size: Callable[[Size], str | None] | None = None
    base: str | None = None
    files: Mapping[str, Path] = attrs.field(factory=dict, hash=False)
