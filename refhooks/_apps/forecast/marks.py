"""What each method and form is worth, by what its plugin says was measured."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import cattrs
from attrs import validators

from refhooks._base.advice import warn_user
from refhooks._base.names import listed
from refhooks._base.shown import shown
from refhooks._base.strict import strict_converter
from refhooks._base.tables import read_table
from refhooks._core.planning.strategy import Stage, as_strategy
from refhooks.errors import RefhooksError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.methods import Method
    from refhooks._core.planning.strategy import Reference
    from refhooks._core.plugins.registry import Registry

UNPROVEN = "not shown useful"
NOT_MEASURED = "not measured"
STATUSES = ("baseline", "ahead", "cheaper", "same", UNPROVEN, NOT_MEASURED)
Figures = dict[str, dict[str, float]]


@attrs.frozen
class Mark:
    """What was measured of one form of a method, at strength 1 beside the model's own way at 1.

    A method's class names the file that holds its marks as ``marks``: a JSON table with ``rule``,
    in words what a status means, and ``marks``, a list of tables with these keys.

    Attributes:
        method: Its name.
        form: What tells it from the other forms.
        options: Of the method, all of them: any other is another form.
        status: ``baseline``, ``ahead``, ``cheaper``, ``same``, ``not shown useful``, or ``not
            measured``.
        figures: By measure, such as ``done`` and ``kept``: ``mean``, ``low`` and ``high`` of the
            difference to the baseline, and how many ``scenes``.
        cost: Operations of a step over those of the model's own way; ``None``: not known.
        families: Where it was measured.
        steps: Of those edits.
        note: What else is to be said, such as where the status does not hold.
    """

    method: str
    form: str
    options: dict[str, Any]
    status: str = attrs.field(validator=validators.in_(STATUSES))
    figures: Figures = attrs.field(factory=dict)
    cost: float | None = None
    families: tuple[str, ...] = ()
    steps: int | None = None
    note: str = ""

    def figure(self, name: str) -> str:
        """Return a figure with its interval, such as ``-0.06 [-0.11, -0.01]``; a dash without."""
        held = self.figures.get(name)
        if held is None:
            return "–"
        return f"{held['mean']:+.2f} [{held['low']:+.2f}, {held['high']:+.2f}]"

    @property
    def work(self) -> str:
        """The cost in words."""
        return "–" if self.cost is None else f"x {self.cost:.2f}"


def all_marks(registry: Registry) -> tuple[Mark, ...]:
    """Return the marks of every registered method; one that nobody measured is told as such."""
    told: list[Mark] = []
    for name in sorted(registry.methods):
        told += _measured(registry, name) or (Mark(name, "", {}, NOT_MEASURED),)
    return tuple(told)


def rules(registry: Registry) -> dict[str, list[str]]:
    """Return in words what each status means, and of which methods it is said."""
    said: dict[str, list[str]] = {}
    for name in sorted(registry.methods):
        file = _file_of(registry.methods[name])
        if file is not None and _measured(registry, name):
            said.setdefault(file.rule, []).append(name)
    return said


@attrs.frozen
class _File:
    """What a plugin says was measured of its methods."""

    rule: str
    marks: tuple[Mark, ...]


def _measured(registry: Registry, name: str) -> tuple[Mark, ...]:
    """What the plugin of a method brings, ours and a stranger's alike."""
    file = _file_of(registry.methods[name])
    return () if file is None else tuple(mark for mark in file.marks if mark.method == name)


@functools.cache
def _file_of(method: type[Method]) -> _File | None:
    """The file that a class names as ``marks``; one that cannot be read is told once."""
    place = getattr(method, "marks", None)
    if place is None:
        return None
    try:
        return _strict().structure(read_table(Path(place)), _File)
    except (
        RefhooksError,
        TypeError,
        ValueError,
        KeyError,
        cattrs.ForbiddenExtraKeysError,
    ) as error:
        reason = str(error) or type(error).__name__
        warn_user(
            f"method {method.name!r}: its marks cannot be read, so it counts as not measured:"
            f" {reason!s:.300}"
        )
        return None


def _strict() -> cattrs.Converter:
    """A converter of tables of figures, which are numbers."""
    strict = strict_converter()

    def figures(value: Any, _: Any) -> dict[str, dict[str, float]]:
        table = strict.structure(value, dict[str, Any])
        return {name: _figure(name, it) for name, it in table.items()}

    strict.register_structure_hook_func(lambda cls: cls == Figures, figures)
    return strict


def _figure(name: str, value: Any) -> dict[str, float]:
    keys = {"mean", "low", "high", "scenes"}
    known = isinstance(value, dict) and value.keys() == keys
    if not known or not all(type(it) in {int, float} for it in value.values()):
        raise ValueError(f"figure {shown(name)} must have the numbers {listed(sorted(keys))}")
    return dict(value)


def mark_of(method: Method, registry: Registry) -> Mark:
    """Return the mark of a method with its options; of a form that was not measured, that."""
    own = registry.methods.get(method.name) is type(method)
    for mark in _measured(registry, method.name) if own else ():
        if all(getattr(method, name, None) == value for name, value in mark.options.items()):
            return mark
    return Mark(method.name, "", {}, NOT_MEASURED)


def warnings_of(references: Sequence[Reference], registry: Registry) -> list[str]:
    """Return a sentence for each form of a strategy that was measured and not shown useful."""
    said: dict[str, None] = {}
    for reference in references:
        if reference.strategy is None:
            continue
        for stage in as_strategy(reference.strategy, "").stages:
            mark = mark_of(_method(stage, registry), registry)
            if mark.status == UNPROVEN:
                said[
                    f"{mark.method} ({mark.form}) is marked '{UNPROVEN}': at 1 done"
                    f" {mark.figure('done')}, kept {mark.figure('kept')} beside the model's own"
                    " way; refhooks methods lists what was measured"
                ] = None
    return list(said)


def _method(stage: Stage, registry: Registry) -> Method:
    return registry.method(stage.method) if isinstance(stage.method, str) else stage.method
