"""Looking at one case: what it raises, how long it takes, what it needs and what it leaves."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks.errors import RefhooksError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

MAX_SECONDS = 5.0  # of the processor: others may keep it busy
MAX_MIB = 512
HANGS = 60  # seconds of the clock after which a case is ended


class HangError(BaseException):
    """A case is ended; nothing of refhooks may take it for an error of its own."""


class LeftError(Exception):
    """A case left something behind, or its result is not what it should be."""


@attrs.frozen
class Outcome:
    """What became of a case.

    Attributes:
        how: ``result`` or ``refused``; anything else is a failure, and says which.
        where: The innermost line of refhooks that an exception came through.
        said: What it said.
        seconds: How long it took the processor.
    """

    how: str
    where: str = ""
    said: str = ""
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether it is neither a result nor an error of refhooks in good time."""
        return self.how not in {"result", "refused"}


def peak_mib() -> float:
    """Return the most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Watch:
    """Looks at cases that work in a folder, which they leave as it is.

    Args:
        folder: What may lie in it lies there now.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._idle = peak_mib()
        self._told = self._idle
        self._before = self._state()

    @property
    def peak(self) -> float:
        """The most memory beyond what was held when this began, MiB."""
        return peak_mib() - self._idle

    def look(self, run: Callable[[Any], object], case: Any) -> Outcome:
        """Run a case and say what became of it."""
        previous = signal.signal(signal.SIGALRM, _ended)
        signal.setitimer(signal.ITIMER_REAL, HANGS)
        start = time.process_time()
        try:
            outcome = self._run(run, case)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        seconds = time.process_time() - start
        if not outcome.failed and seconds > MAX_SECONDS:
            outcome = Outcome("slow", said=f"{seconds:.1f} s")
        if not outcome.failed and self.peak > MAX_MIB and peak_mib() > self._told:
            self._told = peak_mib()
            outcome = Outcome("large", said=f"{self.peak:.0f} MiB beyond idle")
        return attrs.evolve(outcome, seconds=seconds)

    def _run(self, run: Callable[[Any], object], case: Any) -> Outcome:
        try:
            run(case)
            how = "result"
        except RefhooksError:
            how = "refused"
        except (KeyboardInterrupt, HangError) as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return Outcome("hang", where=_innermost(error))
        except BaseException as error:  # noqa: BLE001  what is looked for
            return Outcome(type(error).__name__, _innermost(error), _told(error))
        left = self._left()
        return Outcome("left", said=left) if left else Outcome(how)

    def _state(self) -> dict[str, Any]:
        return {
            "files": sorted(it.name for it in self._folder.iterdir()),
            "threads": threading.active_count(),
            "open files": len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0,  # noqa: PTH208  five times as fast
            "filters": list(warnings.filters),
        }

    def _left(self) -> str:
        now = self._state()
        wrong = [key for key, value in now.items() if _is_left(self._before[key], value)]
        told = ", ".join(
            f"{key}: {self._before[key]!s:.80} then {now[key]!s:.160}" for key in wrong
        )
        self._before = now
        return told


def _is_left(before: Any, now: Any) -> bool:
    """Whether something is there that was not; an earlier case's thread may end meanwhile."""
    return bool(now > before) if isinstance(now, int) else now != before


def _ended(_signal: int, _frame: FrameType | None) -> None:
    raise HangError


def _innermost(error: BaseException) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/refhooks" in frame.filename and "/_fuzz/" not in frame.filename
    ]
    if not frames:
        return ""
    last = frames[-1]
    return f"{last.filename.rsplit('/refhooks', 1)[1].lstrip('/')}:{last.lineno} {last.name}"


def _told(error: BaseException) -> str:
    try:
        return f"{error!s:.200}"
    except Exception:  # noqa: BLE001
        return "its message cannot be shown"
