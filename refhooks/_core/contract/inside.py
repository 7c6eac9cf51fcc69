"""How much of a local edit is computed: all of it, or where the picture may change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from refhooks._base.names import did_you_mean, listed
from refhooks._base.numbers import whole
from refhooks._base.shown import shown
from refhooks.errors import InputError

__all__ = ["Inside", "as_inside"]

MAX_HALO: Final = 64
MAX_REUSE: Final = 1000


def _halo(value: Any) -> int:
    return whole(value, "halo (tokens around the edit mask)", 0, MAX_HALO)


def _reuse(value: Any) -> int:
    return whole(value, "reuse (steps from one computation to the next)", 1, MAX_REUSE)


def _near(value: Any) -> int | None:
    return None if value is None else whole(value, "near (tokens around the mask)", 0, MAX_HALO)


@attrs.frozen(kw_only=True)
class Inside:
    """Compute a local edit where the picture may change, for ``edit(edit_mask=…, compute=…)``.

    The target's tokens that no covered pixel lies in are left out of every pass, but for ``halo``
    around them: nothing attends to them, and they follow the source, as an edit mask has it. That
    is an approximation: what is inside no longer sees the outside of the picture being made, but
    sees it in the references. With ``reuse`` also the references' keys and values are those of an
    earlier step.

    Attributes:
        halo: Tokens around the mask that are computed all the same, 0–64.
        reuse: The references' keys and values are computed anew every so many steps, 1–1000; 1:
            at every step.
        near: Of the source, those within so many tokens of the mask are computed at every step,
            0–64; ``None``: only those of every ``reuse`` steps are.

    Raises:
        InputError: An option is out of its range, or would do nothing.
    """

    halo: int = attrs.field(default=1, converter=_halo)
    reuse: int = attrs.field(default=1, converter=_reuse)
    near: int | None = attrs.field(default=None, converter=_near)

    def __attrs_post_init__(self) -> None:
        """Refuse an option that would do nothing."""
        if self.near is not None and self.reuse == 1:
            raise InputError(
                f"near={self.near} does nothing with reuse=1, which computes all of the references"
                " at every step; give reuse=2 or more, or leave near out"
            )


def as_inside(value: Any, label: str = "compute") -> Inside | None:
    """Return how much is computed; ``None``: all.

    Args:
        value: ``all``, ``inside``, the same with options as ``inside:reuse=7,near=1``, a table of
            options, or an :class:`Inside`.
        label: What messages call it.

    Raises:
        InputError: It is none of these, or an option cannot be used.
    """
    if value is None or (isinstance(value, str) and value == "all"):
        return None
    if isinstance(value, Inside):
        return value
    options = _read(value) if isinstance(value, str) else value
    if not isinstance(options, Mapping):
        raise InputError(
            f"{label} must be 'all', 'inside' (with options: 'inside:halo=1,reuse=7'), or"
            f" refhooks.Inside(...), got {shown(value)}"
        )
    known = [field.name for field in attrs.fields(Inside)]
    unknown = [name for name in options if name not in known]
    if unknown:
        near = did_you_mean(str(unknown[0]), known)
        raise InputError(
            f"{label} has no option {shown(unknown[0])}.{near} Options: {listed(known)}"
        )
    return Inside(**options)


def _read(text: str) -> dict[str, int] | None:
    """The options of a short form; ``None``: it is none."""
    name, _, options = text.partition(":")
    pairs = [pair.partition("=") for pair in options.split(",")] if options else []
    if name != "inside" or not all(re.fullmatch(r"\d{1,6}", number) for _, _, number in pairs):
        return None
    return {option.strip(): int(number) for option, _, number in pairs}
