"""How the source steers: a strategy, or a method, strength or preset in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.files.presets import ENDINGS, Preset, changed, preset
from refhooks._apps.files.strategy_file import load_file
from refhooks._base.numbers import is_list, unwrapped
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks.errors import InputError

if TYPE_CHECKING:
    from refhooks._core.models.loaded import LoadedModel

__all__ = ["Steering", "read_steering", "with_file"]


@attrs.frozen
class Steering:
    """What ``edit()`` was given for its source.

    Attributes:
        strategy: A strategy, a stage, a method, its name, or ``None``.
        denoise: Above 0, up to 1.
        plugins: Run plugins that a strategy file names.
    """

    strategy: Any
    denoise: Any
    plugins: tuple[object, ...] = ()


def read_steering(
    loaded: LoadedModel,
    image: Any,
    *,
    strategy: Any,
    method: Any,
    strength: Any,
    preset: Any,
    denoise: Any,
) -> Steering:
    """Return the strategy that these arguments of ``edit()`` mean together.

    Args:
        loaded: Whose native method is meant where a strength is given alone.
        image: The source, which may be a reference with a strategy of its own.
        strategy: What :class:`Steering` holds, a preset, or the path of a strategy file.
        method: A registered name, or an instance.
        strength: As :class:`refhooks.Stage` takes it.
        preset: A preset, its name, or the path of its file.
        denoise: ``None``: that of the preset, or 1.

    Raises:
        InputError: Two of them say the same thing, or a file cannot be used.
        UnknownNameError: There is no such preset or method.
    """
    if isinstance(strategy, Preset):
        strategy, preset = None, _only(preset, strategy)
    short = {"method": method, "strength": strength, "preset": preset}
    given = [name for name, value in short.items() if value is not None]
    if not given:
        return _from_strategy(strategy, denoise)
    if strategy is not None:
        raise InputError(f"strategy and {given[0]} both say how the source steers; leave one out")
    if isinstance(image, Reference) and image.strategy is not None:
        raise InputError(f"image is a Reference with a strategy of its own; leave {given[0]} out")
    if preset is None:
        amount = 1.0 if strength is None else strength
        stage = Stage(loaded.family.native if method is None else method, amount)
        return Steering(stage, 1.0 if denoise is None else denoise)
    chosen = _preset(preset)
    steers = changed(chosen, method, unwrapped(strength), loaded.registry)
    denoises = (denoise, chosen.denoise, 1.0)
    return Steering(steers, next(value for value in denoises if value is not None))


def with_file(plugins: Any, steering: Steering) -> Any:
    """Return the run plugins of the call and then those of a strategy file."""
    return (*plugins, *steering.plugins) if is_list(plugins) else plugins


def _from_strategy(strategy: Any, denoise: Any) -> Steering:
    denoise = 1.0 if denoise is None else denoise
    is_file = isinstance(strategy, str) and strategy.lower().endswith(ENDINGS)
    if not is_file and not isinstance(strategy, Path):
        return Steering(strategy, denoise)
    file = load_file(strategy)
    if not isinstance(file.what, Strategy):
        raise InputError(
            f"{strategy} lists references with pictures of their own: references ="
            " refhooks.load_references(FILE), then edit(references[0], prompt,"
            " references=references[1:])"
        )
    return Steering(file.what, denoise, file.plugins)


def _only(named: Any, chosen: Preset) -> Preset:
    if named is not None:
        raise InputError("strategy is a preset, and preset names one too; leave one out")
    return chosen


def _preset(given: Any) -> Preset:
    if isinstance(given, Preset):
        return given
    if not isinstance(given, str | Path):
        raise InputError(
            f"preset must be a preset, its name or its file, got {type(given).__name__}"
        )
    return preset(given)
