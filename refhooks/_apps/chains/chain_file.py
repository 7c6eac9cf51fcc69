"""Chains as TOML and JSON files, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks._apps.chains.chain import Chain, Edit
from refhooks._apps.files.loader import FileTable, Loader
from refhooks._apps.files.structuring import as_table, at_label, write_table
from refhooks._apps.files.writer import NotPlainError, Writer
from refhooks._base.files import as_path
from refhooks._base.names import listed
from refhooks._base.shown import shown
from refhooks._base.tables import read_table
from refhooks._core.contract.inside import Inside
from refhooks._core.planning.factories import as_mask
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import StrategyError

if TYPE_CHECKING:
    from refhooks._core.contract.methods import Method
    from refhooks._core.masks.mask import Mask

__all__ = ["dump_chain", "load_chain"]

EDIT_MASK = "an edit mask"
PLAIN = ("negative_prompt", "cfg", "steps", "seed", "denoise")  # fields that are keys as they are


@attrs.frozen
class SteeringTable:
    """How a picture steers: one stage as ``method`` and ``strength``, or ``[[stage]]``."""

    method: Any = None
    strength: Any = None
    vision: Any = "auto"
    stage: Any = None
    mask: Any = None


@attrs.frozen(kw_only=True)
class PictureTable(SteeringTable):
    """``[[edit.picture]]``, as it stands in a file."""

    image: Any = None
    resolution: Any = None


@attrs.frozen(kw_only=True)
class EditTable(SteeringTable):
    """``[[edit]]``, as it stands in a file."""

    prompt: Any = None
    reference: Any = "previous"
    original: Any = None
    picture: Any = None
    negative_prompt: Any = " "
    cfg: Any = None
    steps: Any = None
    seed: Any = None
    denoise: Any = None
    edit_mask: Any = None
    compute: Any = "all"


@attrs.frozen
class ChainTable:
    """A whole file."""

    belongs: ClassVar[dict[str, str]] = dict.fromkeys(
        ("prompt", "method", "steps", "cfg", "seed", "reference", "edit_mask"), "[[edit]]"
    )
    edit: Any = None
    strength: Any = None
    denoise: Any = None
    resolution: Any = None


def load_chain(path: str | Path) -> Chain:
    """Return the chain of a file with ``[[edit]]``.

    Args:
        path: Ends in .toml or .json; at most 1 MiB. Pictures are relative to its folder.

    Raises:
        StrategyError: The file cannot be read, or holds what is no chain; the message names the
            file, the edit, its stage, mask or picture, and the key.
        UnknownNameError: A method, schedule, switch or mask shape that no live plugin registers.
    """
    place = as_path(path)
    data = read_table(place)
    if "edit" not in data and ("stage" in data or "reference" in data):
        load = "load_strategy" if "stage" in data else "load_references"
        raise StrategyError(
            f"{path} has no [[edit]]: it says how pictures steer one edit; read it with {load}, or"
            " run it with refhooks edit --strategy"
        )
    return _Loader(load_registry(), place).chain(as_table(ChainTable, data, str(path)))


def is_chain(path: str | Path) -> bool:
    """Return whether a file holds ``[[edit]]``; raises as :func:`load_chain` where it is none."""
    return "edit" in read_table(as_path(path))


def dump_chain(chain: Chain, path: str | Path) -> Path:
    """Write a chain to a file that reads back as the same values.

    Args:
        chain: What to write. Pictures are written relative to the file where they lie in its
            folder, and otherwise by their whole path.
        path: Ends in .toml or .json; a file that is there is replaced.

    Returns:
        The path written.

    Raises:
        StrategyError: It holds what no file can: a picture in memory, an array, a function, or a
            method, schedule, switch or mask shape that is not registered.
        InputError: The file cannot be written.
    """
    place = as_path(path)
    if not isinstance(chain, Chain):
        raise StrategyError(f"write a refhooks.Chain, got {shown(chain)}")
    return write_table(_Writer(load_registry(), place, None).chain(chain), place)


@attrs.frozen
class _Loader(Loader):
    def chain(self, table: ChainTable) -> Chain:
        edits = [
            self._edit(entry, f"edit {number}")
            for number, entry in enumerate(self._list(table.edit, "edit", ""), 1)
        ]
        with at_label(str(self.path)):
            over = {"strength": table.strength, "denoise": table.denoise}
            settings = {
                name: self._made(value, "schedule", self.registry.schedule)
                for name, value in over.items()
            }
            chain = Chain(edits, resolution=table.resolution, **settings)
            for value in (chain.strength, chain.denoise):
                if isinstance(value, str):
                    self.registry.schedule_from(value)
            return chain

    def _edit(self, data: Any, label: str) -> Edit:
        where = self._label(label)
        table: EditTable = as_table(EditTable, data, where)
        if table.prompt is None:
            raise StrategyError(f"{where}: prompt is missing")
        if isinstance(table.reference, list | dict):
            raise StrategyError(
                f"{where}: reference says what the edit works on: previous, original or both; give"
                " other pictures as [[edit.picture]]"
            )
        strategy = self._steering(table, label)
        original = self._original(table.original, f"{label}, original")
        pictures = [] if table.picture is None else self._pictures(table.picture, label)
        edit_mask = self._edit_mask(table.edit_mask, f"{label}, edit_mask")
        with at_label(where):
            return Edit(
                table.prompt,
                strategy,
                reference=table.reference,
                original=original,
                references=pictures,
                edit_mask=edit_mask,
                compute=table.compute,
                **{name: getattr(table, name) for name in PLAIN},
            )

    def _steering(self, table: SteeringTable, label: str) -> Strategy | Method | str | None:
        where = self._label(label)
        if table.stage is not None:
            if table.method is not None or table.strength is not None:
                raise StrategyError(
                    f"{where}: method and strength are short for one stage; with [[stage]] tables,"
                    " each has its own"
                )
            file = FileTable(vision=table.vision, stage=table.stage, mask=table.mask)
            return self.strategy(file, label)
        if table.method is None:
            keys = [name for name in ("strength", "mask") if getattr(table, name) is not None]
            keys += ["vision"] if table.vision != "auto" else []
            if keys:
                raise StrategyError(f"{where}: {listed(keys)} needs a method, or [[stage]] tables")
            return None
        if (table.strength, table.vision, table.mask) == (None, "auto", None):
            return self._method(table.method, where)
        strength = 1.0 if table.strength is None else table.strength
        stage = self._stage({"method": table.method, "strength": strength}, label)
        masks = self._masks(table.mask, f"{label}, ")
        with at_label(where):
            return Strategy(stage, vision=table.vision, masks=masks)

    def _method(self, written: Any, where: str) -> Method | str:
        """A method without a strength has that of the chain, or 1."""
        with at_label(where):
            method = self._made(written, "method", self.registry.method)
            if isinstance(method, str):
                self.registry.method(method)
            stage = Stage(method)
        return stage.method

    def _original(self, data: Any, label: str) -> Strategy | Method | str | None:
        if data is None:
            return None
        if isinstance(data, str):
            return self._method(data, self._label(label))
        return self._steering(as_table(SteeringTable, data, self._label(label)), label)

    def _pictures(self, tables: Any, label: str) -> list[Reference]:
        return [
            self._picture(entry, f"{label}, picture {number}")
            for number, entry in enumerate(self._list(tables, "edit.picture", f"{label}, "), 1)
        ]

    def _picture(self, data: Any, label: str) -> Reference:
        where = self._label(label)
        table: PictureTable = as_table(PictureTable, data, where)
        if not isinstance(table.image, str) or not table.image:
            raise StrategyError(
                f"{where}: image must be a picture's path, got {shown(table.image)}"
            )
        strategy = self._steering(table, label)
        with at_label(where):
            return Reference(self.path.parent / table.image, strategy, resolution=table.resolution)

    def _edit_mask(self, written: Any, label: str) -> Mask | Path | str | None:
        """A mask, a box as it was written, or a path in the folder of the file."""
        if written is None:
            return None
        parsed = self.mask(written, label) if isinstance(written, dict) else written
        with at_label(self._label(label)):
            mask = as_mask(self.registry, parsed, EDIT_MASK)
        if not isinstance(written, str):
            return mask
        return self.path.parent / written if getattr(mask.shape, "files", ()) else written


@attrs.frozen
class _Writer(Writer):
    """Turns chains into tables; strategies are written as in their own files."""

    def chain(self, chain: Chain) -> dict[str, Any]:
        """Return the tables of a whole file.

        Raises:
            StrategyError: As :func:`refhooks.dump_chain` says.
        """
        over = {
            name: self._over(value, f"the chain's {name}")
            for name in ("strength", "denoise")
            if (value := getattr(chain, name)) is not None
        }
        if chain.resolution is not None:
            over["resolution"] = chain.resolution
        edits = [self._edit(edit, f"edit {place}") for place, edit in enumerate(chain.edits, 1)]
        return {**over, "edit": edits}

    def _over(self, value: Any, label: str) -> Any:
        try:
            return self._named(value, "schedule", self.registry.schedules, label)
        except NotPlainError as error:
            raise StrategyError(f"{error}; give a list with one number an edit") from error

    def _edit(self, edit: Edit, label: str) -> dict[str, Any]:
        table: dict[str, Any] = {"prompt": edit.prompt}
        if edit.reference != "previous":
            table["reference"] = edit.reference
        table |= self._steering(edit.strategy, label)
        defaults = {field.name: field.default for field in attrs.fields(Edit)}
        for name in PLAIN:
            if getattr(edit, name) != defaults[name]:
                table[name] = getattr(edit, name)
        if edit.edit_mask is not None:
            table["edit_mask"] = self._edit_mask(edit.edit_mask, f"{label}, edit_mask")
        if isinstance(edit.compute, Inside):
            options = attrs.asdict(edit.compute)
            table["compute"] = {name: it for name, it in options.items() if it is not None}
        if edit.original is not None:
            table["original"] = self._steering(edit.original, f"{label}, original")
        pictures = [
            self._picture(reference, f"{label}, picture {number}")
            for number, reference in enumerate(edit.references, 1)
        ]
        return {**table, **({"picture": pictures} if pictures else {})}

    def _steering(self, steering: Any, label: str) -> dict[str, Any]:
        if steering is None:
            return {}
        if not isinstance(steering, Strategy):
            with at_label(label):
                stage = Stage(steering)
                if isinstance(steering, str):
                    self.registry.method(steering)
            return {"method": self._stage(stage, 0, 0, label)["method"]}
        table = self._strategy(steering, 0, f"{label}, ")
        if len(steering.stages) > 1 or steering.stages[0].until is not None:
            return table
        [only] = table.pop("stage")
        return {"method": only["method"], "strength": only.get("strength", 1.0), **table}

    def _picture(self, reference: Reference, label: str) -> dict[str, Any]:
        if not isinstance(reference.image, str | Path):
            raise StrategyError(f"{label}: its picture is in memory; save it, and give its path")
        table: dict[str, Any] = {"image": self._relative(Path(reference.image))}
        if reference.resolution is not None:
            table["resolution"] = reference.resolution
        return {**table, **self._steering(reference.strategy, label)}

    def _edit_mask(self, written: Any, label: str) -> Any:
        with at_label(label):
            mask = as_mask(self.registry, written, EDIT_MASK)
        if not isinstance(written, str | Path):
            return self._mask(mask, 0, 0, label)
        return self._relative(Path(written)) if getattr(mask.shape, "files", ()) else str(written)

    def _rows(self, reference: int, reason: str) -> list[Any]:
        """A chain has no timetable of its own to take values from."""
        del reference
        raise StrategyError(f"{reason}; give a list with one number a step")
