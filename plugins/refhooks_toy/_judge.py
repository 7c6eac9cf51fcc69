"""Tell pictures of toyland from others."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from refhooks_toy._draw import draw
from refhooks_toy._scenes import GROUNDS, HORIZONS, LIGHTS, SIZE, SKIES, STYLES, Scene

if TYPE_CHECKING:
    import numpy.typing as npt

_NEAR: Final = 24  # of 255: a pixel this close to a background's belongs to it
_SHARE: Final = 0.25  # four large things leave a third of a scene's background to be seen


def judge(picture: Image.Image) -> str | None:
    """Return a warning if a picture is not of toyland, else None.

    A picture is of toyland if at least a quarter of it agrees with one of toyland's empty scenes.
    """
    small = picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)
    difference = np.abs(_backgrounds() - np.asarray(small, np.int16)).max(axis=-1)
    share = (difference <= _NEAR).mean(axis=(1, 2)).max()
    if share >= _SHARE:
        return None
    return (
        "this picture is not of toyland, the only world that the embedded model knows: expect a"
        " poor result; name a real model, such as Qwen/Qwen-Image-Edit-2511, for photographs"
    )


@cache
def _backgrounds() -> npt.NDArray[np.int16]:
    """All empty scenes, `[N, SIZE, SIZE, 3]`."""
    kinds = product(SKIES, GROUNDS, HORIZONS, LIGHTS, STYLES)
    scenes = [Scene(sky, ground, row, (), None, li, style) for sky, ground, row, li, style in kinds]
    return draw(scenes).astype(np.int16)
