"""Work that several processes share: whoever claims a piece does it, and the others leave it.

A claim is a lock of the operating system on a small hidden file beside what the piece becomes. The
system drops it when its process ends, however it ends, so what a killed one had begun is taken over
by the next that comes by. Whoever gives a claim up removes its file; what a killed process left is
swept by the next one that shares the folder.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from filelock import FileLock, Timeout

from refhooks._base.advice import warn_user
from refhooks._base.files import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Claims"]

_NAME: Final = re.compile(r"\.[0-9a-f]{20}\.claim")
_PAUSE: Final = 0.1  # seconds between two looks at what others are doing


@attrs.define
class Claims:
    """Who does which piece of the work in a folder.

    Attributes:
        folder: Where the locks lie; ``None``: nobody shares the work.
    """

    folder: Path | None
    _warned: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Sweep up the locks that nobody holds any more."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError, ValueError), os.scandir(self.folder) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    with contextlib.suppress(OSError, Timeout), _locked(Path(entry.path)):
                        pass

    @contextlib.contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Yield whether a piece of work is this caller's, which it is until the end of the block.

        Where the disk knows no locks, or cannot be written, everything is, after one warning.

        Args:
            name: Of the piece, the same in all processes.
        """
        with contextlib.ExitStack() as held:
            yield self._taken(name, held)

    def _taken(self, name: str, held: contextlib.ExitStack) -> bool:
        if self.folder is None or self._warned:
            return True
        key = hashlib.sha256(name.encode()).hexdigest()[:20]
        try:
            held.enter_context(_locked(self.folder / f".{key}.claim"))
        except Timeout:
            return False
        except OSError as error:
            self._warned = True
            warn_user(
                f"nothing can be locked in {self.folder} ({error.strerror or error}); another"
                " process that works in it at the same time would make the same again"
            )
        return True

    def divide(
        self,
        names: Sequence[str],
        is_done: Callable[[int], bool],
        do: Callable[[int], object],
        *,
        waits: Callable[[int], object] | None = None,
    ) -> None:
        """See to it that every piece is done, by this process or by another, and return then.

        In their order, but what another process is doing comes last. If that process ends without
        having done it, this one does it.

        Args:
            names: Of the pieces.
            is_done: Given the number of a piece, looks whether it is there by now.
            do: Given the number of a piece, does it; what it raises is raised, and gives up the
                claim.
            waits: Called once, with their number, when all that is left is being done by others.
        """
        left = list(range(len(names)))
        while left:
            later = [
                number
                for number in left
                if not self.settled(
                    names[number], functools.partial(is_done, number), functools.partial(do, number)
                )
            ]
            if later and later == left:
                if waits is not None:
                    waits(len(later))
                    waits = None
                time.sleep(_PAUSE)
            left = later

    def settled(self, name: str, is_done: Callable[[], bool], do: Callable[[], object]) -> bool:
        """See to it that one piece is done, unless another process is at it: then ``False``.

        Args:
            name: Of the piece, the same in all processes.
            is_done: Looks whether it is there by now.
            do: Does it; what it raises is raised, and gives up the claim.
        """
        if is_done():
            return True
        with self.claim(name) as ours:
            if not ours:
                return False
            if not is_done():  # by now: it was claimed by another until a moment ago
                do()
        return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock a file, made if it is not there; its lock and the file go together.

    Raises:
        Timeout: Another process, or thread, has it.
        OSError: The disk knows no locks, or cannot be written.
    """
    with FileLock(path, timeout=0, fallback_to_soft=False):
        try:
            yield
        finally:
            if os.name == "posix":  # elsewhere the library removes it
                remove(path)
