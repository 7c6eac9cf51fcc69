"""Edits of every kind, one after another on the same editors, half of them ending in an error."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import attrs
import torch
from safetensors.torch import save_file

import refhooks as rh
from refhooks.batch import Job, edit_batch
from refhooks.testing._tiny import picture, tiny_pipeline
from refhooks_qwen21._tiny import tiny_pipeline as tiny_21

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PIL.Image import Image

SIDE = 32
METHODS = ("default", "inject", "cross_attn")
STRENGTHS: tuple[Any, ...] = (
    0.0, 0.3, 0.8, 1.0, 1.4, "0.4:1.2", "1.2:0.2:cosine", "0@0.4,0.5@1,1@0.2", "0.2:1:ease-in-out",
)  # fmt: skip
HOOKS = (
    "refhooks_step", "refhooks_branches", "refhooks_conditioning", "refhooks_attention",
    "refhooks_velocity", "refhooks_image",
)  # fmt: skip
ERRORS = (
    ValueError("a fault"), StopIteration("a fault"), MemoryError("a fault"),
    KeyboardInterrupt("a fault"), SystemExit(3), torch.OutOfMemoryError("a fault"),
)  # fmt: skip


@attrs.frozen
class Place:
    """A model and the files beside it.

    Attributes:
        name: Of the model.
        editor: An editor on it.
        folder: Where results go.
        lora: A LoRA for it.
        toy: Whether it is the embedded model, which can do ``concat`` and takes longer.
    """

    name: str
    editor: rh.Editor
    folder: Path
    lora: Path
    toy: bool = False

    @property
    def size(self) -> dict[str, int]:
        """The output of an edit."""
        return {} if self.toy else {"height": SIDE, "width": SIDE}


def places(folder: Path, *, toy: bool = True) -> list[Place]:
    """Return models of three pipelines, and the embedded one."""
    area = SIDE**2
    sizes = rh.Checkpoint(output=area, reference=area, vision=area, steps=2)
    editors = {
        "plus": rh.Editor(tiny_pipeline("plus", "middle"), checkpoint=sizes, encodings_mib=0),
        "edit": rh.Editor(tiny_pipeline("edit", "small"), checkpoint=sizes, encodings_mib=0),
        "qwen-image-21": rh.Editor(
            tiny_21(), checkpoint=rh.Checkpoint(reference=area), encodings_mib=0
        ),
    }
    if toy:
        editors["toy"] = rh.Editor.from_pretrained("toy")
    made = []
    for name, editor in editors.items():
        file = folder / f"{name}.safetensors"
        layer, linear = next(
            (name, it) for name, it in editor.pipe.transformer.named_modules()
            if isinstance(it, torch.nn.Linear)
        )  # fmt: skip
        save_file({
            f"transformer.{layer}.lora_A.weight": torch.ones(2, linear.in_features) / 50,
            f"transformer.{layer}.lora_B.weight": torch.ones(linear.out_features, 2) / 50,
        }, file)  # fmt: skip
        made.append(Place(name, editor, folder, file, name == "toy"))
    return made


@attrs.define
class Soak:
    """Edits by their numbers: the same number is the same edit.

    Attributes:
        places: The models.
        seed: Of the choice.
    """

    places: list[Place]
    seed: int = 0

    def edit(self, number: int) -> str:
        """Run one; return what was done, which ended in an error if its name says so.

        Raises:
            AssertionError: One that was to fail did not, or the other way round.
        """
        draw = random.Random(f"{self.seed} {number}")  # noqa: S311  no secret
        small = [place for place in self.places if not place.toy] or self.places
        toy = [place for place in self.places if place.toy]
        place = toy[0] if toy and number % 25 == 0 else small[number % len(small)]
        if number % 2 == 0:
            kind = draw.choice(list(WAYS))
            WAYS[kind](place, draw)
            return f"{place.name}: {kind}"
        kind = draw.choice(list(FAULTS))
        error: BaseException | None = None
        try:
            FAULTS[kind](place, draw)
        except BaseException as raised:  # noqa: BLE001  KeyboardInterrupt too
            error = raised
        if error is None:
            raise AssertionError(f"edit {number} on {place.name}, {kind}: no error")
        if not _is_expected(error):
            raise AssertionError(f"edit {number} on {place.name}, {kind}") from error
        return f"{place.name}: {kind} fails"


def _is_expected(error: BaseException) -> bool:
    return isinstance(error, rh.RefhooksError) or type(error) in {type(it) for it in ERRORS}


def photo(draw: random.Random) -> Image:
    """Return one of a few pictures."""
    return picture(draw.randrange(4), draw.choice([(40, 32), (32, 32), (24, 32)]))


def steering(place: Place, draw: random.Random) -> Any:
    """Return a strategy: methods, strengths and masks vary."""
    methods = (*METHODS, "concat") if place.toy else METHODS
    stages = [rh.Stage(draw.choice(methods), draw.choice(STRENGTHS)) for _ in range(2)]
    masks = [] if draw.random() < 0.6 else [rh.mask("0,0,50%,100%", feather=2.0)]
    if draw.random() < 0.5:
        return rh.Strategy(stages[0], masks=masks)
    first = attrs.evolve(stages[0], until=draw.choice([0.5, rh.switch("sigma", below=0.6)]))
    return rh.Strategy([first, stages[1]], masks=masks)


def run(place: Place, draw: random.Random, **options: Any) -> rh.EditResult:
    """Edit a picture in two or three steps."""
    source = options.pop("image", None) or photo(draw)
    given = {
        "steps": draw.choice([2, 3]), "seed": draw.randrange(100), "cfg": draw.choice([1.0, 2.0]),
        "strategy": steering(place, draw), **place.size, **options,
    }  # fmt: skip
    return place.editor.edit(source, "make it night", **given)


def _with_masks(place: Place, draw: random.Random) -> None:
    content = rh.mask("25%,25%,50%,50%", kind="content")
    strategy = rh.Strategy(rh.Stage(draw.choice(METHODS), 0.8), masks=[content])
    run(place, draw, strategy=strategy, edit_mask="0,0,50%,100%")


def _with_references(place: Place, draw: random.Random) -> None:
    if place.name == "edit":  # one picture is all it takes
        run(place, draw, denoise=0.5)
        return
    more = [rh.Reference(photo(draw), steering(place, draw)) for _ in range(draw.choice([1, 2]))]
    run(place, draw, references=more)


def _saved(place: Place, draw: random.Random) -> None:
    file = place.folder / f"made{draw.choice(['.png', '.jpg', '.webp'])}"
    written = run(place, draw).save(file, embed=draw.random() < 0.5)
    assert rh.load_recipe(written[0]) is not None  # noqa: S101
    for left in place.folder.glob("made*"):
        left.unlink()


def _replayed(place: Place, draw: random.Random) -> None:
    file = place.folder / "made.png"
    strategy = rh.Stage(draw.choice(METHODS), 0.7)
    run(place, draw, strategy=strategy).save(file, embed=True)
    place.editor.replay(file)
    file.unlink()


def _chained(place: Place, draw: random.Random) -> None:
    edits = [rh.Edit("make it night", strategy=steering(place, draw)), rh.Edit("make it day")]
    place.editor.chain(photo(draw), edits, steps=2, seed=1, **place.size)


def _batched(place: Place, draw: random.Random) -> None:
    jobs = [Job(picture(number, (32, 32)), f"prompt {number}", seed=number) for number in (1, 2)]
    edit_batch(place.editor, jobs, strategy=steering(place, draw), steps=2, **place.size)


def _with_lora(place: Place, draw: random.Random) -> None:
    with _lora(place, draw):
        run(place, draw)


@contextlib.contextmanager
def _lora(place: Place, draw: random.Random) -> Iterator[None]:
    name = place.editor.add_lora(place.lora, draw.choice([0.5, 1.0]))
    try:
        yield
    finally:
        place.editor.remove_lora(name)


WAYS: dict[str, Callable[[Place, random.Random], object]] = {
    "edit": run,
    "masks": _with_masks,
    "references": _with_references,
    "denoise": lambda place, draw: run(place, draw, denoise=draw.choice([0.3, 0.7])),
    "attention": lambda place, draw: run(place, draw, record_attention=True),
    "reuse": lambda place, draw: run(
        place, draw, strategy=rh.Stage(rh.method("cross_attn", reuse="every 2"), 0.8), steps=3
    ),
    "two seeds": lambda place, draw: run(place, draw, n=2),
    "eager": lambda place, draw: run(place, draw, check="eager"),
    "saved": _saved,
    "replayed": _replayed,
    "chain": _chained,
    "batch": _batched,
    "lora": _with_lora,
}  # fmt: skip


def _plugin_raises(place: Place, draw: random.Random) -> None:
    hook, error = draw.choice(HOOKS), draw.choice(ERRORS)
    run(place, draw, plugins=[raising(hook, error)], cfg=2.0)


def raising(hook: str, error: BaseException) -> Any:
    """Return a run plugin one hook of which raises a new error of the kind of ``error``."""

    def fail() -> None:
        raise type(error)(*error.args)

    return type("Faulty", (), {hook: staticmethod(rh.hookimpl(fail))})()


def _bad_argument(place: Place, draw: random.Random) -> None:
    bad: dict[str, Any] = draw.choice([
        {"steps": 0}, {"denoise": 2.0}, {"seed": -1}, {"strategy": "defualt"}, {"n": 0},
        {"cfg": float("nan")}, {"edit_mask": "0,0,0,0"}, {"references": ["none.png"]},
        {"height": 7, "width": 32}, {"plugins": [3]},
    ])  # fmt: skip
    run(place, draw, **bad)


@contextlib.contextmanager
def _replaced(owner: Any, name: str, error: BaseException) -> Iterator[None]:
    def fail(*_: object, **__: object) -> None:
        raise type(error)(*error.args)

    setattr(owner, name, fail)
    try:
        yield
    finally:
        delattr(owner, name)


def _part_raises(place: Place, draw: random.Random) -> None:
    pipe = place.editor.pipe
    owner, name = draw.choice([
        (pipe.vae, "encode"), (pipe.vae, "decode"), (pipe.text_encoder, "forward"),
        (pipe.transformer, "forward"),
    ])  # fmt: skip
    with _replaced(owner, name, draw.choice(ERRORS[:4])):
        run(place, draw, strategy=rh.Stage("default"))  # of another nothing may be encoded


def _callback_raises(place: Place, draw: random.Random) -> None:
    at, error = draw.randrange(2), draw.choice(ERRORS)

    def callback(step: int, *_: object) -> None:
        if step == at:
            raise type(error)(*error.args)

    run(place, draw, callback=callback)


def _interrupted(place: Place, draw: random.Random) -> None:
    def callback(*_: object) -> None:
        place.editor.pipe._interrupt = True

    if run(place, draw, callback=callback, steps=3).interrupted:
        raise KeyboardInterrupt("a fault")


def _lora_is_none(place: Place, draw: random.Random) -> None:
    file = place.folder / "broken.safetensors"
    whole = place.lora.read_bytes()
    file.write_bytes(whole[: draw.randrange(len(whole) - 1)])
    try:
        place.editor.add_lora(file)
    finally:
        file.unlink()


def _nowhere_to_save(place: Place, draw: random.Random) -> None:
    run(place, draw).save(place.folder / "none" / "made.png")


def _lora_then_plugin_raises(place: Place, draw: random.Random) -> None:
    with _lora(place, draw):
        _plugin_raises(place, draw)


FAULTS: dict[str, Callable[[Place, random.Random], object]] = {
    "plugin": _plugin_raises,
    "argument": _bad_argument,
    "part": _part_raises,
    "callback": _callback_raises,
    "interrupt": _interrupted,
    "broken lora": _lora_is_none,
    "no folder": _nowhere_to_save,
    "lora and plugin": _lora_then_plugin_raises,
}  # fmt: skip
