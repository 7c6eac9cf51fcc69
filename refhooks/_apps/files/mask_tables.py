"""Masks as tables of strategy files, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.names import did_you_mean, listed
from refhooks._base.shown import shown
from refhooks._core.masks.mask import Mask
from refhooks.errors import InputError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from refhooks._core.contract.protocols import MaskShape
    from refhooks._core.plugins.registry import Registry

OWN = tuple(field.name for field in attrs.fields(Mask) if field.name != "shape")
SHAPE = "shape"


def read_mask(data: Any, registry: Registry, folder: Path) -> tuple[MaskShape, dict[str, Any]]:
    """Return the shape of a ``[[mask]]`` table and the mask's own options, as they stand there.

    Args:
        data: The table.
        registry: Shapes are named from it.
        folder: That paths are relative to.

    Raises:
        InputError: It is no table, a key is unknown, or the shape refuses an option.
        UnknownNameError: A shape that no live plugin registers.
    """
    if not isinstance(data, dict):
        known = [*OWN, SHAPE, *sorted(_by_key(registry))]
        raise StrategyError(f"must be a table with {listed(known)}, got {shown(data)}")
    own = {key: value for key, value in data.items() if key in OWN}
    options = {key: value for key, value in data.items() if key not in (*OWN, SHAPE)}
    name = data.get(SHAPE)
    if SHAPE in data and not isinstance(name, str):
        raise StrategyError(f"shape must be a registered name, got {shown(name)}")
    cls = _shape_class(registry, name, options)
    _check_keys(options, cls, registry)
    for option in getattr(cls, "files", ()):
        if option in options:
            options[option] = folder / _path(options[option], option)
    return registry.shape(options, name), own


def _by_key(registry: Registry) -> dict[str, type[MaskShape]]:
    """The shapes that one of their options is enough to name, by that option."""
    return {cls.key: cls for cls in registry.masks.values() if hasattr(cls, "key")}


def _shape_class(
    registry: Registry, name: str | None, options: dict[str, Any]
) -> type[MaskShape] | None:
    if name is not None:
        return registry.masks.get(name)
    classes = [cls for key, cls in _by_key(registry).items() if key in options]
    return classes[0] if len(classes) == 1 else None


def _check_keys(options: dict[str, Any], cls: type[MaskShape] | None, registry: Registry) -> None:
    """Refuse what is no key of the table, and name those of the mask and its shape alike."""
    if cls is not None and not attrs.has(cls):
        return
    fields = () if cls is None else attrs.fields(cls)
    shape = sorted(_by_key(registry)) if cls is None else [it.alias for it in fields if it.init]
    for key in options:
        if key not in shape:
            known = [*OWN, SHAPE, *shape]
            raise StrategyError(
                f"unknown key {shown(key)}.{did_you_mean(key, known)} Keys: {listed(known)}"
            )


def _path(value: Any, option: str) -> str:
    if not isinstance(value, str) or not value:
        raise StrategyError(f"{option} must be a file's path, got {shown(value)}")
    return value


def shape_table(
    shape: MaskShape, options: dict[str, Any], registry: Registry, relative: Callable[[Path], str]
) -> dict[str, Any]:
    """Return the part of a ``[[mask]]`` table that says what is covered; values are as they were.

    Args:
        shape: It is registered.
        options: Its options that are not their defaults.
        registry: Shapes are named from it.
        relative: Turns a path into what means the same from the folder of the file.

    Raises:
        InputError: An option is a picture in memory, or has the name of one of the mask's own.
    """
    table = dict(options)
    for option in table:
        if option in (*OWN, SHAPE):
            raise InputError(f"mask shape {shape.name!r} has the option {option!r}, as masks have")
    for option in getattr(shape, "files", ()):
        if option not in table:
            continue
        if not isinstance(table[option], str | Path):
            raise InputError(f"{option} is a picture in memory; save it, and give its path")
        table[option] = relative(Path(table[option]))
    named = [key for key in table if key in _by_key(registry)]
    if named != [getattr(shape, "key", None)]:
        return {SHAPE: shape.name, **table}
    return table
