"""The tab Steer: the stages of a reference in a table, and the lanes of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from refhooks import InputError, presets
from refhooks_play._cells import Cells
from refhooks_play._parts import Field
from refhooks_play._session import MAX_STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks import Editor
    from refhooks_play._parts import Parts
    from refhooks_play._session import Session

__all__ = ["steer_tab"]

NONE = "choose …"
VISIONS = ("auto", "always", "never")


def steer_tab(parts: Parts, editor: Editor, _model: str) -> None:
    """Lay the tab out, and say what its parts do."""
    with gr.Accordion("Timeline", open=True):
        parts.lanes = gr.HTML("", elem_id="lanes")
    status = gr.HTML("", elem_id="steer-status", render=False)
    rows = [_row(parts, editor, number, status) for number in range(MAX_STAGES)]
    cells = [cell for row in rows for cell in row[1:5]]
    parts.fields.append(Field(cells, _read, _write))
    with gr.Row():
        add = gr.Button("Add a stage", elem_id="add-stage")
        remove = gr.Button("Remove this reference", elem_id="remove-reference")
    status.render()
    with gr.Row():
        names = [it.name for it in presets()]
        preset = gr.Dropdown([NONE, *names], value=NONE, label="Preset", elem_id="preset",
                             info="fills the stages of this reference")  # fmt: skip
        parts.field(
            gr.Dropdown(list(VISIONS), value="auto", label="Vision", elem_id="vision",
                        info="whether the text encoder sees the picture"),
            lambda it: it.card.rest.get("vision", "auto") if it.card else "auto",
            lambda it, value: it.change_rest(vision=None if value == "auto" else value),
        )  # fmt: skip
    parts.act(add.click, _add, status)
    parts.act(remove.click, lambda it: it.remove_reference(), status)
    parts.act(
        preset.select, lambda it, name: None if name == NONE else it.fill(name), status, [preset]
    )


def _row(parts: Parts, editor: Editor, number: int, status: Any) -> tuple[Any, ...]:
    """A stage: its method, options, strength and end, and a button that removes it."""
    at = number + 1
    with gr.Row(visible=number == 0, elem_classes="stage", elem_id=f"stage-{at}") as row:
        method = gr.Dropdown(
            sorted(editor.registry.methods), value=editor.family.native, label=f"Method {at}",
            min_width=130, scale=2, elem_id=f"method-{at}",
        )  # fmt: skip
        options = gr.Textbox(
            label="Options", placeholder='formula = "blend"', min_width=150, scale=3,
            elem_id=f"options-{at}",
        )  # fmt: skip
        strength = gr.Textbox(
            label="Strength", placeholder="1", min_width=110, scale=2,
            elem_id=f"strength-{at}",
        )  # fmt: skip
        until = gr.Textbox(
            label="Until", placeholder="the end", min_width=110, scale=2,
            elem_id=f"until-{at}",
        )  # fmt: skip
        remove = gr.Button("Remove", min_width=100, scale=0, elem_id=f"remove-{at}")
    parts.show(row, lambda it: gr.update(visible=number < max(1, len(_stages(it)))))
    parts.act(remove.click, lambda it: _remove(it, number), status)
    return row, method, options, strength, until, remove


def _stages(session: Session) -> tuple[Cells, ...]:
    return session.card.stages if session.card else ()


def _read(session: Session) -> list[Any]:
    """What the rows show, those that are not used as well."""
    native = Cells(session.editor.family.native)
    stages = _stages(session)
    padded = [*stages, *[native] * (MAX_STAGES - len(stages))]
    return [
        it for cells in padded for it in (cells.method, cells.options, cells.strength, cells.until)
    ]


def _write(session: Session, values: Sequence[Any]) -> None:
    count = len(_stages(session))
    rows = [values[4 * at : 4 * at + 4] for at in range(count)]
    session.set_stages([Cells(*[str(value or "") for value in row]) for row in rows])


def _add(session: Session) -> str:
    """Add a stage at the end; the one before then needs an end, half way of what is left."""
    stages = list(_stages(session))
    if session.card is None:
        raise InputError("there is no picture yet; choose one on the tab Edit")
    if len(stages) == MAX_STAGES:
        raise InputError(f"the page shows {MAX_STAGES} stages; a strategy file may hold more")
    if stages and not stages[-1].until:
        before = [_number(it.until) for it in stages[:-1]]
        end = (1.0 + (before[-1] if before else 0.0)) / 2
        last = stages[-1]
        stages[-1] = Cells(last.method, last.options, last.strength, f"{end:g}")
    session.set_stages([*stages, Cells(session.editor.family.native)])
    return f"stage {len(stages) + 1} added"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _remove(session: Session, number: int) -> str:
    """Remove a stage; the last one goes to the end."""
    stages = [it for at, it in enumerate(_stages(session)) if at != number]
    if not stages:
        raise InputError(
            "a reference has at least one stage; set its strength to 0 to leave it out"
        )
    last = stages[-1]
    stages[-1] = Cells(last.method, last.options, last.strength)
    session.set_stages(stages)
    return f"stage {number + 1} removed"
