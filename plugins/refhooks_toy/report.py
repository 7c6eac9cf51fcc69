"""Measure the toy model on held-out edits: `python -m refhooks_toy.report`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import torch

from refhooks_toy._card import with_blocks
from refhooks_toy._contact import contact_sheet
from refhooks_toy._edits import EDIT_KINDS
from refhooks_toy._figures import BAR_WIDTHS, Figures, line, mean_of, row_of
from refhooks_toy._survey import Settings, measure, measure_vae, new_editor
from refhooks_toy._weights import WEIGHTS, load_pipeline

if TYPE_CHECKING:
    from refhooks_toy._survey import Result

CARD = WEIGHTS / "MODEL_CARD.md"
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--weights", type=click.Path(path_type=Path), help="Default: the package's own.")
@click.option(
    "--count", type=click.IntRange(2), default=100, show_default=True,
    help="Held-out edits of each kind.",
)  # fmt: skip
@click.option("--steps", default=16, show_default=True)
@click.option("--cfg", default=2.0, show_default=True)
@click.option(
    "--bfloat16/--float32", "half", default=True, show_default=True,
    help="Precision of the transformer: bfloat16 moves no figure by 0.005.",
)  # fmt: skip
@click.option("--sheet", type=_FILE, help="Write a contact sheet there.")
@click.option("--json", "figures_file", type=_FILE, help="Write the figures there.")
@click.option(
    "--from", "measured", type=click.Path(path_type=Path, exists=True),
    help="Measure nothing; take the figures from this file, which --json wrote.",
)  # fmt: skip
@click.option(
    "--card", is_flag=False, flag_value=CARD, type=_FILE,
    help="Write the figures into this model card; by default the package's own.",
)  # fmt: skip
def main(
    weights: Path | None,
    count: int,
    steps: int,
    cfg: float,
    half: bool,
    sheet: Path | None,
    figures_file: Path | None,
    measured: Path | None,
    card: Path | None,
) -> None:
    """Print the toy model's figures with 95 % bootstrap intervals, and whether they reach its bars.

    Edits run through refhooks itself, many at once: the family's native method at 1 and, for what
    is kept, strength 0. About four minutes on two idle cores.
    """
    if measured is None:
        figures = survey(weights, Settings(count, steps, cfg, half), sheet)
    elif sheet is None:
        figures = Figures.read(measured)
    else:
        raise click.UsageError("--sheet shows results, which --from does not hold")
    for bar in figures.bars:
        click.echo(line(bar.cells(), BAR_WIDTHS))
    if figures_file is not None:
        figures.save(figures_file)
    if card is not None:
        pipe = load_pipeline(folder=weights)
        text = with_blocks(card.read_text("utf-8"), figures, pipe, weights or WEIGHTS)
        card.write_text(text, encoding="utf-8")


def survey(weights: Path | None, settings: Settings, sheet: Path | None) -> Figures:
    """Measure every kind of edit, print each as it is done, and draw the contact sheet."""
    began = time.monotonic()
    editor = new_editor(weights)
    click.echo(
        f"{settings.count} held-out edits a kind, {settings.steps} steps, cfg {settings.cfg:g},"
        f" {settings.precision}, {torch.get_num_threads()} threads; mean [95 % interval]"
    )
    psnr, ssim = measure_vae(editor.pipe.vae, settings.count)
    click.echo(line(["kind", "edit done", "kept outside", "edges kept (F1)"]))
    results: list[Result] = []
    for kind in EDIT_KINDS:
        results.append(measure(editor, kind, settings))
        click.echo(line(row_of(results[-1]).cells()))
    mean = mean_of(results)
    click.echo(line(mean.cells()))
    if sheet is not None:
        contact_sheet(results, sheet)
    seconds = time.monotonic() - began
    click.echo(f"{seconds:.0f} s")
    rows = [row_of(result) for result in results]
    return Figures(settings, psnr, ssim, rows, mean, round(seconds, 1), torch.get_num_threads())


if __name__ == "__main__":
    main()
