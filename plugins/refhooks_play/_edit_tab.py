"""The tab Edit: a picture in, a prompt, and the result beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from refhooks import InputError, RefhooksError
from refhooks.pictures import load_picture
from refhooks_play._parts import BUTTONS, QUIET, told
from refhooks_play._pictures import shown
from refhooks_play._session import Session, alert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from refhooks import Editor
    from refhooks_play._parts import Parts
    from refhooks_play._running import Job

    Taking = Callable[[Session, Path, str | None], None]

__all__ = ["edit_tab", "progress"]

LOOK = 0.15  # seconds between two looks at an edit that runs
NONE: Any = "choose …"


def edit_tab(parts: Parts, editor: Editor, model: str) -> None:
    """Lay the tab out, and say what its parts do."""
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            _pictures(parts, editor, model)
        with gr.Column(scale=6, min_width=300):
            _request(parts, editor, model)
            with gr.Row():
                run = gr.Button("Run", variant="primary", elem_id="run")
                cancel = gr.Button("Cancel", elem_id="cancel")
            running = gr.HTML("", elem_id="running")
            outputs = [running, *_results(parts)]
    parts.later(
        lambda: run.click(_runner(parts), parts.inputs(), outputs, concurrency_limit=None, **QUIET)
    )
    cancel.click(_cancel, parts.session, None, **QUIET)


def _pictures(parts: Parts, editor: Editor, model: str) -> None:
    """What the edit is given."""
    samples = _samples(editor, model)
    source = gr.File(
        label="Picture to edit", file_types=["image"], height=140, elem_id="source",
    )  # fmt: skip
    sample = _sample(samples, "sample")
    status = gr.HTML("", elem_id="edit-status")
    parts.show(
        gr.Image(label="Source", interactive=False, format="png", height=300, elem_id="shown",
                 elem_classes="picture", buttons=BUTTONS),
        Session.look,
    )  # fmt: skip
    with gr.Accordion("More references", open=False, elem_id="references"):
        more = gr.File(
            label="Picture that steers too", file_types=["image"], height=140, elem_id="more",
        )  # fmt: skip
        more_sample = _sample(samples, "more-sample")
    for taking, file, chosen in (
        (Session.set_source, source, sample),
        (Session.add_reference, more, more_sample),
    ):
        parts.act(file.upload, _uploaded(taking), status, [file], [file])
        parts.act(chosen.select, _chosen(taking, samples), status, [chosen])


def _sample(samples: Mapping[str, Path], name: str) -> Any:
    return gr.Dropdown(
        [NONE, *samples], value=NONE, label="or a sample", visible=bool(samples), elem_id=name
    )


def _uploaded(taking: Taking) -> Callable[[Session, str | None], None]:
    def take(session: Session, path: str | None) -> None:
        if path is not None:
            taking(session, Path(path), None)

    return take


def _chosen(taking: Taking, samples: Mapping[str, Path]) -> Callable[[Session, str], None]:
    def take(session: Session, name: str) -> None:
        if name in samples:
            taking(session, samples[name], name)

    return take


def _samples(editor: Editor, model: str) -> Mapping[str, Path]:
    """The pictures that the model edits well, by the names of their files."""
    embedded = editor.registry.models.get(model)
    if embedded is None:
        return {}
    own = {path.name: path for path in embedded.samples()}
    return {**own, **embedded.companions()}


def _request(parts: Parts, editor: Editor, model: str) -> None:
    """What is asked for."""
    embedded = editor.registry.models.get(model)
    example = embedded.prompts[0] if embedded is not None and embedded.prompts else ""
    parts.field(
        gr.Textbox(label="Prompt", placeholder=example, lines=2, elem_id="prompt", max_length=4000),
        lambda it: it.state.prompt, lambda it, value: it.change(prompt=value or ""),
    )  # fmt: skip
    with gr.Row():
        _number(parts, "Steps", "steps", f"empty: {editor.family.default_steps}")
        _number(parts, "Seed", "seed", "empty: one is drawn")
    with gr.Accordion("More", open=False):
        parts.field(
            gr.Textbox(label="Negative prompt", elem_id="negative"),
            lambda it: it.state.negative.strip(),
            lambda it, value: it.change(negative=value or " "),
        )
        with gr.Row():
            parts.field(
                gr.Textbox(label="Guidance", info="empty: the model's own", elem_id="cfg"),
                lambda it: it.state.cfg, lambda it, value: it.change(cfg=value or ""),
            )  # fmt: skip
            parts.field(
                gr.Slider(0.05, 1.0, step=0.01, label="Denoise", elem_id="denoise",
                          info="how much of the way from noise is run"),
                lambda it: it.state.denoise,
                lambda it, value: it.change(denoise=1.0 if value is None else float(value)),
            )  # fmt: skip
        with gr.Row():
            _number(parts, "Height", "height", "empty: as the source")
            _number(parts, "Width", "width", "empty: as the source")
    _brought(parts)


def _brought(parts: Parts) -> None:
    """What an opened file brought that no field shows, and a way to leave it out."""
    parts.show(gr.HTML("", elem_id="brought"), lambda it: _also(it.hidden()))
    forget = gr.Button("Leave that out", visible=False, size="sm", elem_id="forget")
    parts.show(forget, lambda it: gr.update(visible=bool(it.hidden())))
    parts.act(forget.click, Session.forget, gr.HTML("", elem_id="forget-status"))


def _also(hidden: str) -> str:
    return told(f"This edit also has, from the file that was opened: {hidden}") if hidden else ""


def _number(parts: Parts, label: str, name: str, info: str) -> None:
    """A whole number, or nothing."""
    parts.field(
        gr.Number(label=label, info=info, precision=0, value=None, elem_id=name),
        lambda it: getattr(it.state, name),
        lambda it, value: it.change(**{name: None if value is None else int(value)}),
    )


def _results(parts: Parts) -> list[Any]:
    """What is shown while an edit runs, and afterwards."""
    preview = gr.Image(
        label="Predicted picture", interactive=False, format="png", visible=False, height=420,
        buttons=[],
        elem_id="preview", elem_classes="pixels picture",
    )  # fmt: skip
    slider = gr.ImageSlider(
        label="Before and after", interactive=False, format="png", visible=False,
        max_height=520, elem_id="slider", elem_classes="pixels picture", buttons=["fullscreen"],
    )  # fmt: skip
    border = gr.Slider(
        0, 100, value=50, step=1, label="Before and after meet at", visible=False,
        elem_id="border", info="percent of the width: the same as the handle, for the keyboard",
    )  # fmt: skip
    border.change(
        lambda it: gr.update(slider_position=50 if it is None else it), border, slider,
        trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    download = gr.DownloadButton(
        "Download, with its recipe inside", visible=False, elem_id="download"
    )
    use = gr.Button("Use the seed again", visible=False, elem_id="use-seed")

    def again(session: Session) -> None:
        if session.result is not None:
            session.change(seed=session.result.seed)

    parts.act(use.click, again, gr.HTML("", elem_id="seed-status"))
    return [preview, slider, border, download, use]


def _cancel(session: Session | None) -> None:
    if session is not None:
        session.cancel()


def _runner(parts: Parts) -> Any:
    """The edit, as updates of the page: where it stands, what it would become, what it is."""

    async def run(session: Session | None, *values: Any) -> AsyncIterator[list[Any]]:
        nothing = [gr.skip()] * 5
        try:
            if session is None:
                raise InputError("load this page again")
            with session.lock:
                parts.write(session, values)
            job = await asyncio.to_thread(session.start_edit)
        except RefhooksError as error:
            yield [alert(str(error)), *nothing]
            return
        hidden = gr.update(visible=False)
        yield [told("starting"), gr.update(visible=False, value=None), *[hidden] * 4]
        last: Any = None
        while job.is_open:
            looked = job.preview
            fresh = looked is not None and looked is not last
            last = looked
            seen = gr.update(visible=True, value=shown(looked)) if looked and fresh else gr.skip()
            yield [told(progress(session, job)), seen, *[gr.skip()] * 4]
            await asyncio.sleep(LOOK)
        yield await asyncio.to_thread(_finished, session, job)

    return run


def progress(session: Session, job: Job) -> str:
    """Say where an edit stands."""
    if job.state == "waiting":
        before = session.runner.place(job)
        edits = "edit is" if before == 1 else "edits are"
        return f"waiting: {before} {edits} before this one"
    return f"step {job.step} of {job.total}" if job.total else "running"


def _finished(session: Session, job: Job) -> list[Any]:
    """What the page shows of an edit that is over."""
    hidden = [gr.update(visible=False, value=None), *[gr.update(visible=False)] * 4]
    if job.state != "done":
        said = told("cancelled; the model is as before") if job.state == "cancelled" else ""
        return [said or alert(job.error), *hidden]
    result = session.result = job.result
    before = load_picture(session.folder / session.state.cards[0].image)
    after = result.image
    size = f"{after.width}x{after.height}"
    facts = f"seed {result.seed}, {size}, {job.seconds:.1f} s"
    pair = (shown(before.resize(after.size)), shown(after))
    notes = "".join(alert(note) for note in dict.fromkeys(job.notes))
    return [
        told(facts) + notes,
        hidden[0],
        gr.update(visible=True, value=pair, slider_position=50),
        gr.update(visible=True, value=50),
        gr.update(visible=True, value=str(session.saved(result))),
        gr.update(visible=True),
    ]
