"""A look at what the picture would become, while the run goes on."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

import torch
from PIL import Image

from refhooks._family import Guidance
from refhooks._result import save_picture
from refhooks._sheet import make_sheet
from refhooks.errors import InputError, RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from refhooks._editor import Editor
    from refhooks._family import FamilyRun, Size


@contextlib.contextmanager
def previews(
    editor: Editor, size: Size, place: Path, every: int
) -> Iterator[Callable[[int, Tensor], None]]:
    """Yield what is called at each step with its 0-based index and the predicted ``x0``.

    Args:
        editor: What edits.
        size: Of the output.
        place: Where the preview is written; it is replaced only by a complete one.
        every: Number of steps from one preview to the next.
    """
    decoder = _decoder(editor, size)
    try:
        yield lambda step, x0: _write(decoder, step, x0, place, every)
    finally:
        decoder.close()


def _decoder(editor: Editor, size: Size) -> FamilyRun:
    """Only a run of a family decodes; this one shows nothing, draws one noise and never steps."""
    with torch.no_grad():
        return editor.family.open(
            prompts=(" ",),
            guidance=Guidance(scale=1.0, negative=(" ",)),
            seeds=(0,),
            size=size,
            references=(),
            shown=(),
        )


def _write(decoder: FamilyRun, step: int, x0: Tensor, place: Path, every: int) -> None:
    if (step + 1) % every:
        return
    pixels = decoder.decode(x0).permute(0, 2, 3, 1).float().cpu()  # [B,height,width,3]
    pictures = [
        Image.fromarray(values) for values in (pixels * 255).round().to(torch.uint8).numpy()
    ]
    whole = (
        pictures[0]
        if len(pictures) == 1
        else make_sheet(pictures, [f"picture {number + 1}" for number in range(len(pictures))])
    )
    try:
        save_picture(whole, place)
    except InputError as error:  # a run must not be lost for a look at it
        warnings.warn(f"no preview: {error}", RefhooksWarning, stacklevel=2)
