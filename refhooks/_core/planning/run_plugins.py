"""The run plugins of a call: valid, named, and as strong at each step as they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.hooks_built import builds
from refhooks._base.numbers import number
from refhooks._core.planning.compilation import strengths_of
from refhooks._core.planning.strategy import stage_strength
from refhooks._core.planning.timetable import PluginStrengths
from refhooks._core.plugins.attribution import naming
from refhooks._core.plugins.labels import heading, is_description, plugin_labels
from refhooks._core.plugins.validation import check_implementations
from refhooks.errors import StrategyError
from refhooks.hookspecs import Registration, RunHooks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._base.size import Size
    from refhooks._core.contract.methods import ModelInfo
    from refhooks._core.contract.values import Step
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.plugins.registry import Registry

    Named = tuple[tuple[Any, str], ...]

__all__ = ["implements", "named_plugins", "plugin_strengths", "with_plugins"]


def named_plugins(
    plugins: Sequence[object],
    registry: Registry,
    frame: Size | None,
    model: ModelInfo | None = None,
    *,
    pictures: bool = True,
) -> Named:
    """Return plugins with how messages name them; descriptions are bound when a run starts.

    Args:
        plugins: Descriptions, or objects with run hooks.
        registry: What is registered.
        frame: Size of the picture being edited, ``None`` where there is none.
        model: That of the run, ``None`` where it is not known.
        pictures: Whether it is known which there are: else ``check`` is not asked.

    Raises:
        PluginError: One is neither.
        InputError: One says that it cannot take part.
    """
    labels = plugin_labels(plugins, registry)
    for plugin, label in zip(plugins, labels, strict=True):
        if not is_description(plugin):
            check_implementations(plugin, label, RunHooks, Registration)
            continue
        if pictures and hasattr(plugin, "check"):
            with naming(f"{label}, check, before the first step"):
                plugin.check(frame)
        if model is not None and hasattr(plugin, "check_model"):
            with naming(f"{label}, check_model, before the first step"):
                plugin.check_model(model)
    return tuple(zip(plugins, labels, strict=True))


def plugin_strengths(
    plugins: Named, steps: Sequence[Step], registry: Registry
) -> tuple[PluginStrengths, ...]:
    """Return the strengths of the plugins that have one, each with its window.

    Raises:
        StrategyError: A strength is none, a list is not as long as the window has steps, or the
            window is none.
    """
    return tuple(
        [
            _compiled(plugin, label, steps, registry)
            for plugin, label in plugins
            if is_description(plugin) and getattr(plugin, "scheduled", False)
        ]
    )


def with_plugins(timetable: Timetable, plugins: Named, registry: Registry) -> Timetable:
    """Return a timetable with what run plugins do; raises as :func:`plugin_strengths`."""
    steps = [planned.step for planned in timetable.steps]
    setting = [heading(label) for it, label in plugins if implements(it, "refhooks_strengths")]
    return attrs.evolve(
        timetable,
        plugins=plugin_strengths(plugins, steps, registry),
        steered=(*timetable.steered, *setting),
    )


def implements(plugin: object, hook: str) -> bool:
    """Return whether an object of a call has a hook, or binds an object that has."""
    return hasattr(plugin, hook) or bool(builds(getattr(plugin, "bind_run", None), hook))


def _compiled(
    plugin: Any, label: str, steps: Sequence[Step], registry: Registry
) -> PluginStrengths:
    low = number(getattr(plugin, "start", 0.0), f"{label}: start", 0.0, 1.0)
    high = number(getattr(plugin, "end", 1.0), f"{label}: end", 0.0, 1.0)
    if not low < high:
        raise StrategyError(f"{label}: end must be above start, {low:g}; got {high:g}")
    start = next((it.index for it in steps if it.progress >= low), len(steps))
    end = next((it.index for it in steps if it.progress >= high), len(steps))
    strength = stage_strength(getattr(plugin, "strength", 1.0), label)
    inside = strengths_of(strength, steps[start:end], registry, label)
    values = (0.0,) * start + inside + (0.0,) * (len(steps) - max(start, end))
    return PluginStrengths(heading(label), values, start, end)
