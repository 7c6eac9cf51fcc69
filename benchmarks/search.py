"""Strategies that beat the plain model: a seeded search for each kind of edit, and a check of it.

    python benchmarks/search.py [--edits 8000] [--seed 0]  searches, checks, writes figures, presets
    python benchmarks/search.py --publish-only             writes the presets again from the figures

An interrupted search goes on where it was if it is started again with the same arguments. The
strategies that are looked at are in ``_candidates.py``. What is reported is said by ``RULE``, which
was there before the first run.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _search
import attrs
import click
from _search import A_SEED, CHANCE, RESAMPLINGS, STEPS, TOLERANCE, Bench, Plan

import refhooks as rh
from refhooks._apps.files.structuring import write_table
from refhooks._base.files import write_whole
from refhooks._base.tables import read_table
from refhooks_toy import EDIT_KINDS, TWO_PICTURES, WHOLE_PICTURE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _search import Scorer

    from refhooks.score import Progress

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "search.json"
PRESETS = ROOT / "plugins" / "refhooks_presets" / "presets"
STORE = ROOT / "build" / "search.store"
MADE_BY = "benchmarks/search.py"
SUFFIX = "-tuned"
KINDS = tuple(kind for kind in EDIT_KINDS if kind != TWO_PICTURES)

RULE = f"""\
The plain model is `default` at strength 1 and denoise 1. *Kept* is, where the whole picture should
change, the F1 of its edges. A strategy *beats* it on a kind of edit if, on the scenes of the check,

1. the interval of the difference in *edit done* lies above 0, and
2. the difference in *kept* is not below 0, and its interval does not reach below
   {-TOLERANCE:g}.

Differences are paired by scene and noise; intervals are bootstrap intervals of {RESAMPLINGS:,}
resamplings, at a level that holds, for each measure, over all strategies of the check (Bonferroni:
{100 * CHANCE:g} % divided by their number). The check has scenes and noise that the search never
saw, and is done once, for the few best of the search: how many were looked at there does not matter
to it. Of each kind, the one that beats it with the highest lower end in *edit done* becomes a
preset, and goes again if `python benchmarks/confirm.py` does not confirm it on other scenes, at 8
and 16 steps, by RMSE, CIEDE2000 and SSIM."""

CONCAT_NEEDS = (
    "a projection trained for the model; the embedded model brings one, refhooks train-concat"
    " makes one for another"
)


def figures_of(bench: Scorer, plan: Plan, blocks: int, kinds: Sequence[str]) -> dict[str, Any]:
    """Search, check, and return what was found."""
    search = _search.Search(plan, blocks, kinds)
    search.run(bench)
    found = _search.checked(bench, search)
    return {
        "command": f"python benchmarks/search.py --edits {plan.edits} --seed {plan.seed}",
        "plan": attrs.asdict(plan),
        "generations": plan.generations(len(kinds)),
        "blocks": blocks,
        "checked": sum(len(it) for it in found.values()),
        "kinds": {
            kind: {"looked_at": len(search.looked[kind]), "finalists": found[kind]}
            for kind in kinds
        },
    }


def candidates(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the strategy of each kind that could be a preset: of those that beat, the surest."""
    chosen = {}
    for kind, held in figures["kinds"].items():
        ahead = [it for it in held["finalists"] if it["beats"]]
        if ahead:
            chosen[kind] = max(ahead, key=lambda it: it["together"]["done"][1])
    return chosen


def winners(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the candidates that become a preset: those that ``confirm.py`` did not refute."""
    found = candidates(figures)
    return {kind: it for kind, it in found.items() if it.get("confirmed") is not False}


def publish(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a preset for each winner, and take away what an earlier search wrote for these kinds.

    Raises:
        InputError: A preset of that name is there that no search wrote.
    """
    chosen = {folder / f"{kind}{SUFFIX}.toml": (kind, it) for kind, it in winners(figures).items()}
    there = sorted(folder.glob(f"*{SUFFIX}.toml"))
    own = [path for path in there if str(read_table(path).get("source", "")).startswith(MADE_BY)]
    taken = sorted(set(chosen) & (set(there) - set(own)))
    if taken:
        raise rh.InputError(f"{taken[0]} was not written by {MADE_BY}; rename it")
    written = [
        write_table(preset_of(kind, it, figures["blocks"]), path)
        for path, (kind, it) in chosen.items()
    ]
    searched = {folder / f"{kind}{SUFFIX}.toml" for kind in figures["kinds"]}
    for path in (searched & set(own)) - set(chosen):
        path.unlink()
    return written


def preset_of(kind: str, found: Mapping[str, Any], blocks: int) -> dict[str, Any]:
    """Return a preset's file."""
    stages = found["tables"]["stage"]
    methods = [it["method"] for it in stages]
    needs = [CONCAT_NEEDS] * ("concat" in methods)
    if any(isinstance(it, dict) and "layers" in it for it in methods):
        needs.append(f"a model of {blocks} blocks, as the embedded one: its layers are counted")
    differences = ", ".join(
        f"{words} {shown(found['together'][name])}"
        for name, words in (("done", "edit done"), ("kept", kept_words(kind)))
    )
    table = {
        "description": f"{kind.replace('-', ' ').capitalize()}, tuned on the embedded model.",
        "source": (
            f"{MADE_BY}, beside default at 1 on {found['scenes']} held-out scenes:"
            f" {differences}; intervals of 95 %, for each measure over all strategies of the check"
        ),
        "needs": "; ".join(needs),
        "denoise": found["denoise"],
        "measured": True,
    }
    return {key: value for key, value in table.items() if value != ""} | found["tables"]


def kept_words(kind: str) -> str:
    """Return what is measured of what should stay."""
    return "edges" if kind in WHOLE_PICTURE else "kept"


def shown(interval: Sequence[float]) -> str:
    """Return a difference with its interval."""
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*interval)


def table(figures: Mapping[str, Any]) -> str:
    """Return what was found, in Markdown: the rule, and a row for each strategy of the check."""
    plan, chosen = figures["plan"], winners(figures)
    rows = [
        ["kind of edit", "looked at", "best of the search", "edit done", "kept", "beats", "preset"],
        ["---"] * 7,
    ]
    for kind, held in figures["kinds"].items():
        count = str(held["looked_at"])
        for it in held["finalists"]:
            measure = "" if kept_words(kind) == "kept" else " (edges)"
            rows.append([
                kind, count, f"{it['strategy']}", shown(it["together"]["done"]),
                shown(it["together"]["kept"]) + measure, "**yes**" if it["beats"] else "no",
                _came_of(kind, it, chosen),
            ])  # fmt: skip
            count = ""
        if not held["finalists"]:
            rows.append([kind, count, "none was ahead in both", "", "", "no", ""])
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"""\
{RULE}

The search (seed {plan["seed"]}) looked at strategies on {plan["few"]} scenes of a kind, and at the
best of them on {plan["more"]} more, over {figures["generations"]} generations; at most
{plan["finalists"]} a kind were checked on {plan["check"]} other scenes. Differences to the plain
model, with {figures["steps"]} steps:

{lines}
{summary(figures)}
"""


def _came_of(kind: str, found: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    if found.get("confirmed") is False:
        return "none: not confirmed on fresh scenes"
    return f"`{kind}{SUFFIX}`" if chosen.get(kind) is found else ""


def summary(figures: Mapping[str, Any]) -> str:
    """Say how many hold."""
    chosen, beat = winners(figures), candidates(figures)
    if not beat:
        return (
            f"None of the {figures['checked']} strategies that were checked beats the plain model,"
            " so there is no new preset."
        )
    names = ", ".join(f"`{kind}{SUFFIX}`" for kind in chosen) or "none"
    lost = "".join(
        f" That of {kind} did not, on scenes that were fresh once more"
        " (`python benchmarks/confirm.py`), so it is no preset."
        for kind in beat
        if kind not in chosen
    )
    return (
        f"On {len(beat)} of {len(figures['kinds'])} kinds a strategy beats the plain model on the"
        f" scenes of the check.{lost} Presets: {names}."
    )


def told_progress(it: Progress) -> None:
    """Tell how far a part of the search is, on one line of the terminal."""
    click.echo(f"\r{it.done / it.total:4.0%}  {it.cell:.90}\x1b[K", nl=False, err=True)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Tell the user's errors in a line."""
    try:
        yield
    except rh.InputError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.option("--edits", default=Plan().edits, show_default=True, help="At most, check included.")
@click.option(
    "--seed", type=click.IntRange(0, 99), default=0, show_default=True,
    help="Of the search; each has scenes of its own.",
)  # fmt: skip
@click.option(
    "--check", type=click.IntRange(2, A_SEED), default=Plan().check, show_default=True,
    help="Scenes of a kind to check on.",
)  # fmt: skip
@click.option("--steps", default=STEPS, show_default=True)
@click.option("--kinds", default=",".join(KINDS), show_default=True, help="Separated by commas.")
@click.option(
    "--json", "place", type=click.Path(path_type=Path), default=FIGURES, show_default=True,
    help="Where the figures are written.",
)  # fmt: skip
@click.option(
    "--presets", type=click.Path(path_type=Path, file_okay=False, exists=True), default=PRESETS,
    show_default=True, help="Where the presets are written.",
)  # fmt: skip
@click.option(
    "--store", type=click.Path(path_type=Path), default=STORE, show_default=True,
    help="Where finished edits are kept.",
)  # fmt: skip
@click.option("--publish-only", is_flag=True, help="Read the figures instead of searching.")
def main(
    edits: int, seed: int, check: int, steps: int, kinds: str, place: Path, presets: Path,
    store: Path, publish_only: bool,
) -> None:  # fmt: skip
    """Search for strategies that beat the plain model, check them, and publish those that do."""
    if not publish_only:
        plan = Plan(seed=seed, edits=edits, check=check)
        listed = tuple(kind.strip() for kind in kinds.split(","))
        unknown = [kind for kind in listed if kind not in KINDS]
        if unknown:
            raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(KINDS)}")
        editor = rh.Editor.from_pretrained("toy")
        editor.pipe.set_progress_bar_config(disable=True)
        faster = rh.load_registry().models["toy"].faster
        bench = Bench(editor, listed, plan, steps, store, faster, told_progress)
        with told():
            figures = {"steps": steps} | figures_of(bench, plan, editor.family.blocks, listed)
            write_whole((json.dumps(figures, indent=1) + "\n").encode(), place)
    figures = json.loads(place.read_text(encoding="utf-8"))
    with told():
        written = publish(figures, presets)
    click.echo(table(figures))
    click.echo(f"{len(written)} presets in {presets}; now run docs/write_presets_table.py")


if __name__ == "__main__":
    main()
