"""Every claim of the source notes, measured: docs/evidence.md and the pages behind it.

    python benchmarks/claims.py            runs what the verdicts need, and writes the pages
    python benchmarks/claims.py run        runs it: benchmarks/results/claims.json
    python benchmarks/claims.py seen       measures what holds by CIEDE2000 and SSIM; `run` does too
    python benchmarks/claims.py page       writes the pages and their plots from the figures
    python benchmarks/claims.py presets    marks the shipped presets whose claim holds as measured

``run`` takes over what `refhooks score --json benchmarks/results/score.json` measured.
What is claimed, and how each claim is tested, is in claims.toml; nothing is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from _claims._evidence import Evidence, as_card
from _claims._monotone import strength_of
from _claims._page import CURVES, HOME, Material
from _claims._page import pages as written
from _claims._presets import mark_presets
from _claims._read import read_claims
from _claims._run import FORMAT, VERSION, Runner, Size
from _claims._seen import judge

from refhooks._base.files import write_whole
from refhooks.errors import InputError
from refhooks.score import Scorecard, draw_responses, draw_tradeoff

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FIGURES = RESULTS / "claims.json"
SCORE = RESULTS / "score.json"
STORE = ROOT / "build" / "claims.store"
PAGE = ROOT / "docs" / "evidence.md"
IMAGES = ROOT / "docs" / "images"

_place = click.Path(dir_okay=False, path_type=Path)
figures_option = click.option(
    "--json", "figures", type=_place, default=FIGURES, help="Where the figures are."
)
score_option = click.option(
    "--score", type=_place, default=SCORE, help="The scorecard of `refhooks score`, if it is there."
)


def read_figures(place: Path) -> dict[str, Any]:
    """Return what claims.json holds.

    Raises:
        InputError: It is not there, or is something else.
    """
    try:
        held: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error.strerror}; run claims.py run") from error
    except ValueError as error:
        raise InputError(f"{place} is no JSON: {error}") from error
    if (held.get("format"), held.get("version")) != (FORMAT, VERSION):
        raise InputError(
            f"{place} does not hold the figures of claims.py {VERSION}; run claims.py run"
        )
    return held


def material(figures: Mapping[str, Any], score: Scorecard | None) -> Material:
    """Return what the pages are made of.

    Raises:
        InputError: Something was not run.
    """
    claims, asked = read_claims()
    cards = [] if score is None else [as_card(score, "score")]
    evidence = Evidence.of([*cards, *figures["cards"]])
    return Material(
        figures=figures,
        verdicts=[judge(evidence, claim) for claim in claims],
        strengths=[strength_of(evidence, method, asked) for method in asked.methods],
        asked=asked,
        curves=score is not None,
        peers=_table_of("peers"),
        search=_table_of("search"),
    )


def _table_of(name: str) -> str:
    """What another benchmark of this folder has to say, if it was run."""
    place = RESULTS / f"{name}.json"
    if not place.is_file():
        return ""
    table: str = importlib.import_module(name).table(json.loads(place.read_text(encoding="utf-8")))
    return table


def _draw(score: Scorecard) -> None:
    for name, draw in zip(CURVES, (draw_responses, draw_tradeoff), strict=True):
        draw(score).savefig(IMAGES / name, dpi=100, metadata={"Software": None})


def _score(place: Path) -> Scorecard | None:
    if place.is_file():
        return Scorecard.read_json(place)
    click.echo(f"{place} is not there: without it, more is run, and the page has no curves")
    return None


@contextlib.contextmanager
def _told() -> Any:
    """Errors of the user's are told in a line, with what was being done."""
    try:
        yield
    except InputError as error:
        notes = "".join(f"\n({note})" for note in getattr(error, "__notes__", []))
        raise click.ClickException(f"{error}{notes}") from error


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure every claim and write docs/evidence*.md: both, or one of the commands."""
    if context.invoked_subcommand is None:
        context.invoke(run)
        context.invoke(page)


@main.command()
@figures_option
@score_option
@click.option("--scenes", default=25, show_default=True, help="Of each kind of edit.")
@click.option("--more", default=100, show_default=True, help="Where few kinds decide a verdict.")
@click.option("--few", default=6, show_default=True, help="For other numbers of steps.")
@click.option("--steps", default=16, show_default=True)
@click.option(
    "--store", type=click.Path(file_okay=False, path_type=Path), default=STORE,
    help="Where what is finished is kept; a run that was interrupted goes on from there.",
)  # fmt: skip
def run(
    figures: Path, score: Path, scenes: int, more: int, few: int, steps: int, store: Path
) -> None:
    """Run what the verdicts need and is not there yet."""
    with _told():
        if not 1 <= few <= scenes < more or steps < 4:
            raise InputError(
                "--few may be up to --scenes, --more must be above it, and --steps at least 4; got"
                f" {few}, {scenes}, {more} and {steps}"
            )
        size = Size(main=scenes, more=more, few=few, steps=steps)
        held = Runner(size, store, _score(score)).run(*read_claims())
        text = json.dumps(held, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        write_whole(text.encode() + b"\n", figures)
    click.echo(f"wrote {figures}")


@main.command()
@figures_option
@score_option
@click.option(
    "--store", type=click.Path(file_okay=False, path_type=Path), default=STORE,
    help="Where what is finished is kept; a run that was interrupted goes on from there.",
)  # fmt: skip
def seen(figures: Path, score: Path, store: Path) -> None:
    """Measure what holds by CIEDE2000 and SSIM too, and add it to the figures."""
    with _told():
        held = read_figures(figures)
        size = Size(**{it.name: held["scenes"][it.name] for it in attrs.fields(Size)})
        added = Runner(size, store, _score(score)).seen(read_claims()[0], held)
        text = json.dumps(added, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        write_whole(text.encode() + b"\n", figures)
    click.echo(f"wrote {figures}")


@main.command()
@figures_option
@score_option
@click.option(
    "--page",
    "place",
    type=_place,
    default=PAGE,
    help="Where the summary goes; other pages go beside it.",
)
def page(figures: Path, score: Path, place: Path) -> None:
    """Write the pages and their plots from the figures."""
    with _told():
        card = _score(score)
        texts = written(material(read_figures(figures), card))
        if card is not None:
            _draw(card)
        for name, text in texts.items():
            target = place if name == HOME else place.with_name(name)
            write_whole(text.encode(), target)
            click.echo(f"wrote {target}")


@main.command()
@figures_option
@score_option
def presets(figures: Path, score: Path) -> None:
    """Mark the shipped presets: measured if their claim holds, not measured if it does not."""
    with _told():
        for name, holds in mark_presets(material(read_figures(figures), _score(score)).verdicts):
            click.echo(
                f"{name}: {'measured' if holds else 'not measured, its claim does not hold'}"
            )
    click.echo("now run python docs/write_presets_table.py")


if __name__ == "__main__":
    main()
