"""The tab File: what is on the page as a strategy file and a command line, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from refhooks import RefhooksError
from refhooks_play._parts import QUIET, told
from refhooks_play._session import alert

if TYPE_CHECKING:
    from refhooks import Editor
    from refhooks_play._command_line import CommandLine
    from refhooks_play._parts import Parts
    from refhooks_play._session import Session

__all__ = ["file_tab"]


def file_tab(parts: Parts, _editor: Editor, _model: str) -> None:
    """Lay the tab out, and say what its parts do."""
    gr.Markdown(
        "What is on this page is a strategy file. It names its pictures, which belong beside it;"
        " a picture that was made here carries everything inside."
    )
    write = gr.Button("Show the strategy file and the command", variant="primary", elem_id="write")
    status = gr.HTML("", elem_id="file-status")
    text = gr.Code(label="Strategy file", language=None, interactive=False, lines=8,
                   wrap_lines=True, elem_id="toml")  # fmt: skip
    command = gr.Textbox(label="Command line", interactive=False, lines=2, elem_id="command")
    words = gr.HTML("", elem_id="beside")
    download = gr.DownloadButton("Download strategy.toml", visible=False, elem_id="download-toml")
    _opening(parts, status)

    def show(session: Session | None, *values: Any) -> list[Any]:
        nothing: list[Any] = ["", "", "", gr.update(visible=False)]
        if session is None:
            return [alert("load this page again"), *nothing]
        try:
            with session.lock:
                parts.write(session, values)
            path, toml, line = session.exported()
        except RefhooksError as error:
            return [alert(str(error)), *nothing]
        return [
            "", toml, line.text, beside(line), gr.update(visible=True, value=str(path)),
        ]  # fmt: skip

    parts.later(
        lambda: write.click(show, parts.inputs(), [status, text, command, words, download], **QUIET)
    )


def _opening(parts: Parts, status: Any) -> None:
    """A field that takes files, which become what is on the page."""
    gr.Markdown(
        "To open: a strategy file together with the pictures and .safetensors files that it names,"
        " or a picture that was made here."
    )
    opened = gr.File(
        label="Open files",
        file_count="multiple", height=150, elem_id="open",
    )  # fmt: skip

    def open_files(session: Session, paths: list[str] | None) -> str | None:
        return session.open([Path(path) for path in paths]) if paths else None

    parts.act(opened.upload, open_files, status, [opened], [opened])


def beside(line: CommandLine) -> str:
    """Say what has to lie beside a command, and what it does not carry."""
    files = told(f"It reads {', '.join(line.files)} from the folder that it is run in.")
    return files + "".join(alert(it) for it in line.left_out)
