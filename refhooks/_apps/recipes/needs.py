"""What a recipe needs: the plugins that took part, and whether they are here."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from refhooks._base.shown import shown
from refhooks.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from refhooks._core.plugins.registry import Registry

# What pip would be given is from a file that anybody may have made: plain names and versions only.
_ORIGIN = re.compile(r"([a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?) (\d[a-z0-9.+!]{0,40})")


@contextlib.contextmanager
def needing(used: Mapping[str, str], registry: Registry) -> Iterator[None]:
    """Let an error about a name say which distributions are missing.

    Args:
        used: The plugins that took part, with distribution and version; as ``Recipe.used``.
        registry: The plugins that are here.

    Raises:
        UnknownNameError: A name that nothing registers, with what brings it, if the recipe says so.
    """
    try:
        yield
    except UnknownNameError as error:
        absent = missing(used, registry)
        if not absent:
            raise
        raise UnknownNameError(f"this edit was made with {'; and with '.join(absent)}") from error


def missing(used: Mapping[str, str], registry: Registry) -> tuple[str, ...]:
    """Return each plugin that took part and is not live, with what to do."""
    absent = []
    for name, origin in used.items():
        record = registry.record(name)
        if record is None:
            absent.append(f"plugin {shown(name)}, {_absent(origin)}")
        elif record.state != "live":
            absent.append(f"plugin {shown(name)}, which is not loaded here: {record.reason}")
    return tuple(absent)


def _absent(origin: str) -> str:
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return "which is in no package, and was given to the editor (Editor(plugins=[...]))"
    name, version = match.groups()
    return (
        f"of {name} {version}, which is not installed here; if you trust it:"
        f" pip install {name}=={version}"
    )


def plugin_differences(used: Mapping[str, str], registry: Registry) -> tuple[str, ...]:
    """Return each plugin that took part in another version, or is not live."""
    live = {record.name: record.origin for record in registry.records if record.state == "live"}
    return tuple(
        f"plugin {name}: it was {was}, and is {live.get(name) or 'not there'}"
        for name, was in used.items()
        if live.get(name) != was
    )
