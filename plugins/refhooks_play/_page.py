"""The page: its parts, and what happens when they are used."""

from __future__ import annotations

import asyncio
import html
from typing import TYPE_CHECKING, Any

import gradio as gr

from refhooks_play._edit_tab import edit_tab
from refhooks_play._file_tab import file_tab
from refhooks_play._look_tab import look_tab
from refhooks_play._paint_tab import paint_tab
from refhooks_play._parts import PAINT, QUIET, Parts, told
from refhooks_play._session import Session
from refhooks_play._steer_tab import steer_tab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from refhooks_play._running import Runner

__all__ = ["build"]

HOLD = 20.0  # seconds


def build(runner: Runner, model: str, root: Path) -> Any:
    """Return the page.

    Args:
        runner: The model and its queue.
        model: Its name.
        root: Folder in which each session has its own.
    """
    with gr.Blocks(
        title="refhooks play", analytics_enabled=False, delete_cache=(600, 7200)
    ) as page:
        parts = Parts(gr.State(None, delete_callback=_closed))
        gr.Markdown(f"## refhooks play: {html.escape(model)}")
        parts.show(gr.HTML("", elem_id="hint"), _hint)
        parts.reference = gr.Radio(
            [], label="Reference that Steer and Paint are about", elem_id="reference",
        )  # fmt: skip
        with gr.Tabs():
            for name, tab in TABS.items():
                ready = name != PAINT  # a field that is not there yet holds no value
                with gr.Tab(name, id=name.lower(), render_children=ready) as parts.tabs[name]:
                    tab(parts, runner.editor, model)
        parts.follow_tabs()
        parts.act(parts.reference.select, _look_at, gr.HTML(""), [parts.reference], quick=True)
        parts.wire()
        page.load(lambda: Session(runner, root), None, parts.session, **QUIET).then(
            parts.shown, parts.session, parts.outputs(), **QUIET
        )
        held = gr.HTML("", visible=False)
        page.load(_hold, None, held, concurrency_limit=None, **QUIET)
    page.queue(default_concurrency_limit=16, api_open=False)
    return page


TABS = {
    "Edit": edit_tab, "Steer": steer_tab, "Paint": paint_tab, "Look": look_tab, "File": file_tab,
}  # fmt: skip


async def _hold() -> AsyncIterator[Any]:
    """Never end, so that the browser keeps its one stream of answers open.

    It closes the stream when it waits for nothing, and loses the answer to what begins just then.
    """
    while True:
        yield gr.skip()
        await asyncio.sleep(HOLD)


def _hint(session: Session) -> str:
    return "" if session.state.cards else told("Upload a picture, or choose a sample, to begin.")


def _closed(session: Session | None) -> None:
    if session is not None:
        session.close()


def _look_at(session: Session, chosen: str | None) -> None:
    names = session.names()
    session.place = names.index(chosen) if chosen in names else 0
