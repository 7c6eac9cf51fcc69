"""Commands that plugins bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

__all__ = ["OWN_COMMANDS", "CommandEntry"]

OWN_COMMANDS: Final = (
    "chain", "check", "demo", "edit", "explain", "grid", "hooks", "new", "plan", "plugins",
    "presets", "recipe", "replay", "score",
)  # fmt: skip
"""Commands of refhooks itself; no plugin can have one of their names."""


@attrs.frozen
class CommandEntry:
    """A command as a plugin registers it, before anything of it is imported.

    Attributes:
        name: Unique name, what follows ``refhooks`` on the command line.
        summary: One line for ``refhooks --help``.
        load: Imports and returns the command.
    """

    name: str
    summary: str
    load: Callable[[], click.Command]
