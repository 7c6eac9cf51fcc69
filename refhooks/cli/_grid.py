"""``refhooks grid``: two fields of an edit varied, as one labelled sheet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from PIL import Image

from refhooks._apps.advice.advice import measure
from refhooks._apps.advice.plots import draw_curves
from refhooks._apps.editing.result import save_picture
from refhooks._apps.forecast.planned import NATIVE, plan
from refhooks._apps.grids.fields import Axis, Field, make_axis, read_axis, read_field
from refhooks._apps.grids.fingerprint import fingerprint
from refhooks._apps.grids.grid import Grid, fill, kept_picture, make_cells, passes
from refhooks._apps.grids.making import STRENGTHS
from refhooks._apps.grids.sheet import draw_grid, named
from refhooks._base.advice import silenced
from refhooks._base.figures import check_plot, new_figure, write_plot
from refhooks._base.files import try_writing
from refhooks._base.folders import make_folder
from refhooks._base.once import keeping
from refhooks._base.outputs import check_output
from refhooks._base.pictures import load_picture
from refhooks._core.planning.bounds import MAX_SEED
from refhooks._core.planning.compilation import compile_timetable, method_name
from refhooks._core.planning.planner import make_plan
from refhooks._core.planning.request import make_request
from refhooks._core.planning.strategy import Reference, Stage, Strategy, as_strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._denoise import check_denoise, say_denoise
from refhooks.cli._edit import check_edit
from refhooks.cli._libraries import quiet
from refhooks.cli._model import open_editor
from refhooks.cli._places import check_apart
from refhooks.cli._room import PLOT, picture_room
from refhooks.cli._terminal import say, steps_bar, tell
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._apps.advice.advice import Measured
    from refhooks._apps.grids.grid import Cell, Pass
    from refhooks._core.plugins.registry import Registry
    from refhooks._editor import Editor
    from refhooks.cli._edit import EditJob, EditOptions


@attrs.frozen(kw_only=True)
class GridOptions:
    """The options under the heading ``Grid``, and where its parts go, as they were given."""

    methods: str | None
    strengths: str | None
    rows: str | None
    columns: str | None
    seeds: str
    tile: int | None
    cells: str | None
    plot: str | None
    batch: int

    @classmethod
    def take(cls, options: dict[str, Any]) -> GridOptions:
        """Take these options out of all that a command was given."""
        return cls(**{field.name: options.pop(field.name) for field in attrs.fields(cls)})

    @property
    def first_seed(self) -> int:
        """The first of the seeds.

        Raises:
            InputError: One is none.
        """
        return _seeds(self.seeds)[0]

    def grid(self, edit: EditOptions, registry: Registry) -> Grid:
        """Return what is varied: if nothing is said, the method and the strength that edit has not.

        Raises:
            InputError: An option is none of its form, or two say the same thing.
            UnknownNameError: A method that no live plugin registers.
        """
        rows = self._axis("rows", "methods", "method", registry)
        columns = self._axis("columns", "strengths", "strength", registry)
        _check_free(edit, [axis.field for axis in (rows, columns) if axis is not None])
        if rows is None and columns is None:
            if not (edit.method or edit.preset or edit.strategy_file):
                rows = _short("method", ",".join(sorted(registry.methods)), "--methods", registry)
            if edit.strength is None:
                columns = _short("strength", ",".join(map(str, STRENGTHS)), "--strengths", registry)
        if rows is None and columns is None:
            raise InputError(
                "method and strength are given, so nothing is varied; name a field with --rows or"
                " --columns"
            )
        grid = Grid(rows, columns, _seeds(self.seeds), self.batch)
        grid.check()
        if self.plot is not None and (columns is None or columns.numbers() is None):
            raise InputError("--plot draws over the columns, which must then be numbers")
        return grid

    @property
    def is_default(self) -> bool:
        """Whether the methods are all there are, and not those that somebody chose."""
        return not any((self.methods, self.strengths, self.rows, self.columns))

    def _axis(self, name: str, short: str, field: str, registry: Registry) -> Axis | None:
        longer, shorter = getattr(self, name), getattr(self, short)
        if longer is not None and shorter is not None:
            raise InputError(f"--{short} is short for --{name} {field}=...; leave one out")
        if longer is not None:
            return read_axis(longer, f"--{name}", registry)
        return None if shorter is None else _short(field, shorter, f"--{short}", registry)


def _check_free(edit: EditOptions, fields: Sequence[Field]) -> None:
    """Refuse to vary what is given."""
    for name in ("method", "strength"):
        varied = any(field.name == name and not field.method for field in fields)
        if varied and getattr(edit, name) is not None:
            raise InputError(
                f"--{name} {getattr(edit, name)} is one {name}, and the grid varies it; leave one"
                " of the two out"
            )


def _short(field: str, values: str, label: str, registry: Registry) -> Axis:
    return make_axis(read_field(field, label, registry), values, label)


def _seeds(text: str) -> tuple[int, ...]:
    axis = make_axis(Field("seed", text="seed"), text, "--seeds")
    for value in axis.values:
        if not value.isdecimal() or int(value) >= MAX_SEED:
            raise InputError(f"--seeds {text}: {value} is no whole number from 0 up")
    return tuple(int(value) for value in axis.values)


@attrs.frozen
class _Sheet:
    """A grid of which everything was checked that can be without a model."""

    grid: Grid
    job: EditJob
    folder: Path
    options: GridOptions

    def lines(self, native: str, registry: Registry) -> list[list[Cell]]:
        steering = self.job.steering(native)
        common = {**self.job.arguments(), **steering, "prompt": self.job.options.prompt}
        del common["n"]
        return make_cells(self.grid, common, native, registry)


@keeping()
def run_grid(edit: EditOptions, options: GridOptions) -> None:
    """Make the pictures that are missing, then the sheet.

    Raises:
        RefhooksError: Something cannot be used; found before the model loads, where it can be.
    """
    registry = load_registry()
    sheet = _check(edit, options, registry)
    started = time.perf_counter()
    editor = open_editor(sheet.job.model)
    loaded = time.perf_counter()
    if options.is_default and sheet.grid.rows is not None:
        sheet = _possible(sheet, editor)
    lines = sheet.lines(editor.family.native, editor.registry)
    default = editor.family.default_steps
    _check_plans(editor, _flat(lines))
    asked = [(cell.arguments["denoise"], cell.arguments["steps"]) for cell in _flat(lines)]
    for denoise, steps in dict.fromkeys(asked):
        say_denoise(denoise, steps or default)
    pictures, there = _filled(editor, sheet, _flat(lines))
    rows = [pictures[at : at + len(lines[0])] for at in range(0, len(pictures), len(lines[0]))]
    _write(sheet, rows, editor)
    if options.plot is not None:
        _write_curves(sheet, lines, rows, options.plot)
    seconds, loading = time.perf_counter() - loaded, loaded - started
    had = f", {there} of them there before," if there else ""
    plural = "" if len(pictures) == 1 else "s"
    tell(
        f"wrote {sheet.job.target}: {len(pictures)} picture{plural}{had} in {sheet.folder},"
        f" {seconds:.1f} s + {loading:.1f} s loading"
    )


def _check(edit: EditOptions, options: GridOptions, registry: Registry) -> _Sheet:
    grid = options.grid(edit, registry)
    job = check_edit(_implied(edit, grid), registry)
    folder = Path(options.cells) if options.cells else job.target.with_suffix(".cells")
    if options.plot is not None:
        check_plot(options.plot)
        check_apart(check_output(options.plot), [*job.read, job.target])
        try_writing(Path(options.plot), PLOT)
        new_figure(1.0, 1.0)  # matplotlib is an extra
    sheet = _Sheet(grid, job, folder, options)
    cells = _flat(sheet.lines(NATIVE, registry))
    for cell in cells:
        _check_cell(cell, registry)
    _make_folder(folder, job, len(cells))
    return sheet


def _implied(edit: EditOptions, grid: Grid) -> EditOptions:
    """Who varies an option of a method, and says none, means that method."""
    axes = [axis.field for axis in (grid.rows, grid.columns) if axis is not None]
    said = edit.method or edit.preset or edit.strategy_file
    varied = any(field.name == "method" and not field.method for field in axes)
    named = [field.method for field in axes if field.method]
    return attrs.evolve(edit, method=named[0]) if named and not said and not varied else edit


def _check_cell(cell: Cell, registry: Registry) -> None:
    """Refuse what no model could run; what it warns of is said when it runs."""
    steps = cell.arguments["steps"]
    check_denoise(cell.arguments["denoise"], steps)
    if steps is None:
        return
    sigmas = [(steps - index) / steps for index in range(steps)]
    with silenced():
        compile_timetable([_strategy(cell, NATIVE)], sigmas, registry)


def _strategy(cell: Cell, native: str) -> Strategy:
    image = cell.arguments["image"]
    steering = image.strategy if isinstance(image, Reference) else cell.arguments["strategy"]
    return as_strategy(steering, native)


def _check_plans(editor: Editor, cells: Sequence[Cell]) -> None:
    """Refuse what this model cannot do, before the first picture; seeds make no difference."""
    with silenced():
        for cell in {(cell.row, cell.column): cell for cell in cells}.values():
            make_plan(editor, make_request(**cell.arguments))


def _possible(sheet: _Sheet, editor: Editor) -> _Sheet:
    """The same without the methods that this model cannot do; nobody asked for them."""
    rows = sheet.grid.rows
    assert rows is not None  # noqa: S101  the default has both axes
    able = []
    for method in rows.values:
        try:
            plan(Stage(method, 0.5), editor=editor)
            able.append(method)
        except InputError as error:
            say("note", f"without {method}: {error}", "cyan")
    kept = attrs.evolve(rows, values=tuple(able))
    return attrs.evolve(sheet, grid=attrs.evolve(sheet.grid, rows=kept))


def _make_folder(folder: Path, job: EditJob, count: int) -> None:
    try:
        make_folder(folder)
        there = len(list(folder.glob("*.png")))
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error}") from error
    place = check_output(folder / "cell.png")
    try_writing(place, picture_room(job.pixels, max(count - there, 0)))


def _filled(editor: Editor, sheet: _Sheet, cells: Sequence[Cell]) -> tuple[list[Image.Image], int]:
    """The pictures, and how many of them were there before."""
    model = fingerprint(editor, sheet.job.model.name)
    default = editor.family.default_steps
    groups = passes(cells, sheet.grid.batch)
    missing = [group for group in groups if not _is_kept(group, model, sheet.folder)]
    there = len(cells) - sum(len(group.cells) for group in missing)
    total = sum(group.arguments["steps"] or default for group in missing)
    if there:
        say("note", f"{there} of {len(cells)} pictures are in {sheet.folder} already", "cyan")
    with quiet(bars=False), steps_bar(total) as advance:
        pictures = fill(
            editor.edit, groups, model, sheet.folder, lambda *_: advance(), _say_waiting
        )
    return pictures, there


def _is_kept(group: Pass, model: str, folder: Path) -> bool:
    names = group.names(model).values()
    return all(kept_picture(folder / name) is not None for name in names)


def _say_waiting(count: int) -> None:
    what = "the last picture" if count == 1 else f"the last {count} pictures"
    many = "it" if count == 1 else "them"
    say("note", f"waiting for {what}: another process is making {many}", "cyan")


def _write(sheet: _Sheet, rows: Sequence[Sequence[Image.Image]], editor: Editor) -> None:
    options = sheet.job.options
    drawn = draw_grid(
        sheet.grid,
        rows,
        title=options.prompt,
        notes=_notes(sheet, editor),
        corner=load_picture(options.image),
        tile=sheet.options.tile,
    )
    save_picture(drawn.sheet, sheet.job.target)


def _notes(sheet: _Sheet, editor: Editor) -> str:
    """What is the same in all cells."""
    options, grid = sheet.job.options, sheet.grid
    fields = {axis.field.text for axis in (grid.rows, grid.columns) if axis is not None}
    seed = None if len(grid.seeds) > 1 else grid.seeds[0]
    told: dict[str, Any] = {
        "model": sheet.job.model.name,
        "method": None if options.method is None else method_name(options.method),
        "option": " ".join(options.method_options) or None,
        "strength": options.strength,
        "preset": options.preset,
        "strategy": options.strategy_file,
        "denoise": None if options.denoise == 1.0 else options.denoise,
        "steps": options.steps or editor.family.default_steps,
        "cfg": options.cfg,
        "seed": seed,
    }
    same = [f"{name} {value}" for name, value in told.items() if value is not None]
    return ", ".join(text for text in same if text.split(" ")[0] not in fields)


def _write_curves(
    sheet: _Sheet,
    lines: Sequence[Sequence[Cell]],
    rows: Sequence[Sequence[Image.Image]],
    path: str,
) -> None:
    columns = sheet.grid.columns
    numbers = None if columns is None else columns.numbers()
    assert columns is not None  # noqa: S101  options.grid says so
    assert numbers is not None  # noqa: S101
    source = load_picture(sheet.job.options.image)
    curves: dict[str, list[tuple[float, Measured]]] = {}
    for cells, pictures in zip(lines, rows, strict=True):
        for number, cell, picture in zip(numbers, cells, pictures, strict=True):
            before = source.resize(picture.size, Image.Resampling.LANCZOS)
            name = "".join(named(sheet.grid.rows, cell.row)) or sheet.job.options.prompt
            curves.setdefault(name, []).append((number, measure(before, picture)))
    write_plot(lambda: draw_curves(curves, columns.field.text), path)
    tell(f"wrote {path}")


def _flat(lines: Sequence[Sequence[Cell]]) -> list[Cell]:
    return [cell for line in lines for cell in line]
