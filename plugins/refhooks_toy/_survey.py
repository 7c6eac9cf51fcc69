"""Edit and measure held-out edits, as a user of `refhooks` would, many at once."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
import torch
from PIL import Image

from refhooks import Editor, RefhooksWarning, Stage
from refhooks.batch import Job, edit_batch
from refhooks_toy import _measures as measures
from refhooks_toy import refhooks_models
from refhooks_toy._edits import TWO_PICTURES, WHOLE_PICTURE
from refhooks_toy._measures import interval
from refhooks_toy._pairs import HELD_OUT, make_pairs
from refhooks_toy._scenes import SIZE
from refhooks_toy._vae import decode, encoder, single_frame
from refhooks_toy._weights import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from diffusers import AutoencoderKLQwenImage
    from torch import Tensor

    from refhooks_toy._measures import Interval
    from refhooks_toy._pairs import Pairs

    Array = npt.NDArray[np.float64]
    Pictures = npt.NDArray[np.uint8]

BATCH: Final = 25
"""Jobs at once: more leave the processor's cache, and take longer a picture."""


@attrs.frozen
class Settings:
    """What is measured: so many held-out edits of each kind, in so many steps, at a `cfg`.

    `half` runs the transformer under bfloat16 autocast, a fifth quicker where the processor knows
    that type; over 25 edits of each of three kinds it moved no figure by more than 0.0005.
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


def jobs_of(pairs: Pairs) -> list[Job]:
    """Return the jobs that edits ask for, with the seeds 0, 1, 2 and so on."""
    return [
        Job(
            Image.fromarray(pairs.source[place]),
            edit.prompt,
            seed=place,
            references=[] if edit.extra is None else [Image.fromarray(pairs.extra[place])],
        )
        for place, edit in enumerate(pairs.edits)
    ]


def edit(
    editor: Editor, jobs: Sequence[Job], settings: Settings, strategy: Stage | None = None
) -> Pictures:
    """Edit many pictures, uint8 `[N, H, W, 3]`; `strategy` steers the sources."""
    pictures: list[Image.Image] = []
    with single_frame(), _autocast(editor.pipe.transformer, on=settings.half):
        for start in range(0, len(jobs), BATCH):
            part = jobs[start : start + BATCH]
            result = edit_batch(
                editor, part, strategy=strategy, steps=settings.steps, cfg=settings.cfg
            )
            pictures += result.images
    return np.stack([np.asarray(picture) for picture in pictures])


@contextlib.contextmanager
def _autocast(transformer: Any, *, on: bool) -> Iterator[None]:
    """Run the transformer alone in bfloat16: latents and guidance stay in float32."""
    whole = transformer.forward

    def forward(*args: Any, **kwargs: Any) -> tuple[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            return (whole(*args, **kwargs)[0].float(),)

    transformer.forward = forward
    try:
        yield
    finally:
        del transformer.forward


def measure(editor: Editor, kind: str, settings: Settings) -> Result:
    """Run and measure the first `count` held-out edits of a kind."""
    pairs = make_pairs(kind, range(HELD_OUT, HELD_OUT + settings.count))
    jobs = jobs_of(pairs)
    out = edit(editor, jobs, settings)
    done = measures.edit_done(out, pairs.source, pairs.right, pairs.mask)
    if kind in WHOLE_PICTURE:
        preserved = measures.edges_kept(out, pairs.right)
    else:
        without = _without_reference(editor, jobs, settings)
        preserved = measures.kept(out, without, pairs.source, pairs.mask)
    return Result(kind, pairs, out, done, preserved)


def _without_reference(editor: Editor, jobs: Sequence[Job], settings: Settings) -> Pictures:
    alone = [attrs.evolve(job, references=()) for job in jobs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RefhooksWarning)  # prompts name a picture that is not there
        return edit(editor, alone, settings, Stage("default", 0.0))


@torch.inference_mode()
def measure_vae(vae: AutoencoderKLQwenImage, count: int) -> tuple[Interval, Interval]:
    """Return PSNR (dB) and SSIM of `count` held-out pictures, encoded and decoded."""
    seeds = range(HELD_OUT, HELD_OUT + count // 2)
    pairs = make_pairs("style-transfer", seeds)  # right answers are sketches and sepia photos
    pictures = np.concatenate([pairs.source, pairs.right])
    with single_frame():
        back = decode(vae, encoder(vae)(torch.from_numpy(pictures)), SIZE, SIZE).numpy()
    return interval(measures.psnr(back, pictures)), interval(measures.ssim(back, pictures))


def is_local(kind: str) -> bool:
    """Whether a kind counts for what is kept: one of the eight, with something outside."""
    return kind != TWO_PICTURES and kind not in WHOLE_PICTURE
