"""Tell pictures, prompts and sizes of toyland from others."""

from __future__ import annotations

import re
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from refhooks_toy._draw import draw
from refhooks_toy._prompts import WORDS
from refhooks_toy._scenes import GROUNDS, HORIZONS, LIGHTS, SIZE, SKIES, STYLES, Scene

if TYPE_CHECKING:
    import numpy.typing as npt

    from refhooks import Size

_NAMED: Final = 4  # words that a warning names
_NEAR: Final = 24  # of 255: a pixel this close to a background's belongs to it
_SHARE: Final = 0.8
_SQUARE: Final = 1.1  # longer over shorter side
_REACH: Final = 16.5  # pixels: no shape or face reaches further from the middle of its quadrant


def judge(picture: Image.Image) -> str | None:
    """Return a warning if a picture is not of toyland, or would be distorted, else None.

    A picture is of toyland if it agrees with one of toyland's empty scenes wherever neither a shape
    nor a face can be: at the borders, and on a cross in the middle.
    """
    small = picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)
    seen = np.asarray(small, np.int16)[_never_covered()]  # [M, 3]
    difference = np.abs(_backgrounds() - seen).max(axis=-1)  # [N, M]
    if (difference <= _NEAR).mean(axis=1).max() < _SHARE:
        return (
            "this picture is not of toyland, the only world that the embedded model knows: expect a"
            " poor result; name a real model, such as Qwen/Qwen-Image-Edit-2511, for photographs"
        )
    if max(picture.size) > _SQUARE * min(picture.size):
        return (
            f"the embedded model makes square pictures, so this one of {picture.width}x"
            f"{picture.height} pixels is distorted; cut it to a square first"
        )
    return None


def judge_prompt(prompt: str) -> str | None:
    """Return a warning if a prompt has words that the model never saw, else None."""
    words = dict.fromkeys(re.findall(r"\w+", prompt.lower()))
    unknown = [word for word in words if word not in WORDS]
    if not unknown:
        return None
    some = ", ".join(repr(word) for word in unknown[:_NAMED])
    more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
    return (
        f"the embedded model never saw the words {some}{more}, so the edit will not be what they"
        " ask for; it knows a few edits of simple drawings, such as 'make it night', 'make the"
        " circle blue' or 'replace the star with a square'"
    )


def judge_size(size: Size) -> str | None:
    """Return a warning if the model was not trained on a size, else None."""
    if size.height == size.width == SIZE:
        return None
    return (
        f"the embedded model was trained on {SIZE}x{SIZE} pixels alone and distorts other sizes and"
        f" shapes, here {size.width}x{size.height}: expect a poor result; leave the size out and"
        " give it a square picture"
    )


@cache
def _never_covered() -> npt.NDArray[np.bool_]:
    """Where only background is seen, `[SIZE, SIZE]`."""
    half = SIZE // 2
    y, x = np.mgrid[0:SIZE, 0:SIZE] % half + 0.5 - half / 2
    covered: npt.NDArray[np.bool_] = np.hypot(x, y) > _REACH
    return covered


@cache
def _backgrounds() -> npt.NDArray[np.int16]:
    """All empty scenes where they are never covered, `[N, M, 3]`."""
    kinds = product(SKIES, GROUNDS, HORIZONS, LIGHTS, STYLES)
    scenes = [Scene(sky, ground, row, (), None, li, style) for sky, ground, row, li, style in kinds]
    return draw(scenes)[:, _never_covered()].astype(np.int16)
