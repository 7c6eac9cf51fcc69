"""One job of a list: what was written of it, and the arguments of the edit that it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from refhooks._apps.editing.steering import read_steering, with_file
from refhooks._apps.files.loader import FileTable, Loader
from refhooks._apps.files.presets import ENDINGS
from refhooks._apps.files.structuring import as_table, at_label
from refhooks._base.shown import shown
from refhooks._core.masks.mask import Mask
from refhooks._core.planning.bounds import MAX_SEED, read_seed
from refhooks._core.planning.request import make_request
from refhooks.errors import InputError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.strategy import Reference
    from refhooks._core.plugins.registry import Registry

__all__ = ["KEYS", "Entry", "EntryLoader", "check_id", "with_shared"]

MAX_ID: Final = 200  # bytes
_STEERING: Final = ("strategy", "method", "strength", "preset")
_SIZE: Final = ("height", "width", "resolution")
_FORBIDDEN: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_NOT_PLAIN: Final = (
    "it names a file, so it has no '/', no character that a disk refuses, no dot or space at its"
    f" ends, and at most {MAX_ID} bytes"
)


@attrs.frozen
class _Table:
    """A job, as it stands in a file; but for ``id``, the arguments of ``Editor.edit``."""

    id: Any = None
    image: Any = None
    prompt: Any = None
    references: Any = None
    strategy: Any = None
    method: Any = None
    strength: Any = None
    preset: Any = None
    negative_prompt: Any = " "
    cfg: Any = None
    steps: Any = None
    seed: Any = 0
    height: Any = None
    width: Any = None
    resolution: Any = None
    vision_resolution: Any = None
    denoise: Any = None
    edit_mask: Any = None
    compute: Any = "all"
    cache: Any = None
    align: Any = False


KEYS: Final = tuple(field.name for field in attrs.fields(_Table))
_PLAIN: Final = (
    "negative_prompt", "cfg", "steps", "height", "width", "resolution", "vision_resolution",
    "compute", "cache", "align",
)  # fmt: skip


@attrs.frozen(eq=False)
class Entry:
    """A job of which everything was checked that can be without its pictures and the model.

    Attributes:
        id: Names its output.
        fields: What was written, as JSON can hold it.
        given: Arguments of ``Editor.edit``, read.
    """

    id: str
    fields: dict[str, Any]
    given: dict[str, Any]

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The source and the other references."""
        others = [reference.image for reference in self.given["references"]]
        return (self.given["image"], *cast("list[Path]", others))

    def arguments(self, loaded: LoadedModel) -> dict[str, Any]:
        """Return the arguments of ``make_request``.

        Args:
            loaded: Its native method, and its registry, are what counts.

        Raises:
            InputError: Two of them say the same, or a file of theirs cannot be used.
        """
        given = dict(self.given)
        steering = read_steering(
            loaded, given["image"], **{name: given.pop(name) for name in (*_STEERING, "denoise")}
        )
        plugins = with_file((), steering)
        return {
            **given, "strategy": steering.strategy, "denoise": steering.denoise, "plugins": plugins
        }  # fmt: skip


def check_id(value: Any) -> str:
    """Return the name of a job.

    Raises:
        InputError: It is no plain name of a file.
    """
    if not isinstance(value, str) or not value:
        raise InputError(f"id must be a text that names the job's output, got {shown(value)}")
    plain = value == value.strip() and not value.startswith(".") and not value.endswith(".")
    if not plain or _FORBIDDEN.search(value) or not _fits(value):
        raise InputError(f"id {shown(value)} is no plain file name; {_NOT_PLAIN}")
    return value


def _fits(value: str) -> bool:
    try:
        return len(value.encode()) <= MAX_ID
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def with_shared(fields: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job with what all jobs have, unless it says it itself.

    Whoever says one of strategy, method and preset says all of the steering, and whoever says one
    measure of the size says all of it.
    """
    said = {name for name, value in fields.items() if value is not None}
    left = set(shared) - said
    for alike in (_STEERING, _SIZE):
        chosen = said & set(alike)
        if chosen and chosen != {"strength"}:
            left -= set(alike)
    return {**fields, **{name: shared[name] for name in shared if name in left}}


@attrs.frozen
class EntryLoader(Loader):
    """Makes jobs of what files and callers say of them.

    Attributes:
        loaded: A model, or what stands in its place while none is loaded.
        name: How messages call the list.
    """

    loaded: LoadedModel
    name: str

    def entry(self, fields: dict[str, Any], label: str) -> Entry:
        """Return a job.

        Raises:
            InputError: A key is unknown, or a value cannot be used; the message begins with
                ``label``.
        """
        where = self._label(label)
        table: _Table = as_table(_Table, fields, where)
        with at_label(where):
            name = check_id(table.id)
            prompt = _text(table.prompt, "prompt")
            if not prompt.strip():
                raise StrategyError("prompt is empty; say what to do")
            given: dict[str, Any] = {
                "image": self._file(table.image, "image"),
                "prompt": prompt,
                "seed": read_seed(table.seed, high=MAX_SEED - 1),
                "denoise": table.denoise,
                "preset": self._preset(table.preset),
                **{key: getattr(table, key) for key in _PLAIN},
            }
            _text(table.negative_prompt, "negative_prompt")
        given["edit_mask"] = self._edit_mask(table.edit_mask, label)
        given["strategy"] = self._strategy(table.strategy, label)
        with at_label(where):
            given["method"] = self._named(table.method)
            given["strength"] = self._made(table.strength, "schedule", self.registry.schedule)
        given["references"] = self._references(table.references, label)
        entry = Entry(name, dict(fields), given)
        with at_label(where):
            make_request(**entry.arguments(self.loaded))
        return entry

    def _label(self, label: str) -> str:
        return f"{self.name}: {label}"

    def _file(self, value: Any, key: str) -> Path:
        return self.path.parent / _text(value, key)

    def _preset(self, value: Any) -> Any:
        """A name, or the path of a file."""
        if isinstance(value, str) and value.lower().endswith(ENDINGS):
            return self.path.parent / value
        return value

    def _named(self, value: Any) -> Any:
        method = self._made(value, "method", self.registry.method)
        if isinstance(method, str):
            self.registry.method(method)
        return method

    def _strategy(self, value: Any, label: str) -> Any:
        """The path of a file, a method's name, or the tables of a file."""
        if isinstance(value, dict):
            return self.strategy(as_table(FileTable, value, self._label(label)), label)
        if isinstance(value, str) and value.lower().endswith(ENDINGS):
            return self.path.parent / value
        if value is not None and not isinstance(value, str):
            raise StrategyError(
                f"{self._label(label)}: strategy must be a file, a method's name or a table with"
                f" stages, got {shown(value)}"
            )
        with at_label(self._label(label)):
            return self._named(value)

    def _references(self, value: Any, label: str) -> list[Reference]:
        if value is None or value == []:
            return []
        tables = [_as_reference(it) for it in self._list(value, "references", f"{label}, ")]
        return [
            self._reference(table, f"{label}, reference {number}")
            for number, table in enumerate(tables, 2)
        ]

    def _edit_mask(self, value: Any, label: str) -> Mask | None:
        if value is None or isinstance(value, dict):
            return None if value is None else self.mask(value, f"{label}, edit_mask")
        with at_label(self._label(label)):
            text = _text(value, "edit_mask")
            shape = self.registry.shape_from(text)
            if getattr(shape, "files", ()):
                shape = self.registry.shape_from(str(self.path.parent / text))
            return Mask(shape)


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        said = f"{key} is missing" if value is None else f"{key} must be a text"
        raise StrategyError(said if value is None else f"{said}, got {shown(value)}")
    return value


def _as_reference(value: Any) -> Any:
    """A path alone is a reference; method and strength are short for one stage."""
    if not isinstance(value, dict):
        return {"image": value}
    if "stage" in value or not {"method", "strength"} & set(value):
        return value
    stage = {key: value[key] for key in ("method", "strength") if key in value}
    return {**{key: value[key] for key in value if key not in stage}, "stage": [stage]}


@attrs.frozen
class _Unloaded:
    """What stands in a model's place until it is loaded."""

    registry: Registry
    native: str

    @property
    def family(self) -> _Unloaded:
        """What says the native method."""
        return self


def unloaded(registry: Registry, native: str) -> LoadedModel:
    """Return what jobs can be checked against without a model.

    Args:
        registry: What names mean.
        native: What its own method is called.
    """
    return cast("LoadedModel", _Unloaded(registry, native))
