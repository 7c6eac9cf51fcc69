"""Binding an edit to a model, running it, and leaving the model as it was."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import weakref
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._bound import BoundReference, RunInfo
from refhooks._checks import Contract
from refhooks._hooks import BoundPlugin, Hooks
from refhooks._pictures import as_pil, fit_picture
from refhooks._plan import Plan, make_plan
from refhooks._result import EditResult
from refhooks._values import Context
from refhooks.errors import BusyError, NotFiniteError, OutOfMemoryError
from refhooks.loop import denoise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._editor import Editor
    from refhooks._family import Family, FamilyRun, Size
    from refhooks._request import Callback, Request
    from refhooks._timetable import Timetable

_locks: weakref.WeakKeyDictionary[torch.nn.Module, threading.Lock] = weakref.WeakKeyDictionary()
_locks_guard = threading.Lock()


@attrs.frozen(eq=False)
class Run:
    """A bound run: what the loop needs, and nothing that outlives it.

    Attributes:
        family: The family's state of this run.
        hooks: The chains of the bound plugins.
        scheduler: A private copy.
        timetable: The plan.
        timesteps: The scheduler's timesteps ``[N]``, on the device of the run.
        name: Name of the family.
        blocks: Number of transformer blocks.
        size: Of the output.
    """

    family: FamilyRun
    hooks: Hooks
    scheduler: Any
    timetable: Timetable
    timesteps: Tensor
    name: str
    blocks: int
    size: Size
    _bar: Any
    _callback: Callback | None

    @property
    def noise(self) -> Tensor:
        """The starting latents ``[B,T,C]``."""
        return self.family.noise

    def contexts(self) -> Iterator[Context]:
        """Yield the context of each step of the timetable."""
        for planned, t in zip(self.timetable.steps, self.timesteps, strict=True):
            yield Context(
                step=planned.step, t=t, family=self.name, blocks=self.blocks, rows=planned.rows
            )

    def report(self, ctx: Context, latents: Tensor, velocity: Tensor) -> None:
        """Tell the user of a step: its number, ``x_t`` and the predicted ``x0``."""
        if self._callback is not None:
            x0 = latents - ctx.step.sigma * velocity
            self._callback(ctx.step.index, latents, x0)
        self._bar.update()


def run_edit(editor: Editor, request: Request) -> EditResult:
    """Run one edit.

    Raises:
        InputError: Something cannot be used; found before the first step.
        BusyError: The transformer already runs another edit.
        NotFiniteError: The final latents hold NaN or infinity.
        OutOfMemoryError: The device is full.
    """
    with _memory_explained(editor, request), _exclusive(editor.family), torch.no_grad():
        with _bind(editor, request) as run:
            latents = denoise(run)
            _check_finite(latents, eager=request.eager)
            pictures = decode(editor.family, latents, run.size)
            recorded = run.family.recorded()
        return EditResult(
            images=pictures,
            latents=latents,
            timetable=run.timetable,
            seeds=request.seeds * len(request.prompts),
            attention_share=recorded,
        )


@contextlib.contextmanager
def _bind(editor: Editor, request: Request) -> Iterator[Run]:
    family, plan = editor.family, make_plan(editor, request)
    with contextlib.ExitStack() as stack:
        opened = family.open(
            prompts=request.prompts,
            guidance=plan.guidance,
            seeds=request.seeds,
            size=plan.size,
            references=[
                reference.size if reference.gives_tokens else None for reference in plan.references
            ],
            shown=plan.shown,
        )
        stack.callback(opened.close)
        hooks = _hooks(family, opened, plan, request)
        opened.prepare(attention=hooks.edits_attention, record=request.record_attention)
        bar = stack.enter_context(editor.pipe.progress_bar(total=len(plan.timetable.steps)))
        bar.set_description(f"seed {request.seeds[0]}")
        yield Run(
            family=opened,
            hooks=hooks,
            scheduler=plan.scheduler,
            timetable=plan.timetable,
            timesteps=plan.timesteps,
            name=family.name,
            blocks=family.blocks,
            size=plan.size,
            bar=bar,
            callback=request.callback,
        )


def _hooks(family: Family, opened: FamilyRun, plan: Plan, request: Request) -> Hooks:
    """Bind every stage's method to its reference, in the order of the call, then its plugins."""
    info = RunInfo(
        family=family.name,
        blocks=family.blocks,
        sigmas=plan.timetable.sigmas,
        noise=opened.noise,
        grid=opened.grid,
        methods=tuple(reference.methods for reference in plan.references),
    )
    bound = [
        plugin
        for index in range(len(plan.references))
        for plugin in _bound(opened, plan, index, info)
    ]
    bound += plan.plugins
    tokens = tuple(None if grid is None else math.prod(grid) for grid in opened.grids)
    contract = Contract(
        tokens=tokens,
        positions=opened.positions,
        width=opened.width,
        batch=opened.noise.shape[0],
        heads=opened.heads,
        head_size=opened.width // opened.heads,
        dtype=opened.noise.dtype,
        device=opened.noise.device,
    )
    return Hooks(bound, contract, eager=request.eager)


def _bound(opened: FamilyRun, plan: Plan, index: int, info: RunInfo) -> Iterator[BoundPlugin]:
    """Bind the stages of one reference that act at any step."""
    planned = plan.references[index]
    if planned.size is None:
        return
    encode, encode_fitted = _encoders(opened, planned.picture, planned.size, plan.size)
    for stage, method in enumerate(planned.methods):
        reference = BoundReference(
            index=index,
            stage=stage,
            grid=opened.grids[index],
            strengths=plan.timetable.strengths(index, stage),
            encode=encode,
            encode_fitted=encode_fitted,
        )
        if any(reference.strengths):
            label = f"{method.name} (reference {index + 1}, stage {stage + 1})"
            try:
                implementation = method.bind(reference, info)
            except BaseException as error:
                error.add_note(f"raised by {label}, bind, before the first step")
                raise
            yield BoundPlugin(implementation, label, index, stage)


def _encoders(opened: FamilyRun, picture: Image, own: Size, target: Size) -> Any:
    """A picture is encoded when a method first asks, and once a run for each way to fit it."""

    @functools.cache
    def encode() -> Tensor:
        return opened.encode(picture, own)

    @functools.cache
    def encode_fitted(fit: str) -> Tensor:
        return opened.encode(fit_picture(picture, target, fit), target)

    return encode, encode_fitted


@torch.no_grad()
def decode(family: Family, latents: Tensor, size: Size) -> tuple[Image, ...]:
    """Return the pictures that clean latents ``[B,T,C]`` hold."""
    return as_pil(family.decode(latents, size))


def _check_finite(latents: Tensor, *, eager: bool) -> None:
    if torch.isfinite(latents).all():
        return
    advice = (
        "no plugin returned such a value, so the model itself produced it; try float32 or bfloat16"
        if eager
        else 'run again with check="eager", which names the plugin that made them'
    )
    raise NotFiniteError(f"the final latents hold NaN or infinity; {advice}")


@contextlib.contextmanager
def _exclusive(family: Family) -> Iterator[None]:
    with _locks_guard:
        model = getattr(family.transformer, "_orig_mod", family.transformer)  # under torch.compile
        lock = _locks.setdefault(model, threading.Lock())
    if not lock.acquire(blocking=False):
        raise BusyError(
            "this transformer already runs an edit; wait for it, or load a second copy of the model"
        )
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _memory_explained(editor: Editor, request: Request) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        full = isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
        if not full:
            raise
        raise OutOfMemoryError(
            f"out of memory with {len(request.references)} references and"
            f" {len(request.prompts) * len(request.seeds)} pictures at once; lower resolution, n or"
            " the references' resolution, or offload the model"
            f" ({type(editor.pipe).__name__}.enable_model_cpu_offload())"
        ) from error
