"""The tab Look: what methods and strengths do, and what an edit did."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import gradio as gr

from refhooks import InputError, RefhooksError
from refhooks_play._edit_tab import LOOK, progress
from refhooks_play._grid import start_grid
from refhooks_play._parts import BUTTONS, QUIET, told
from refhooks_play._session import alert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from refhooks import Editor, EditResult, GridResult
    from refhooks_play._parts import Parts
    from refhooks_play._running import Job
    from refhooks_play._session import Session

__all__ = ["look_tab"]

NO_DRIFT = (
    "nothing was reused in the last edit, or never stored anew, so nothing could drift; a stage"
    ' with cross_attn and the option reuse = "every 4" reuses keys and values'
)
EMPTY = "there is no result yet; run the edit first, on the tab Edit"


def look_tab(parts: Parts, editor: Editor, _model: str) -> None:
    """Lay the tab out, and say what its parts do."""
    with gr.Tabs():
        with gr.Tab("Grid", id="grid"):
            _grid(parts, editor)
        with gr.Tab("Attention", id="attention"):
            _watched(
                parts, "Run the edit and record attention", "attention",
                lambda session, _values: session.start_edit(record_attention=True), _attention,
            )  # fmt: skip
        with gr.Tab("Drift", id="drift"):
            _plot(parts, "Plot the drift of the last edit", "drift", _drift)
        with gr.Tab("Advice", id="advice"):
            _advice(parts)


def _grid(parts: Parts, editor: Editor) -> None:
    """Methods down, strengths across: ``refhooks grid``."""
    gr.Markdown(
        "The source's stages are varied; its masks, and other references, stay as they are."
    )
    methods = gr.CheckboxGroup(
        sorted(editor.registry.methods), value=[editor.family.native], label="Methods",
        elem_id="grid-methods",
    )  # fmt: skip
    strengths = gr.Textbox("0, 0.5, 1, 1.5", label="Strengths", elem_id="grid-strengths",
                           info="numbers or short forms such as 0.4:1.0, with commas")  # fmt: skip

    def start(session: Session, values: tuple[Any, ...]) -> Job:
        return start_grid(session, *values)

    _watched(parts, "Make the grid", "grid", start, _sheet, [methods, strengths])


def _sheet(session: Session, result: GridResult) -> str:
    place = session.made("grid.png")
    result.sheet.save(place)
    return str(place)


def _attention(session: Session, result: EditResult) -> str:
    session.result = result
    return str(result.plot_attention(session.made("attention.png")))


def _watched(
    parts: Parts,
    label: str,
    name: str,
    start: Callable[[Session, tuple[Any, ...]], Job],
    draw: Callable[[Session, Any], str],
    more: list[Any] | None = None,
) -> None:
    """A button that has the model work, and the picture that comes of it."""
    extra = more or []
    with gr.Row():
        button = gr.Button(label, variant="primary", elem_id=f"make-{name}")
        cancel = gr.Button("Cancel", elem_id=f"cancel-{name}")
    status = gr.HTML("", elem_id=f"{name}-status")
    picture = gr.Image(
        label=name.capitalize(), interactive=False, format="png", elem_id=name,
        elem_classes="picture wide", buttons=BUTTONS,
    )  # fmt: skip

    async def run(session: Session | None, *values: Any) -> AsyncIterator[list[Any]]:
        try:
            if session is None:
                raise InputError("load this page again")
            with session.lock:
                parts.write(session, values[len(extra) :])
            job = await asyncio.to_thread(start, session, values[: len(extra)])
        except RefhooksError as error:
            yield [alert(str(error)), gr.skip()]
            return
        while job.is_open:
            yield [told(progress(session, job)), gr.skip()]
            await asyncio.sleep(LOOK)
        yield await asyncio.to_thread(_shown, session, job, draw)

    def wired() -> None:
        session, *fields = parts.inputs()
        button.click(
            run, [session, *extra, *fields], [status, picture], concurrency_limit=None, **QUIET
        )

    parts.later(wired)
    cancel.click(lambda it: it and it.cancel(), parts.session, None, **QUIET)


def _shown(session: Session, job: Job, draw: Callable[[Session, Any], str]) -> list[Any]:
    if job.state == "cancelled":
        return [told("cancelled; the model is as before"), None]
    if job.state == "failed":
        return [alert(job.error), None]
    try:
        drawn = draw(session, job.result)
    except RefhooksError as error:
        return [alert(str(error)), None]
    notes = "".join(alert(note) for note in dict.fromkeys(job.notes))
    return [told(f"{job.seconds:.1f} s") + notes, drawn]


def _plot(parts: Parts, label: str, name: str, draw: Callable[[Session, EditResult], str]) -> None:
    """A button that draws something of the last result."""
    button = gr.Button(label, variant="primary", elem_id=f"make-{name}")
    status = gr.HTML("", elem_id=f"{name}-status")
    picture = gr.Image(
        label=name.capitalize(), interactive=False, format="png", elem_id=name,
        elem_classes="picture wide", buttons=BUTTONS,
    )  # fmt: skip

    def plotted(session: Session | None) -> list[Any]:
        try:
            if session is None or session.result is None:
                raise InputError(EMPTY)
            return ["", draw(session, session.result)]
        except RefhooksError as error:
            return [alert(str(error)), None]

    button.click(plotted, parts.session, [status, picture], **QUIET)


def _drift(session: Session, result: EditResult) -> str:
    if not result.drift:
        raise InputError(NO_DRIFT)
    return str(result.plot_drift(session.made("drift.png")))


def _advice(parts: Parts) -> None:
    """What ``refhooks explain`` says."""
    button = gr.Button("Explain the last edit", variant="primary", elem_id="make-advice")
    status = gr.HTML("", elem_id="advice-status")
    said = gr.HTML("", elem_id="advice")
    sheet = gr.Image(label="Source, result, difference", interactive=False, format="png",
                     elem_id="compared", elem_classes="picture wide", buttons=BUTTONS)  # fmt: skip

    def explain(session: Session | None) -> list[Any]:
        try:
            if session is None or session.result is None:
                raise InputError(EMPTY)
            result = session.result
            return ["", result.advice._repr_html_(), result.compare()]
        except RefhooksError as error:
            return [alert(str(error)), "", None]

    button.click(explain, parts.session, [status, said, sheet], **QUIET)
