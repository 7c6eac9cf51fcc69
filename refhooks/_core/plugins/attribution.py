"""Saying which plugin it was: a note on what it raises, a place in what it warns of.

A hook is called thousands of times in a run, so nothing is noted down when it is: where a warning
comes from is read off the stack, when there is one. What is called once, such as ``bind``, says so.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeGuard

from refhooks._core.contract.family import Family
from refhooks._core.contract.family_run import FamilyRun
from refhooks._core.contract.methods import RunPlugin
from refhooks._core.contract.values import Context
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType, TracebackType

    from refhooks._core.contract.methods import Method
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.plugins.registry import Registry


_calls: set[CodeType] = set()


class _Told(threading.local):
    place: str | None = None


_told = _Told()


def where(plugin: str, hook: str, ctx: Context) -> str:
    """Return how messages name a call of a hook."""
    return f"{plugin}, {hook}, step {ctx.step.index + 1} of {ctx.step.total}"


def calls_a_hook(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method ``(self, ctx, ...)`` that calls a hook; ``self.place(ctx)`` names the call."""
    _calls.add(function.__code__)
    return function


def _place() -> str | None:
    """What this thread calls at this moment."""
    if _told.place is not None:
        return _told.place
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code in _calls:
            place: str = frame.f_locals["self"].place(frame.f_locals["ctx"])
            return place
        frame = frame.f_back
    return None


@contextlib.contextmanager
def naming(place: str) -> Iterator[None]:
    """Name a place in whatever is raised or warned of inside."""
    before, _told.place = _told.place, place
    try:
        with naming_warnings():
            yield
    except BaseException as error:
        error.add_note(f"raised by {place}")
        raise
    finally:
        _told.place = before


def naming_method(
    method: Method, call: str, registry: Registry
) -> contextlib.AbstractContextManager[None]:
    """Name a method that is asked something before the first step."""
    origin = registry.origin("method", method)
    return naming(f"method {method.name!r}{origin}, {call}, before the first step")


@contextlib.contextmanager
def naming_family(editor: LoadedModel) -> Iterator[None]:
    """Name the family in what its adapter raises inside, with the call: it is on the traceback."""
    try:
        yield
    except InputError:
        raise  # what the user gave, in words of the family's own
    except Exception as error:
        call = _family_call(error.__traceback__, editor)
        if call is not None:
            name, (function, ctx) = editor.family.name, call
            family = f"family {name!r}{editor.registry.brought('family', name)}"
            place = f"{family}, {function}" if ctx is None else where(family, function, ctx)
            error.add_note(f"raised by {place}")
        raise


def _family_call(
    traceback: TracebackType | None, editor: LoadedModel
) -> tuple[str, Context | None] | None:
    """Which method of a family is on a traceback, and the step at which it was called, if any."""
    ctx: Context | None = None
    while traceback is not None:
        code, held = traceback.tb_frame.f_code, traceback.tb_frame.f_locals
        if held.get("editor", editor) is not editor:
            return None  # an edit inside a hook, which has named its own family
        owner = held.get(code.co_varnames[0]) if code.co_argcount else None
        adapter = isinstance(owner, Family | FamilyRun) and hasattr(owner, code.co_name)
        if adapter and not _is_ours(traceback.tb_frame):
            return code.co_name, None if code.co_name == "decode" else ctx
        ctx = held["ctx"] if isinstance(held.get("ctx"), Context) else ctx
        traceback = traceback.tb_next
    return None


def _is_ours(frame: FrameType) -> bool:
    """Whether it is what families inherit: nothing that an adapter's author wrote."""
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "refhooks"


_guard = threading.Lock()
_users = 0
_shown: Any = None
"""What showed warnings before; kept while anything runs."""


@contextlib.contextmanager
def naming_warnings() -> Iterator[None]:
    """Let warnings name the place that they come from, if it is a plugin's.

    ``warnings.showwarning`` is the process's own, so what is put there passes on everything else as
    it comes, and stays harmless where other code puts it back later.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _shown  # noqa: PLW0603  so is what it stands for
    with _guard:
        _users += 1
        if _users == 1 and warnings.showwarning is not _show:
            _shown, warnings.showwarning = warnings.showwarning, _show


def _leave() -> None:
    global _users  # noqa: PLW0603
    with _guard:
        _users -= 1
        if _users == 0 and warnings.showwarning is _show:
            warnings.showwarning = _shown


def _show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
    place = _place()
    if place is not None:
        with contextlib.suppress(Exception):  # a category may be made of anything
            message = category(f"{message} (from {place})")
    _shown(message, category, *rest, **named)


def plugin_labels(plugins: Sequence[object], registry: Registry) -> tuple[str, ...]:
    """Return how messages name the plugins of a call; those of one name are numbered."""
    names = [plugin.name if is_description(plugin) else type(plugin).__name__ for plugin in plugins]
    counts = [
        f" #{names[:place].count(name) + 1}" if names.count(name) > 1 else ""
        for place, name in enumerate(names)
    ]
    return tuple(
        f"plugin {name}{count}{registry.origin('plugin', plugin)} of the call"
        for name, count, plugin in zip(names, counts, plugins, strict=True)
    )


def is_description(plugin: object) -> TypeGuard[RunPlugin]:
    """Return whether a plugin of a call is bound when the run starts, and has no hooks itself."""
    return isinstance(plugin, RunPlugin) and not isinstance(plugin, type)
