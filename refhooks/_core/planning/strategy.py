"""What a user composes: stages, strategies and references, as validated values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._base.advice import silenced
from refhooks._base.lanes import Lane, lanes_html
from refhooks._base.notebooks import html_facts, html_table
from refhooks._base.numbers import is_list, number
from refhooks._base.shown import one_of, shown
from refhooks._core.contract.methods import Method
from refhooks._core.contract.protocols import Schedule, Switch, strengths
from refhooks._core.masks.mask import Mask
from refhooks._core.planning.bounds import MAX_STRENGTH
from refhooks._core.planning.compilation import compile_timetable, method_name
from refhooks._core.planning.lanes import lanes_of
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import RefhooksError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from refhooks._core.contract.protocols import StageStep

__all__ = ["Reference", "Stage", "Strategy"]

Vision = Literal["auto", "always", "never"]
_VISIONS = ("auto", "always", "never")


@attrs.frozen
class Stage:
    """One part of a strategy: a method at a strength.

    Attributes:
        method: Registered name, or an instance, such as ``method("inject", where="input")``.
        strength: 0–2, one number for each step of the stage (a list or an array), a schedule, a
            schedule's short form such as ``"0.4:1.0"``, or a function of a
            :class:`refhooks.StageStep`. 0 is as if the reference were not there; 1 is the model's
            own balance for methods on native tokens, and the full formula for the others.
        until: Progress of the run (above 0, up to 1) at which the stage ends, a switch, or a
            function of a :class:`refhooks.StageStep` that says whether it is over; ``None``: at the
            end of the run.

    Raises:
        StrategyError: A field is out of its range; the message names the stage's method and field.
    """

    method: str | Method = attrs.field()
    strength: float | tuple[float, ...] | Schedule | str = attrs.field(default=1.0)
    until: float | Switch | None = attrs.field(default=None, kw_only=True)

    def __init__(
        self,
        method: str | Method,
        strength: float | Sequence[float] | Schedule | Callable[[StageStep], float] | str = 1.0,
        *,
        until: float | Switch | Callable[[StageStep], object] | None = None,
    ) -> None:
        if not isinstance(method, str | Method) or isinstance(method, type):
            raise StrategyError(
                "a stage's method must be a registered name or a method instance,"
                f" got {shown(method)}; {_what_to_write(method)}"
            )
        label = f"stage with method {method_name(method)!r}"
        strength, until = stage_strength(strength, label), _given("switch", until)
        self.__attrs_init__(  # type: ignore[attr-defined]
            method,
            strength,
            until=_until(until, label),
        )


def stage_strength(value: Any, label: str) -> float | tuple[float, ...] | Schedule | str:
    """Return what a stage, or a run plugin, may have as its strength.

    Raises:
        StrategyError: The value is none; the message begins with the label.
    """
    return strengths(_given("schedule", value), f"{label}: strength", MAX_STRENGTH)


def _what_to_write(given: Any) -> str:
    """A strategy's other forms are taken by ``edit()`` alone."""
    if isinstance(getattr(given, "strategy", None), Strategy):
        return "a Reference takes the strategy of a preset, preset.strategy"
    return "a stage is written Stage('NAME', strength)"


def _given(kind: Literal["schedule", "switch"], value: Any) -> Any:
    """A bare function is the schedule or switch that calls it; anything else is itself."""
    plain = not callable(value) or isinstance(value, type | Schedule | Switch)
    return value if plain else load_registry().from_function(kind, value)


def _until(until: Any, label: str) -> float | Switch | None:
    if until is None or (isinstance(until, Switch) and not isinstance(until, type)):
        return until
    end = number(until, f"{label}: until", 0.0, 1.0)
    if end == 0.0:
        raise StrategyError(f"{label}: until must be above 0, got 0: the stage would be empty")
    return end


def _end_of(until: float | Switch | None) -> object:
    return "the end" if until is None else until


def _stages(stages: Any) -> tuple[Stage, ...]:
    listed = tuple(stages) if is_list(stages) else (stages,)
    if not listed:
        raise StrategyError("a strategy needs at least one stage")
    return tuple(stage if isinstance(stage, Stage) else Stage(stage) for stage in listed)


def _masks(masks: Any) -> tuple[Mask, ...]:
    listed = tuple(masks) if is_list(masks) else (masks,)
    for mask in listed:
        if not isinstance(mask, Mask):
            raise StrategyError(
                f"a strategy's masks are made with refhooks.mask, got {shown(mask)}"
            )
    return listed


@attrs.frozen
class Strategy:
    """What happens with one reference over a run.

    Attributes:
        stages: One or more, in order; where ``until`` is a number it is above those before, and
            only the last stage may have none.
        vision: Whether the text encoder sees the picture: ``auto`` (if the strength is above 0 at
            any step), ``always`` or ``never``. Decided once a run; strength does not scale it.
        masks: Where in the output the reference may act, and which part of it is used; several of
            one kind act where all of them cover.

    Raises:
        StrategyError: No stage, ends that do not rise, an unknown ``vision``, or what is no mask.
    """

    stages: tuple[Stage, ...] = attrs.field(converter=_stages)
    vision: Vision = attrs.field(default="auto", kw_only=True)
    masks: tuple[Mask, ...] = attrs.field(default=(), kw_only=True, converter=_masks)

    def _repr_html_(self) -> str:
        """What a notebook shows: its lane over 28 steps, a line a stage, then the masks."""
        rows = [(it.method, it.strength, _end_of(it.until)) for it in self.stages]
        more = {"vision": self.vision, "masks": self.masks}
        table = html_table(("method", "strength", "until"), rows) + html_facts(more)
        return strategy_lane(self) + table

    @vision.validator
    def _known_vision(self, _: object, value: object) -> None:
        if not one_of(value, _VISIONS):
            raise StrategyError(f"vision must be one of {', '.join(_VISIONS)}; got {shown(value)}")

    @stages.validator
    def _ends_rise(self, _: object, stages: tuple[Stage, ...]) -> None:
        before = 0.0
        for place, stage in enumerate(stages, 1):
            label = f"stage {place} of {len(stages)} (method {method_name(stage.method)!r})"
            if stage.until is None and place < len(stages):
                raise StrategyError(f"{label}: until is missing; only the last stage may have none")
            if not isinstance(stage.until, float):
                continue
            if stage.until <= before:
                raise StrategyError(
                    f"{label}: until must be above that of the stage before, {before:g};"
                    f" got {stage.until:g}"
                )
            before = stage.until


def strategy_lane(strategy: Strategy) -> str:
    """Return the lane of a strategy as HTML, over 28 steps or as many as it lists, or why not."""
    registry, strengths = load_registry(), [it.strength for it in strategy.stages]
    count = len(strengths[0]) if len(strengths) == 1 and isinstance(strengths[0], tuple) else 28
    lane = Lane(f"Strategy, over {count} steps")
    try:
        with silenced():
            sigmas = [1.0 - index / count for index in range(count)]
            steps = compile_timetable([strategy], sigmas, registry).steps
        lane = attrs.evolve(lanes_of(steps, (), [strategy])[0], title=lane.title)
    except RefhooksError as error:
        lane = attrs.evolve(lane, refused=str(error))
    return lanes_html([lane], registry.methods)


def as_strategy(value: Any, native: str) -> Strategy:
    """Return the strategy a user meant.

    Args:
        value: A strategy, a stage, a method, its name, or ``None``: the native method at 1.
        native: The family's native method.
    """
    if value is None:
        return Strategy([Stage(native)])
    return value if isinstance(value, Strategy) else Strategy(value)


@attrs.frozen
class Reference:
    """A picture that steers the edit, with its own strategy.

    Attributes:
        image: Path or PIL picture.
        strategy: A strategy, stage, method or its name; ``None``: the family's native method at 1.
        resolution: Pixel area at which the VAE encodes it, ``"native"`` for its own size, with its
            edges repeated up to what the model works in, or ``None`` for the checkpoint's policy.
    """

    image: str | Path | Image
    strategy: Strategy | Stage | Method | str | None = None
    resolution: int | Literal["native"] | None = attrs.field(default=None, kw_only=True)

    @resolution.validator
    def _area(self, _: object, value: object) -> None:
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 2**32
        if value is not None and not one_of(value, ("native",)) and not whole:
            raise StrategyError(
                f"a reference's resolution must be a pixel area or 'native', got {shown(value)}"
            )
