"""What each method and form is worth, by what was measured; `make evidence` writes the file."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._core.planning.strategy import Stage, as_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from refhooks._core.contract.methods import Method
    from refhooks._core.planning.strategy import Reference
    from refhooks._core.plugins.registry import Registry

FILE = Path(__file__).with_name("marks.json")
UNPROVEN = "not shown useful"
NOT_MEASURED = "not measured"


@attrs.frozen
class Mark:
    """What was measured of one form of a method, at strength 1 beside the model's own way at 1.

    Attributes:
        method: Its name.
        form: What tells it from the other forms.
        options: Of the method, all of them: any other is another form.
        status: ``baseline``, ``ahead``, ``cheaper``, ``same``, ``not shown useful``, or ``not
            measured``.
        figures: By measure (``done``, ``kept``): ``mean``, ``low`` and ``high`` of the difference
            to the baseline, and how many ``scenes``.
        cost: Operations of a step over those of the model's own way; ``None``: not known.
        families: Where it was measured.
        steps: Of those edits.
    """

    method: str
    form: str
    options: Mapping[str, Any]
    status: str
    figures: Mapping[str, Mapping[str, float]] = attrs.field(factory=dict)
    cost: float | None = None
    families: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    steps: int | None = None

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


@functools.cache
def _file() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return data


def rule() -> str:
    """Return in words what each status means."""
    return str(_file()["rule"])


def all_marks(registry: Registry) -> tuple[Mark, ...]:
    """Return the marks of every registered method; one that nobody measured is told as such.

    Only a method that ships with refhooks has what the file says: a stranger's of the same name is
    another.
    """
    told: list[Mark] = []
    for name in sorted(registry.methods):
        known = _measured(registry, name)
        told += known or [Mark(name, "", {}, NOT_MEASURED)]
    return tuple(told)


def _measured(registry: Registry, name: str) -> list[Mark]:
    record = registry.record(registry.owner("method", name))
    if record is None or record.distribution != "refhooks":
        return []
    return [Mark(**it) for it in _file()["marks"] if it["method"] == name]


def mark_of(method: Method, registry: Registry) -> Mark:
    """Return the mark of a method with its options; of a form that was not measured, that."""
    for mark in _measured(registry, method.name):
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
