"""Which form of each method should be its default: a table, measured on held-out toy scenes.

    python benchmarks/forms.py [--scenes 8]     measures, writes the figures and docs/forms.md
    python benchmarks/forms.py --page-only      writes docs/forms.md again from the figures

Every form edits the same scenes, from the same seeds, at every strength. What "better" means is in
``RULE``, which the page quotes, and in ``verdict``.
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
from refhooks import score as measures
from refhooks_toy import EDIT_KINDS, HELD_OUT, TWO_PICTURES, WHOLE_PICTURE, make_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "forms.json"
PAGE = ROOT / "docs" / "forms.md"
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.3)
KINDS = ("color-change", "add-elements", "background-swap", "lighting-change")
RISES = 0.95  # for six strengths: every mean is above the one before
RESAMPLINGS = 2000

RULE = f"""\
1. A form is in the running if *kept* rises with strength: Spearman's rank correlation of the mean
   *kept* with the strengths is at least {RISES:g}. If no form of a method is, all of them are.
2. Of those, the best has the highest *balance*: the harmonic mean of *edit done* and *kept* (each
   the mean over the scenes, cut to 0–1), averaged over the strengths above 0. It is low for a form
   that copies the reference instead of editing, and for one that edits without keeping.
3. The best replaces the form that ships if the 95 % interval of its lead (paired bootstrap over the
   scenes) lies above 0, or if the form that ships is not in the running. Otherwise the form that
   ships stays."""


@attrs.frozen
class Form:
    """A method with options, at whatever strength.

    Attributes:
        method: Registered name; forms of one method compete.
        label: What the table calls it.
        options: Of the method.
        competes: ``False``: shown beside the others only.
    """

    method: str
    label: str
    options: Mapping[str, Any]
    competes: bool = True

    @property
    def name(self) -> str:
        """How it is called among all forms."""
        return f"{self.method} {self.label}".strip()

    @property
    def ships(self) -> bool:
        """Whether it is what the bare name of the method means."""
        return rh.method(self.method, **self.options) == rh.method(self.method)

    def strategy(self, strength: float, scene: Scene) -> rh.Strategy:
        """Return what a scene is edited with; a form with masks would make them from the scene."""
        del scene
        return rh.Strategy(rh.Stage(rh.method(self.method, **self.options), strength))


FORMS = (
    Form("default", "bias", {"above_one": "bias"}),
    Form("default", "latents", {"above_one": "latents"}),
    Form("cross_attn", "bias", {"gain": "bias"}),
    Form("cross_attn", "even", {"gain": "even"}),
    Form("cross_attn", "keys", {"gain": "keys"}),
    Form("inject", "add, input", {"formula": "add", "where": "input"}),
    Form("inject", "add, latents", {"formula": "add", "where": "latents"}),
    Form("inject", "blend, input", {"formula": "blend", "where": "input"}),
    Form("inject", "blend, latents", {"formula": "blend", "where": "latents"}),
    Form("inject", "pull", {"formula": "pull"}),
    Form("inject", "gate", {"formula": "gate"}, competes=False),  # its rule is in worth.py
    Form("concat", "", {}),
)


@attrs.frozen(eq=False)
class Scene:
    """A held-out edit: pictures are ``[1,H,W,3]``, the mask ``[1,H,W]``."""

    kind: str
    seed: int
    prompt: str
    source: npt.NDArray[np.uint8]
    right: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]

    def measure(self, out: Any, without: Any) -> dict[str, float]:
        """Return *edit done*, and *kept* or, where the whole picture changes, *edges*."""
        done = measures.edit_done(out, self.source, self.right, self.mask)
        if self.kind in WHOLE_PICTURE:
            return {"done": float(done[0]), "edges": float(measures.edges_kept(out, self.right)[0])}
        left = measures.kept(out, without, self.source, self.mask)
        return {"done": float(done[0]), "kept": float(left[0])}


def scenes(kinds: Sequence[str], count: int) -> Iterator[Scene]:
    """Draw ``count`` held-out edits of each kind."""
    for kind in kinds:
        pairs = make_pairs(kind, range(HELD_OUT, HELD_OUT + count))
        for place, prompt in enumerate(pairs.prompts):
            one = slice(place, place + 1)
            yield Scene(kind, place, prompt, pairs.source[one], pairs.right[one], pairs.mask[one])


def measure(editor: rh.Editor, given: Sequence[Scene]) -> list[dict[str, Any]]:
    """Measure every registered form, and the best form of ``inject`` with its tokens kept."""
    without = [_edited(editor, scene, FORMS[0], 0.0) for scene in given]
    found = [
        _measured(editor, form, given, without)
        for form in FORMS
        if form.method in editor.registry.methods
    ]
    chosen = verdict("inject", found)["best"]
    best = next(form for form in FORMS if form.name == chosen)
    kept = attrs.evolve(
        best, label=f"{best.label}, keep", options={**best.options, "tokens": "keep"},
        competes=False,
    )  # fmt: skip
    return [*found, _measured(editor, kept, given, without)]


def _edited(editor: rh.Editor, scene: Scene, form: Form, strength: float) -> Any:
    result = editor.edit(
        Image.fromarray(scene.source[0]), scene.prompt,
        strategy=form.strategy(strength, scene), seed=scene.seed,
    )  # fmt: skip
    return np.asarray(result.image)[None]  # [1,H,W,3]


def _measured(
    editor: rh.Editor, form: Form, given: Sequence[Scene], without: Sequence[Any]
) -> dict[str, Any]:
    """Return one value a scene for each strength: ``[strengths][scenes]``."""
    began = time.monotonic()
    values = []
    for strength in STRENGTHS:
        row = []
        for scene, alone in zip(given, without, strict=True):
            out = alone if strength == 0.0 else _edited(editor, scene, form, strength)
            row.append({key: round(it, 4) for key, it in scene.measure(out, alone).items()})
        values.append(row)
    figures = {
        "method": form.method,
        "form": form.name,
        "options": dict(form.options),
        "ships": form.ships,
        "competes": form.competes,
        "values": values,
    }
    seconds = time.monotonic() - began
    cells = "  ".join(_cells(figures, "done", "kept"))
    click.echo(f"{form.name:24} {cells}  ({seconds:.0f} s)")
    return figures


def curve(figures: Mapping[str, Any], key: str, beside: str) -> Array:
    """Return ``[strengths, scenes]`` of one measure, of the scenes that have ``beside``."""
    rows = [[scene[key] for scene in row if beside in scene] for row in figures["values"]]
    return np.array(rows)


def rises(figures: Mapping[str, Any]) -> float:
    """Return Spearman's rank correlation of mean kept with strength; 0 if kept never changes."""
    means = curve(figures, "kept", "kept").mean(axis=1)
    ranks = (means[:, None] > means).sum(axis=1) + ((means[:, None] == means).sum(axis=1) - 1) / 2
    if len(set(ranks)) == 1:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])


def balance(figures: Mapping[str, Any], picks: npt.NDArray[np.int64] | None = None) -> Array:
    """Return the balance of the scenes, or of each line of ``picks`` ``[M, scenes]`` among them."""
    done, kept = (curve(figures, key, "kept")[1:] for key in ("done", "kept"))  # [strengths,N]
    if picks is None:
        picks = np.arange(done.shape[1])[None]
    done, kept = (np.clip(it[:, picks].mean(axis=2), 0, 1) for it in (done, kept))  # [strengths,M]
    means: Array = (2 * done * kept / np.maximum(done + kept, 1e-9)).mean(axis=0)
    return means


def verdict(method: str, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Choose the form of a method, by ``RULE``."""
    forms = [it for it in found if it["method"] == method and it["competes"]]
    rising = [it for it in forms if rises(it) >= RISES]
    best = max(rising or forms, key=lambda it: float(balance(it)[0]))
    ships = next(it for it in forms if it["ships"])
    scenes_of = curve(best, "kept", "kept").shape[1]
    picks = np.random.default_rng(0).integers(0, scenes_of, (RESAMPLINGS, scenes_of))
    low, high = np.quantile(balance(best, picks) - balance(ships, picks), (0.025, 0.975))
    out = ships not in (rising or forms)
    return {
        "method": method,
        "ships": ships["form"],
        "best": best["form"],
        "chosen": best["form"] if low > 0 or out else ships["form"],
        "any_rises": bool(rising),
        "ships_is_out": out,
        "lead": [float(balance(best)[0] - balance(ships)[0]), float(low), float(high)],
    }


def page(figures: Mapping[str, Any]) -> str:
    """Return docs/forms.md."""
    parts = [_about(figures), _local(figures)]
    if any(kind in WHOLE_PICTURE for kind in figures["kinds"]):
        parts.append(_whole(figures))
    return "\n".join(parts)


def _about(figures: Mapping[str, Any]) -> str:
    return f"""\
<!-- Written by `python benchmarks/forms.py` from benchmarks/results/forms.json; not by hand. -->
# The forms that ship as defaults

Some methods have several forms: `inject` alone has five. Each form edited the same held-out scenes
of the embedded model's world: {figures["scenes"]} of each kind of edit, {figures["steps"]} steps,
guidance {figures["cfg"]:g}, the same seeds. The right answers are known, so two things can be
measured:

- *edit done*: 1 is the right answer in the region that should change, 0 is no better than the
  source;
- *kept*: 1 is the source, outside that region; 0 is what the model makes without a reference.

A tiny model, and few scenes: trust order and shape of the curves more than the numbers.

## What "best" means

{RULE}
"""


def _local(figures: Mapping[str, Any]) -> str:
    """What is kept outside the region that should change, and the choice."""
    found = figures["forms"]
    methods = dict.fromkeys(it["method"] for it in found)
    verdicts = [verdict(method, found) for method in methods]
    part = [kind for kind in figures["kinds"] if kind not in WHOLE_PICTURE]
    return f"""\
## Edit done / kept

Over {", ".join(part)}.
At strength 0, the same for every form, *edit done* is {_mean(found[0], "done", "kept"):.2f},
*kept* is 0 by its definition. *Rises* is the rank correlation.

{_table(found, verdicts)}
A form with `keep` gives the model its own tokens besides. Most of what is seen there is `default`
at 1, so it does not compete. Neither does `inject` gate, [measured apart](marks.md) on more edits.
`cross_attn` even keeps less below 1 on purpose ([the dial](dial.md)).

## Verdicts

{"".join(_sentence(it, found) for it in verdicts)}"""


def _whole(figures: Mapping[str, Any]) -> str:
    """Edits of the whole picture, apart: nothing lies outside of what should change."""
    found = figures["forms"]
    whole = [kind for kind in figures["kinds"] if kind in WHOLE_PICTURE]
    rows = [[_name(it["form"]), *_cells(it, "done", "edges")[1:]] for it in found]
    return f"""\
## Edit done / edges, where the whole picture changes

Over {", ".join(whole)}.
Nothing should stay as it is there, so instead of *kept* this is the F1 score of the Sobel edges
against the right answer's. It takes no part in the choice. At strength 0 it is
{_mean(found[0], "done", "edges"):.2f} / {_mean(found[0], "edges", "edges"):.2f}.

{_markdown([], rows)}"""


def _mean(figures: Mapping[str, Any], key: str, beside: str) -> float:
    """The mean without a reference."""
    return float(curve(figures, key, beside)[0].mean())


def _table(found: Sequence[Mapping[str, Any]], verdicts: Sequence[Mapping[str, Any]]) -> str:
    chosen = {it["chosen"] for it in verdicts}
    lines = []
    for it in found:
        marks = ["ships"] * it["ships"] + ["**chosen**"] * (it["form"] in chosen)
        cells = _cells(it, "done", "kept")[1:]
        line = [_name(it["form"]), *cells, f"{rises(it):.2f}", f"{balance(it)[0]:.3f}"]
        lines.append([*line, ", ".join(marks)])
    return _markdown(["rises", "balance", ""], lines)


def _markdown(more: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    heads = ["form", *[f"{strength:g}" for strength in STRENGTHS[1:]], *more]
    return "".join(f"| {' | '.join(it)} |\n" for it in [heads, ["---"] * len(heads), *lines])


def _name(form: str) -> str:
    method, _, label = form.partition(" ")
    return f"`{method}` {label}".strip()


def _cells(figures: Mapping[str, Any], first: str, second: str) -> list[str]:
    """Return ``first / second`` at each strength, each the mean over the scenes with both."""
    pair = zip(curve(figures, first, second), curve(figures, second, second), strict=True)
    return [f"{one.mean():.2f} / {two.mean():.2f}" for one, two in pair]


def _sentence(it: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    method, ships, best = it["method"], _name(it["ships"]), _name(it["best"])
    lead = "{:+.3f} [{:+.3f}, {:+.3f}]".format(*it["lead"])
    only = sum(form["method"] == method and form["competes"] for form in found) == 1
    if only:
        words = f"{ships} has one form."
    elif it["best"] == it["ships"]:
        words = f"{ships} ships and is the best."
    elif it["ships_is_out"]:
        words = f"{best} is chosen: {ships} ships but is not in the running. Lead {lead}."
    elif it["chosen"] == it["ships"]:
        words = f"{ships} ships and stays: {best} has a lead of {lead}, which may be chance."
    else:
        words = f"{best} is chosen over {ships}, which ships: its lead is {lead}."
    return f"- {words}{'' if it['any_rises'] else ' *Kept* falls somewhere as strength rises.'}\n"


@click.command()
@click.option(
    "--scenes", "count", type=click.IntRange(1), default=8, show_default=True,
    help="Edits of each kind.",
)  # fmt: skip
@click.option(
    "--kinds", default=",".join(KINDS), show_default=True,
    help=f"Kinds of edit, separated by commas, of {', '.join(EDIT_KINDS[:-1])}.",
)  # fmt: skip
@click.option(
    "--json", "figures", type=click.Path(path_type=Path), default=FIGURES, show_default=True,
    help="Where the figures are written.",
)  # fmt: skip
@click.option("--page", "place", type=click.Path(path_type=Path), default=PAGE, show_default=True)
@click.option("--page-only", is_flag=True, help="Read the figures instead of measuring.")
def main(count: int, kinds: str, figures: Path, place: Path, page_only: bool) -> None:
    """Measure the forms of every method and write the page that compares them."""
    torch.set_num_threads(1)
    if not page_only:
        listed = [kind.strip() for kind in kinds.split(",")]
        _check_kinds(listed)
        editor = rh.Editor.from_pretrained("toy")
        editor.pipe.set_progress_bar_config(disable=True)
        given = list(scenes([kind for kind in listed if kind != TWO_PICTURES], count))
        result = {
            "command": "python benchmarks/forms.py",
            "scenes": count,
            "kinds": listed,
            "steps": editor.checkpoint.steps,
            "cfg": editor.checkpoint.cfg,
            "strengths": STRENGTHS,
            "forms": measure(editor, given),
        }
        figures.write_text(_compact(result), encoding="utf-8")
    text = page(json.loads(figures.read_text(encoding="utf-8")))
    place.write_text(text, encoding="utf-8")
    click.echo(f"wrote {place}")


def _check_kinds(listed: Sequence[str]) -> None:
    for kind in listed:
        if kind not in EDIT_KINDS:
            raise click.BadParameter(f"{kind!r} is none of {', '.join(EDIT_KINDS)}")
    if set(listed) <= {*WHOLE_PICTURE, TWO_PICTURES}:
        raise click.BadParameter("what is kept needs a kind that leaves a part of the picture")


def _compact(result: Mapping[str, Any]) -> str:
    """One line a form: thousands of numbers, one to a line, are no use to a reader."""
    head = {key: value for key, value in result.items() if key != "forms"}
    lines = ",\n  ".join(json.dumps(form) for form in result["forms"])
    return f'{json.dumps(head, indent=1)[:-2]},\n "forms": [\n  {lines}\n ]\n}}\n'


if __name__ == "__main__":
    main()
