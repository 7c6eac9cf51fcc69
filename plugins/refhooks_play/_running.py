"""Edits of several people on one model: one at a time, in order, watched and cancelled."""

from __future__ import annotations

import collections
import sys
import threading
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from refhooks import RefhooksError, RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks import Editor, Size

__all__ = ["Job", "Runner"]

MAX_OPEN = 64  # edits that run or wait
LOOK = 4.0  # a preview is made again after so many times what the last one took


class Cancelled(Exception):  # noqa: N818  it is no error
    """Ends an edit from its callback."""


class Job:
    """An edit that waits, runs or is over.

    Attributes:
        state: ``waiting``, ``running``, ``done``, ``failed`` or ``cancelled``.
        step: Steps that are made.
        total: Steps in all; 0: not known.
        preview: The predicted picture, as of the last look at it.
        result: What the work returned.
        error: Why it failed.
        notes: What was warned of while it ran.
        seconds: That it ran.
    """

    def __init__(
        self, work: Callable[[Job], Any], total: int = 0, size: Size | None = None
    ) -> None:
        self.state, self.step, self.total = "waiting", 0, total
        self.preview: Image | None = None
        self.result: Any = None
        self.error = ""
        self.notes: list[str] = []
        self.seconds = 0.0
        self._work, self._size = work, size
        self._cancelled = threading.Event()
        self._looked, self._took = 0.0, 0.0

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in {"waiting", "running"}

    def cancel(self) -> None:
        """End it: at once while it waits, after the step that is being made while it runs."""
        self._cancelled.set()

    def watch(self, editor: Editor) -> Callable[[int, Tensor, Tensor], None]:
        """Return the callback of its edit: counts steps, looks at the picture, ends it."""

        def on_step(_step: int, _latents: Tensor, x0: Tensor) -> None:
            self.check()
            self.step += 1
            now = time.monotonic()
            if self._size is None or now - self._looked < LOOK * self._took:
                return
            sizes = {"height": self._size.height, "width": self._size.width}
            self.preview = editor.decode(x0[:1], **sizes)[0]
            self._looked = time.monotonic()
            self._took = self._looked - now

        return on_step

    def check(self) -> None:
        """Go on only if it was not cancelled.

        Raises:
            Cancelled: It was.
        """
        if self._cancelled.is_set():
            raise Cancelled

    def run(self) -> None:
        """Do the work; whatever ends it is kept, and nothing is raised."""
        start = time.monotonic()
        try:
            self.check()
            self.state = "running"
            self.result = self._work(self)
            ended = "done"
        except Cancelled:
            ended = "cancelled"
        except RefhooksError as error:
            self.error, ended = str(error), "failed"
        except BaseException as error:  # noqa: BLE001  the next one's edit must not suffer from it
            traceback.print_exception(error)
            self.error = f"the edit failed ({type(error).__name__}); the terminal says where"
            ended = "failed"
        self.seconds = time.monotonic() - start
        self.state = ended


class Runner:
    """One thread that has the model, and the queue before it.

    Args:
        editor: The model.
        loading: The words that name it on the command line of ``refhooks edit``.
    """

    def __init__(self, editor: Editor, loading: Sequence[str] = ()) -> None:
        self.editor = editor
        self.loading = tuple(loading)
        self._jobs: collections.deque[Job] = collections.deque()
        self._changed = threading.Condition()
        self._running: Job | None = None
        self._thread = threading.Thread(target=self._run, name="refhooks play", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Job:
        """Put a job at the end of the queue.

        Raises:
            RefhooksError: The queue is full.
        """
        with self._changed:
            if len(self._jobs) >= MAX_OPEN:
                raise RefhooksError(f"{MAX_OPEN} edits are waiting already; try again later")
            self._jobs.append(job)
            self._changed.notify()
        return job

    def place(self, job: Job) -> int:
        """Return how many edits come before this one."""
        with self._changed:
            running = self._running is not None and self._running is not job
            before = list(self._jobs)
            return (before.index(job) if job in before else 0) + running

    def cancel(self, job: Job) -> None:
        """Cancel a job; one that waits is over at once."""
        job.cancel()
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                job.state = "cancelled"

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._jobs))
                self._running = self._jobs.popleft()
            self._running.run()
            with self._changed:
                self._running = None

    def show_warnings(self) -> None:
        """Give what an edit warns of to its job; what others warn of goes where it went."""
        before: Any = warnings.showwarning

        def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            job = self._running
            ours = threading.current_thread() is self._thread and issubclass(
                category, RefhooksWarning
            )
            if ours and job is not None:
                job.notes.append(str(message))
            elif sys.stderr is not None:
                before(message, category, *place, **more)

        warnings.showwarning = show
        warnings.simplefilter("always", RefhooksWarning)
