"""An installed plugin, and whether the environment lets it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from refhooks._base.advice import warn_user
from refhooks._base.distributions import name_of, normalised
from refhooks._base.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.metadata import EntryPoint

    from refhooks._base.distributions import Unreadable

ALLOW = "REFHOOKS_PLUGINS"
BLOCK = "REFHOOKS_BLOCK"


@attrs.frozen
class PluginRecord:
    """One installed plugin, loaded or not.

    Attributes:
        name: Name of its entry point.
        distribution: Normalised name of the distribution that brings it.
        version: Version of that distribution.
        state: ``live``, ``blocked`` (by the environment) or ``broken``.
        reason: Why it is not live; empty if it is.
        registers: What it registers, such as ``method inject``.
    """

    name: str
    distribution: str
    version: str
    state: Literal["live", "blocked", "broken"]
    reason: str = ""
    registers: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Its distribution and version; empty for what is in none."""
        return f"{self.distribution} {self.version}".strip()


def split(names: str | None) -> tuple[str, ...]:
    """Return the names that a variable of the environment holds, normalised."""
    return tuple(normalised(name) for name in (names or "").split(",") if name.strip())


def _keys(point: EntryPoint | Unreadable) -> tuple[str, str]:
    return normalised(point.name), name_of(point)


def refused(
    point: EntryPoint | Unreadable,
    allow: str | None,
    allowed: Sequence[str],
    blocked: Sequence[str],
) -> str:
    """Return why the environment does not let a plugin in; empty: it does."""
    if any(key in blocked for key in _keys(point)):
        return f"blocked by {BLOCK}"
    if allow is not None and not any(key in allowed for key in _keys(point)):
        return f"not in {ALLOW}"
    return ""


def warn_of_unknown(
    points: Sequence[EntryPoint | Unreadable], named: dict[str, tuple[str, ...]]
) -> None:
    """Warn of names in the environment that are of no plugin; they are by variable."""
    known = sorted({key for point in points for key in _keys(point) if key})
    for variable, names in named.items():
        for name in names:
            if name not in known:
                warn_user(
                    f"{variable} names {name!r}, which is no installed plugin or distribution."
                    f"{did_you_mean(name, known)}"
                )
