"""Edit and measure held-out edits, as a user of `refhooks` would, many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
import torch

from refhooks import Editor
from refhooks.score import (
    Cell,
    edges_kept,
    edit_done,
    edit_pairs,
    interval,
    kept,
    psnr,
    ssim,
)
from refhooks.score import Settings as Sampling
from refhooks_toy import refhooks_models
from refhooks_toy._edits import TWO_PICTURES, WHOLE_PICTURE
from refhooks_toy._held_out import as_pairs, faster
from refhooks_toy._pairs import HELD_OUT, make_pairs
from refhooks_toy._scenes import SIZE
from refhooks_toy._vae import decode, encoder, single_frame
from refhooks_toy._weights import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from diffusers import AutoencoderKLQwenImage

    from refhooks.score import Interval, Pair
    from refhooks_toy._pairs import Pairs

    Array = npt.NDArray[np.float64]
    Pictures = npt.NDArray[np.uint8]


@attrs.frozen
class Settings:
    """What is measured: so many held-out edits of each kind, in so many steps, at a `cfg`.

    `half` runs the transformer under bfloat16 autocast.
    """

    count: int
    steps: int
    cfg: float
    half: bool = False

    @property
    def precision(self) -> str:
        """How it is computed, in words."""
        return "bfloat16 autocast of the transformer" if self.half else "float32"


@attrs.frozen(eq=False)
class Result:
    """What was measured for one kind of edit, one value a scene.

    `kept` is the share kept outside the region that should change, or for edits of the whole
    picture the F1 of the edges.
    """

    kind: str
    pairs: Pairs
    out: Pictures
    done: Array
    kept: Array


def new_editor(weights: Path | None) -> Editor:
    """Load the package's model, or one of other weights; its pictures are known to be toyland's."""
    (model,) = refhooks_models()
    pipe = load_pipeline(folder=weights)
    pipe.set_progress_bar_config(disable=True)
    return Editor(pipe, checkpoint=attrs.evolve(model.checkpoint, judge=None))


def edit(
    editor: Editor, pairs: Sequence[Pair], settings: Settings, *, without: bool = False
) -> Pictures:
    """Edit pairs by the model's own method, uint8 `[N, H, W, 3]`; `without` any reference."""
    options = Sampling(steps=settings.steps, cfg=settings.cfg)
    with faster(editor.pipe, half=settings.half):
        pictures = edit_pairs(editor, pairs, Cell("native"), options, without=without)
    return np.stack([np.asarray(picture) for picture in pictures])


def measure(editor: Editor, kind: str, settings: Settings) -> Result:
    """Run and measure the first `count` held-out edits of a kind."""
    drawn = make_pairs(kind, range(HELD_OUT, HELD_OUT + settings.count))
    pairs = as_pairs(drawn)
    out = edit(editor, pairs, settings)
    done = edit_done(out, drawn.source, drawn.right, drawn.mask)
    if kind in WHOLE_PICTURE:
        preserved = edges_kept(out, drawn.right)
    else:
        without = edit(editor, pairs, settings, without=True)
        preserved = kept(out, without, drawn.source, drawn.mask)
    return Result(kind, drawn, out, done, preserved)


@torch.inference_mode()
def measure_vae(vae: AutoencoderKLQwenImage, count: int) -> tuple[Interval, Interval]:
    """Return PSNR (dB) and SSIM of `count` held-out pictures, encoded and decoded."""
    seeds = range(HELD_OUT, HELD_OUT + count // 2)
    pairs = make_pairs("style-transfer", seeds)  # right answers are sketches and sepia photos
    pictures = np.concatenate([pairs.source, pairs.right])
    with single_frame():
        back = decode(vae, encoder(vae)(torch.from_numpy(pictures)), SIZE, SIZE).numpy()
    return interval(psnr(back, pictures)), interval(ssim(back, pictures))


def is_local(kind: str) -> bool:
    """Whether a kind counts for what is kept: one of the eight, with something outside."""
    return kind != TWO_PICTURES and kind not in WHOLE_PICTURE
