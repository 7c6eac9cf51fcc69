"""Binding an edit to a model, running it, and leaving the model as it was."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._apps.advice.baseline import remember
from refhooks._apps.editing.result import EditResult
from refhooks._apps.recipes.recording import make_recipes
from refhooks._base.pictures import as_pil
from refhooks._core.contract.values import Context
from refhooks._core.models.empty_weights import has_weights
from refhooks._core.planning.planner import make_plan
from refhooks._core.plugins.attribution import naming_family, naming_warnings
from refhooks._core.running.binding import bind_hooks, bind_source
from refhooks.errors import BusyError, InputError, NotFiniteError, OutOfMemoryError
from refhooks.loop import denoise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._core.contract.family import Family, FamilyRun, Size
    from refhooks._core.contract.outlook import Drift
    from refhooks._core.contract.source import Source
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.planner import Plan
    from refhooks._core.planning.request import Callback, Request
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.running.hooks import Hooks

LOG = logging.getLogger("refhooks")
_locks: weakref.WeakKeyDictionary[torch.nn.Module, threading.Lock] = weakref.WeakKeyDictionary()
_locks_guard = threading.Lock()


@attrs.frozen(eq=False)
class Run:
    """A bound run: what the loop needs, and nothing that outlives it.

    Attributes:
        family: The family's state of this run.
        start: The latents before the first step, ``[B,T,C]``.
        hooks: The chains of the bound plugins.
        drifts: What was measured so far of reused keys and values.
        scheduler: A private copy.
        timetable: The plan.
        timesteps: The scheduler's timesteps ``[N]``, on the device of the run.
        name: Name of the family.
        blocks: Number of transformer blocks.
    """

    family: FamilyRun
    start: Tensor
    hooks: Hooks
    drifts: list[Drift]
    scheduler: Any
    timetable: Timetable
    timesteps: Tensor
    name: str
    blocks: int
    _decode: Callable[[Tensor], Tensor]
    _bar: Any
    _callback: Callback | None

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

    def decode(self, latents: Tensor) -> Tensor:
        """Return the pictures ``[B,3,height,width]``, 0–1, of final latents.

        Raises:
            NotFiniteError: They hold NaN or infinity.
        """
        return self._decode(latents)


def run_edit(editor: LoadedModel, request: Request) -> EditResult:
    """Run one edit.

    Raises:
        InputError: Something cannot be used; found before the first step.
        BusyError: The transformer already runs another edit.
        NotFiniteError: The final latents hold NaN or infinity.
        OutOfMemoryError: The device is full.
    """
    with exclusive(editor.family):
        return run_plan(editor, request, make_plan(editor, request))


def run_plan(editor: LoadedModel, request: Request, plan: Plan) -> EditResult:
    """Run a planned edit; raises as :func:`run_edit`."""
    if not has_weights(editor.family.transformer):
        raise InputError(
            "the model was opened without its weights, which is for plans and costs; to edit, leave"
            " weights=False out of from_pretrained"
        )
    for remark in plan.timetable.remarks:
        LOG.info(remark)
    with _memory_explained(editor, request), naming_family(editor), torch.no_grad():
        with _bind(editor, request, plan) as run:
            latents, pictures = denoise(run)
            recorded = run.family.recorded()
        by_picture = recorded if recorded is not None and recorded.ndim == 4 else None
        images = as_pil(pictures)
        recipes, materials = make_recipes(editor, request, plan, images)
        return EditResult(
            images=images,
            latents=latents,
            timetable=run.timetable,
            seeds=request.batch_seeds,
            attention_share=recorded if by_picture is None else by_picture.mean(dim=-1),
            attention_shares=by_picture,
            drift=tuple(run.drifts),
            retouched=run.hooks.retouches,
            before=remember(editor.registry, request, plan),
            recipes=recipes,
            materials=materials,
        )


@contextlib.contextmanager
def _bind(editor: LoadedModel, request: Request, plan: Plan) -> Iterator[Run]:
    family = editor.family
    with contextlib.ExitStack() as stack:
        stack.enter_context(naming_warnings())
        opened = family.open(
            prompts=request.prompts,
            guidance=plan.guidance,
            seeds=request.batch_seeds,
            size=plan.size,
            references=[
                reference.size if reference.gives_tokens else None for reference in plan.references
            ],
            shown=plan.shown,
        )
        stack.callback(opened.close)
        source = bind_source(opened, plan)
        drifts: list[Drift] = []
        hooks = bind_hooks(editor, opened, plan, source, drifts.append, eager=request.eager)
        stack.callback(hooks.close)
        opened.prepare(attention=hooks.edits_attention, record=request.record_attention)
        bar = stack.enter_context(editor.pipe.progress_bar(total=len(plan.timetable.steps)))
        bar.set_description(f"seed {request.seeds[0]}")
        yield Run(
            family=opened,
            start=opened.noise if plan.from_noise else _noised(opened, plan, source),
            hooks=hooks,
            drifts=drifts,
            scheduler=plan.scheduler,
            timetable=plan.timetable,
            timesteps=plan.timesteps,
            name=family.name,
            blocks=family.blocks,
            decode=functools.partial(_decode, family, plan.size, eager=request.eager),
            bar=bar,
            callback=request.callback,
        )


def _noised(opened: FamilyRun, plan: Plan, source: Source | None) -> Tensor:
    """The source at the noise level of the first step, ``[B,T,C]``."""
    assert source is not None  # noqa: S101  the request says so
    return plan.scheduler.scale_noise(source.latents, plan.timesteps[:1], opened.noise)  # type: ignore[no-any-return]


def _decode(family: Family, size: Size, latents: Tensor, *, eager: bool) -> Tensor:
    _check_finite(latents, eager=eager)
    return family.decode(latents, size)


@torch.no_grad()
def decode(editor: LoadedModel, latents: Tensor, size: Size) -> tuple[Image, ...]:
    """Return the pictures that clean latents ``[B,T,C]`` hold."""
    with naming_family(editor):
        return as_pil(editor.family.decode(latents, size))


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
def exclusive(family: Family) -> Iterator[None]:
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
def _memory_explained(editor: LoadedModel, request: Request) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        full = isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
        if not full:
            raise
        raise OutOfMemoryError(
            f"out of memory with {len(request.references)} references and"
            f" {len(request.batch_seeds)} pictures at once; lower resolution, n or"
            " the references' resolution, or offload the model"
            f" ({type(editor.pipe).__name__}.enable_model_cpu_offload())"
        ) from error
