"""The grid of the tab Look: methods down, strengths across, around the edit of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks import InputError
from refhooks_play._cells import Cells

if TYPE_CHECKING:
    from refhooks import GridResult
    from refhooks_play._running import Job
    from refhooks_play._session import Session
    from refhooks_play._state import State

__all__ = ["start_grid"]

MAX_CELLS = 36


def start_grid(session: Session, methods: list[str], strengths: str) -> Job:
    """Queue a grid; its cells are checked before the first is made."""
    columns = [it.strip() for it in strengths.split(",") if it.strip()]
    if not methods or not columns:
        raise InputError("a grid needs at least one method and one strength")
    cells = len(methods) * len(columns)
    if cells > MAX_CELLS:
        raise InputError(f"{cells} pictures are too many; the page makes {MAX_CELLS} of one grid")
    arguments = _bare(session).arguments(session.folder)
    source, prompt = arguments.pop("image"), arguments.pop("prompt")
    seed = arguments.pop("seed")
    editor = session.editor
    total = (session.state.steps or editor.family.default_steps) * cells

    def work(job: Job) -> GridResult:
        return editor.grid(
            source, prompt, methods=methods, strengths=[_number(it) for it in columns],
            seeds=[0 if seed is None else seed], callback=job.watch(editor), wait=True,
            **arguments,
        )  # fmt: skip

    return session.start(work, total)


def _bare(session: Session) -> State:
    """The page with its source as a grid varies it: without its stages, within its masks."""
    state = session.state
    if not state.cards:
        return state
    first = state.cards[0]
    stages = (Cells(session.editor.family.native),) if first.rest else ()
    return state.with_card(0, attrs.evolve(first, stages=stages))


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
