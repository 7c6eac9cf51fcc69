"""Make the pictures of the README and the docs with the embedded model.

    python docs/make_images.py [NAME ...]

NAME is ``demo``, ``strengths``, ``schedules`` or ``timetable``; by default all of them are made.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

import refhooks as rh
from refhooks._sheet import make_sheet
from refhooks.cli import main as command_line

IMAGES = Path(__file__).parent / "images"
METHODS = {
    "default": rh.method("default"),
    "cross_attn": rh.method("cross_attn"),
    "guidance": rh.method("guidance"),
    "inject add": rh.method("inject"),
    "inject blend": rh.method("inject", formula="blend"),
    "inject pull": rh.method("inject", formula="pull"),
    "concat": rh.method("concat"),
}
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0)
PROMPT = "make it night"
STEPS = 20
# Each panel: a schedule, and what its title says of it.
SCHEDULES = (
    (rh.schedule("constant", value=0.7), "0.7"),
    (rh.schedule("linear", start=0.4, end=1.2), "0.4 to 1.2"),
    (rh.schedule("cosine", start=0.4, end=1.2), "0.4 to 1.2"),
    (rh.schedule("sigma", start=0.4, end=1.2, above=0.9, below=0.3), "sigma 0.9 to 0.3"),
    (rh.schedule("ease-in", start=0.4, end=1.2), "0.4 to 1.2, power 2"),
    (rh.schedule("ease-out", start=0.4, end=1.2), "0.4 to 1.2, power 2"),
    (rh.schedule("ease-in-out", start=0.4, end=1.2), "0.4 to 1.2, power 2"),
    (rh.schedule("steps", values=[0.4, 0.8, 1.2]), "0.4, 0.8, 1.2"),
    (rh.schedule("keyframes", frames=[(0, 0.4), (0.6, 0.6), (1, 1.2)]), "3 frames, linear"),
    (
        rh.schedule("keyframes", frames=[(0, 0.4), (0.6, 0.6), (1, 1.2)], interpolation="hold"),
        "3 frames, hold",
    ),
    (rh.schedule("window", value=0.8, end=0.3), "0.8 up to progress 0.3"),
    (
        rh.schedule("callable", function=lambda step: 1.0 if step.index % 4 < 2 else 0.5),
        "1 and 0.5 by turns",
    ),
)


def demo() -> None:
    """The before-and-after sheet of ``make demo``."""
    with tempfile.TemporaryDirectory() as folder:
        command_line(["demo", "--output", folder], standalone_mode=False)
        shutil.copy(Path(folder) / "before-after.png", IMAGES / "demo.png")


def strengths() -> None:
    """One picture, prompt and seed at every strength: a strip a method, with a row a form."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    source = Image.open(next(iter(rh.load_registry().models["toy"].samples())))
    for method in dict.fromkeys(entry.name for entry in METHODS.values()):
        pictures, captions = [], []
        for name, form in METHODS.items():
            if form.name != method:
                continue
            for strength in STRENGTHS:
                pictures.append(_edited(editor, source, form, strength))
                captions.append(f"{name.removeprefix(method)} {strength:g}".strip())
        title = f"“{PROMPT}” by {method}, at strengths from 0 to 2"
        sheet = make_sheet(pictures, captions, title=title, columns=len(STRENGTHS), tile=128)
        _save(sheet, f"method-{method}")


def _edited(
    editor: rh.Editor, source: Image.Image, method: rh.Method, strength: float
) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rh.RefhooksWarning)  # above 1.5 on purpose
        stage = rh.Stage(method, strength)
        return editor.edit(source, PROMPT, strategy=stage, seed=0).image


def _save(picture: Image.Image, name: str) -> None:
    """With 256 colours, the largest error of which is small: a third of the bytes."""
    few = picture.quantize(
        256, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
    )
    few.save(IMAGES / f"{name}.png", optimize=True)


def schedules() -> None:
    """Each registered schedule over the steps of one stage."""
    columns = 4
    lines = -(-len(SCHEDULES) // columns)
    figure = Figure(figsize=(9.6, 1.9 * lines), dpi=90, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    numbers = range(1, STEPS + 1)
    for panel, (schedule, title) in zip(panels, SCHEDULES, strict=False):
        strengths = rh.plan(rh.Stage("default", schedule), STEPS).strengths(0)
        panel.plot(numbers, strengths, color="#0072B2", linewidth=0.8, alpha=0.5)
        panel.plot(numbers, strengths, "o", color="#0072B2", markersize=3.2)
        panel.set_title(f"{schedule.name}\n{title}", fontsize=8)
        panel.axhline(1.0, color="black", linewidth=0.6, alpha=0.5)
        panel.set_ylim(0.0, 1.5)
        panel.set_xticks([1, 5, 10, 15, 20])
        panel.set_yticks([0.0, 0.5, 1.0, 1.5])
        panel.tick_params(labelsize=7, labelbottom=True)
    for panel in panels[len(SCHEDULES) :]:
        panel.set_axis_off()
    figure.supxlabel("step", fontsize=8)
    figure.supylabel("strength", fontsize=8)
    _save(_drawn(figure), "schedules")


def _drawn(figure: Figure) -> Image.Image:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file).convert("RGB")


def timetable() -> None:
    """What ``refhooks plan --plot`` draws."""
    strategy = rh.Strategy([
        rh.Stage("cross_attn", "0.4:1.0", until=0.5),
        rh.Stage("inject", rh.schedule("cosine", start=1.0, end=0.6)),
    ])  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = rh.plan(strategy, steps=16).save_plot(Path(folder) / "plan.png")
        _save(Image.open(place).convert("RGB"), "timetable")


MADE = {made.__name__: made for made in (demo, strengths, schedules, timetable)}

if __name__ == "__main__":
    torch.set_num_threads(1)
    IMAGES.mkdir(exist_ok=True)
    for made in sys.argv[1:] or MADE:
        MADE[made]()
