"""``refhooks play``: a page to steer on, in a browser.

What is on the page is a strategy file: it can be saved as one, as a command line and inside a
picture, and each of these can be opened. The page needs the extra ``play``; what turns it into
strategies and back (:mod:`refhooks_play._state`) does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks import CommandEntry, hookimpl

if TYPE_CHECKING:
    import click


def _play_command() -> click.Command:
    from refhooks_play._command import play  # noqa: PLC0415  when it is called

    return play


@hookimpl
def refhooks_commands() -> list[CommandEntry]:
    """Register the command."""
    return [CommandEntry("play", "Open a page in the browser to steer edits on.", _play_command)]
