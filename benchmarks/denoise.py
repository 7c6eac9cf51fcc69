"""``denoise`` beside the stock pipelines that start from a picture, and why they differ.

    python benchmarks/denoise.py [--scenes 4]   measures on toy and writes docs/denoise.md

Stock pipelines are built from the embedded model's own parts, so that only what they do differs.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import click
import numpy as np
import torch
from diffusers import (
    QwenImageEditInpaintPipeline,
    QwenImageEditPipeline,
    QwenImageImg2ImgPipeline,
)
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_inpaint as stock_inpaint
from PIL import Image

import refhooks as rh
from refhooks_toy import HELD_OUT, SIZE, load_pipeline, make_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

PAGE = Path(__file__).parents[1] / "docs" / "denoise.md"
STEPS, TOTAL, CFG = 8, 16, 2.0
SHARED = ("scheduler", "vae", "text_encoder", "tokenizer", "transformer")
HALF = Image.new("L", (SIZE, SIZE))
HALF.paste(255, (0, 0, SIZE // 2, SIZE))
WHOLE = Image.new("L", (SIZE, SIZE), 255)


class Bench:
    """The embedded model as an edit pipeline of one reference, and stock pipelines of its parts."""

    def __init__(self) -> None:
        toy = load_pipeline()
        self._parts = {name: getattr(toy, name) for name in SHARED}
        self._processor = toy.processor
        pipe = QwenImageEditPipeline(**self._parts, processor=toy.processor)
        pipe.set_progress_bar_config(disable=True)
        area = SIZE * SIZE
        sizes = rh.Checkpoint(output=area, reference=area, vision=area)
        self.editor = rh.Editor(pipe, checkpoint=sizes)

    def ours(self, picture: Image.Image, prompt: str, **arguments: Any) -> rh.EditResult:
        """Edit from half of the noise."""
        return self.editor.edit(
            picture, prompt, steps=STEPS, denoise=STEPS / TOTAL, seed=0, cfg=CFG, **arguments
        )

    def inpaint(self, picture: Image.Image, prompt: str, mask: Image.Image) -> tuple[Any, Array]:
        """Return latents and pixels of the stock inpaint pipeline."""
        pipe = QwenImageEditInpaintPipeline(**self._parts, processor=self._processor)
        return self._run(pipe, image=picture, prompt=prompt, mask_image=mask, negative_prompt=" ")

    def img2img(self, picture: Image.Image, prompt: str) -> tuple[Any, Array]:
        """Return latents and pixels of the stock pipeline without references, with our prompt."""
        run = self.editor.family.open(
            prompts=[prompt], guidance=rh.Guidance(CFG, (" ",)), seeds=[0],
            size=rh.Size(SIZE, SIZE), references=[], shown=[],
        )  # fmt: skip
        cond, uncond = (run.inputs(run.noise, branch).text.embeds for branch in run.branches)
        return self._run(
            QwenImageImg2ImgPipeline(**self._parts), image=picture, height=SIZE, width=SIZE,
            prompt_embeds=cond, negative_prompt_embeds=uncond,
        )  # fmt: skip

    def _run(self, pipe: Any, **arguments: Any) -> tuple[Any, Array]:
        pipe.set_progress_bar_config(disable=True)
        latents = pipe(
            true_cfg_scale=CFG, strength=STEPS / TOTAL, num_inference_steps=TOTAL,
            generator=torch.Generator("cpu").manual_seed(0), output_type="latent", **arguments,
        ).images  # fmt: skip
        pixels = self.editor.family.decode(latents, rh.Size(SIZE, SIZE))[0]
        return latents, pixels.permute(1, 2, 0).double().numpy()


@contextlib.contextmanager
def small() -> Iterator[None]:
    """Let the stock pipeline resize pictures to the embedded model's size instead of 1 MP."""
    dimensions = (SIZE, SIZE, None)
    with mock.patch.object(stock_inpaint, "calculate_dimensions", return_value=dimensions):
        yield


@contextlib.contextmanager
def alike() -> Iterator[None]:
    """Let stock pipelines encode pictures as the stock edit pipelines do."""
    encode = QwenImageEditPipeline._encode_vae_image
    with (
        mock.patch.object(QwenImageEditInpaintPipeline, "_encode_vae_image", encode),
        mock.patch.object(QwenImageImg2ImgPipeline, "_encode_vae_image", encode),
    ):
        yield


def rmse(one: Array, other: Array) -> float:
    """Return the root of the mean square difference."""
    return float(np.sqrt(((one - other) ** 2).mean()))


def measure(bench: Bench, picture: Image.Image, prompt: str) -> dict[str, Any]:
    """Return every number of one scene."""
    plain = bench.ours(picture, prompt)
    hidden = bench.ours(picture, prompt, strategy=rh.Stage("default", 0))
    held = bench.ours(picture, prompt, edit_mask=HALF)
    drawn, drawn_pixels = bench.inpaint(picture, prompt, WHOLE)
    with alike():
        whole, _ = bench.inpaint(picture, prompt, WHOLE)
        half, half_pixels = bench.inpaint(picture, prompt, HALF)
        alone, _ = bench.img2img(picture, prompt)
    del drawn
    source, edge = np.asarray(picture) / 255.0, SIZE // 2
    image = np.asarray(held.image) / 255.0
    return {
        "whole": torch.equal(plain.latents, whole),
        "alone": torch.equal(hidden.latents, alone),
        "drawn": rmse(np.asarray(plain.image) / 255.0, drawn_pixels),
        "half latents": float((held.latents - half).abs().max()),
        "half inside": rmse(image[:, :edge], half_pixels[:, :edge]),
        "half outside, ours": rmse(image[:, edge:], source[:, edge:]),
        "half outside, theirs": rmse(half_pixels[:, edge:], source[:, edge:]),
    }


def page(found: list[dict[str, Any]]) -> str:
    """Return docs/denoise.md."""
    mean = {key: float(np.mean([it[key] for it in found])) for key in found[0]}
    most = max(it["half latents"] for it in found)
    equal = {key: f"{sum(it[key] for it in found)} of {len(found)}" for key in ("whole", "alone")}
    inpaint, img2img = "`QwenImageEditInpaintPipeline`", "`QwenImageImg2ImgPipeline`"
    bits = "bit-identical in"
    lines = [
        ("what is compared", "result"),
        ("---", "---"),
        (f"{inpaint}, mask over everything, beside no mask", f"{bits} {equal['whole']}"),
        ("the same, its VAE latents drawn as it does of itself", f"{mean['drawn']:.4f}"),
        (f"{img2img}, given our prompt, beside a reference at 0", f"{bits} {equal['alone']}"),
        (f"{inpaint}, mask over the left half, beside `edit_mask`", f"latents within {most:.0e}"),
        ("the same, pixels of the left half", f"{mean['half inside']:.4f}"),
        ("the same, right half from the source, theirs", f"{mean['half outside, theirs']:.4f}"),
        ("the same, right half from the source, ours", f"{mean['half outside, ours']:.4f}"),
    ]
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"""\
<!-- Written by `python benchmarks/denoise.py`; not by hand. -->
# denoise

`edit(denoise=0.5, steps=8)` builds the schedule of 16 steps and runs its last 8, from the source
noised to the first of their noise levels. `steps` stays the number of steps that are run, for every
method; with 1, the default, the run begins with noise alone and is what it is without the argument.
Only whole steps can be run, so the schedule has `round(steps / denoise)` of them: `refhooks edit`
says what that comes to. It is built in full and then cut; built for the last noise levels alone, it
would be shifted twice.

## Beside the stock pipelines

diffusers' pipelines take `num_inference_steps` and `strength`, and run
`num_inference_steps · strength` steps. {TOTAL} steps at 0.5 are `steps={STEPS}, denoise=0.5` here.
{len(found)} held-out scenes of the embedded model, seed 0, guidance {CFG:g}; stock pipelines are
made of its parts. RMSE in sRGB, 0–1, means.

{rows}
What explains the differences:

- Both stock pipelines draw the source's latents from the VAE's distribution, with the generator of
  the noise; so the noise is another one too. The stock edit pipelines, and refhooks, take its mode.
  They also multiply by 1/deviation where the edit pipelines divide by it, which moves last bits.
  For the rows that are equal, they were made to encode as the stock edit pipelines do.
- The inpaint pipeline ends with latents, outside its mask, that are the source's, and decodes them:
  what is not edited goes through the VAE. refhooks puts the source's pixels back. What is left of
  the left half is the rounding to 8 bits, which ours went through.
- It looks at one pixel of the mask for each quarter of a token; here a token is free as soon as a
  pixel in it may change, and pixels are mixed by the mask itself.
- It resizes the source to 1 MP, and takes one reference. The image-to-image pipeline has its own
  prompt template, and sees no picture.
"""


@click.command()
@click.option("--scenes", "count", default=4, show_default=True)
def main(count: int) -> None:
    """Compare, and write the page."""
    torch.set_num_threads(1)
    pairs = make_pairs("color-change", range(HELD_OUT, HELD_OUT + count))
    bench = Bench()
    with small(), torch.no_grad():
        found = [
            measure(bench, Image.fromarray(source), prompt)
            for source, prompt in zip(pairs.source, pairs.prompts, strict=True)
        ]
    PAGE.write_text(page(found), encoding="utf-8")
    click.echo(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
