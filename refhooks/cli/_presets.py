"""``refhooks presets``, and what ``--preset`` puts into an edit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from refhooks._apps.files.presets import all_presets, changed, preset
from refhooks._base.names import listed
from refhooks._core.planning.compilation import method_name
from refhooks.cli._lists import Entry, print_list
from refhooks.cli._terminal import say, tell
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._apps.files.presets import Preset
    from refhooks._core.contract.methods import Method
    from refhooks._core.planning.strategy import Strategy
    from refhooks._core.plugins.registry import Registry

HEADS = ("name", "method", "strength", "denoise")


def list_presets(name: str | None, *, as_json: bool) -> None:
    """Print every preset, or one of them in full.

    Raises:
        RefhooksError: There is no such preset, or its file cannot be read.
    """
    presets, bad = all_presets() if name is None else ({name: preset(name)}, {})
    if as_json:
        entries = [_as_dict(entry) for entry in presets.values()]
        click.echo(json.dumps(entries if name is None else entries[0], indent=2))
    elif name is None:
        _print(list(presets.values()))
    else:
        _print_one(presets[name])
    for broken, reason in bad.items():
        say("warning", f"preset {broken!r} cannot be used: {reason}", "yellow")


def _as_dict(shown: Preset) -> dict[str, Any]:
    return {
        "name": shown.name,
        "description": shown.description,
        "methods": _methods(shown),
        "strength": _strength(shown),
        "strength_range": shown.strength_range,
        "denoise": shown.denoise,
        "denoise_range": shown.denoise_range,
        "measured": shown.measured,
        "needs": shown.needs,
        "source": shown.source,
        "origin": shown.origin,
    }


def _methods(shown: Preset) -> list[str]:
    return [method_name(stage.method) for stage in shown.strategy.stages]


def _strength(shown: Preset) -> float | str:
    """The number that the only stage has; anything else is told in short."""
    stages = shown.strategy.stages
    if len(stages) > 1:
        return f"{len(stages)} stages"
    strength = stages[0].strength
    return strength if isinstance(strength, float | str) else "over the steps"


def _valued(value: float | str | None, limits: tuple[float, float] | None) -> str:
    """A chosen value, and the range that it was chosen from."""
    if value is None:
        return "–"
    chosen = value if isinstance(value, str) else f"{value:g}"
    return chosen if limits is None else f"{chosen} ({_range(limits)})"


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:g}"


def _print(presets: Sequence[Preset]) -> None:
    several = len({shown.origin for shown in presets}) > 1
    measured = [shown for shown in presets if shown.measured]
    others = [shown for shown in presets if not shown.measured]
    if measured:
        tell("measured, and they hold:")
        print_list(HEADS, [_entry(shown, from_where=several) for shown in measured])
        tell("")
    if others:
        tell("not measured, or worse than plain default at 1 on the embedded model:")
        print_list(HEADS, [_entry(shown, from_where=several) for shown in others])
    needing = [shown.name for shown in presets if shown.needs]
    if needing:
        verb = "needs" if len(needing) == 1 else "need"
        say("note", f"{listed(needing)} {verb} more; see refhooks presets NAME", "cyan")


def _entry(shown: Preset, *, from_where: bool) -> Entry:
    """Its line, and below it what it is for, with the ranges that its numbers are from."""
    ranges = {"strength": shown.strength_range, "denoise": shown.denoise_range}
    more = [f"{name} {_range(limits)}" for name, limits in ranges.items() if limits is not None]
    more += [f"from {shown.origin}"] if from_where else []
    also = f" ({', '.join(more)})" if more else ""
    cells = (
        shown.name,
        ", ".join(_methods(shown)),
        _valued(_strength(shown), None),
        _valued(shown.denoise, None),
    )
    return Entry(cells, (("", f"{shown.description}{also}"),))


def _print_one(shown: Preset) -> None:
    told = {
        "for": shown.description,
        "from": shown.origin,
        "source": shown.source,
        "method": ", ".join(_methods(shown)),
        "strength": _valued(_strength(shown), shown.strength_range),
        "denoise": _valued(shown.denoise, shown.denoise_range),
        "measured": "yes" if shown.measured else "no: the numbers are the source's, or its middles",
        "needs": shown.needs,
    }
    tell(shown.name)
    for key, value in told.items():
        if value:
            tell(f"  {key + ':':<10} {value}")


def with_preset(
    name: str,
    method: str | Method | None,
    strength: Any,
    strategy_file: str | None,
    registry: Registry,
) -> Strategy:
    """Return how ``--preset`` steers; ``--method`` and ``--strength`` override what it says.

    Raises:
        RefhooksError: There is no such preset, it cannot be changed so, or it meets ``--strategy``.
    """
    if strategy_file is not None:
        raise InputError("--preset and --strategy both say how IMAGE steers; leave one out")
    return changed(preset(name), method, strength, registry)


def fill_denoise(options: dict[str, Any], context: click.Context) -> None:
    """Put a preset's denoise where none was given.

    Raises:
        RefhooksError: There is no such preset, or its file cannot be read.
    """
    asked = context.get_parameter_source("denoise") is click.core.ParameterSource.COMMANDLINE
    if options["preset"] is not None and not asked:
        chosen = preset(options["preset"])
        if chosen.denoise is not None:
            options["denoise"] = chosen.denoise
