"""The typed façade over pluggy: the only module that touches ``pm.hook``.

It does without torch, which takes a second: commands that load every plugin have no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

from refhooks._base.registering import as_entries
from refhooks._core.plugins.attribution import naming
from refhooks._core.plugins.validation import check_implementations, check_version
from refhooks.hookspecs import Registration, RunHooks

if TYPE_CHECKING:
    from pathlib import Path

    from refhooks._core.contract.entries import CommandEntry, EmbeddedModel, FamilyEntry
    from refhooks._core.contract.methods import Method, RunPlugin
    from refhooks._core.contract.protocols import MaskShape, Schedule, Switch

PROJECT = "refhooks"
Manager = pluggy.PluginManager


def manager_of(specs: type) -> Manager:
    """Return a manager for the hooks of a class of specs."""
    manager = Manager(PROJECT)
    manager.add_hookspecs(specs)
    return manager


def caller(manager: Manager, hook: str) -> Any:
    """Return what calls the implementations of a hook, in pluggy's order."""
    return getattr(manager.hook, hook)


class RegistrationCalls:
    """Calls the registration hooks of one plugin module."""

    def __init__(self, plugin: object, label: str) -> None:
        check_version(plugin, label)
        check_implementations(plugin, label, Registration, RunHooks)
        self._label = label
        self._manager = manager_of(Registration)
        with naming(label):
            self._manager.register(plugin, name=label)

    def methods(self) -> list[type[Method]]:
        """Return the method classes the plugin registers."""
        return self._collect("refhooks_methods")

    def families(self) -> list[FamilyEntry]:
        """Return the families the plugin registers."""
        return self._collect("refhooks_families")

    def models(self) -> list[EmbeddedModel]:
        """Return the embedded models the plugin registers."""
        return self._collect("refhooks_models")

    def schedules(self) -> list[type[Schedule]]:
        """Return the schedule classes the plugin registers."""
        return self._collect("refhooks_schedules")

    def switches(self) -> list[type[Switch]]:
        """Return the switch classes the plugin registers."""
        return self._collect("refhooks_switches")

    def masks(self) -> list[type[MaskShape]]:
        """Return the mask shapes the plugin registers."""
        return self._collect("refhooks_masks")

    def plugins(self) -> list[type[RunPlugin]]:
        """Return the run plugins the plugin registers."""
        return self._collect("refhooks_plugins")

    def presets(self) -> list[Path]:
        """Return the files of presets the plugin registers."""
        return self._collect("refhooks_presets")

    def commands(self) -> list[CommandEntry]:
        """Return the commands the plugin registers."""
        return self._collect("refhooks_commands")

    def _collect(self, hook: str) -> list[Any]:
        label = f"{self._label}, {hook}"
        with naming(label):
            collected = caller(self._manager, hook)()  # without what is None
        silent = not collected and caller(self._manager, hook).get_hookimpls()
        returned = [None] if silent else collected
        return [entry for entries in returned for entry in as_entries(entries, label)]
