"""Calls of a family and of a scheduler: what one raises names it, and what it was asked."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, cast

import attrs

from refhooks._base.shown import note
from refhooks._core.plugins.attribution import where
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from refhooks._core.contract.family import Family
    from refhooks._core.contract.family_run import FamilyRun
    from refhooks._core.contract.values import Context
    from refhooks._core.plugins.registry import Registry

__all__ = ["Moment", "named_family", "named_run", "named_scheduler"]


@attrs.define
class Moment:
    """Where a run stands.

    Attributes:
        ctx: The step whose hooks and passes are called; ``None`` before the first and after the
            last.
    """

    ctx: Context | None = None


def named_family(family: Family, registry: Registry) -> Family:
    """Return the adapter; an error of its own, with a note that names the family and the call."""
    return cast("Family", _Named(family, _label(family, registry), Moment()))


def named_run(
    opened: FamilyRun, family: Family, registry: Registry, moment: Moment | None = None
) -> FamilyRun:
    """Return the state of a run likewise; the note names the step as well, where there is one."""
    return cast("FamilyRun", _Named(opened, _label(family, registry), moment or Moment()))


def named_scheduler(scheduler: Any, moment: Moment) -> Any:
    """Return the scheduler of a run likewise."""
    return _Named(scheduler, f"scheduler {type(scheduler).__name__}", moment)


def _label(family: Family, registry: Registry) -> str:
    return f"family {family.name!r}{registry.brought('family', family.name)}"


class _Named:
    """Passes everything on to an adapter."""

    def __init__(self, adapter: Any, label: str, moment: Moment) -> None:
        self._adapter = adapter
        self._label = label
        self._moment = moment

    def __getattr__(self, name: str) -> Any:
        try:  # a property may fail as well
            value = getattr(self._adapter, name)
        except BaseException as error:
            self._name(error, name)
            raise
        return functools.partial(self._call, name, value) if inspect.isroutine(value) else value

    def _call(self, name: str, method: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        try:
            return method(*args, **options)
        except BaseException as error:
            self._name(error, name)
            raise

    def _name(self, error: BaseException, name: str) -> None:
        if isinstance(error, InputError):
            return  # what the user gave, in words of the family's own
        ctx = self._moment.ctx
        call = f"{self._label}, {name}" if ctx is None else where(self._label, name, ctx)
        note(error, f"raised by {call}")
