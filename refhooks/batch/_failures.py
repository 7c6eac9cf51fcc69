"""``errors.jsonl``: the jobs that failed, a line of JSON each, and why."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import attrs

from refhooks._base.files import write_whole
from refhooks._base.shown import told
from refhooks._base.tables import read_capped
from refhooks.errors import InputError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from refhooks._base.claims import Claims
    from refhooks.batch._entry import Entry

__all__ = ["FILE", "Failures"]

FILE: Final = "errors.jsonl"
MAX_BYTES: Final = 2**28
_APPEND: Final = "append to errors.jsonl"


@attrs.define
class Failures:
    """The rows of a folder's ``errors.jsonl``, those that other processes write too.

    Attributes:
        folder: Where it lies.
        claims: Who writes it.
    """

    folder: Path
    claims: Claims
    _rows: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False)
    _state: object = attrs.field(default=None, init=False)

    @property
    def _file(self) -> Path:
        return self.folder / FILE

    def message(self, entry: Entry) -> str | None:
        """Return why a job failed; ``None``: it did not, or was another one when it did."""
        self._refresh()
        row = self._rows.get(entry.id)
        return None if row is None or row.get("job") != entry.fields else str(row["message"])

    def add(self, entry: Entry, error: BaseException) -> None:
        """Add a job that failed; on the disk when this returns.

        Raises:
            InputError: It cannot be written.
        """
        said = told(error)
        expected = isinstance(error, RefhooksError) and said
        message = said if expected else f"{type(error).__name__}: {said}"
        row = {"id": entry.id, "message": message, "job": entry.fields}
        line = json.dumps(row, ensure_ascii=True)
        self._alone(lambda: self._append(line))

    def clear(self, is_over: Callable[[str, dict[str, Any]], bool]) -> None:
        """Take away rows that say nothing any more.

        Args:
            is_over: Given an id and the job of its row, whether that is so.

        Raises:
            InputError: It cannot be written.
        """
        self._refresh()
        if self._rows:
            self._alone(lambda: self._rewrite(is_over))

    def _rewrite(self, is_over: Callable[[str, dict[str, Any]], bool]) -> None:
        self._refresh()
        left = [row for name, row in self._rows.items() if not is_over(name, row["job"])]
        if len(left) < len(self._rows):
            lines = [json.dumps(row, ensure_ascii=True) + "\n" for row in left]
            if lines:
                write_whole("".join(lines).encode(), self._file)
            else:
                self._file.unlink(missing_ok=True)

    def _alone(self, do: Callable[[], object]) -> None:
        try:
            self.claims.divide([_APPEND], lambda _: False, lambda _: do())
        except OSError as error:
            raise InputError(f"{self._file} cannot be written: {error}") from error

    def _append(self, line: str) -> None:
        with self._file.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            torn = size > 0 and file.read(1) != b"\n"
            file.write((b"\n" if torn else b"") + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _refresh(self) -> None:
        """Read it again where it has changed; a line that was torn says nothing."""
        try:
            status = self._file.stat()
        except OSError:
            self._rows, self._state = {}, None
            return
        state = (status.st_ino, status.st_size, status.st_mtime_ns)
        if state == self._state:
            return
        rows = {}
        for line in read_capped(self._file, MAX_BYTES, InputError).split(b"\n"):
            row = _row(line)
            if row is not None:
                rows[row["id"]] = row
        self._rows, self._state = rows, state


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(row, dict) and isinstance(row.get("job"), dict)
    return row if whole and isinstance(row.get("id"), str) and "message" in row else None
