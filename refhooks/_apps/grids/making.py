"""``editor.grid``: one edit with two of its fields varied."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.editing.habits import refuse_unknown
from refhooks._apps.editing.steering import read_steering, with_file
from refhooks._apps.grids.fields import Axis, listed_axis, read_field
from refhooks._apps.grids.fingerprint import fingerprint
from refhooks._apps.grids.grid import MAX_CELLS, Cell, Grid, Pass, fill, make_cells, passes
from refhooks._apps.grids.sheet import draw_grid
from refhooks._base.advice import silenced
from refhooks._base.numbers import whole
from refhooks._base.outputs import check_output
from refhooks._base.pictures import load_picture
from refhooks._core.planning.planner import make_plan
from refhooks._core.planning.request import make_request
from refhooks._core.planning.strategy import Reference
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image

    from refhooks._apps.editing.result import EditResult
    from refhooks._apps.grids.result import GridResult
    from refhooks._core.models.loaded import LoadedModel

__all__ = ["STRENGTHS", "Varied", "make_grid"]

STRENGTHS = (0, 0.5, 1, 1.5)
_OWN = ("n", "seed")  # a cell is one picture, and its seed one of ``seeds``
_STEERING = ("strategy", "method", "strength", "preset", "denoise")


@attrs.frozen
class Varied:
    """What ``editor.grid`` was asked to vary, as it was given."""

    methods: Any
    strengths: Any
    rows: Any
    columns: Any
    seeds: Any
    cells: Any
    tile: Any
    batch: Any


def make_grid(
    loaded: LoadedModel,
    edit: Callable[..., EditResult],
    image: Any,
    prompt: Any,
    varied: Varied,
    others: Mapping[str, Any],
) -> GridResult:
    """Check every cell, then make them.

    Args:
        loaded: The editor.
        edit: Its ``edit``.
        image: The source.
        prompt: What to do.
        varied: What is varied.
        others: The other arguments of ``edit``.

    Raises:
        RefhooksError: As for ``edit``; found before the first picture, where it can be.
    """
    rows = _axis(loaded, varied.rows, "rows", "method", varied.methods, "methods")
    columns = _axis(loaded, varied.columns, "columns", "strength", varied.strengths, "strengths")
    others = _implied(others, rows, columns)
    arguments = _arguments(loaded, edit, image, prompt, others)
    grid = _grid(loaded, arguments, varied, rows, columns)
    tile = None if varied.tile is None else whole(varied.tile, "tile", 16, 4096)
    lines = make_cells(grid, arguments, loaded.family.native, loaded.registry)
    cells = [cell for line in lines for cell in line]
    _check(loaded, cells)
    folder = None if varied.cells is None else _folder(varied.cells)
    pictures = _pictures(loaded, edit, passes(cells, grid.batch), folder, others)
    width = len(lines[0])
    return draw_grid(
        grid,
        [pictures[at : at + width] for at in range(0, len(pictures), width)],
        title=prompt if isinstance(prompt, str) else "",
        notes="" if len(grid.seeds) > 1 else f"seed {grid.seeds[0]}",
        corner=load_picture(image.image if isinstance(image, Reference) else image),
        tile=tile,
    )


def _arguments(
    loaded: LoadedModel, edit: Any, image: Any, prompt: Any, others: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of ``make_request`` for what no cell varies."""
    for name in _OWN:
        if name in others:
            raise InputError(
                f"a grid takes no {name}; its pictures are one for each of seeds=[...]"
            )
    if image is None or not isinstance(prompt, str):
        raise InputError("a grid is of one source and one prompt; image or prompt is none")
    signature = inspect.signature(edit)
    refuse_unknown(edit, {it: others[it] for it in others if it not in signature.parameters})
    call = signature.bind(image, prompt, **others)
    call.apply_defaults()
    given = {it: call.arguments[it] for it in call.arguments if it not in ("wait", "unknown", "n")}
    steering = read_steering(loaded, image, **{name: given.pop(name) for name in _STEERING})
    plugins = with_file(given["plugins"], steering)
    return {
        **given, "strategy": steering.strategy, "denoise": steering.denoise, "plugins": plugins
    }  # fmt: skip


def _implied(
    others: Mapping[str, Any], rows: Axis | None, columns: Axis | None
) -> Mapping[str, Any]:
    """Refuse to vary what is given; who varies an option of a method, and says none, means it."""
    fields = [axis.field for axis in (rows, columns) if axis is not None]
    varied = {field.name for field in fields if not field.method}
    for name in ("method", "strength"):
        if name in others and name in varied:
            raise InputError(f"{name} is given, and the grid varies it; leave one of the two out")
    named = [field.method for field in fields if field.method]
    said = "method" in varied or any(name in others for name in ("strategy", "method", "preset"))
    return others if said or not named else {**others, "method": named[0]}


def _grid(
    loaded: LoadedModel,
    arguments: dict[str, Any],
    varied: Varied,
    rows: Axis | None,
    columns: Axis | None,
) -> Grid:
    seeds = listed_axis(read_field("seed", "seeds", loaded.registry), varied.seeds, "seeds").values
    numbers = tuple(whole(_number(seed), "a seed", 0, 2**63 - 1) for seed in seeds)
    if rows is None and columns is None:
        if arguments["strategy"] is None:
            rows = _methods(loaded, arguments)
        columns = _named(loaded, "strength", STRENGTHS, "strengths")
    return Grid(rows, columns, numbers, whole(varied.batch, "batch", 1, MAX_CELLS))


def _number(text: str) -> Any:
    return int(text) if text.isdecimal() else text


def _axis(
    loaded: LoadedModel, axis: Any, label: str, field: str, short: Any, short_label: str
) -> Axis | None:
    if axis is not None and short is not None:
        raise InputError(f"{short_label} is short for {label}={{'{field}': [...]}}; leave one out")
    if axis is None:
        return None if short is None else _named(loaded, field, short, short_label)
    if not isinstance(axis, dict) or len(axis) != 1:
        raise InputError(f"{label} must be one field and its values, as {{'steps': [4, 8]}}")
    ((name, values),) = axis.items()
    return _named(loaded, str(name), values, label)


def _named(loaded: LoadedModel, field: str, values: Any, label: str) -> Axis:
    return listed_axis(read_field(field, label, loaded.registry), values, label)


def _methods(loaded: LoadedModel, arguments: dict[str, Any]) -> Axis:
    """All that the model can do; nobody asked for the others."""
    rows = _named(loaded, "method", sorted(loaded.registry.methods), "methods")
    able = []
    for method in rows.values:
        alone = Grid(attrs.evolve(rows, values=(method,)), None, (0,))
        try:
            _check(loaded, make_cells(alone, arguments, loaded.family.native, loaded.registry)[0])
        except InputError:
            continue
        able.append(method)
    return attrs.evolve(rows, values=tuple(able))


def _check(loaded: LoadedModel, cells: Sequence[Cell]) -> None:
    """Refuse what this model cannot do, before the first picture; seeds make no difference."""
    with silenced():
        for cell in {(cell.row, cell.column): cell for cell in cells}.values():
            make_plan(loaded, make_request(**cell.arguments))


def _folder(given: Any) -> Path:
    folder = Path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error}") from error
    check_output(folder / "cell.png")
    return folder


def _pictures(
    loaded: LoadedModel,
    edit: Callable[..., EditResult],
    groups: Sequence[Pass],
    folder: Path | None,
    others: Mapping[str, Any],
) -> list[Image.Image]:
    """The picture of each cell; without a folder they are kept in memory alone."""
    waits = {"wait": others["wait"]} if "wait" in others else {}
    model = "" if folder is None else fingerprint(loaded, type(loaded.pipe).__name__)

    def made(**arguments: Any) -> EditResult:
        return edit(**arguments, **waits)

    plain = [Pass({it: _plain(cell) for it, cell in group.cells.items()}) for group in groups]
    return fill(made, plain, model, folder, others.get("callback"))


def _plain(cell: Cell) -> Cell:
    """The same without what makes no other picture."""
    given = {key: value for key, value in cell.arguments.items() if key != "callback"}
    return attrs.evolve(cell, arguments=given)
