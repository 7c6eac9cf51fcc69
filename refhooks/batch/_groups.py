"""A list of jobs, cut into groups that run in one pass each.

Groups are cut from the whole list, whatever of it is done: what a batch makes depends, by rounding,
on how many it holds, so a group that was broken off is computed again as it was.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import attrs

from refhooks._base.damage import DAMAGED
from refhooks._base.pictures import load_picture, open_file
from refhooks.batch._digest import digest_of, shape_of
from refhooks.errors import RefhooksError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from refhooks._core.models.loaded import LoadedModel
    from refhooks.batch._digest import ModelFacts
    from refhooks.batch._entry import Entry

__all__ = ["Cut", "Group", "Member", "cut"]

MOST: Final = 16  # jobs at once: beyond it little is gained, and more is lost where one is killed
_PER_PIXEL: Final = 8 * 2**10  # bytes that an edit takes beside the weights, about
_ORIENTATION: Final = 0x0112
_TURNED: Final = (5, 6, 7, 8)


@attrs.frozen
class Member:
    """A job with its digest."""

    entry: Entry
    digest: str


@attrs.frozen
class Group:
    """Jobs that run in one pass."""

    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """What a claim calls it, the same in every process that was given the same list."""
        told = repr([(member.entry.id, member.digest) for member in self.members])
        return hashlib.sha256(told.encode()).hexdigest()


@attrs.frozen
class Cut:
    """A list of jobs, cut.

    Attributes:
        groups: By shape, in the order of the list.
        bad: Jobs whose pictures or files cannot be used, and why.
    """

    groups: tuple[Group, ...]
    bad: tuple[tuple[Entry, RefhooksError], ...]


def cut(entries: Iterable[Entry], facts: ModelFacts, loaded: LoadedModel, most: int | None) -> Cut:
    """Cut a list of jobs into groups.

    Args:
        entries: The whole list.
        facts: Of the model.
        loaded: It, or what stands in its place.
        most: Jobs of a group; ``None``: as many as the device has room for, up to 16.
    """
    alike: dict[str, list[Member]] = {}
    largest: dict[str, int] = {}
    bad: list[tuple[Entry, RefhooksError]] = []
    for entry in entries:
        try:
            arguments = entry.arguments(loaded)
            sizes = tuple(_size(picture) for picture in entry.pictures)
            shape = shape_of(sizes, arguments)
            member = Member(entry, digest_of(entry, facts, arguments))
        except RefhooksError as error:
            bad.append((entry, error))
            continue
        alike.setdefault(shape, []).append(member)
        largest[shape] = most or _most(sizes[0], arguments, facts)
    groups = [
        Group(tuple(members[at : at + largest[shape]]))
        for shape, members in alike.items()
        for at in range(0, len(members), largest[shape])
    ]
    return Cut(tuple(groups), tuple(bad))


def _most(size: tuple[int, int], arguments: dict[str, Any], facts: ModelFacts) -> int:
    """How many the device has room for, by an estimate; where that is too many, it says so."""
    height, width, resolution = (arguments[it] for it in ("height", "width", "resolution"))
    area = facts.area
    if resolution is not None:
        area = size[0] * size[1] if resolution == "native" else resolution
    elif height is not None or width is not None:
        ratio = size[0] / size[1]
        area = (height or width / ratio) * (width or height * ratio)
    return int(min(max(facts.room // max(area * _PER_PIXEL, 1), 1), MOST))


def _size(picture: Path) -> tuple[int, int]:
    """Width and height, upright, without its pixels being decoded.

    Raises:
        InputError: It is no picture.
    """
    try:
        with open_file(picture) as opened:
            turned = opened.getexif().get(_ORIENTATION, 1) in _TURNED
            return opened.size[::-1] if turned else opened.size
    except DAMAGED:
        return load_picture(picture).size
