"""The folder of a batch: which outputs are there, whole, and those of their jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._apps.editing.result import save_picture
from refhooks._apps.recipes.picture_files import insides, load_recipe
from refhooks._apps.recipes.tables import rgb_hash
from refhooks._base.damage import DAMAGED
from refhooks._base.pictures import load_whole, open_file
from refhooks.errors import InputError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from refhooks._apps.editing.result import EditResult
    from refhooks.batch._entry import Entry
    from refhooks.batch._groups import Member

__all__ = ["Outputs", "check_apart"]

ENDING = ".png"


@attrs.define
class Outputs:
    """The pictures of a folder.

    Attributes:
        folder: They lie in it, each as ``ID.png`` with its recipe inside.
    """

    folder: Path
    _known: dict[str, tuple[object, str]] = attrs.field(factory=dict, init=False)

    def place(self, entry: Entry) -> Path:
        """Return where the output of a job goes."""
        return self.folder / f"{entry.id}{ENDING}"

    def is_there(self, member: Member) -> bool:
        """Return whether a job's output is there, whole, and of this very job.

        What was looked at once is not decoded again as long as its file stays as it is.
        """
        place = self.place(member.entry)
        try:
            state = _state(place)
        except (OSError, ValueError):
            return False
        known = self._known.get(member.entry.id)
        if known is None or known[0] != state:
            known = (state, _job_of(place))
            self._known[member.entry.id] = known
        return known[1] == member.digest

    def keep(self, member: Member, result: EditResult, number: int) -> None:
        """Write a job's output, whole or not at all.

        Args:
            member: The job.
            result: Of its group.
            number: Of its picture there.

        Raises:
            RefhooksError: The edit has no recipe, so that nobody could tell whose output it is.
            InputError: It cannot be written.
        """
        if not result.recipes:
            raise RefhooksError("the edit has no recipe, without which its output cannot be kept")
        recipe = attrs.evolve(result.recipes[number], job=member.digest)
        inside = insides(recipe, result.materials, embed=False, kept=None)
        keeps = attrs.evolve(inside, keeps=result.kept)
        place = self.place(member.entry)
        save_picture(result.images[number], place, keeps)
        self._known[member.entry.id] = (_state(place), member.digest)


def _state(place: Path) -> tuple[int, ...]:
    status = place.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _job_of(place: Path) -> str:
    """The digest of the job that a file was made for; empty where it is damaged, or of none."""
    try:
        recipe = load_recipe(place)
        if not recipe.job:
            return ""
        with open_file(place, ("PNG",)) as opened:
            whole = load_whole(opened)
        return recipe.job if rgb_hash(whole) == recipe.pixels else ""
    except DAMAGED:  # an InputError is one of them
        return ""


def check_apart(outputs: Outputs, entries: Iterable[Entry]) -> None:
    """Refuse to write over what is read.

    Raises:
        InputError: An output of the list is a picture of the list.
    """
    entries = list(entries)
    read = {picture.absolute() for entry in entries for picture in entry.pictures}
    read |= {picture.resolve() for picture in read}
    for entry in entries:
        place = outputs.place(entry)
        if {place.absolute(), place.resolve()} & read:
            raise InputError(
                f"{place} is one of the pictures to read; name another folder for the outputs"
            )
