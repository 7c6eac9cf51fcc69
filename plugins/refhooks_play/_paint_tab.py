"""The tab Paint: masks by brush, on the picture that they lie on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from refhooks import InputError
from refhooks.pictures import load_mask, load_picture
from refhooks_play._parts import BUTTONS, PAINT, QUIET
from refhooks_play._pictures import mask_of_layers, paintable, shown, take_in

if TYPE_CHECKING:
    from PIL import Image

    from refhooks import Editor
    from refhooks_play._parts import Parts
    from refhooks_play._session import Session

__all__ = ["paint_tab"]

EDIT, REGION, CONTENT = "Edit mask", "Region mask", "Content mask"
KINDS = {EDIT: "edit", REGION: "region", CONTENT: "content"}
SAYS = (
    "Edit mask: where the picture may change at all. Region mask: where the chosen reference may"
    " act. Content mask: which part of the chosen reference is used."
)


def paint_tab(parts: Parts, _editor: Editor, _model: str) -> None:
    """Lay the tab out, and say what its parts do."""
    with gr.Row():
        with gr.Column(scale=6, min_width=300):
            kind = gr.Radio(list(KINDS), value=EDIT, label="What to paint", info=SAYS,
                            elem_id="mask-kind")  # fmt: skip
            editor = gr.ImageEditor(
                label="Paint here", type="pil", format="png", sources=(),
                transforms=(), layers=False, canvas_size=(512, 512), elem_id="painting", height=600,
                brush=gr.Brush(colors=["#e0004d"], color_mode="fixed", default_size=24),
            )  # fmt: skip
        with gr.Column(scale=4, min_width=280):
            feather = gr.Slider(0, 128, value=0, step=1, label="Feather", elem_id="feather",
                                info="pixels over which it fades out")  # fmt: skip
            invert = gr.Checkbox(label="Invert: what is not painted counts", elem_id="invert")
            with gr.Row():
                use = gr.Button("Use the mask", variant="primary", elem_id="use-mask")
                remove = gr.Button("Remove the mask", elem_id="remove-mask")
            status = gr.HTML("", elem_id="paint-status")
            load = gr.File(label="Load a mask: white covers", file_types=["image"], height=140,
                           elem_id="load-mask")  # fmt: skip
            preview = gr.Image(label="Mask", interactive=False, format="png", height=220,
                               elem_id="mask-shown", elem_classes="picture",
                               buttons=BUTTONS)  # fmt: skip
            save = gr.DownloadButton("Save the mask", interactive=False, elem_id="save-mask")
    ground = parts.show(gr.HTML("", visible=False), _ground_key)
    for event in (kind.select, ground.change):
        event(_ground, [parts.session, kind], editor, **QUIET)
    parts.later(lambda: parts.tabs[PAINT].select(_opened, [parts.session, kind], editor, **QUIET))
    look = (_looked_at, [parts.session, kind], [preview, save])
    kind.select(*look, **QUIET)
    masks = parts.show(gr.HTML("", visible=False), _masks_key)
    masks.change(*look, **QUIET)
    parts.act(use.click, _use, status, [kind, editor, feather, invert])
    parts.act(remove.click, _remove, status, [kind])
    parts.act(load.upload, _load, status, [kind, load, feather, invert], [load])


def _ground_key(session: Session) -> str:
    """Changes when other pictures are to be painted on."""
    images = [card.image for card in session.state.cards]
    return f"{session.place} {images}"


def _masks_key(session: Session) -> str:
    """Changes when masks do: a mask's file has one name, so its time counts."""
    files = sorted(session.folder.glob("mask-*"))
    times = [(it.name, it.stat().st_mtime_ns) for it in files]
    return f"{times} {session.state.edit_mask} {[card.rest for card in session.state.cards]}"


def _picture(session: Session, kind: str) -> Image.Image | None:
    """What the mask lies on: the source, or the reference for its content."""
    cards = session.state.cards
    if not cards or session.card is None:
        return None
    card = session.card if kind == CONTENT else cards[0]
    return load_picture(session.folder / card.image)


def _opened(session: Session | None, kind: str) -> Any:
    if session is not None:
        session.tab = PAINT
    return _ground(session, kind)


def _ground(session: Session | None, kind: str) -> Any:
    """The picture to paint on, where another is to be: what is painted on this one stays."""
    if session is None or session.tab != PAINT:
        return gr.skip()
    key = f"{kind} {_ground_key(session)}"
    if key == session.painted:
        return gr.skip()
    session.painted = key
    picture = _picture(session, kind)
    if picture is None:
        return None
    return {"background": paintable(picture), "layers": [], "composite": None}


def _use(
    session: Session, kind: str, painted: dict[str, Any] | None, feather: float, invert: bool
) -> str:
    """Make what was painted the mask."""
    picture = _picture(session, kind)
    if picture is None:
        raise InputError("there is no picture yet; choose one on the tab Edit")
    layers = [it for it in (painted or {}).get("layers") or [] if it is not None]
    return _set(session, kind, mask_of_layers(layers, picture.size), feather, invert=invert)


def _load(
    session: Session, kind: str, path: str | None, feather: float, invert: bool
) -> str | None:
    """Make a file the mask; one that is no black-and-white picture is refused by refhooks."""
    if path is None:
        return None
    if _picture(session, kind) is None:
        raise InputError("there is no picture yet; choose one on the tab Edit")
    take_in(Path(path), session.folder)
    return _set(session, kind, load_mask(Path(path)), feather, invert=invert)


def _set(session: Session, kind: str, mask: Image.Image, feather: float, *, invert: bool) -> str:
    name = _name(session, kind)
    mask.convert("L").save(session.folder / name)
    table: dict[str, Any] = {"image": name}
    if feather:
        table["feather"] = float(feather)
    if invert:
        table["invert"] = True
    if kind == EDIT:
        session.change(edit_mask=table)
    elif session.card is not None:
        card = session.card.masked(KINDS[kind], {"kind": KINDS[kind], **table})
        session.state = session.state.with_card(session.place, card)
    covered = sum(at * count for at, count in enumerate(mask.convert("L").histogram()))
    share = covered / 255 / (mask.width * mask.height)
    return f"{kind.lower()} is set: {share:.0%} of the picture is painted"


def _name(session: Session, kind: str) -> str:
    """The name of a mask's file, which is no picture's and no other mask's."""
    number = "" if kind == EDIT else f"-{session.place + 1}"
    own = (_table(session, kind) or {}).get("image", "")
    return session.free_name(f"mask-{KINDS[kind]}{number}", own)


def _table(session: Session, kind: str) -> dict[str, Any] | None:
    """The mask of a kind that is set, if one is."""
    if kind == EDIT:
        return session.state.edit_mask
    masks = session.card.rest.get("mask", ()) if session.card else ()
    return next((it for it in masks if it.get("kind", "region") == KINDS[kind]), None)


def _remove(session: Session, kind: str) -> str:
    if _table(session, kind) is None:
        raise InputError(f"there is no {kind.lower()}")
    if kind == EDIT:
        session.change(edit_mask=None)
    elif session.card is not None:
        card = session.card.masked(KINDS[kind], None)
        session.state = session.state.with_card(session.place, card)
    return f"{kind.lower()} removed"


def _looked_at(session: Session | None, kind: str) -> list[Any]:
    """The mask that is set, and its file."""
    table = None if session is None else _table(session, kind)
    name = "" if table is None else table.get("image", "")
    if session is None or not name:
        return [None, gr.update(interactive=False, value=None)]
    place = session.folder / name
    return [shown(load_mask(place).convert("L")), gr.update(interactive=True, value=str(place))]
