"""Presets: partial edits by name, from plugins, from a folder of one's own, or from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks._apps.files.loader import FileTable, Loader, elsewhere
from refhooks._apps.files.structuring import as_table
from refhooks._base.advice import warn_user
from refhooks._base.files import as_path
from refhooks._base.names import did_you_mean, listed
from refhooks._base.numbers import is_list, number
from refhooks._base.shown import shown
from refhooks._base.tables import read_table
from refhooks._core.planning.bounds import MAX_DENOISE, MAX_STRENGTH, read_denoise
from refhooks._core.planning.strategy import Stage, Strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import InputError, StrategyError, UnknownNameError

if TYPE_CHECKING:
    from refhooks._core.plugins.registry import Registry

__all__ = ["Preset", "preset", "presets"]

FOLDER = "REFHOOKS_PRESETS"
ENDINGS = (".toml", ".json")


@attrs.frozen
class Preset:
    """A part of an edit under a name: how the source steers and, often, the denoise.

    Attributes:
        name: That of its file, without the ending.
        strategy: How the source steers.
        denoise: Above 0, up to 1; ``None``: it says none.
        description: What it is for, one line.
        source: Where its numbers are from.
        strength_range: Lowest and highest strength that its source names, if it names some.
        denoise_range: Likewise.
        needs: What it cannot do without, such as a file; empty: nothing.
        measured: Whether its numbers were measured, or only said.
        origin: The plugin, or the path of the file, that it is from.
    """

    name: str
    strategy: Strategy
    denoise: float | None = None
    description: str = ""
    source: str = ""
    strength_range: tuple[float, float] | None = None
    denoise_range: tuple[float, float] | None = None
    needs: str = ""
    measured: bool = False
    origin: str = ""

    def arguments(self) -> dict[str, Any]:
        """Return what it says as arguments, for ``edit(..., **preset.arguments())``.

        They are those of :class:`refhooks.Edit` as well. Python refuses an argument that is given
        twice; to change one, change the dict: ``{**preset.arguments(), "denoise": 1.0}``.
        """
        denoise = {} if self.denoise is None else {"denoise": self.denoise}
        return {"strategy": self.strategy, **denoise}


@attrs.frozen
class PresetTable:
    """A preset's file, as it stands there: a strategy file with a few keys more."""

    belongs: ClassVar[dict[str, str]] = elsewhere("")
    description: Any = ""
    source: Any = ""
    needs: Any = ""
    measured: Any = False
    denoise: Any = None
    range: Any = None
    vision: Any = "auto"
    stage: Any = None
    mask: Any = None


@attrs.frozen
class RangeTable:
    """``[range]`` of a preset's file."""

    strength: Any = None
    denoise: Any = None


def preset(name: str | Path) -> Preset:
    """Return a preset.

    Args:
        name: Of a preset in one's own folder or of a plugin, in this order; or the path of a file,
            which ends in .toml or .json.

    Raises:
        UnknownNameError: There is no such preset, or it names a method that no live plugin has.
        InputError: Its file holds no preset, or ``REFHOOKS_PRESETS`` names no folder.
    """
    registry, place = load_registry(), as_path(name)
    if not isinstance(name, str) or name.lower().endswith(ENDINGS):
        return read_preset(place, registry, str(name))
    own = own_presets()
    if name in own:
        return read_preset(own[name], registry, str(own[name]))
    if name not in registry.presets:
        raise _unknown(name, [*own, *registry.presets], registry)
    return _registered(name, registry)


def presets() -> tuple[Preset, ...]:
    """Return every preset, one's own first; ``refhooks presets`` prints the same.

    One whose file cannot be read is left out, with a warning that says why.

    Raises:
        InputError: ``REFHOOKS_PRESETS`` names no folder.
    """
    good, bad = all_presets()
    for name, reason in bad.items():
        warn_user(f"preset {name!r} cannot be used: {reason}")
    return tuple(good.values())


def all_presets() -> tuple[dict[str, Preset], dict[str, str]]:
    """Return every preset by name, one's own first, and why some cannot be read, by name.

    Raises:
        InputError: ``REFHOOKS_PRESETS`` names no folder.
    """
    presets: dict[str, Preset] = {}
    bad: dict[str, str] = {}
    for name in dict.fromkeys([*own_presets(), *load_registry().presets]):
        try:
            presets[name] = preset(name)
        except (InputError, UnknownNameError) as error:
            bad[name] = str(error)
    return presets, bad


def own_presets() -> dict[str, Path]:
    """Return the files of one's own presets by name; an empty dict if there is no folder.

    Raises:
        InputError: ``REFHOOKS_PRESETS`` names no folder, or two files have one name.
    """
    folder = _folder()
    named = bool(os.environ.get(FOLDER))
    try:
        files = sorted(folder.iterdir()) if named or folder.is_dir() else []
    except OSError as error:
        raise InputError(f"{FOLDER}: {folder} cannot be read: {error.strerror}") from error
    paths: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() in ENDINGS and not file.name.startswith("."):
            if file.stem in paths:
                raise InputError(f"{paths[file.stem]} and {file} are one preset; rename a file")
            paths[file.stem] = file
    return paths


def _folder() -> Path:
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111  never raises
    return Path(config) / "refhooks" / "presets"


def _registered(name: str, registry: Registry) -> Preset:
    return read_preset(registry.presets[name], registry, f"plugin {registry.owner('preset', name)}")


def _unknown(name: str, known: list[str], registry: Registry) -> UnknownNameError:
    return UnknownNameError(
        f"there is no preset {shown(name)}.{did_you_mean(name, known)} Presets:"
        f" {listed(sorted(set(known)))}.{registry.absent()}"
    )


def read_preset(path: Path, registry: Registry, origin: str) -> Preset:
    """Read a preset's file.

    Raises:
        StrategyError: As :func:`refhooks.load_strategy`, or another key holds what it may not.
        UnknownNameError: It names what no live plugin registers.
    """
    label = str(path)
    table: PresetTable = as_table(PresetTable, read_table(path), label)
    if not isinstance(table.measured, bool):
        raise StrategyError(f"{label}: measured must be true or false, got {shown(table.measured)}")
    ranges: RangeTable = as_table(
        RangeTable, {} if table.range is None else table.range, f"{label}: range"
    )
    steers = FileTable(vision=table.vision, stage=table.stage, mask=table.mask)
    strategy = Loader(registry, path).strategy(steers, "")
    denoise = _denoise(table.denoise, label)
    return Preset(
        name=path.stem,
        strategy=strategy,
        denoise=denoise,
        description=_line(table.description, f"{label}: description"),
        source=_line(table.source, f"{label}: source"),
        needs=_line(table.needs, f"{label}: needs"),
        strength_range=_strengths(ranges.strength, strategy, f"{label}: range, strength"),
        denoise_range=_range(ranges.denoise, denoise, f"{label}: range, denoise", MAX_DENOISE),
        measured=table.measured,
        origin=origin,
    )


def _line(value: Any, label: str) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise StrategyError(f"{label} must be one line of text, got {shown(value)}")
    return value


def _denoise(value: Any, label: str) -> float | None:
    return None if value is None else read_denoise(value, f"{label}:")


def _strengths(value: Any, strategy: Strategy, label: str) -> tuple[float, float] | None:
    stage = strategy.stages[0]
    if value is not None and len(strategy.stages) > 1:
        raise StrategyError(f"{label} is for presets of one stage")
    chosen = stage.strength if isinstance(stage.strength, float) else None
    return _range(value, chosen, label, MAX_STRENGTH)


def _range(value: Any, chosen: float | None, label: str, high: float) -> tuple[float, float] | None:
    """A range is said beside a value, and holds it."""
    if value is None:
        return None
    if not is_list(value) or len(value) != 2:
        raise StrategyError(f"{label} must be the lowest and the highest, got {shown(value)}")
    lowest, highest = (number(entry, label, 0.0, high) for entry in value)
    if lowest > highest:
        raise StrategyError(f"{label} must rise, got {lowest:g} to {highest:g}")
    if chosen is not None and not lowest <= chosen <= highest:
        raise StrategyError(f"{label} is {lowest:g} to {highest:g}, without the chosen {chosen:g}")
    return lowest, highest


def changed(base: Preset, method: Any, strength: Any, registry: Registry) -> Strategy:
    """Return a preset's strategy with another method or strength, where it has one stage.

    The method is a registered name or an instance.

    Raises:
        InputError: It has several stages.
        UnknownNameError: No live plugin registers the method.
    """
    if method is None and strength is None:
        return base.strategy
    first, *others = base.strategy.stages
    if others:
        raise InputError(
            f"preset {base.name!r} has {len(others) + 1} stages with methods and strengths of their"
            " own; leave method and strength out"
        )
    if isinstance(method, str):
        registry.method(method)
    stage = Stage(
        first.method if method is None else method,
        first.strength if strength is None else strength,
        until=first.until,
    )
    return attrs.evolve(base.strategy, stages=(stage,))
