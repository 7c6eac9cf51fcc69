"""``denoise`` beside the stock pipelines that start from a picture, and why they differ.

    python benchmarks/denoise.py [--scenes 4]   measures on toy and writes docs/denoise.md

Stock pipelines are built from the embedded model's own parts, so that only what they do differs; of
FLUX.2 klein, from those of a tiny random one.
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
    Flux2KleinInpaintPipeline,
    QwenImageEditInpaintPipeline,
    QwenImageEditPipeline,
    QwenImageImg2ImgPipeline,
)
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_inpaint as stock_inpaint
from PIL import Image

import refhooks as rh
from refhooks import testing
from refhooks_flux2._tiny import tiny_klein
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
KLEIN_CFG = 4.0
SQUARE, UNEVEN = (64, 64), (83, 90)  # of 83x90 klein leaves 80x88


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


class Klein:
    """A tiny random FLUX.2 klein, and the stock inpaint pipeline of its parts."""

    def __init__(self) -> None:
        pipe = tiny_klein()
        with torch.no_grad():  # random weights of the usual size hardly look at anything
            for weight in pipe.transformer.parameters():
                weight.mul_(1.6)
        shared = ("scheduler", "vae", "text_encoder", "tokenizer", "transformer")
        self.editor = rh.Editor(pipe)
        self._stock = Flux2KleinInpaintPipeline(**{name: getattr(pipe, name) for name in shared})
        self._stock.set_progress_bar_config(disable=True)

    def both(
        self,
        picture: Image.Image,
        covered: int,
        *,
        steps: int = STEPS // 2,
        total: int = TOTAL // 2,
        reference: Image.Image | None = None,
    ) -> dict[str, Any]:
        """Edit the left of a picture both ways.

        Args:
            picture: To edit.
            covered: How many columns may change; all of them: no edit mask for ours.
            steps: That are run.
            total: Of the whole schedule.
            reference: A second picture.

        Returns:
            Latents, pixels 0-1 and noise levels of each.
        """
        everywhere = covered >= picture.width
        mask = None if everywhere else rh.mask(box=f"0,0,{covered},{picture.height}")
        ours = self.editor.edit(
            picture, "make it blue", references=[] if reference is None else [reference],
            steps=steps, denoise=steps / total, seed=1, cfg=KLEIN_CFG, negative_prompt="",
            edit_mask=mask,
        )  # fmt: skip
        seen: dict[str, Any] = {}
        levels: list[float] = []

        def note(_pipe: Any, _step: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            levels.append(float(t) / 1000)
            seen.update(tensors)
            return tensors

        shape = Image.new("L", picture.size)
        shape.paste(255, (0, 0, covered, picture.height))
        pixels = self._stock(
            image=picture, mask_image=shape, prompt="make it blue", image_reference=reference,
            strength=steps / total, num_inference_steps=total, guidance_scale=KLEIN_CFG,
            generator=torch.Generator().manual_seed(1), callback_on_step_end=note, output_type="pt",
        ).images  # fmt: skip
        return {
            "ours": (ours.latents, np.asarray(ours.image) / 255.0, [*ours.timetable.sigmas]),
            "theirs": (seen["latents"], pixels[0].permute(1, 2, 0).numpy(), levels),
        }


def measure_klein(klein: Klein) -> dict[str, Any]:
    """Return every number of FLUX.2 klein."""
    picture, other = testing.picture(0, SQUARE), testing.picture(3, (64, 96))
    cuts = [(4, 8), (2, 4), (4, 5), (3, 5)]
    runs = [klein.both(picture, 64, steps=steps, total=total) for steps, total in cuts]
    runs.append(klein.both(picture, 64, reference=other))
    half, beside = klein.both(picture, 32), klein.both(picture, 30)
    uneven = klein.both(testing.picture(0, UNEVEN), UNEVEN[0])
    source = np.asarray(picture) / 255.0
    apart = (beside["ours"][0] - beside["theirs"][0]).abs().amax(dim=-1).reshape(16, 16)
    return {
        "runs": len(runs),
        "levels": max(
            abs(one - their)
            for run in runs
            for one, their in zip(run["ours"][2], run["theirs"][2], strict=True)
        ),
        "equal": sum(torch.equal(run["ours"][0], run["theirs"][0]) for run in runs),
        "half": _apart(half),
        "half pixels": rmse(half["ours"][1][:, :32], half["theirs"][1][:, :32]),
        "outside, ours": rmse(half["ours"][1][:, 32:], source[:, 32:]),
        "outside, theirs": rmse(half["theirs"][1][:, 32:], source[:, 32:]),
        "beside": _apart(beside),
        "behind": float(apart[:, 8:].max()),  # no pixel of these columns of tokens may change
        "uneven": _apart(uneven),
    }


def _apart(run: dict[str, Any]) -> float:
    return float((run["ours"][0] - run["theirs"][0]).abs().max())


def klein_section(found: dict[str, Any]) -> str:
    """Return what the page says of FLUX.2 klein."""
    same = f"equal to the bit in {found['equal']} of {found['runs']}"
    lines = [
        ("what is compared", "result"),
        ("---", "---"),
        ("noise levels of 4 steps of 8, 2 of 4, 4 of 5, 3 of 5", f"within {found['levels']:.0e}"),
        ("latents, mask over everything, beside no mask; also with a second picture", same),
        ("latents, mask over the left half, beside `edit_mask`", f"within {found['half']:.0e}"),
        ("the same, pixels of the left half", f"{found['half pixels']:.4f}"),
        ("the same, right half from the source, theirs", f"{found['outside, theirs']:.4f}"),
        ("the same, right half from the source, ours", f"{found['outside, ours']:.4f}"),
        (
            "latents, mask that ends amid a token, beside `edit_mask`",
            f"{found['beside']:.2f} apart",
        ),
        ("latents, a picture of 83x90, mask over everything", f"{found['uneven']:.2f} apart"),
    ]
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"""
## FLUX.2 klein

`Flux2KleinInpaintPipeline` beside `edit(denoise=0.5, steps=4, edit_mask=...)`, of the parts of one
tiny random klein, seed 1, guidance {KLEIN_CFG:g}. Its `image` is the source, which it also gives
the model as the first reference; its `image_reference` is the second one. Differences of latents
are the largest, those of pixels RMSE, 0–1.

{rows}
- **The same**: which noise levels are run, the noise of a seed, the VAE's mode (nothing is drawn),
  the source as the reference on frame 10, and the rule by which what is kept stands at the next
  noise level. Where a mask follows the edges of tokens, only the order of operations is another.
- **The mask**: it is made black or white at 0.5, and then looked at between pixels (bilinear), once
  a token; a token of which half may change is mixed half and half at every step. Here such a token
  is free while the run goes on, and its pixels are mixed by the mask itself. Tokens in which
  nothing may change are the same (within {found["behind"]:.0e}).
- **What is not edited** goes through the VAE there; here the source's pixels are put back.
- **The picture** is resized there to whole tokens, as a source, though the same pipeline cuts its
  references. Here it is cut, as klein's edit pipeline does; where it is resized before, the latents
  are equal to the bit.
"""


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
        klein = measure_klein(Klein())
    PAGE.write_text(page(found) + klein_section(klein), encoding="utf-8")
    click.echo(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
