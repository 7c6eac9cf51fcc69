"""Where a command writes: checked before the model loads, so that no run is lost for it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from refhooks._apps.chains.chain import places_of
from refhooks._base.advice import warn_user
from refhooks._base.files import is_file, try_writing
from refhooks._base.names import listed
from refhooks._base.outputs import check_output
from refhooks.cli._terminal import say
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._apps.editing.result import EditResult


def preview_place(output: Path) -> Path:
    """Return where the preview of an output goes: beside it."""
    return output.with_name(f"{output.stem}.preview.png")


def check_places(
    output: str, *, count: int, preview: bool, pictures: Sequence[str | Path], room: int
) -> Path:
    """Check every file that an edit will write, and return its output.

    Args:
        output: As it was given.
        count: Number of pictures; several are numbered.
        preview: Whether there will be one.
        pictures: What the edit reads; none of it may be written over.
        room: How many bytes all of it may take.

    Raises:
        InputError: A name, its ending or its folder does not allow it, or the disk is too full.
    """
    target = _checked(output)
    places = [target]
    if count > 1:
        places = [target.with_stem(f"{target.stem}-{number + 1}") for number in range(count)]
    if preview:
        places.append(preview_place(target))
    _check_all(places, pictures, room)
    _say_replaced([place for place in places if place != target])
    return target


def check_chain_places(
    output: str, count: int, pictures: Sequence[str | Path], room: int
) -> tuple[Path, ...]:
    """Check every file that a chain of so many edits will write, and return them in order.

    Raises:
        InputError: As :func:`check_places` says.
    """
    places = places_of(_checked(output), count)
    _check_all(places, pictures, room)
    _say_replaced([place for place in places if place != Path(output)])
    return places


def save(
    result: EditResult,
    target: Path,
    *,
    embed: bool,
    recipe: bool = True,
    metadata: Literal["drop", "keep"] = "drop",
) -> tuple[Path, ...]:
    """Save what a command has made; it is not lost for what cannot be put inside of it.

    Raises:
        InputError: A picture cannot be written.
    """
    asked = [*(["--embed"] if embed else []), *(["--metadata keep"] if metadata == "keep" else [])]
    if asked:
        try:
            return result.save(target, recipe=recipe, embed=embed, metadata=metadata)
        except InputError as error:
            without = " and ".join(asked)
            warn_user(f"saved without {without}: {error}")
    return result.save(target, recipe=recipe)


def check_apart(place: Path, others: Sequence[str | Path]) -> None:
    """Refuse to write where something is read, or where something else is written.

    Raises:
        InputError: It is one of them.
    """
    if any(_same(place, Path(other)) for other in others):
        raise InputError(f"{place} is one of the files to read or to write; name another output")


def _same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return one.samefile(other)
    return one.absolute() == other.absolute()


def _say_replaced(places: Sequence[Path]) -> None:
    """Nobody typed these names, so what is there may be anybody's."""
    there = [str(place) for place in places if is_file(place)]
    if there:
        say("note", f"replaces {listed(there)}", "cyan")


def _check_all(places: Sequence[Path], pictures: Sequence[str | Path], room: int) -> None:
    for place in places:
        _checked(place)
        if any(_same(place, Path(picture)) for picture in pictures):
            raise InputError(f"{place} is one of the pictures to read; name another output")
    try_writing(places[0], room)


def _checked(place: str | Path) -> Path:
    try:
        checked = check_output(place)
        checked.stat()
    except FileNotFoundError:
        return checked
    except OSError as error:
        raise InputError(f"{place} cannot be written: {error.strerror}") from error
    return checked
