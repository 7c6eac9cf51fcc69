"""What step caches and run plugins leave out of a run, as far as a plan can know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.numbers import is_list, number
from refhooks._base.shown import shown
from refhooks._core.planning.run_plugins import named_plugins
from refhooks._core.plugins.attribution import naming
from refhooks.errors import InputError, PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._attending.named_caches import StepCache
    from refhooks._core.contract.model_shape import ModelShape
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.plugins.registry import Registry

__all__ = ["Savings", "savings_of"]

UNKNOWN = "what it leaves out depends on the picture"


@attrs.frozen
class Savings:
    """What is left out at each step.

    Attributes:
        passes: How many forward passes run through the blocks.
        target: The share of the output's tokens that is computed, 0-1.
        reused: Steps at which references are read from an earlier one.
        remarks: What of it is estimated, and what is not counted.
    """

    passes: tuple[int, ...]
    target: tuple[float, ...]
    reused: frozenset[int] = frozenset()
    remarks: tuple[str, ...] = ()


def savings_of(
    shape: ModelShape,
    timetable: Timetable,
    each: Sequence[int],
    plugins: Sequence[object],
    cache: StepCache | None,
    registry: Registry,
) -> Savings:
    """Return what is left out.

    Args:
        shape: The model's size.
        timetable: Of the run.
        each: Forward passes of each step.
        plugins: Run plugins of the call.
        cache: A step cache by name.
        registry: Plugins are named from it.

    Raises:
        InputError: The model cannot have a step cache.
        PluginError: A plugin says nonsense of what it computes.
    """
    savings = Savings(tuple(each), (1.0,) * len(each))
    for plugin, label in named_plugins(plugins, registry, None, pictures=False):
        savings = _by_plugin(savings, timetable, plugin, label)
    return savings if cache is None else _by_cache(savings, shape, timetable, cache)


def _by_plugin(savings: Savings, timetable: Timetable, plugin: Any, label: str) -> Savings:
    foresees, inside = getattr(plugin, "computes", None), getattr(plugin, "inside", None)
    if foresees is None:
        told = f"not counted: what {plugin.name} leaves out" if inside is not None else ""
        return attrs.evolve(savings, remarks=(*savings.remarks, *filter(None, [told])))
    sigmas = [planned.step.sigma for planned in timetable.steps]
    with naming(f"{label}, computes, before the first step"):
        shares = _shares(foresees(sigmas), len(sigmas), label)
    partial = [index for index, share in enumerate(shares) if share < 1.0]
    if not partial:
        return savings
    first = partial[0]
    reuse = 1 if inside is None else inside.reuse
    reused = frozenset(index for index in partial if (index - first) % reuse)
    told = (
        f"estimated: {plugin.name} computes {min(shares):.0%} of the output's tokens from step"
        f" {first + 1} on, as where it was measured; another picture has another share"
    )
    target = tuple(map(min, zip(savings.target, shares, strict=True)))
    return attrs.evolve(
        savings, target=target, reused=savings.reused | reused, remarks=(*savings.remarks, told)
    )


def _shares(given: Any, steps: int, label: str) -> tuple[float, ...]:
    if not is_list(given):
        raise PluginError(f"{label}: computes must return a list of shares, got {shown(given)}")
    shares = tuple(given)
    if len(shares) != steps:
        raise PluginError(f"{label}: computes gives {len(shares)} shares for {steps} steps")
    try:
        return tuple([number(share, f"{label}: a share", 0.0, 1.0) for share in shares])
    except InputError as error:
        raise PluginError(str(error)) from error


def _by_cache(
    savings: Savings, shape: ModelShape, timetable: Timetable, cache: StepCache
) -> Savings:
    if shape.keeps_prefix:
        raise InputError(
            f"cache={cache.name!r}: {shape.name} keeps keys and values itself, and takes no step"
            " cache; leave cache out"
        )
    if cache.computes(0) is None:
        told = f"not counted: {cache.name}; {UNKNOWN}"
        return attrs.evolve(savings, remarks=(*savings.remarks, told))
    passes = _computed(cache, timetable, savings.passes)
    told = f"{cache.name}: {sum(passes)} of {sum(savings.passes)} passes go through the blocks"
    return attrs.evolve(savings, passes=passes, remarks=(*savings.remarks, told))


def _computed(cache: StepCache, timetable: Timetable, each: Sequence[int]) -> tuple[int, ...]:
    """How many passes a cache computes at each step; it begins anew where caches are emptied."""
    counts: dict[int, int] = {}  # steps of each pass since then
    last: dict[int, int] = {}
    computed, before = [], None
    for index, (planned, passes) in enumerate(zip(timetable.steps, each, strict=True)):
        now = [(row.stage, row.strength == 0.0) for row in planned.rows]
        begins = before is not None and now != before
        before, done, emptied = now, 0, False
        for place in range(passes):
            if not emptied and (begins or last.get(place, index) < index - 1):
                emptied = True
                counts.clear()
            done += bool(cache.computes(counts.get(place, 0)))
            counts[place] = counts.get(place, 0) + 1
            last[place] = index
        computed.append(done)
    return tuple(computed)
