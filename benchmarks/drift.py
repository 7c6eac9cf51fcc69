"""How far a chain drifts from its picture when every edit asks for what is there already.

    python benchmarks/drift.py [--scenes 8]   measures, writes figures, plot and docs/chains.md
    python benchmarks/drift.py --page-only    writes plot and page again from the figures

Scenes of the embedded model are told "keep the picture" eight times, so the right answer of each
edit is the picture itself. Latents handed over are compared with pixels; beside them, what the
autoencoder alone loses when a picture is encoded and decoded as often.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

import refhooks as rh
from refhooks import score as measures
from refhooks_toy import HELD_OUT, make_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Pictures = npt.NDArray[np.uint8]

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "drift.json"
PLOT = ROOT / "docs" / "images" / "drift.png"
PAGE = ROOT / "docs" / "chains.md"
BEGIN = "<!-- drift: written by `python benchmarks/drift.py`; a test compares it -->\n"
END = "<!-- end of drift -->"
PROMPT = "keep the picture"
EDITS = 8
STEPS = 8
DENOISE = (0.2, 1.0)
HANDOVERS = ("latents", "pixels")
COLOURS = {"latents": "#0072B2", "pixels": "#D55E00", "autoencoder": "#999999"}


def scenes(count: int) -> Pictures:
    """Draw ``count`` held-out scenes, ``[count,H,W,3]``."""
    return make_pairs("style-transfer", range(HELD_OUT, HELD_OUT + count)).source


def measure(editor: rh.Editor, sources: Pictures) -> list[dict[str, Any]]:
    """Return the RMSE to the source after each edit, for each kind of chain."""
    found = []
    for denoise in DENOISE:
        for handover in HANDOVERS:
            chains = [
                _errors(source, _chain(editor, source, seed, denoise, handover))
                for seed, source in enumerate(sources)
            ]
            found.append(_figures(handover, denoise, np.stack(chains, axis=1)))
    found.append(_figures("autoencoder", None, _coded(editor, sources)))
    return found


def _chain(
    editor: rh.Editor, source: Any, seed: int, denoise: float, handover: Any
) -> Sequence[Image.Image]:
    chain = editor.chain(
        Image.fromarray(source), [rh.Edit(PROMPT)] * EDITS, denoise=denoise, steps=STEPS,
        seed=seed * EDITS, handover=handover,
    )  # fmt: skip
    return chain.images


def _coded(editor: rh.Editor, sources: Pictures) -> Array:
    """What is left after each time of encoding and decoding, ``[edits,scenes]``."""
    errors = []
    for source in sources:
        picture, made = Image.fromarray(source), []
        for _ in range(EDITS):
            picture = _round_trip(editor, picture)
            made.append(picture)
        errors.append(_errors(source, made))
    return np.stack(errors, axis=1)


def _round_trip(editor: rh.Editor, picture: Image.Image) -> Image.Image:
    pipe, (width, height) = editor.pipe, picture.size
    pixels = pipe.image_processor.preprocess(picture, height, width).unsqueeze(2)
    with torch.inference_mode():
        latents = pipe._encode_vae_image(pixels, torch.Generator())
        packed = pipe._pack_latents(latents, 1, latents.shape[1], *latents.shape[3:])
    return editor.decode(packed, height=height, width=width)[0]


def _errors(source: Any, made: Sequence[Image.Image]) -> Array:
    stacked = np.stack([np.asarray(picture) for picture in made])
    return measures.rmse(stacked, source[None], np.ones(stacked.shape[:3], bool))


def _figures(handover: str, denoise: float | None, errors: Array) -> dict[str, Any]:
    name = handover if denoise is None else f"{handover}, denoise {denoise:g}"
    click.echo(f"{name:24}" + " ".join(f"{mean:.4f}" for mean in errors.mean(axis=1)))
    return {"handover": handover, "denoise": denoise, "errors": errors.round(5).tolist()}


def curve(figures: Mapping[str, Any], handover: str, denoise: float | None) -> Array:
    """Return the errors of one kind of chain, ``[edits,scenes]``."""
    [found] = [
        it["errors"] for it in figures["chains"]
        if (it["handover"], it["denoise"]) == (handover, denoise)
    ]  # fmt: skip
    return np.array(found)


def page(figures: Mapping[str, Any]) -> str:
    """Return the table and what it says."""
    at = [place for place in (1, 2, 4, 8) if place <= figures["edits"]]
    heads = ["chain", *[f"after {place}" for place in at], f"after {at[-1]}: 95 % interval"]
    lines = [heads, ["---"] * len(heads)]
    for it in figures["chains"]:
        errors = np.array(it["errors"])
        spread = measures.interval(errors[at[-1] - 1])
        cells = [f"{errors[place - 1].mean():.3f}" for place in at]
        lines.append([_name(it), *cells, f"{spread.low:.3f}–{spread.high:.3f}"])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    verdicts = "".join(_verdict(figures, denoise) for denoise in figures["denoise"])
    return f"""\
RMSE to the source (0–1, sRGB), means over {figures["scenes"]} held-out scenes of the embedded
model, {figures["steps"]} steps, guidance {figures["cfg"]:g}, the same seeds in every row of edits.

{table}
{verdicts}"""


def _name(figures: Mapping[str, Any]) -> str:
    if figures["denoise"] is None:
        return "encoding and decoding alone"
    return f'`handover="{figures["handover"]}"`, `denoise={figures["denoise"]:g}`'


def _verdict(figures: Mapping[str, Any], denoise: float) -> str:
    """Whether handing over latents helps, by the paired difference after the last edit."""
    latents, pixels = (curve(figures, handover, denoise)[-1] for handover in HANDOVERS)
    lead = measures.interval(pixels - latents)
    words = "handing over latents drifts less than pixels"
    if lead.high < 0:
        words = "handing over latents drifts *more* than pixels"
    elif lead.low <= 0:
        words = "no difference between latents and pixels can be told"
    return (
        f"- At `denoise={denoise:g}`, after {figures['edits']} edits, {words}:\n  pixels − latents"
        f" is {lead.mean:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}] (paired, 95 %).\n"
    )


def with_drift(text: str, figures: Mapping[str, Any]) -> str:
    """Return docs/chains.md with its measured part replaced."""
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:start] + page(figures) + text[stop:]


def plot(figures: Mapping[str, Any]) -> Image.Image:
    """Draw the error over the edits, with its 95 % interval: a panel for each ``denoise``."""
    figure = Figure(figsize=(8, 3), dpi=90, layout="constrained")
    panels = figure.subplots(1, len(figures["denoise"]), sharey=True, squeeze=False)[0]
    numbers = range(1, figures["edits"] + 1)
    for panel, denoise in zip(panels, figures["denoise"], strict=True):
        for handover, colour in COLOURS.items():
            errors = curve(figures, handover, None if handover == "autoencoder" else denoise)
            spread = [measures.interval(row) for row in errors]
            label = "encode, decode" if handover == "autoencoder" else handover
            means = [it.mean for it in spread]
            panel.plot(numbers, means, "o-", color=colour, markersize=3, label=label)
            panel.fill_between(
                numbers, [it.low for it in spread], [it.high for it in spread],
                color=colour, alpha=0.2, linewidth=0,
            )  # fmt: skip
        panel.set_title(f"denoise {denoise:g}", fontsize=9)
        panel.set_xlabel("edits", fontsize=8)
        panel.tick_params(labelsize=8)
    panels[0].set_ylim(bottom=0)  # shared, so only once all of them are drawn
    panels[0].set_ylabel("RMSE to the source", fontsize=8)
    panels[0].legend(fontsize=8, frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE)


@click.command()
@click.option("--scenes", "count", default=8, show_default=True, help="How many pictures.")
@click.option("--page-only", is_flag=True, help="Read the figures instead of measuring.")
def main(count: int, page_only: bool) -> None:
    """Measure the drift of chains, and write it into docs/chains.md."""
    torch.set_num_threads(1)
    if not page_only:
        editor = rh.Editor.from_pretrained("toy")
        editor.pipe.set_progress_bar_config(disable=True)
        result = {
            "command": "python benchmarks/drift.py",
            "prompt": PROMPT,
            "scenes": count,
            "edits": EDITS,
            "steps": STEPS,
            "cfg": editor.checkpoint.cfg,
            "denoise": DENOISE,
            "chains": measure(editor, scenes(count)),
        }
        FIGURES.write_text(json.dumps(result) + "\n", encoding="utf-8")
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    plot(figures).save(PLOT, optimize=True)
    PAGE.write_text(with_drift(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    click.echo(f"wrote {FIGURES.name}, {PLOT.name} and {PAGE.name}")


if __name__ == "__main__":
    main()
