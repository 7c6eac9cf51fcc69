"""Who implements which hook: registration hooks as loaded, run hooks as bound on a tiny model."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._core.plugins.validation import hook_arguments
from refhooks.errors import PluginError
from refhooks.hookspecs import Registration, RunHooks
from refhooks.testing._bench import Bench
from refhooks.testing._check_words import CALLS, bind_arguments
from refhooks.testing._subject import subjects_of
from refhooks.testing._watch import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from refhooks._core.plugins.registry import Registry
    from refhooks.testing._subject import Subject

REGISTERS = {
    "refhooks_methods": "method",
    "refhooks_families": "family",
    "refhooks_models": "model",
    "refhooks_schedules": "schedule",
    "refhooks_switches": "switch",
    "refhooks_masks": "mask",
    "refhooks_plugins": "plugin",
    "refhooks_presets": "preset",
    "refhooks_commands": "command",
}
"""Registration hooks, and what ``refhooks plugins`` calls that which they bring."""

BOTH = (0.5, 1.5)
"""Strengths below and above 1, since a method may need other hooks for each."""


@attrs.frozen
class HookEntry:
    """A hook as it is listed.

    Attributes:
        name: Such as ``refhooks_step``.
        signature: Its arguments and what it returns, with types.
        fires: When and how often it is called.
        implementers: In call order; registration hooks by the names of the plugins. Methods are
            called in the order of the references, before the run plugins.
    """

    name: str
    signature: str
    fires: str
    implementers: tuple[str, ...]


def list_hooks(registry: Registry) -> tuple[HookEntry, ...]:
    """Return every hook with its implementers among the live plugins."""
    bound = _run_hooks(registry)
    entries = []
    for specs in (Registration, RunHooks):
        for name in hook_arguments(specs):
            implementers = _registering(name, registry) if specs is Registration else bound[name]
            entries.append(
                HookEntry(name, signature(specs, name), fires(specs, name), implementers)
            )
    return tuple(entries)


def signature(specs: type, name: str) -> str:
    """Return a hook's arguments and what it returns, as in its spec."""
    whole = inspect.signature(getattr(specs, name))
    arguments = list(whole.parameters.values())[1:]
    inside = ", ".join(f"{entry.name}: {entry.annotation}" for entry in arguments)
    return f"{name}({inside}) -> {whole.return_annotation}"


def fires(specs: type, name: str) -> str:
    """Return when a hook is called, from its docstring."""
    text = inspect.getdoc(getattr(specs, name)) or ""
    section = text.partition("Fires: ")[2].partition("\nArguments:")[0]
    return " ".join(section.split())


def _registering(hook: str, registry: Registry) -> tuple[str, ...]:
    kind = REGISTERS[hook]
    return tuple(
        record.name
        for record in registry.records
        if any(entry.partition(" ")[0] == kind for entry in record.registers)
    )


def _run_hooks(registry: Registry) -> dict[str, tuple[str, ...]]:
    places: dict[str, dict[str, int]] = {name: {} for name in hook_arguments(RunHooks)}
    for name, bound in _bound(registry):
        for hook, names in places.items():
            mark = getattr(getattr(bound, hook, None), MARK, None)
            if mark is not None:
                names.setdefault(name, bool(mark.get("trylast")) - bool(mark.get("tryfirst")))
    words = {-1: " (tryfirst)", 0: "", 1: " (trylast)"}
    return {
        hook: tuple(
            name + words[place] for name, place in sorted(names.items(), key=lambda one: one[1])
        )
        for hook, names in places.items()
    }


def _bound(registry: Registry) -> Iterator[tuple[str, Any]]:
    """Bind every method, then every run plugin; what cannot be bound here is left out."""
    subjects: list[Subject] = []
    for record in registry.records:
        with contextlib.suppress(PluginError):  # `refhooks check` says what is wrong with it
            subjects += subjects_of(record.name) if record.state == "live" else ()
    for kind in ("method", "plugin"):
        for subject in subjects:
            if subject.kind != kind:
                continue
            try:
                arguments = bind_arguments(Bench(subject), strength=BOTH, steps=len(BOTH))
                with torch.no_grad():
                    bound = getattr(subject.made(), CALLS[kind][0])(*arguments)
            except Exception:  # noqa: BLE001, S112  `refhooks check` says what is wrong with it
                continue
            yield f"{kind} {subject.name}", bound
