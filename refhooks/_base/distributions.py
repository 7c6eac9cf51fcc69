"""What installed distributions offer: asked one after the other, so that a broken one is one.

``importlib.metadata.entry_points`` fails as a whole where one distribution is broken, and hides the
second of two distributions that call themselves the same.
"""

from __future__ import annotations

import re
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.shown import told
from refhooks.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["entry_points", "name_of", "normalised", "ships", "version_of"]

OURS = "refhooks"
_ROOT = Path(__file__).resolve().parents[2]


@attrs.frozen
class Unreadable:
    """Stands for the entry points of a distribution that cannot be read; loading it says why."""

    name: str
    group: str
    reason: str
    value: str = ""
    dist: None = None

    def load(self) -> Any:
        """Fail.

        Raises:
            PluginError: Always.
        """
        raise PluginError(f"its metadata cannot be read: {self.reason}")


def entry_points(group: str) -> list[EntryPoint | Unreadable]:
    """Return the entry points of a group.

    Of two distributions of one name the first on the path counts, as for imports; but what only
    calls itself refhooks hides nothing.
    """
    points: list[EntryPoint | Unreadable] = []
    known: set[tuple[str, bool]] = set()
    for place in distributions():
        try:
            own = [point for point in place.entry_points if point.group == group]
        except Exception as error:  # noqa: BLE001  metadata may hold anything
            points += _unreadable(place, group, error)
            continue
        if own:
            key = (name_of(own[0]) or str(place.locate_file("")), any(map(ships, own)))
            points += [] if key in known else own
            known.add(key)
    return points


def _unreadable(place: Distribution, group: str, error: Exception) -> list[Unreadable]:
    """A broken distribution that brings no plugin is none of ours."""
    folder = Path(str(getattr(place, "_path", "") or "a distribution"))
    try:
        mentions = f"[{group}]".encode() in (folder / "entry_points.txt").read_bytes()
    except OSError:
        mentions = False
    reason = f"{type(error).__name__}: {told(error)}"
    return [Unreadable(folder.name, group, reason)] if mentions else []


def normalised(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def name_of(point: EntryPoint | Unreadable) -> str:
    """Return the normalised name of the distribution that has an entry point."""
    try:
        return normalised(point.dist.name or "") if point.dist else ""
    except Exception:  # noqa: BLE001  metadata may hold anything
        return ""


def version_of(point: EntryPoint | Unreadable) -> str:
    """Return the version of the distribution of an entry point; empty where it is not known."""
    try:
        return str(point.dist.version or "") if point.dist else ""
    except Exception:  # noqa: BLE001  metadata may hold anything
        return ""


def ships(point: EntryPoint | Unreadable) -> bool:
    """Return whether a plugin ships with refhooks: its name says so, and it lies beside it."""
    if name_of(point) != OURS or not _is_ours(point.dist):
        return False
    module = point.value.partition(":")[0].strip().partition(".")[0]
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return False
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return bool(places) and Path(places[0]).resolve().parent in {_ROOT, _ROOT / "plugins"}


def _is_ours(place: Any) -> bool:
    """Whether the folder of its metadata is named as it names itself, where it lists its files."""
    try:
        files = getattr(place, "files", None)
    except Exception:  # noqa: BLE001  metadata may hold anything
        return False
    return files is None or any(file.parts[0].startswith(f"{OURS}-") for file in files)
