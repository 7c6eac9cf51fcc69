"""What region masks let through: a table, measured on held-out toy scenes.

    python benchmarks/leaks.py [--scenes 12]    measures, writes the figures and docs/leaks.md
    python benchmarks/leaks.py --page-only      writes docs/leaks.md again from the figures

What a method adds is exactly zero outside a region. What attention, the text encoder and the VAE
then carry there is measured here. Which ``text`` is best is said by ``RULE`` and ``verdict``.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
import numpy as np
import torch
from PIL import Image

import refhooks as rh
from refhooks_toy import HELD_OUT, make_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "leaks.json"
PAGE = ROOT / "docs" / "leaks.md"
KINDS = ("color-change", "background-swap", "add-elements")
LEFT, RIGHT = "0,0,50%,100%", "50%,0,50%,100%"
TEXTS = ("full", "area", "none")
STEPS = 16
KEEPS = 0.95

RULE = f"""\
Of the values of `text` whose effect inside the region, averaged over the methods that give the
model tokens, is at least {KEEPS:.0%} of that of `full`, the best is the one with the least leak
outside, averaged likewise. It replaces the one that ships if the 95 % interval of the difference of
their leaks (paired bootstrap over the scenes) does not hold 0."""


@attrs.frozen
class Form:
    """A method at a strength, with how the prompt attends to it."""

    method: str
    strength: float
    text: str

    def strategy(self, box: str, vision: str) -> rh.Strategy:
        """Return what a reference does within a box."""
        masks = [rh.mask(box, text=self.text)]
        return rh.Strategy(rh.Stage(self.method, self.strength), masks=masks, vision=vision)


FORMS = (
    *[Form("default", 1.0, text) for text in TEXTS],
    *[Form("cross_attn", 0.6, text) for text in TEXTS],
    Form("inject", 1.0, "full"),
    Form("concat", 1.0, "full"),
)


@attrs.frozen(eq=False)
class Scene:
    """A scene to edit, and two more pictures to swap."""

    prompt: str
    seed: int
    source: Image.Image
    others: tuple[Image.Image, Image.Image]


def scenes(count: int) -> list[Scene]:
    """Draw held-out edits, in turns of the kinds."""
    each = -(-count // len(KINDS))
    found = []
    for kind in KINDS:
        pairs = make_pairs(kind, range(HELD_OUT, HELD_OUT + each + 2))
        pictures = [Image.fromarray(it) for it in pairs.source]
        found += [
            Scene(pairs.prompts[at], at, pictures[at], (pictures[at + 1], pictures[at + 2]))
            for at in range(each)
        ]
    turns = [found[place] for start in range(each) for place in range(start, len(found), each)]
    return turns[:count]


def edited(editor: rh.Editor, scene: Scene, strategy: rh.Strategy, *others: rh.Reference) -> Array:
    """Return the edit's pixels, 0–1, ``[H,W,3]``."""
    result = editor.edit(
        scene.source, scene.prompt, strategy=strategy, references=others, seed=scene.seed,
        steps=STEPS,
    )  # fmt: skip
    return np.asarray(result.image) / 255.0


def halves(one: Array, other: Array) -> tuple[float, float]:
    """Return the RMSE of the left and of the right half."""
    middle = one.shape[1] // 2
    squares = (one - other) ** 2
    parts = (squares[:, :middle], squares[:, middle:])
    left, right = (round(float(np.sqrt(part.mean())), 5) for part in parts)
    return left, right


def measure(editor: rh.Editor, given: Sequence[Scene]) -> list[dict[str, Any]]:
    """Measure every form; one value a scene."""
    off = rh.Strategy(rh.Stage("default", 0))
    without = [edited(editor, scene, off) for scene in given]
    return [_measured(editor, form, given, without) for form in FORMS]


def _measured(
    editor: rh.Editor, form: Form, given: Sequence[Scene], without: Sequence[Array]
) -> dict[str, Any]:
    began = time.monotonic()
    figures: dict[str, Any] = {**attrs.asdict(form)}
    for vision in ("auto", "never"):
        pairs = [
            halves(edited(editor, scene, form.strategy(LEFT, vision)), alone)
            for scene, alone in zip(given, without, strict=True)
        ]
        figures[f"inside {vision}"] = [left for left, _ in pairs]
        figures[f"outside {vision}"] = [right for _, right in pairs]
    swapped = [_swapped(editor, form, scene) for scene in given]
    figures["swap outside"] = [left for left, _ in swapped]
    figures["swap inside"] = [right for _, right in swapped]
    cells = "  ".join(f"{key} {np.mean(figures[key]):.4f}" for key in figures if " " in key)
    click.echo(f"{form.method:10} {form.text:5} {cells}  ({time.monotonic() - began:.0f} s)")
    return figures


def _swapped(editor: rh.Editor, form: Form, scene: Scene) -> tuple[float, float]:
    """The source acts in the left half; what changes where the picture of the right one does."""
    runs = [
        edited(
            editor, scene, form.strategy(LEFT, "auto"),
            rh.Reference(other, form.strategy(RIGHT, "auto")),
        )
        for other in scene.others
    ]  # fmt: skip
    return halves(*runs)


def of_text(found: Sequence[Mapping[str, Any]], key: str, text: str) -> Array:
    """Return one figure for each scene: the mean over the methods that have every ``text``."""
    methods = {it["method"] for it in found if it["text"] == "none"}
    rows = [it[key] for it in found if it["text"] == text and it["method"] in methods]
    mean: Array = np.array(rows).mean(axis=0)
    return mean


def verdict(found: Sequence[Mapping[str, Any]], ships: str) -> dict[str, Any]:
    """Choose a ``text``, by ``RULE``."""
    effect = {text: float(of_text(found, "inside auto", text).mean()) for text in TEXTS}
    leak = {text: of_text(found, "outside auto", text) for text in TEXTS}
    running = [text for text in TEXTS if effect[text] >= KEEPS * effect["full"]]
    best = min(running, key=lambda text: float(leak[text].mean()))
    scenes_of = len(leak[best])
    picks = np.random.default_rng(0).integers(0, scenes_of, (2000, scenes_of))
    less = leak[ships] - leak[best]
    low, high = np.quantile(less[picks].mean(axis=1), (0.025, 0.975))
    return {
        "ships": ships,
        "running": running,
        "best": best,
        "chosen": best if low > 0 else ships,
        "less": [float(less.mean()), float(low), float(high)],
        "effect": effect,
        "leak": {text: float(leak[text].mean()) for text in TEXTS},
    }


def page(figures: Mapping[str, Any]) -> str:
    """Return docs/leaks.md."""
    found = figures["forms"]
    chosen = verdict(found, rh.mask(LEFT).text)
    return f"""\
<!-- Written by `python benchmarks/leaks.py` from benchmarks/results/leaks.json; not by hand. -->
# What a region lets through

What a method adds is exactly zero outside a region mask: latents, projected input, velocity, and
the weight with which target tokens attend to the reference. Something of it still arrives there:

- the target's own tokens attend to each other, so those outside see those inside;
- the prompt's tokens attend to the reference (`text`: fully, as much as the `area` covers, or not
  at all) and everything attends to the prompt;
- the text encoder is shown the whole picture (unless `vision="never"`), only a content mask hides
  some of it;
- the VAE's decoder looks a few pixels over the edge.

Measured on the embedded model: {figures["scenes"]} held-out scenes, {figures["steps"]} steps. All
numbers are RMSE in sRGB, 0–1, mean over the scenes.

## A reference that acts in the left half, beside none

*Inside* is what the reference changes where it may, *outside* what it changes where it should not.

{
        _table(
            found,
            ("inside auto", "outside auto", "inside never", "outside never"),
            ("inside", "outside", "inside, never shown", "outside, never shown"),
        )
    }
## Two references, one in each half

What changes when the picture of the right one is swapped: in its own half, and in the other one's.

{_table(found, ("swap inside", "swap outside"), ("its own half", "the other half"))}
## Which `text`

{RULE}

{_sentence(chosen)}
"""


def _table(
    found: Sequence[Mapping[str, Any]], keys: Sequence[str], heads: Sequence[str]
) -> str:  # fmt: skip
    rows = [["method", "strength", "`text`", *heads], ["---"] * (3 + len(heads))]
    for it in found:
        text = it["text"] if it["method"] in ("default", "cross_attn") else "–"
        cells = [f"{np.mean(it[key]):.4f}" for key in keys]
        rows.append([f"`{it['method']}`", f"{it['strength']:g}", text, *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _sentence(it: Mapping[str, Any]) -> str:
    shares = ", ".join(
        f"`{text}` {it['effect'][text] / it['effect']['full']:.0%}" for text in TEXTS
    )
    leaks = ", ".join(f"`{text}` {it['leak'][text]:.4f}" for text in TEXTS)
    less = "{:+.4f} [{:+.4f}, {:+.4f}]".format(*it["less"])
    words = f"Effect inside, beside that of `full`: {shares}. Leak outside: {leaks}."
    if it["best"] == it["ships"]:
        return f"{words}\n`{it['ships']}` ships and is the best by this rule."
    if it["chosen"] == it["ships"]:
        return f"{words}\n`{it['ships']}` ships and stays: `{it['best']}` leaks less by {less}."
    return f"{words}\n`{it['chosen']}` is chosen over `{it['ships']}`, which ships: less by {less}."


@click.command()
@click.option(
    "--scenes", "count", type=click.IntRange(1), default=12, show_default=True, help="In all."
)
@click.option("--page-only", is_flag=True, help="Read the figures instead of measuring.")
def main(count: int, page_only: bool) -> None:
    """Measure what region masks let through, and write the page that says so."""
    torch.set_num_threads(1)
    if not page_only:
        editor = rh.Editor.from_pretrained("toy")
        editor.pipe.set_progress_bar_config(disable=True)
        given = scenes(count)
        result = {"scenes": len(given), "steps": STEPS, "forms": measure(editor, given)}
        lines = ",\n  ".join(json.dumps(form) for form in result.pop("forms"))
        head = json.dumps({"command": "python benchmarks/leaks.py", **result}, indent=1)[:-2]
        FIGURES.write_text(f'{head},\n "forms": [\n  {lines}\n ]\n}}\n', encoding="utf-8")
    text = page(json.loads(FIGURES.read_text(encoding="utf-8")))
    PAGE.write_text(text, encoding="utf-8")
    click.echo(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
