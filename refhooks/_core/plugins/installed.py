"""Which plugins are installed: one distribution is asked after the other.

``importlib.metadata.entry_points`` fails as a whole where one distribution is broken, and hides the
second of two distributions that call themselves the same.
"""

from __future__ import annotations

import functools
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from refhooks._base.shown import told
from refhooks._core.plugins.record import PluginRecord, distribution, normalised
from refhooks.errors import readable

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["installed", "ships", "version"]

OURS = "refhooks"
_ROOT = Path(__file__).resolve().parents[3]


def installed(group: str) -> tuple[list[EntryPoint], list[PluginRecord]]:
    """Return the entry points of a group, and a record of each distribution that cannot be read.

    Of two distributions of one name the first on the path counts, as for imports; but what only
    calls itself refhooks hides nothing.
    """
    points: list[EntryPoint] = []
    broken: list[PluginRecord] = []
    known: set[tuple[str, bool]] = set()
    for place in distributions():
        try:
            own = [point for point in place.entry_points if point.group == group]
            name = normalised(place.metadata["Name"] or "") if own else ""
        except Exception as error:  # noqa: BLE001  metadata may hold anything
            if _mentions(place, group):
                broken.append(_unreadable(place, error))
            continue
        key = (name or str(place.locate_file("")), any(map(ships, own)))
        if own and key not in known:
            points += own
            known.add(key)
    return points, broken


def _unreadable(place: Distribution, error: Exception) -> PluginRecord:
    folder = Path(str(getattr(place, "_path", "") or "a distribution")).name
    reason = readable(f"its metadata cannot be read: {type(error).__name__}: {told(error)}")
    return PluginRecord(folder, folder, "", "broken", reason)


def _mentions(place: Distribution, group: str) -> bool:
    """Whether what cannot be read is of a plugin at all; a broken stranger is none of ours."""
    folder = getattr(place, "_path", None)
    if folder is None:
        return False
    try:
        return f"[{group}]".encode() in Path(str(folder), "entry_points.txt").read_bytes()
    except OSError:
        return False


def version(point: EntryPoint) -> str:
    """Return the version of the distribution of an entry point; empty where it is not known."""
    try:
        return str(point.dist.version or "") if point.dist else ""
    except Exception:  # noqa: BLE001  metadata may hold anything
        return ""


def ships(point: EntryPoint) -> bool:
    """Return whether a plugin ships with refhooks: its name says so, and it lies beside it."""
    if distribution(point) != OURS or point.dist is None or not _is_ours(point.dist):
        return False
    module = point.value.partition(":")[0].strip().partition(".")[0]
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return False
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return bool(places) and Path(places[0]).resolve().parent in {_ROOT, _ROOT / "plugins"}


@functools.cache
def _is_ours(place: Distribution) -> bool:
    """Whether the folder of its metadata is named as it names itself, where it lists its files."""
    try:
        files = place.files
    except Exception:  # noqa: BLE001  metadata may hold anything
        return False
    return files is None or any(file.parts[0].startswith(f"{OURS}-") for file in files)
