"""Names a user typed, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


LONGEST = 200  # letters of a name that are compared: the time grows with their square


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name[:LONGEST], list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def no_adapter(pipeline: object, known: Mapping[str, str]) -> str:
    """Return sentences for a class of pipelines that nothing adapts.

    The nearest of the known ones is that whose name begins with most of the same words.

    Args:
        pipeline: Name of the class, or whatever stands in its place.
        known: Families by the names of the classes that they adapt.
    """
    said = f"no plugin has an adapter for it. Supported: {listed(sorted(known))}."
    own = _words(str(pipeline)[:LONGEST])
    shortest = sorted(known, key=lambda name: (len(name), name))
    near = max(shortest, key=lambda name: _shared(own, _words(name)), default="")
    if "Pipeline" not in own or len(own) < 2:
        return said
    if _shared(own, _words(near)):
        said += f" The nearest is the family {known[near]!r} ({near})."
    return f"{said} `refhooks new NAME --kind family` writes an adapter to begin with."


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Z][a-z]*\d*", name)


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words two names begin with alike."""
    for place, (first, second) in enumerate(zip(one, other, strict=False)):
        if first != second:
            return place
    return min(len(one), len(other))


def listed(names: Iterable[str]) -> str:
    """Return the names as one readable list, or ``none``."""
    return ", ".join(names) or "none"
