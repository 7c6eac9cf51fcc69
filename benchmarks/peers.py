"""How others steer with a reference, on the same work as the four methods: one table.

    python benchmarks/peers.py [--scenes 12] [--rounds 7] [--only TEXT ...]

Every form edits the same held-out scenes of the embedded model's world with the same noise. An
interrupted run goes on where it was if it is started again with the same arguments; the times are
taken anew. Formulas that need a plugin are in ``_peer_methods.py``. Time is that of the denoising
steps of one edit, over that of ``default`` at 1 in the same round; the order rotates. With
``--only`` the rows whose group or name holds one of the texts are measured, and the others stay.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _peer_methods
import attrs
import click
from _peer_methods import KeysValues, PullX0

import refhooks as rh
from refhooks._base.files import write_whole
from refhooks.score import Cell, Settings, run_cells
from refhooks_toy import WHOLE_PICTURE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from refhooks.score import Interval, Pair, Progress, Scorecard

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "peers.json"
STORE = ROOT / "build" / "peers.store"
STEPS = 16
PLAIN = "default 1"
PULL_END = 0.8
GUIDERS = ("cfg", "apg", "apg-mix", "cfg-zero", "mambag", "tcfg")
COLUMNS = ("done", "kept", "copied", "whole done", "edges")


@attrs.frozen
class Form:
    """A way to steer, at one strength.

    Attributes:
        group: Whose, as a heading of the table.
        name: Unique.
        strategy: What an edit takes.
        plugins: Likewise.
        again: How the source steers that is given once more, as a second reference; ``None``: it is
            not given.
    """

    group: str
    name: str
    strategy: rh.Strategy
    plugins: tuple[rh.RunPlugin, ...] = ()
    again: rh.Stage | None = None

    def is_one_of(self, texts: Sequence[str]) -> bool:
        """Return whether the group or the name holds one of the texts, or there are none."""
        return not texts or any(it in f"{self.group} {self.name}" for it in texts)


def constant(group: str, method: Any, name: str, strengths: Sequence[float]) -> list[Form]:
    """Return a form for each strength."""
    return [Form(group, f"{name} {it:g}", rh.Strategy(rh.Stage(method, it))) for it in strengths]


def windowed(
    group: str, method: Any, name: str, cases: Sequence[tuple[float, float, float]]
) -> list[Form]:
    """Return a form for each strength with the start and the end of its window."""
    return [
        Form(
            group,
            f"{name} {value:g}, {start:g}–{end:g}",
            rh.Strategy(rh.Stage(method, rh.schedule("window", value=value, start=start, end=end))),
        )
        for value, start, end in cases
    ]


def pulled(group: str, tokens: Any, name: str, after: float) -> list[Form]:
    """Return the pulls, which end at ``PULL_END``; ``default`` at ``after`` goes on from there."""
    return [
        Form(
            group,
            f"{name} {it:g}",
            rh.Strategy(
                [
                    rh.Stage(PullX0(tokens=tokens), it, until=PULL_END),
                    rh.Stage("default", after),
                ]
            ),
        )
        for it in (0.1, 0.25, 0.5, 1.0)
    ]


def guided(group: str) -> list[Form]:
    """Return each guider, at the scale of all other rows, and at twice that."""
    plain = rh.Strategy(rh.Stage("default", 1.0))
    return [
        Form(
            group,
            f"{kind} {scale:g}",
            plain,
            plugins=(rh.plugin("guider", kind=kind, scale=scale),),
        )
        for kind in GUIDERS
        for scale in (2.0, 4.0)
    ]


def away(group: str) -> list[Form]:
    """Return ``default`` at 1, and the source once more, which the run moves away from."""
    plain, method = rh.Strategy(rh.Stage("default", 1.0)), rh.method("guidance", away=True)
    return [
        Form(group, f"away {it:g}", plain, again=rh.Stage(method, it)) for it in (0.25, 0.5, 1.0)
    ]


def forms() -> list[Form]:
    """Return every row of the table, ``default`` at 1 first."""
    plus = "ReferenceLatentPlus: latents·s, in a window (`default`; its own default 0.85)"
    return [
        *constant("`default`", "default", "default", (1.0, 0.5, 0.75, 1.3)),
        *constant("`inject`", "inject", "inject", (0.5, 0.75, 1.0, 1.3)),
        *constant("`concat`", "concat", "concat", (0.5, 0.75, 1.0, 1.3)),
        *constant(
            "`cross_attn`, which is OminiControl's logit + log s", "cross_attn", "cross_attn",
            (0.5, 0.75, 1.3, 2.0),
        ),
        *windowed(
            plus, "default", "latents·s",
            [(0.85, 0, 1), (0.85, 0, 0.5), (0.85, 0, 0.8), (0.85, 0.2, 1), (1, 0, 0.8)],
        ),
        *windowed(plus, rh.method("default", above_one="latents"), "latents·s", [(1.3, 0, 1)]),
        *constant(
            "Flux2Klein-Enhancer: K·s and V·s", KeysValues(), "K and V·s",
            (0.5, 0.85, 1.05, 1.15, 1.3),
        ),
        *constant(
            "Image guidance: v0 + s·(v_ref − v0) (`guidance`)", "guidance", "guidance",
            (0.5, 1.5, 2.0),
        ),
        *away("Away from the source, given once more: v − s·(v_ref − v) (`guidance`, `away`)"),
        *constant(
            "Untwisting RoPE: keys scaled by frequency, rising over the run (docs/example-plugin)",
            "untwist", "untwist", (0.5, 1.0, 1.3),
        ),
        *guided("Guiders of diffusers in place of the pipeline's guidance (`guider`)"),
        *pulled("x0 += (ref − x0)·s, beside `default` at 1", "keep", "x0 pull", 1.0),
        *pulled("x0 += (ref − x0)·s, without the reference's tokens", "drop", "x0 pull alone", 0.0),
    ]  # fmt: skip


def measured(
    editor: rh.Editor,
    pairs: Sequence[Pair],
    given: Sequence[Form],
    steps: int,
    *,
    store: Path | None = None,
    context: Any = None,
    progress: Any = None,
) -> list[dict[str, Any]]:
    """Return a row for each form: group, name, and the intervals."""
    found = {}
    for again in (False, True):
        cells = [
            Cell(form.name, form.strategy, plugins=form.plugins, others=form.again)
            for form in given
            if again == (form.again is not None)
        ]
        if not cells:
            continue
        edited = [attrs.evolve(it, references=(it.source,)) for it in pairs] if again else pairs
        card = run_cells(
            editor, edited, cells, Settings(steps=steps), store=store, context=context,
            progress=progress,
        )  # fmt: skip
        found |= {cell.name: intervals(card, cell.name) for cell in cells}
    return [{"group": form.group, "form": form.name} | found[form.name] for form in given]


def merged(
    rows: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]], order: Sequence[Form]
) -> list[dict[str, Any]]:
    """Return the rows in the order of the table, with those that were not measured anew."""
    known = {row["form"]: row for row in (*before, *rows)}
    held = [known[form.name] for form in order if form.name in known]
    best = front(held)
    return [row | {"front": row["form"] in best} for row in held]


def intervals(card: Scorecard, name: str) -> dict[str, list[float] | None]:
    """Return mean, low and high: of local edits, and apart of those of the whole picture."""
    whole = tuple(kind for kind in card.kinds if kind in WHOLE_PICTURE)
    local = tuple(kind for kind in card.kinds if kind not in WHOLE_PICTURE)
    asked = {
        "done": ("done", local),
        "kept": ("kept", local),
        "copied": ("copied", local),
        "whole done": ("done", whole),
        "edges": ("edges", whole),
    }
    return {
        column: _numbers(card.interval(name, measure, kinds)) if kinds else None
        for column, (measure, kinds) in asked.items()
    }


def _numbers(found: Interval | None) -> list[float] | None:
    if found is None:
        return None
    return [round(float(it), 4) for it in (found.mean, found.low, found.high)]


def front(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the forms of which no other has both edit done and kept as high, and one higher."""
    means = {
        row["form"]: (row["done"][0], row["kept"][0]) for row in rows if row["done"] and row["kept"]
    }
    return {
        name
        for name, own in means.items()
        if not any(
            other != own and other[0] >= own[0] and other[1] >= own[1] for other in means.values()
        )
    }


class Clock:
    """Takes the time from the first step's beginning to the last one's end."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.ended = 0.0

    @rh.hookimpl(tryfirst=True)
    def refhooks_step(self) -> None:
        """Begin at the first step."""
        if self.began is None:
            self.began = time.perf_counter()

    def tick(self, *_: object) -> None:
        """Note the end of a step: the callback of an edit."""
        self.ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Of all steps."""
        if self.began is None:
            raise RuntimeError("nothing ran")
        return self.ended - self.began


def timed(
    editor: rh.Editor, pair: Pair, given: Sequence[Form], steps: int, rounds: int
) -> dict[str, list[float]]:
    """Return median, lowest and highest time of each form over that of the plain one."""
    ratios: dict[str, list[float]] = {form.name: [] for form in given}
    for turn in range(rounds + 1):
        place = turn * 7 % len(given)
        seconds = {}
        for form in (*given[place:], *given[:place]):
            clock = Clock()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", rh.RefhooksWarning)  # strengths out of the usual
                again = [rh.Reference(pair.source, form.again)] if form.again else []
                editor.edit(
                    pair.source, pair.prompt, strategy=form.strategy, references=again,
                    steps=steps, seed=0, plugins=[*form.plugins, clock], callback=clock.tick,
                )  # fmt: skip
            seconds[form.name] = clock.seconds
        if turn:  # the first round warms up
            for name, spent in seconds.items():
                ratios[name].append(spent / seconds[PLAIN])
    return {
        name: [round(it, 3) for it in (statistics.median(found), min(found), max(found))]
        for name, found in ratios.items()
    }


def table(figures: Mapping[str, Any]) -> str:
    """Return the rows in Markdown."""
    heads = [
        "form", "edit done", "kept", "copied", "done, whole picture", "edges, whole picture",
        "time a step", "front",
    ]  # fmt: skip
    lines, group = [heads, ["---"] * len(heads)], ""
    for row in figures["rows"]:
        if row["group"] != group:
            group = row["group"]
            lines.append([f"**{group}**", *[""] * (len(heads) - 1)])
        cells = [_shown(row[column]) for column in COLUMNS]
        ratio = "{:.2f}× ({:.2f}–{:.2f})".format(*row["time"])
        lines.append([row["form"], *cells, ratio, "**×**" if row["front"] else ""])
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"""\
{figures["scenes"]} held-out scenes of each kind of edit, {figures["steps"]} steps, guidance
{figures["cfg"]:g}, the same noise for all; means with 95 % bootstrap intervals over the scenes.
*Edit done*, *kept* and *copied* are those of edits of a part of the picture, the two columns after
them those of edits of the whole picture. *Front*: no other row has both *edit done* and *kept* as
high, and one of them higher. *Time* is of the denoising steps of one edit, over that of `default`
at 1: the median of {figures["rounds"]} rounds, with the lowest and the highest. Windows are in
progress of the run; outside of them the reference gives no tokens. The pulls of x0 end at
{PULL_END:g} of it. The guiders' numbers are their scales, and `cfg` of theirs is the pipeline's own
guidance without its norm.

{rows}"""


def _shown(found: Sequence[float] | None) -> str:
    return "–" if found is None else "{:.3f} [{:.3f}, {:.3f}]".format(*found)


def told_progress(it: Progress) -> None:
    """Tell how far the edits are, on one line of the terminal."""
    click.echo(f"\r{it.done / it.total:4.0%}  {it.cell:.90}\x1b[K", nl=False, err=True)


@click.command()
@click.option("--scenes", type=click.IntRange(1, 100), default=12, show_default=True,
              help="Of each kind of edit.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1, 100), default=STEPS, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=7, show_default=True,
              help="For the times.")  # fmt: skip
@click.option(
    "--json", "place", type=click.Path(path_type=Path), default=FIGURES, show_default=True,
    help="Where the figures are written.",
)  # fmt: skip
@click.option(
    "--store", type=click.Path(path_type=Path), default=STORE, show_default=True,
    help="Where finished edits are kept.",
)  # fmt: skip
@click.option("--only", multiple=True, metavar="TEXT", help="Rows to measure; others stay.")
def main(
    scenes: int, steps: int, rounds: int, place: Path, store: Path, only: tuple[str, ...]
) -> None:
    """Measure the four methods and what others do on the same edits."""
    sys.path.insert(0, str(ROOT / "docs" / "example-plugin" / "src"))
    untwist = importlib.import_module("refhooks_untwist")
    editor = rh.Editor.from_pretrained("toy", plugins=[_peer_methods, untwist])
    editor.pipe.set_progress_bar_config(disable=True)
    model = rh.load_registry().models["toy"]
    if model.pairs is None:
        raise click.ClickException("the model brings no scenes")
    pairs = [pair for pair in model.pairs(scenes) if not pair.references]
    order = forms()
    given = [
        form for form in order if not only or any(it in f"{form.group} {form.name}" for it in only)
    ]
    before = json.loads(place.read_text(encoding="utf-8")) if only else {"rows": []}
    if only and (before["scenes"], before["steps"]) != (scenes, steps):
        raise click.ClickException(f"{place} is of other scenes or steps: measure all of it")
    rows = measured(
        editor, pairs, given, steps, store=store, context=model.faster, progress=told_progress
    )
    plain = [] if order[0] in given else [order[0]]
    times = timed(editor, pairs[0], [*plain, *given], steps, rounds)
    figures = {
        "command": f"python benchmarks/peers.py --scenes {scenes} --rounds {rounds}",
        "scenes": scenes,
        "steps": steps,
        "cfg": editor.checkpoint.cfg,
        "rounds": rounds,
        "rows": merged([row | {"time": times[row["form"]]} for row in rows], before["rows"], order),
    }
    write_whole((json.dumps(figures, indent=1, ensure_ascii=False) + "\n").encode(), place)
    click.echo(table(figures))


if __name__ == "__main__":
    main()
