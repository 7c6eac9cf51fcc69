"""What is finished is kept: a line a batch, and the pictures without a reference."""

from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.grids.grid import kept_picture
from refhooks._base.claims import Claims
from refhooks._base.files import write_whole
from refhooks._base.folders import make_folder
from refhooks._base.tables import read_capped
from refhooks._base.unfinished import sweep
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

LINES, PICTURES = "batches.jsonl", "without"
MAX_BYTES = 2**28  # of the lines
Values = dict[str, list[float | None]]


@attrs.define
class Store:
    """Batches by their keys; without a folder it keeps them in memory alone.

    Attributes:
        folder: ``batches.jsonl`` and ``without/`` lie there; ``None``: nothing is written.
        claims: Which process runs what of it.
    """

    folder: Path | None
    claims: Claims = attrs.field(factory=lambda: Claims(None))
    _batches: dict[str, Values] = attrs.field(factory=dict)
    _pictures: dict[str, Image.Image] = attrs.field(factory=dict)
    _read: int = 0

    @classmethod
    def open(cls, folder: str | Path | None) -> Store:
        """Make the folder, or read what it holds; what an interruption tore is left out.

        Raises:
            InputError: It cannot be made, or read.
        """
        if folder is None:
            return cls(None)
        store = cls(Path(folder))
        try:
            make_folder(store.folder / PICTURES)  # type: ignore[operator]
            for place in (store.folder, store.folder / PICTURES):  # type: ignore[operator]
                sweep(place)  # type: ignore[arg-type]
            store.claims = Claims(store.folder)
            with store.claims.claim("append"):  # warns now: while cells run, nothing is said
                store.refresh()
        except OSError as error:
            raise InputError(f"{folder} cannot be used to keep results: {error}") from error
        return store

    def refresh(self) -> None:
        """Read the lines that are there by now, those that other processes wrote too.

        Raises:
            InputError: There are too many.
            OSError: They cannot be read.
        """
        if self.folder is None or not self._lines.exists():
            return
        if self._lines.stat().st_size < self._read:
            self._read = 0  # somebody has written it anew
        data = read_capped(self._lines, MAX_BYTES, InputError, start=self._read)
        self._read += data.rfind(b"\n") + 1  # what comes after it may not be whole yet
        for line in data.split(b"\n"):
            entry = _entry(line)
            if entry is not None:
                self._batches[entry[0]] = entry[1]

    @property
    def _lines(self) -> Path:
        assert self.folder is not None  # noqa: S101  asked before
        return self.folder / LINES

    def batch(self, key: str, count: int | None = None) -> Values | None:
        """Return what a finished batch measured, if it is kept, of so many pictures."""
        kept = self._batches.get(key)
        if (
            kept is not None
            and count is not None
            and {len(row) for row in kept.values()} != {count}
        ):
            return None  # a line that somebody else has changed: it is run again
        return kept

    def keep(self, key: str, values: Mapping[str, Sequence[float | None]]) -> None:
        """Keep what a batch measured; on the disk when this returns.

        Raises:
            InputError: It cannot be written.
        """
        clean: Values = {name: [_finite(it) for it in row] for name, row in values.items()}
        self._batches[key] = clean
        if self.folder is None:
            return
        line = json.dumps({"batch": key, "values": clean}, allow_nan=False)
        try:
            self.claims.divide(["append"], lambda _: False, lambda _: self._append(line))
        except OSError as error:
            raise InputError(f"{self._lines} cannot be written: {error}") from error

    def _append(self, line: str) -> None:
        with self._lines.open("a+b") as file:
            torn = file.seek(0, os.SEEK_END) > 0 and not _ends_line(file)
            file.write((b"\n" if torn else b"") + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def picture(self, key: str) -> Image.Image | None:
        """Return a picture that is kept; ``None`` if it is not there, or is damaged."""
        if self.folder is None:
            return self._pictures.get(key)
        return kept_picture(self.folder / PICTURES / f"{key}.png")

    def keep_picture(self, key: str, picture: Image.Image) -> None:
        """Keep a picture, without loss.

        Raises:
            InputError: It cannot be written.
        """
        if self.folder is None:
            self._pictures[key] = picture
            return
        file = io.BytesIO()
        picture.save(file, "PNG")
        write_whole(file.getvalue(), self.folder / PICTURES / f"{key}.png")


def _finite(value: float | None) -> float | None:
    """JSON holds neither NaN nor infinity; a measure that gave them is absent."""
    return None if value is None or not math.isfinite(value) else float(value)


def _measured(value: Any) -> float | None:
    """What a line says; neither a bool nor a text is a measure."""
    if value is not None and type(value) not in {int, float}:
        raise TypeError
    return _finite(value)


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _entry(line: bytes) -> tuple[str, Values] | None:
    """A line that is none, as the torn last one, says nothing: its batch is run again."""
    try:
        data = json.loads(line)
        key, values = data["batch"], data["values"]
        rows = {str(name): [_measured(it) for it in row] for name, row in values.items()}
        if not all(isinstance(row, list) for row in values.values()):
            return None
    except (
        ArithmeticError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ):
        return None
    return (key, rows) if isinstance(key, str) else None
