"""Binding an edit to a model, running it, and leaving the model as it was."""

from __future__ import annotations

import contextlib
import functools
import math
import re
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from PIL import Image

from refhooks._bound import BoundReference, Method, RunInfo
from refhooks._checks import Contract
from refhooks._family import FamilyRun, Guidance, Shown
from refhooks._hooks import BoundPlugin, Hooks
from refhooks._pictures import fit_picture, load_picture
from refhooks._result import EditResult
from refhooks._strategy import Strategy, as_strategy
from refhooks._timetable import Timetable, compile_timetable
from refhooks._values import Context
from refhooks.errors import BusyError, InputError, NotFiniteError, OutOfMemoryError, RefhooksWarning
from refhooks.loop import denoise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from refhooks._editor import Editor
    from refhooks._family import Family, Size
    from refhooks._request import Callback, Request
    from refhooks._strategy import Reference

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
    """

    family: FamilyRun
    hooks: Hooks
    scheduler: Any
    timetable: Timetable
    timesteps: Tensor
    name: str
    blocks: int
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
            pictures = run.family.decode(latents)
            recorded = run.family.recorded()
        return EditResult(
            images=_as_pil(pictures),
            latents=latents,
            timetable=run.timetable,
            seeds=request.seeds * len(request.prompts),
            attention_share=recorded,
        )


@contextlib.contextmanager
def _bind(editor: Editor, request: Request) -> Iterator[Run]:
    family = editor.family
    for prompt in (*request.prompts, *request.negative):
        family.check_prompt(prompt)
    if len(request.references) > family.max_references:
        raise InputError(
            f"{family.name} takes at most {family.max_references} references, the source included;"
            f" got {len(request.references)}"
        )
    strategies = [as_strategy(entry.strategy, family.native) for entry in request.references]
    methods = [_methods(editor, strategy) for strategy in strategies]
    pictures = [load_picture(entry.image) for entry in request.references]
    if pictures and editor.checkpoint.judge is not None:
        _warn_of(editor.checkpoint.judge(pictures[0]))
    size = family.output_size(
        pictures[0] if pictures else None, request.height, request.width, request.resolution
    )
    scheduler, sigmas, timesteps = family.schedule(request.steps or family.default_steps, size)
    timetable = compile_timetable(strategies, sigmas)
    sizes = _sizes(family, timetable, request.references, pictures)
    shown = _shown(strategies, timetable, pictures)
    _warn_of_hidden(request.prompts, shown)
    with contextlib.ExitStack() as stack:
        opened = family.open(
            prompts=request.prompts,
            guidance=Guidance(
                scale=family.default_cfg if request.cfg is None else request.cfg,
                negative=request.negative,
            ),
            seeds=request.seeds,
            size=size,
            references=sizes,
            shown=shown,
        )
        stack.callback(opened.close)
        bound = _bound(family, opened, timetable, methods, pictures, size, sizes)
        bound += [
            BoundPlugin(plugin, f"plugin {type(plugin).__name__} of the call")
            for plugin in request.plugins
        ]
        tokens = tuple(None if grid is None else math.prod(grid) for grid in opened.grids)
        contract = Contract(tokens=tokens, width=opened.width)
        hooks = Hooks(bound, contract, eager=request.eager)
        opened.prepare(attention=hooks.edits_attention, record=request.record_attention)
        bar = stack.enter_context(editor.pipe.progress_bar(total=len(sigmas)))
        bar.set_description(f"seed {request.seeds[0]}")
        yield Run(
            family=opened,
            hooks=hooks,
            scheduler=scheduler,
            timetable=timetable,
            timesteps=timesteps,
            name=family.name,
            blocks=family.blocks,
            bar=bar,
            callback=request.callback,
        )


def _methods(editor: Editor, strategy: Strategy) -> list[Method]:
    methods = [
        editor.registry.method(stage.method) if isinstance(stage.method, str) else stage.method
        for stage in strategy.stages
    ]
    for entry in methods:
        reason = editor.family.refuses.get(entry.name)
        if reason:
            raise InputError(f"{editor.family.name} cannot do {entry.name!r}: {reason}")
    return methods


def _shown(
    strategies: Sequence[Strategy], timetable: Timetable, pictures: Sequence[Image.Image]
) -> list[Shown]:
    """The text encoder sees a picture that acts at any step, unless its strategy says otherwise."""
    return [
        Shown(number + 1, picture)
        for number, (strategy, picture) in enumerate(zip(strategies, pictures, strict=True))
        if strategy.vision == "always"
        or (strategy.vision == "auto" and any(timetable.strengths(number)))
    ]


def _warn_of(message: str | None) -> None:
    if message:
        warnings.warn(message, RefhooksWarning, stacklevel=2)


def _warn_of_hidden(prompts: Sequence[str], shown: Sequence[Shown]) -> None:
    numbers = {str(entry.number) for entry in shown}
    for prompt in prompts:
        for number in re.findall(r"\bpicture (\d+)\b", prompt, flags=re.IGNORECASE):
            if number not in numbers:
                _warn_of(f"the prompt names Picture {number}, which the text encoder is not shown")


def _sizes(
    family: Family,
    timetable: Timetable,
    references: Sequence[Reference],
    pictures: Sequence[Image.Image],
) -> list[Size | None]:
    return [
        family.reference_size(picture, reference.resolution)
        if any(timetable.strengths(number))
        else None
        for number, (reference, picture) in enumerate(zip(references, pictures, strict=True))
    ]


def _bound(
    family: Family,
    opened: FamilyRun,
    timetable: Timetable,
    methods: Sequence[Sequence[Method]],
    pictures: Sequence[Image.Image],
    size: Size,
    sizes: Sequence[Size | None],
) -> list[BoundPlugin]:
    """Bind every stage's method to its reference, in the order of the call."""
    info = RunInfo(
        family=family.name,
        blocks=family.blocks,
        sigmas=timetable.sigmas,
        noise=opened.noise,
        grid=opened.grid,
        methods=tuple(tuple(stages) for stages in methods),
    )
    bound = []
    for index, (stages, picture) in enumerate(zip(methods, pictures, strict=True)):
        own, grid = sizes[index], opened.grids[index]
        if own is None or grid is None:
            continue
        encode, encode_fitted = _encoders(opened, picture, own, size)
        for stage, entry in enumerate(stages):
            strengths = timetable.strengths(index, stage)
            if not any(strengths):
                continue
            label = f"{entry.name} (reference {index + 1}, stage {stage + 1})"
            reference = BoundReference(
                index=index,
                stage=stage,
                grid=grid,
                strengths=strengths,
                encode=encode,
                encode_fitted=encode_fitted,
            )
            try:
                implementation = entry.bind(reference, info)
            except BaseException as error:
                error.add_note(f"raised by {label}, bind, before the first step")
                raise
            bound.append(BoundPlugin(implementation, label, index, stage))
    return bound


def _encoders(opened: FamilyRun, picture: Image.Image, own: Size, target: Size) -> Any:
    """A picture is encoded when a method first asks, and once a run for each way to fit it."""

    @functools.cache
    def encode() -> Tensor:
        return opened.encode(picture, own)

    @functools.cache
    def encode_fitted(fit: str) -> Tensor:
        return opened.encode(fit_picture(picture, target, fit), target)

    return encode, encode_fitted


def _check_finite(latents: Tensor, *, eager: bool) -> None:
    if torch.isfinite(latents).all():
        return
    advice = (
        "no plugin returned such a value, so the model itself produced it; try float32 or bfloat16"
        if eager
        else 'run again with check="eager", which names the plugin that made them'
    )
    raise NotFiniteError(f"the final latents hold NaN or infinity; {advice}")


def _as_pil(pictures: Tensor) -> tuple[Image.Image, ...]:
    values = pictures.permute(0, 2, 3, 1).float().cpu().numpy()  # [B,height,width,3]
    return tuple(Image.fromarray(value) for value in (values * 255).round().astype(np.uint8))


@contextlib.contextmanager
def _exclusive(family: Family) -> Iterator[None]:
    with _locks_guard:
        lock = _locks.setdefault(family.transformer, threading.Lock())
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
