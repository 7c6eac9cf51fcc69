"""``refhooks plan``: what a strategy file would do at every step, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from refhooks._apps.chains.chain import as_chain, places_of
from refhooks._apps.chains.chain_file import is_chain, load_chain
from refhooks._apps.files.strategy_file import load_file
from refhooks._apps.forecast.chain_plan import chain_timetables
from refhooks._apps.forecast.cost import cost
from refhooks._apps.forecast.planned import plan
from refhooks._base.files import try_writing
from refhooks._base.once import keeping
from refhooks._core.masks.mask import Mask
from refhooks._core.planning.strategy import Reference, Strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._denoise import check_denoise, say_denoise
from refhooks.cli._masks import files_of
from refhooks.cli._methods import say_marks
from refhooks.cli._places import check_apart
from refhooks.cli._room import PLOT
from refhooks.cli._terminal import say, tell
from refhooks.errors import InputError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._apps.files.strategy_file import StrategyFile
    from refhooks._apps.forecast.cost import Cost
    from refhooks._core.planning.timetable import Timetable
    from refhooks._editor import Editor

STYLES = {
    "none": "dim",
    "minimal": "cyan",
    "moderate": "cyan",
    "strong": "green",
    "standard": "bold green",
    "enhanced": "yellow",
    "overpowering": "red",
}
UNWRAPPED = 4096  # where the output goes to a file or a pipe, a line is a step


@attrs.frozen(kw_only=True)
class PlanOptions:
    """What the command was given."""

    file: str
    steps: int | None
    denoise: float | None
    plot: str | None
    as_json: bool
    with_cost: bool
    model: str | None
    transformer: str | None
    height: int | None
    width: int | None
    edit_mask: str | None = None
    compute: str | None = None
    cfg: float | str | None = None
    cache: str | None = None

    @property
    def local(self) -> dict[str, Any]:
        """What of it says that an edit is local, as ``plan()`` and ``cost()`` take it."""
        return {"edit_mask": self.edit_mask, "compute": self.compute or "all"}


@keeping()
def plan_command(options: PlanOptions) -> None:
    """Print the timetable of a strategy file, as a table or as JSON, and plot it if asked.

    Of a chain, print and plot that of each edit.

    Raises:
        RefhooksError: The file, a number or the model cannot be used.
    """
    if is_chain(options.file):
        if options.with_cost:
            raise InputError("--cost is for a strategy or references, and this file is a chain")
        if options.edit_mask is not None or options.compute is not None:
            raise InputError("each edit of a chain has an edit_mask and a compute of its own")
        _run_chain_plan(options)
        return
    contents = _read(options.file)
    what = contents.what
    denoise = 1.0 if options.denoise is None else options.denoise
    check_denoise(denoise, options.steps)
    _check_size(options)
    _check_plot(options, what if isinstance(what, tuple) else (Reference("", what),))
    editor = _editor(options)
    size = {"height": options.height, "width": options.width}
    timetable = plan(
        what, options.steps, editor=editor, denoise=denoise, plugins=contents.plugins, **size,
        **options.local,
    )  # fmt: skip
    costs = _cost(contents, options, editor, denoise) if options.with_cost else None
    if options.as_json:
        told = {} if costs is None else {"cost": costs.as_dict()}
        document = {"model": options.model, **timetable.as_dict(), **told}
        click.echo(json.dumps(document, indent=2))
    else:
        _print(timetable)
        for line in [] if costs is None else str(costs).split("\n"):
            tell(line)
        say_marks(what, load_registry())
        if editor is None:
            _say_unshifted()
        say_denoise(denoise, len(timetable.steps))
    if options.plot is not None:
        written = timetable.save_plot(options.plot)
        if not options.as_json:
            tell(f"wrote {written}")


def _read(file: str) -> StrategyFile:
    contents = load_file(file)
    others = [it.name for it in contents.plugins if not getattr(it, "scheduled", False)]
    if others:
        say("note", f"run plugins without a strength are not in the table: {', '.join(others)}",
            "cyan")  # fmt: skip
    return contents


def _cost(
    contents: StrategyFile,
    options: PlanOptions,
    editor: Editor | None,
    denoise: float,
) -> Cost:
    costs = cost(
        contents.what,
        options.steps,
        editor=editor,
        height=options.height,
        width=options.width,
        denoise=denoise,
        cfg=options.cfg,
        plugins=contents.plugins,
        cache=options.cache,
        **options.local,
    )
    name = costs.shape.name if options.model is None else options.model
    return attrs.evolve(costs, shape=attrs.evolve(costs.shape, name=name))


def _run_chain_plan(options: PlanOptions) -> None:
    chain = as_chain(load_chain(options.file), denoise=options.denoise)
    _check_size(options)
    for edit in chain.edits:
        _check_plot(options, [Reference("", edit.strategy), *edit.references], [edit.edit_mask])
    editor = _editor(options)
    size = {"height": options.height, "width": options.width}
    tables = chain_timetables(chain, options.steps, editor, **size)
    if options.as_json:
        pairs = zip(chain.edits, tables, strict=True)
        edits = [{"prompt": edit.prompt, **table.as_dict()} for edit, table in pairs]
        click.echo(json.dumps({"model": options.model, "edits": edits}, indent=2))
    else:
        for place, (edit, table) in enumerate(zip(chain.edits, tables, strict=True), 1):
            tell(f"edit {place} of {len(tables)}: {edit.prompt}")
            _print(table)
            tell("")
        named = [(Reference("", one.strategy), *one.references) for one in chain.edits]
        say_marks([it for references in named for it in references], load_registry())
        if editor is None:
            _say_unshifted()
    if options.plot is not None:
        for target, table in zip(places_of(options.plot, len(tables)), tables, strict=True):
            written = table.save_plot(target)
            if not options.as_json:
                tell(f"wrote {written}")


def _check_size(options: PlanOptions) -> None:
    chain = {"cfg": " (each edit of a chain has a cfg of its own)", "cache": ""}
    for name, more in chain.items():
        if getattr(options, name) is not None and not options.with_cost:
            raise InputError(
                f"--{name} changes what --cost shows, and nothing else; add --cost{more}"
            )
    sized = options.height is not None or options.width is not None
    if sized and options.model is None and not options.with_cost:
        raise InputError("--height and --width change what --model or --cost show; add one of them")


def _check_plot(options: PlanOptions, references: Sequence[Any], masks: Sequence[Any] = ()) -> None:
    """Refuse to draw over what the file names."""
    if options.plot is None:
        return
    entries = [it if isinstance(it, Reference) else Reference(it) for it in references]
    files = [it.image for it in entries if isinstance(it.image, str | Path) and it.image]
    strategies = [it.strategy for it in entries if isinstance(it.strategy, Strategy)]
    shapes = [mask.shape for strategy in strategies for mask in strategy.masks]
    shapes += [mask.shape for mask in masks if isinstance(mask, Mask)]
    files += [mask for mask in masks if isinstance(mask, str | Path)]
    place = Path(options.plot)
    check_apart(place, [*files, *[file for it in shapes for file in files_of(it)]])
    try_writing(place, PLOT)


def _say_unshifted() -> None:
    say("note", "unshifted noise levels; --model shows those of a model", "cyan")


def _editor(options: PlanOptions) -> Editor | None:
    name, file = options.model, options.transformer
    if name is None and file is None:
        return None
    from refhooks.cli._model import ModelPlan, check_transformer, open_editor  # noqa: PLC0415  imports torch

    embedded = name in load_registry().models
    if file is not None:
        check_transformer(file, name, embedded=embedded)
    plan = ModelPlan(name=str(name), embedded=embedded, weights=False, transformer=file)
    return open_editor(plan)


def _print(timetable: Timetable) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNWRAPPED)
    heads, lines = timetable.cells()
    references = {f"reference {row.reference + 1}" for row in timetable.steps[0].rows}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head)
    for planned, line in zip(timetable.steps, lines, strict=True):
        bands = iter(planned.rows)
        styles = [STYLES[next(bands).band] if head in references else "" for head in heads]
        cells = zip(line, styles, strict=True)
        table.add_row(*[Text(printable(cell), style=style) for cell, style in cells])
    console.print(table)
    for note in timetable.notes():
        tell(note)
