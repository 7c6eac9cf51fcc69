"""Make the pictures of the README and the docs with the embedded model.

    python docs/make_images.py [NAME ...]

NAME is ``hero``, ``demo``, ``strengths``, ``schedules``, ``timetable``, ``masks``, ``multi_stage``
or ``gallery``; by default all of them are made.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

import refhooks as rh
from refhooks._base.contact_sheets import make_sheet
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
BLUE = "make the circle blue"
SNOW = "change the background to snow under a stormy sky"
HERO = {0.0: "ignored", 0.4: "followed in part", 1.0: "as the model was trained"}
GALLERY = "0,0.4,0.8,1,1.4,2"
KINDS: tuple[Literal["region", "content"], ...] = ("region", "content")
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


def hero() -> None:
    """The first picture of the README: one edit at three strengths, which a person can tell."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    source = Image.open(next(iter(rh.load_registry().models["toy"].samples())))
    pictures, captions = [source], ["the reference"]
    for strength, effect in HERO.items():
        stage = rh.Stage("default", strength)
        pictures.append(editor.edit(source, SNOW, strategy=stage, seed=0).image)
        captions.append(f"strength {strength:g}: {effect}")
    sheet = make_sheet(pictures, captions, title=f"“{SNOW}”", columns=4, tile=216)
    sheet.save(IMAGES / "hero.png", optimize=True)


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


def multi_stage() -> None:
    """Three stages as one run and as a chain; below, ``default`` at 1 throughout."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    source = Image.open(next(iter(rh.load_registry().models["toy"].samples())))
    prompts = [PROMPT, "make the circle blue", "make the face sad"]
    three = [rh.Stage("default", 0.4), rh.Stage("inject", 0.8), rh.Stage("cross_attn", 1.2)]
    pictures, captions = [], []
    for name, stages in (("the three", three), ("default 1", [rh.Stage("default")] * 3)):
        ends = zip(stages, (0.4, 0.8, None), strict=True)
        run = rh.Strategy([attrs.evolve(stage, until=end) for stage, end in ends])
        edits = [rh.Edit(*pair) for pair in zip(prompts, stages, strict=True)]
        one = editor.edit(source, PROMPT, strategy=run, seed=0).image
        pictures += [source, one, *editor.chain(source, edits, seed=0).images]
        steering = [f"{stage.method} {stage.strength:g}" for stage in stages]
        captions += ["the source", f"one run, {name}: {PROMPT}"]
        captions += [f"chain, {how}: {what}" for how, what in zip(steering, prompts, strict=True)]
    title = "Three stages of one run, and three edits of a chain"
    _save(make_sheet(pictures, captions, title=title, columns=5, tile=160), "multi-stage")


def masks() -> None:
    """Each kind of mask, and three values of ``denoise``: one source, prompt and seed."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    source = Image.open(next(iter(rh.load_registry().models["toy"].samples())))
    left = "0,0,50%,100%"
    strategies = {kind: rh.Strategy("default", masks=[rh.mask(left, kind=kind)]) for kind in KINDS}
    panels: dict[str, dict[str, Any]] = {
        "no mask": {},
        "region: the left half": {"strategy": strategies["region"]},
        "content: the left half": {"strategy": strategies["content"]},
        "edit mask: the left half": {"edit_mask": rh.mask(left)},
        "edit mask, feather 16": {"edit_mask": rh.mask(left, feather=16)},
        "denoise 0.9": {"denoise": 0.9},
        "denoise 0.7": {"denoise": 0.7},
        "denoise 0.5": {"denoise": 0.5},
    }
    made = [editor.edit(source, PROMPT, seed=0, **given).image for given in panels.values()]
    captions = ["the source", *panels]
    title = f"“{PROMPT}”, from one seed"
    _save(make_sheet([source, *made], captions, title=title, columns=3, tile=256), "masks")


def keeping() -> None:
    """One edit as it is made and with ``keep_pixels``, and how far each is from its source."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    source = Image.open(next(iter(rh.load_registry().models["toy"].samples()))).convert("RGB")
    own = np.asarray(source, dtype=np.int16)
    pictures, captions = [source], ["the source"]
    for name, plugins in (("default", []), ("keep_pixels", [rh.plugin("keep_pixels")])):
        made = editor.edit(source, BLUE, seed=0, plugins=plugins).image
        away = np.abs(np.asarray(made, dtype=np.int16) - own) * 8
        pictures += [made, Image.fromarray(away.clip(0, 255).astype(np.uint8))]
        captions += [name, f"{name}: difference, 8 times"]
    _save(make_sheet(pictures, captions, title=f"“{BLUE}”", columns=5, tile=192), "keep-pixels")


def gallery() -> None:
    """What ``refhooks grid``, ``compare``, ``plot_attention`` and the curves show."""
    registry = rh.load_registry()
    photo = str(next(iter(registry.models["toy"].samples())))
    fields = ["--methods", ",".join(sorted(registry.methods)), "--strengths", GALLERY]
    with tempfile.TemporaryDirectory() as folder:
        places = {name: str(Path(folder) / f"{name}.png") for name in ("grid", "curves")}
        output = [
            "--seeds",
            "0,1",
            "--tile",
            "128",
            "-o",
            places["grid"],
            "--plot",
            places["curves"],
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rh.RefhooksWarning)  # above 1.5 on purpose
            command_line(["grid", photo, PROMPT, *fields, *output], standalone_mode=False)
        for name, place in places.items():
            _save(Image.open(place).convert("RGB"), name)
        editor = rh.Editor.from_pretrained("toy")
        editor.pipe.set_progress_bar_config(disable=True)
        result = editor.edit(photo, "make the circle blue", seed=0)
        _save(result.compare(), "compare")
        stages = [rh.Stage("default", until=0.5), rh.Stage("cross_attn", "0.2:1.2")]
        result = editor.edit(
            photo, PROMPT, strategy=rh.Strategy(stages), seed=0, record_attention=True
        )
        place = result.plot_attention(Path(folder) / "attention.png")
        _save(Image.open(place).convert("RGB"), "attention")


EVERYTHING = (hero, demo, strengths, schedules, timetable, masks, multi_stage, keeping, gallery)
MADE = {made.__name__: made for made in EVERYTHING}

if __name__ == "__main__":
    torch.set_num_threads(1)
    IMAGES.mkdir(exist_ok=True)
    for made in sys.argv[1:] or MADE:
        MADE[made]()
