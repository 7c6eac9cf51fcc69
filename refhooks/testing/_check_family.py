"""Checks of a family's adapter, on the tiny pipeline that it brings along."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import torch

from refhooks._base.pictures import in_mode
from refhooks._base.shown import shown
from refhooks._base.size import Size
from refhooks._core.contract.checkpoint import Checkpoint
from refhooks._core.contract.family import Family, Guidance
from refhooks._core.contract.values import Context, Row, Step, Tokens
from refhooks._core.planning.strategy import Reference, Stage
from refhooks._editor import Editor
from refhooks.errors import InputError
from refhooks.hookspecs import hookimpl
from refhooks.testing._bench import SIDE, STEPS, picture_of, quiet
from refhooks.testing._check_apart import check_faults
from refhooks.testing._check_runs import CLOSE, equal
from refhooks.testing._report import CheckFailed
from refhooks.testing._tiny import PIPELINES, tiny_pipeline
from refhooks.testing._watch import (
    HOOKS,
    check_same_model,
    check_same_state,
    on_model,
    process_state,
    same,
    seed_everything,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from refhooks._apps.editing.result import EditResult
    from refhooks._core.contract.family import FamilyRun
    from refhooks._core.contract.values import Branch, Inputs
    from refhooks.testing._subject import Subject

SEEDS = (1, 2)
CFG = 3.0
SIZE = Size(SIDE, SIDE)
OTHER = Size(SIDE, 2 * SIDE)


def family(subject: Subject) -> None:
    """Its adapter can be imported, is complete, and goes by its name."""
    adapter = subject.registered.load()
    if not (inspect.isclass(adapter) and issubclass(adapter, Family)):
        raise CheckFailed(f"load() must return a subclass of refhooks.Family, got {shown(adapter)}")
    if inspect.isabstract(adapter):
        missing = ", ".join(sorted(adapter.__abstractmethods__))
        raise CheckFailed(f"{adapter.__name__} lacks {missing}")
    if adapter.name != subject.name:
        raise CheckFailed(f"{adapter.__name__}.name is {adapter.name!r}, not {subject.name!r}")
    if adapter.native not in subject.registry.methods:
        raise CheckFailed(f"its native method {adapter.native!r} is registered by no plugin")


@functools.cache
def _pipeline(make: Callable[[], Any]) -> Any:
    """Made once for all checks: that a run leaves it as it was is one of them."""
    pipe = make()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@functools.cache
def _stock(kind: str) -> Callable[[], Any]:
    return functools.partial(tiny_pipeline, kind)


def _editor(subject: Subject) -> Editor:
    make = subject.registered.tiny
    if make is None:
        kinds = {cls.__name__: kind for kind, cls in PIPELINES.items()}
        known = [kinds[name] for name in subject.registered.pipelines if name in kinds]
        if not known:
            raise CheckFailed(
                "there is nothing to try it on; give FamilyEntry(tiny=...), which makes a small"
                " pipeline of its class with random weights"
            )
        make = _stock(known[0])
    area = SIDE * SIDE
    checkpoint = Checkpoint(output=area, reference=area, vision=area)
    plugins = () if subject.source is None else (subject.source,)
    editor = Editor(_pipeline(make), checkpoint=checkpoint, plugins=plugins)
    if editor.family.name != subject.name:
        raise CheckFailed(f"its tiny pipeline is one of the family {editor.family.name!r}")
    return editor


def _edit(editor: Editor, shown: int = 0, strength: float = 1.0, **options: Any) -> EditResult:
    """Edit a random picture in the model's own way."""
    source = Reference(picture_of(shown), Stage(editor.family.native, strength))
    scale = None if editor.family.guidance_kind == "none" else CFG
    call: dict[str, Any] = {"steps": STEPS, "seed": 1, "cfg": scale, **options}
    with quiet():
        return editor.edit(source, "make it blue", **call)


def shapes(subject: Subject) -> None:
    """What it hands on has the shapes of the contract, and its layout covers the sequence."""
    adapter = _editor(subject).family
    with quiet(), torch.no_grad():
        for reference in (SIZE, OTHER, None):
            run = _open(adapter, reference)
            try:
                _check_run(adapter, run, reference)
            finally:
                run.close()
            run.close()  # it may be closed again


def _open(adapter: Family, reference: Size | None, seeds: tuple[int, ...] = SEEDS) -> Any:
    return adapter.open(
        prompts=("make it blue",), guidance=Guidance(CFG, (" ",)), seeds=seeds, size=SIZE,
        references=[reference], shown=(),
    )  # fmt: skip


def _check_run(adapter: Family, run: FamilyRun, reference: Size | None) -> None:
    rows, columns = run.grid
    _expect("grid", run.grid, adapter.grid(SIZE))
    _expect("grids", run.grids, (None if reference is None else adapter.grid(reference),))
    batch, tokens, channels = run.noise.shape
    _expect("noise, [B,T,...]", (batch, tokens), (len(SEEDS), rows * columns))
    _expect("width in heads", run.width % run.heads, 0)
    alone = _open(adapter, reference, SEEDS[1:]).noise
    equal(run.noise[1:], alone, "the noise of a seed depends on the others of the batch")
    for branch in run.branches:
        inputs = run.inputs(run.noise, branch)
        _expect(f"slots of {branch.name}", inputs.slots, (None,))
        _expect(f"prompts of {branch.name}, [B,...]", inputs.text.embeds.shape[0], batch)
        _check_pass(run, branch, inputs, [])
        if reference is not None:
            picture = in_mode(picture_of(0), adapter.picture_mode)
            latents = run.encode(picture, reference)
            whole = latents.shape[1]
            _expect("encode(), [1,R,C]", tuple(latents.shape), (1, _tokens(run), channels))
            _check_pass(run, branch, inputs.fill(0, Tokens(latents)), [whole])
            kept = Tokens(latents, keep=torch.tensor([1, whole - 1]))
            _check_pass(run, branch, inputs.fill(0, kept), [2])
    images = adapter.decode(run.noise, SIZE)
    channels = images.shape[1] if images.shape[1:2] == (4,) else 3  # the fourth: how opaque
    _expect("decode(), [B,3,height,width]", tuple(images.shape), (batch, channels, SIDE, SIDE))
    if not bool(((images >= 0) & (images <= 1)).all()):
        raise CheckFailed("decode() must return values from 0 to 1")


def _tokens(run: FamilyRun) -> int:
    grid = run.grids[0]
    return 0 if grid is None else grid[0] * grid[1]


def _check_pass(run: FamilyRun, branch: Branch, inputs: Inputs, slots: list[int]) -> None:
    layout = run.layout(inputs)
    parts = [layout.text, layout.target, *[part for part in layout.slots if part is not None]]
    expected = [inputs.text.embeds.shape[1], inputs.target.shape[1], *slots]
    _expect("layout, tokens of each part", [part.stop - part.start for part in parts], expected)
    ordered = sorted(parts, key=lambda part: part.start)
    ends = [0, *[part.stop for part in ordered]]
    if [part.start for part in ordered] != ends[:-1] or layout.length != ends[-1]:
        raise CheckFailed(f"layout leaves gaps, overlaps, or is not as long as it says: {layout}")
    step = Step(0, STEPS, 1.0)
    row = Row(reference=0, stage=0, method="", strength=float(bool(slots)))
    ctx = Context(step=step, t=torch.tensor(1000.0), family="", blocks=1, rows=(row,))
    velocity = run.predict(ctx, branch, inputs, ())
    _expect(f"predict() of {branch.name}", tuple(velocity.shape), tuple(inputs.target.shape))
    _expect(f"dtype of predict() of {branch.name}", velocity.dtype, inputs.target.dtype)
    guided = run.guide({entry.name: velocity for entry in run.branches})
    _expect("guide()", tuple(guided.shape), tuple(inputs.target.shape))


def _expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise CheckFailed(f"{what}: must be {expected}, got {actual}")


def strength_0(subject: Subject) -> None:
    """A picture at strength 0 is ignored, bit for bit; at 1 it makes a difference."""
    editor = _editor(subject)
    hidden = [_edit(editor, seed, 0.0).latents for seed in (0, 1)]
    equal(hidden[0], hidden[1], "at strength 0 it matters which picture is given")
    if same(hidden[0], _edit(editor).latents):
        raise CheckFailed("its native method at 1 gives the latents of strength 0, to the bit")


def batch(subject: Subject) -> None:
    """The same call gives the same pictures, and each of a batch comes out as if made alone."""
    editor = _editor(subject)
    plain = _edit(editor).latents
    with torch.random.fork_rng(devices=[]):
        seed_everything(2)
        before = process_state()
        again = _edit(editor).latents
        check_same_state(before, process_state())
    equal(plain, again, "the same call gives other latents")
    together, alone = _edit(editor, n=3).latents, _edit(editor, seed=3).latents
    for one, other, place in ((together[:1], plain, "first"), (together[2:], alone, "last")):
        if not torch.allclose(one, other, atol=CLOSE):
            raise CheckFailed(f"in a batch of 3 the {place} picture comes out differently")


def clean(subject: Subject) -> None:
    """After a run, after one that is refused and after an exception, the model is as before."""
    editor = _editor(subject)
    hooks = HOOKS
    before = on_model(editor.pipe)
    try:
        _edit(editor, plugins=[_Attending()])
    except InputError:  # it says that it does not edit attention
        weighing = {"refhooks_attention", "refhooks_strengths"}  # beyond 1, keys are weighed
        hooks = tuple(hook for hook in HOOKS if hook not in weighing)
    check_same_model(before, on_model(editor.pipe))
    check_faults(editor.pipe, lambda plugins: _edit(editor, plugins=plugins).latents, hooks)


class _Attending:
    @hookimpl
    def refhooks_attention(self) -> None:
        pass
