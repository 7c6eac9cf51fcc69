"""What goes to the terminal: results to stdout, everything else to stderr, a line each.

``rich`` is imported where something is printed: a shell that asks for completions waits for it.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, TextIO

from refhooks.errors import RefhooksWarning, printable, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Progress


def stderr() -> Console:
    """Return a console on stderr that neither wraps nor colours words it thinks it knows."""
    from rich.console import Console  # noqa: PLC0415  see above

    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(kind: str, message: str, style: str = "") -> None:
    """Print ``kind: message`` on stderr, as one line."""
    from rich.text import Text  # noqa: PLC0415  see above

    stderr().print(Text(f"{kind}: {readable(message)}", style=style))


def tell(message: str) -> None:
    """Print a result on stdout, as one line."""
    from rich.console import Console  # noqa: PLC0415  see above
    from rich.text import Text  # noqa: PLC0415  see above

    Console(highlight=False, soft_wrap=True).print(Text(printable(message)))


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning once, as a line; those meant for programmers are left out."""
    said: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del category, filename, lineno, file, line
        if str(message) not in said:
            said.add(str(message))
            say("warning", str(message), "yellow")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=RefhooksWarning)
        warnings.filterwarnings("ignore", category=FutureWarning, append=True)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def working(message: str) -> Iterator[None]:
    """Show that something is going on, on a terminal; elsewhere show nothing."""
    from rich.text import Text  # noqa: PLC0415  see above

    console = stderr()
    if not console.is_terminal:
        yield
        return
    with console.status(Text(printable(message))):
        yield


@contextlib.contextmanager
def steps_bar(total: int) -> Iterator[Callable[[], None]]:
    """Show the steps of a run on a terminal; yields what is called after each of them."""
    if not stderr().is_terminal:
        yield lambda: None
        return
    with _bar() as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def work_bar() -> Iterator[Callable[[int, int], None]]:
    """Show how far a long run is; yields what is called with what is done, of how much."""
    if not stderr().is_terminal:
        yield lambda _done, _total: None
        return
    with _bar() as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _bar() -> Progress:
    from rich import progress  # noqa: PLC0415  see above

    columns = (
        progress.TextColumn("editing"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    # On no terminal there is none: rich 13 would print an empty line for one that is disabled.
    return progress.Progress(*columns, console=stderr(), transient=True)
