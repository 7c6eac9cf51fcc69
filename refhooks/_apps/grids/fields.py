"""The fields that a grid can vary, read from text and put into an edit."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.names import did_you_mean, listed
from refhooks._base.numbers import is_list, unwrapped
from refhooks._base.scales import parsed, read_scales
from refhooks._base.shown import shown
from refhooks._core.planning.bounds import MAX_CFG, MAX_SEED, MAX_STEPS
from refhooks._core.planning.compilation import method_name
from refhooks._core.planning.strategy import Reference, Stage, Strategy, as_strategy
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.methods import Method
    from refhooks._core.plugins.registry import Registry

RUN_FIELDS = ("denoise", "steps", "cfg", "seed")
STAGE_FIELDS = ("method", "strength", "until")
STRATEGY_FIELDS = ("vision",)
FIELDS = (*STAGE_FIELDS, *STRATEGY_FIELDS, *RUN_FIELDS)
FORMS = f"{listed(FIELDS)}, or an option of a method such as inject.formula"
MAX_VALUES = 1000


@attrs.frozen
class Field:
    """What a grid varies.

    Attributes:
        name: One of ``FIELDS``, or the name of an option.
        method: The method that the option is of; empty for any other field.
        stage: 0-based; ``None``: the only one.
        text: As it was written.
    """

    name: str
    method: str = ""
    stage: int | None = None
    text: str = ""

    @property
    def order(self) -> int:
        """Methods are set before their options."""
        return 0 if self.name == "method" and not self.method else 1 if self.method else 2


@attrs.frozen
class Axis:
    """A field and the values it takes, as they were written."""

    field: Field
    values: tuple[str, ...]

    def numbers(self) -> tuple[float, ...] | None:
        """Return the values as numbers; ``None`` if one is none."""
        try:
            return tuple(float(value) for value in self.values)
        except ValueError:
            return None


def read_axis(text: str, label: str, registry: Registry) -> Axis:
    """Return the axis that ``FIELD=V1,V2`` means; ``;`` divides values that hold commas.

    Raises:
        InputError: It has no such form or field, no value, or one value twice.
        UnknownNameError: A method that no live plugin registers.
    """
    name, equals, rest = text.partition("=")
    if not equals:
        raise InputError(f"{label} {text}: write FIELD=VALUE,VALUE; FIELD is one of {FORMS}")
    return make_axis(read_field(name.strip(), label, registry), rest, label)


def make_axis(field: Field, text: str, label: str) -> Axis:
    """Return the axis of a field with values such as ``0,0.5,1``; raises as :func:`read_axis`."""
    values = tuple(value.strip() for value in text.split(";" if ";" in text else ","))
    if not all(values):
        raise InputError(f"{label} {text}: there is an empty value between the commas")
    return checked_axis(field, values, f"{label} {text}")


def listed_axis(field: Field, values: Any, label: str) -> Axis:
    """Return the axis of a field with a list of Python's values.

    Raises:
        InputError: It is no list, holds what is neither a number, a text, a bool nor a list of
            these, or one value twice.
    """
    values = unwrapped(values)
    if not is_list(values) or not values:
        raise InputError(f"{label} must be a list of values, got {shown(values)}")
    return checked_axis(field, tuple(_as_text(value, label) for value in values), label)


def _as_text(value: Any, label: str) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    try:
        return json.dumps(unwrapped(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{label}: a grid varies numbers, texts, true and false, got {shown(value)}"
        ) from error


def checked_axis(field: Field, values: tuple[str, ...], label: str) -> Axis:
    """Return the axis of a field.

    Raises:
        InputError: One value is there twice, or there are too many.
    """
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise InputError(f"{label}: {twice} is there twice")
    if len(values) > MAX_VALUES:
        raise InputError(f"{label}: at most {MAX_VALUES} values, got {len(values)}")
    return Axis(field, values)


def read_field(text: str, label: str, registry: Registry) -> Field:
    """Return the field that a name such as ``2.strength`` or ``inject.formula`` means.

    Raises:
        InputError: There is no such field, or the method has no such option.
    """
    head, dot, rest = text.partition(".")
    stage, name = (int(head) - 1, rest) if dot and head.isdecimal() else (None, text)
    if stage is not None and stage < 0:
        raise InputError(f"{label} {text}: stages are counted from 1")
    if stage is not None and name in (*RUN_FIELDS, *STRATEGY_FIELDS):
        raise InputError(f"{label} {text}: {name} is no field of a stage")
    if name in FIELDS:
        return Field(name, stage=stage, text=text)
    method, dot, option = name.partition(".")
    if not dot:
        raise InputError(
            f"{label} {text}: there is no field {name!r}.{did_you_mean(name, FIELDS)}"
            f" Fields: {FORMS}"
        )
    _check_option(registry, method, option, f"{label} {text}")
    return Field(option, method, stage, text)


def _check_option(registry: Registry, method: str, option: str, label: str) -> None:
    cls = type(registry.method(method))
    known = [field.alias for field in attrs.fields(cls) if field.init] if attrs.has(cls) else []
    if option not in known:
        raise InputError(
            f"{label}: method {method!r} has no option {option!r}.{did_you_mean(option, known)}"
            f" Options: {listed(known)}"
        )


def with_values(
    arguments: dict[str, Any],
    values: Sequence[tuple[Field, str]],
    native: str,
    registry: Registry,
) -> dict[str, Any]:
    """Return the arguments of an edit with fields set.

    Args:
        arguments: Of ``Editor.edit``, ``strategy`` among them.
        values: Fields, and what they are to be.
        native: The method of a source that has no strategy.
        registry: What methods are named from.

    Raises:
        InputError: A value is none of its field's, or there is no such stage.
        UnknownNameError: A method that no live plugin registers.
    """
    changed = dict(arguments)
    source = changed["image"] if isinstance(changed["image"], Reference) else None
    strategy = as_strategy(changed["strategy"] if source is None else source.strategy, native)
    steered = False
    for field, value in sorted(values, key=lambda pair: pair[0].order):
        try:
            if field.name in RUN_FIELDS and not field.method:
                changed[field.name] = _run_value(field.name, value)
            else:
                strategy, steered = _set(strategy, field, value, registry), True
        except InputError as error:
            raise type(error)(f"{field.text}={value}: {error}") from error
    if steered and source is not None:
        changed["image"] = attrs.evolve(source, strategy=strategy)
    elif steered:
        changed["strategy"] = strategy
    return changed


def _run_value(name: str, value: str) -> float | int | str:
    if name == "cfg":
        return read_scales(parsed(value), MAX_CFG)
    whole = name in {"steps", "seed"}
    try:
        number = int(value) if whole else float(value)
    except ValueError as error:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{name} must be {kind}, got {shown(value)}") from error
    low, high = {"steps": (1, MAX_STEPS), "seed": (0, MAX_SEED - 1)}.get(name, (0, MAX_CFG))
    if not low <= number <= high:
        raise InputError(f"{name} must be from {low} to {high}, got {value}")
    return number


def _set(strategy: Strategy, field: Field, value: str, registry: Registry) -> Strategy:
    if field.name in STRATEGY_FIELDS and not field.method:
        vision: Any = value  # it is checked there
        return attrs.evolve(strategy, vision=vision)
    stage = stage_index(strategy, field)
    stages = list(strategy.stages)
    stages[stage] = _staged(stages[stage], field, value, registry)
    return attrs.evolve(strategy, stages=tuple(stages))


def stage_index(strategy: Strategy, field: Field) -> int:
    """Return which stage of a strategy a field means, from 0.

    Raises:
        InputError: There is no such stage, or several and the field says none.
    """
    count = len(strategy.stages)
    if field.stage is None:
        if count > 1:
            raise InputError(f"the strategy has {count} stages; say which, as 1.{field.text}")
        return 0
    if field.stage >= count:
        raise InputError(f"the strategy has {count} stages, none of them is {field.stage + 1}")
    return field.stage


def _staged(stage: Stage, field: Field, value: str, registry: Registry) -> Stage:
    if field.method:
        return Stage(_method(stage, field, value, registry), stage.strength, until=stage.until)
    if field.name == "method":
        registry.method(value)
        return Stage(value, stage.strength, until=stage.until)
    if field.name == "until":
        return Stage(stage.method, stage.strength, until=plain_value(value))
    return Stage(stage.method, _strength(value, registry), until=stage.until)


def _method(stage: Stage, field: Field, value: str, registry: Registry) -> Any:
    """The stage's method with one more option."""
    name = method_name(stage.method)
    if name != field.method:
        raise InputError(f"the method is {name!r} there, so options of {field.method!r} do nothing")
    return with_options(stage.method, {field.name: plain_value(value)}, registry)


def with_options(method: Any, options: dict[str, Any], registry: Registry) -> Method:
    """Return a method, which is a registered name or an instance, with other options.

    Raises:
        InputError: The method has no such option, or refuses its value.
        UnknownNameError: No live plugin registers the method.
    """
    fields = () if isinstance(method, str) else attrs.fields(type(method))
    own = {option.alias: getattr(method, option.name) for option in fields if option.init}
    return registry.method(method_name(method), {**own, **options})


def _strength(value: str, registry: Registry) -> float | str:
    plain = plain_value(value)
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        return float(plain)
    registry.schedule_from(value)
    return value


def plain_value(value: str) -> Any:
    """Return a number, ``true`` or ``false``, or a list of them; anything else is a text."""
    with contextlib.suppress(ValueError):
        plain = json.loads(value)
        if isinstance(plain, bool | int | float) or is_list(plain):
            return tuple(plain) if is_list(plain) else plain
    return value
