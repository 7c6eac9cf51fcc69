"""Measure the toy model on held-out edits: `python -m refhooks_toy.report`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click
import numpy as np
import torch
from PIL import Image, ImageDraw

from refhooks_toy import _measures as measures
from refhooks_toy._edits import EDIT_KINDS, TWO_PICTURES, WHOLE_PICTURE
from refhooks_toy._measures import interval
from refhooks_toy._pairs import HELD_OUT, make_pairs
from refhooks_toy._sampling import Request, decode, sample
from refhooks_toy._scenes import SIZE
from refhooks_toy._vae import encoder, single_frame
from refhooks_toy._weights import load_pipeline

if TYPE_CHECKING:
    import numpy.typing as npt
    from diffusers import QwenImageEditPlusPipeline

    from refhooks_toy._pairs import Pairs

    Array = npt.NDArray[np.float64]
    Pictures = npt.NDArray[np.uint8]

BATCH: Final = 50
SHOWN: Final = 4
"""Edits of each kind on the contact sheet."""


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


@click.command()
@click.option("--weights", type=click.Path(path_type=Path), help="Default: the package's own.")
@click.option("--count", default=100, show_default=True, help="Held-out edits of each kind.")
@click.option("--steps", default=16, show_default=True)
@click.option("--cfg", default=2.0, show_default=True)
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet there.")
def main(weights: Path | None, count: int, steps: int, cfg: float, sheet: Path | None) -> None:
    """Print the toy model's bars with 95 % bootstrap intervals."""
    began = time.monotonic()
    pipe = load_pipeline(folder=weights)
    click.echo(f"{count} held-out edits a kind, {steps} steps, cfg {cfg:g}; mean [95 % interval]")
    _print_vae(pipe, count)
    click.echo(f"{'kind':18} {'edit done':24} {'kept outside':24} edges kept (F1)")
    results = []
    for kind in EDIT_KINDS:
        results.append(measure(pipe, kind, count, steps=steps, cfg=cfg))
        _print_result(results[-1])
    _print_means(results)
    if sheet is not None:
        contact_sheet(results, sheet)
        click.echo(f"sheet: {sheet}")
    click.echo(f"{time.monotonic() - began:.0f} s")


def measure(
    pipe: QwenImageEditPlusPipeline, kind: str, count: int, *, steps: int, cfg: float
) -> Result:
    """Run and measure the first `count` held-out edits of a kind."""
    seeds = range(HELD_OUT, HELD_OUT + count)
    pairs = make_pairs(kind, seeds)
    whole = kind in WHOLE_PICTURE
    out, without = [], []
    for start in range(0, count, BATCH):
        part = slice(start, start + BATCH)
        references = [pairs.source[part]]
        if kind == TWO_PICTURES:
            references.append(pairs.extra[part])
        options: dict[str, Any] = {"seeds": range(count)[part], "steps": steps, "cfg": cfg}
        out.append(sample(pipe, Request(pairs.prompts[part], references, **options)))
        if not whole:
            request = Request(
                pairs.prompts[part], references[:1], tokens=False, shown=False, **options
            )
            without.append(sample(pipe, request))
    pictures = np.concatenate(out)
    done = measures.edit_done(pictures, pairs.source, pairs.right, pairs.mask)
    if whole:
        preserved = measures.edges_kept(pictures, pairs.right)
    else:
        preserved = measures.kept(pictures, np.concatenate(without), pairs.source, pairs.mask)
    return Result(kind, pairs, pictures, done, preserved)


def _print_vae(pipe: QwenImageEditPlusPipeline, count: int) -> None:

    seeds = range(HELD_OUT, HELD_OUT + count // 2)
    pairs = make_pairs("style-transfer", seeds)  # right answers are sketches and sepia photos
    pictures = np.concatenate([pairs.source, pairs.right])
    with single_frame(), torch.inference_mode():
        back = decode(pipe, encoder(pipe.vae)(torch.from_numpy(pictures)), SIZE, SIZE)
    ratio = measures.interval(measures.psnr(back, pictures))
    likeness = measures.interval(measures.ssim(back, pictures))
    click.echo(f"autoencoder: PSNR {ratio.mean:.1f} [{ratio.low:.1f}, {ratio.high:.1f}] dB")
    click.echo(f"autoencoder: SSIM {likeness.mean:.4f} [{likeness.low:.4f}, {likeness.high:.4f}]")


def _print_result(result: Result) -> None:
    left = "–" if result.kind in WHOLE_PICTURE else str(interval(result.kept))
    right = str(interval(result.kept)) if result.kind in WHOLE_PICTURE else "–"
    click.echo(f"{result.kind:18} {interval(result.done)!s:24} {left:24} {right}")


def _print_means(results: list[Result]) -> None:

    eight = [result for result in results if result.kind != TWO_PICTURES]
    done = interval(np.concatenate([result.done for result in eight]))
    kept = np.concatenate([result.kept for result in eight if result.kind not in WHOLE_PICTURE])
    click.echo(f"{'mean of the eight':18} {done!s:24} {interval(kept)!s:24} –")


def contact_sheet(results: list[Result], path: Path) -> None:
    """Write a PNG: for each kind some edits, as source, result and right answer side by side."""
    zoom, line = 2, 14
    size = results[0].out.shape[1] * zoom
    sheet = Image.new("RGB", (SHOWN * (3 * size + 8), len(results) * (size + line)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, result in enumerate(results):
        for column in range(min(SHOWN, len(result.out))):
            left, top = column * (3 * size + 8), row * (size + line)
            pen.text((left + 2, top + 1), result.pairs.prompts[column], "black")
            trio = (result.pairs.source, result.out, result.pairs.right)
            for i, pictures in enumerate(trio):
                picture = Image.fromarray(pictures[column]).resize((size, size), 0)
                sheet.paste(picture, (left + i * size, top + line))
    sheet.save(path)


if __name__ == "__main__":
    main()
