"""Finding the pictures and files that a recipe names."""

from __future__ import annotations

import functools
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from refhooks._apps.recipes.tables import hash_of
from refhooks._base.advice import warn_user
from refhooks._base.files import is_file
from refhooks._base.pictures import load_picture
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._apps.recipes.parts import RecipeFile, RecipePicture
    from refhooks._apps.recipes.recipe import Recipe


class Folder:
    """Holds what was inside of a recipe, for as long as it is used; made when it is needed."""

    @functools.cached_property
    def path(self) -> Path:
        """Where it is."""
        folder = Path(tempfile.mkdtemp(prefix="refhooks-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder


class Finder:
    """Finds the files of a recipe: inside of it, among those given, or beside the picture.

    A file counts where its hash is the recorded one. One that is given and has another takes the
    place of the first picture that is found nowhere, and is told.
    """

    def __init__(self, recipe: Recipe, folder: Folder, paths: Sequence[Path]) -> None:
        self._recipe = recipe
        self._folder = folder
        self._given = dict.fromkeys(paths)
        self._hashes: dict[tuple[Path, str], str] = {}
        self._others = [path for path in self._given if not self._is_any(path)]
        self.resolved: set[str] = set()
        self.read: list[Path] = []
        self.by_numbers: set[Path] = set()  # before profiles were read, their numbers were sRGB
        self.notes: list[str] = []

    def picture(self, entry: RecipePicture, label: str) -> Path:
        """Return the path of a picture.

        Raises:
            InputError: It is nowhere, or what is put inside is not it.
        """
        path = self._lookup(entry.sha256, entry.name, "reference")
        if path is not None:
            return path
        path = self._lookup(entry.sha256, entry.name, "numbers")
        if path is not None:
            self.by_numbers.add(path)
            return path
        if self._others:
            other = self._others.pop(0)
            self.notes.append(f"{label} is {other}, not the recorded {_said(entry.name)}")
            load_picture(other)
            self.read.append(other)
            return other
        raise _missing(entry.name, label)

    def file(self, entry: RecipeFile) -> Path:
        """Return the path of a file that a mask, a method or a plugin reads; raises likewise."""
        kind = "mask" if entry.picture else "file"
        path = self._lookup(entry.sha256, entry.name, kind)
        if path is None:
            raise _missing(entry.name, "a mask" if entry.picture else "a file")
        self.resolved.add(str(path))
        return path

    def check_used(self) -> None:
        """Refuse a file that was given and is for nothing."""
        if self._others:
            raise InputError(f"{self._others[0]} is no picture of this recipe, and none is missing")

    def _lookup(self, key: str, name: str, kind: str) -> Path | None:
        if key in self._recipe.embedded:
            return self._unpacked(key, name, kind)
        places = [*self._given]
        if name:
            beside = {self._recipe.folder or Path(), Path()}
            places += [folder / name for folder in sorted(beside)]
        for path in places:
            if self._hash(path, kind) == key:
                self.read.append(path)
                return path
        return None

    def _unpacked(self, key: str, name: str, kind: str) -> Path:
        try:
            place = self._folder.path / key / (name or "picture.png")
            if not place.exists():
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(self._recipe.embedded[key])
        except OSError as error:
            raise InputError(
                f"what is inside of the recipe cannot be written to {tempfile.gettempdir()}:"
                f" {error.strerror}; make room there, or name another folder with TMPDIR"
            ) from error
        if kind == "file" or self._hash(place, kind) != key:
            raise InputError("a picture inside of the recipe is not the one that it names")
        return place

    def _is_any(self, path: Path) -> bool:
        kinds = {picture.sha256: "reference" for picture in self._recipe.pictures}
        kinds |= {file.sha256: "mask" if file.picture else "file" for file in self._recipe.files}
        if not is_file(path):
            raise InputError(f"there is no file {path}")
        numbers = [key for key, kind in kinds.items() if kind == "reference"]
        return any(self._hash(path, kind) == key for key, kind in kinds.items()) or any(
            self._hash(path, "numbers") == key for key in numbers
        )

    def _hash(self, path: Path, kind: str) -> str:
        if (path, kind) not in self._hashes:
            self._hashes[path, kind] = hash_of(path, kind)
        return self._hashes[path, kind]


def _missing(name: str, label: str) -> InputError:
    return InputError(
        f"{label} of this recipe is {_said(name)}, which is not here with its recorded content;"
        " name the file with --reference (references=[...])"
    )


def _said(name: str) -> str:
    return name or "a picture without a name"


def warn(message: str) -> None:
    """Warn at the line that asked for the replay."""
    warn_user(message)
