"""Binding an edit to a model, running it, and leaving the model as it was."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._base.closing import Closing
from refhooks._base.colours import in_own_colours
from refhooks._base.forks import settle
from refhooks._base.pictures import as_pil
from refhooks._base.size import Size, upward
from refhooks._core.models.family_calls import Moment, named_family, named_run, named_scheduler
from refhooks._core.plugins.attribution import naming_warnings
from refhooks._core.running.binding import bind_hooks, bind_source
from refhooks._core.running.bound_run import Run
from refhooks._parts import autoencoder
from refhooks._parts.empty_weights import has_weights
from refhooks._parts.finite import check_final, check_texts
from refhooks._parts.graphs import of_any_length
from refhooks._parts.tiles import check_tiles
from refhooks.errors import InputError
from refhooks.loop import denoise

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._core.contract.drift import Drift
    from refhooks._core.contract.family import Family, FamilyRun
    from refhooks._core.contract.source import Source
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.request import Request
    from refhooks._core.planning.timetable import Timetable

LOG = logging.getLogger("refhooks")


@attrs.frozen(eq=False)
class Ran:
    """What happened in a run.

    Attributes:
        images: The pictures, prompts outermost, then seeds.
        latents: The final latents ``[B,T,C]``.
        timetable: What every reference did at every step.
        attention_shares: As the family recorded them, ``[N,blocks,1+references,B]`` or without
            ``B``; ``None`` unless recorded.
        drift: How far reused keys and values had moved, each time they were stored anew.
        retouched: Whether a plugin could change the pictures after they were decoded.
        kept: Whether pixels of the source were put back into them.
        steps: How many were run: fewer than planned where the user interrupted it.
    """

    images: tuple[Image, ...]
    latents: Tensor
    timetable: Timetable
    attention_shares: Tensor | None
    drift: tuple[Drift, ...]
    retouched: bool
    kept: bool
    steps: int


@torch.no_grad()
def run_plan(loaded: LoadedModel, request: Request, plan: Plan) -> Ran:
    """Run a planned edit.

    Raises:
        InputError: The model has no weights, or the family cannot do what the run needs.
        NotFiniteError: Encoded prompts, latents or pixels hold NaN or infinity.
    """
    if not has_weights(loaded.family.transformer):
        raise InputError(
            "the model was opened without its weights, which is for plans and costs; to edit, leave"
            " weights=False out of from_pretrained"
        )
    for remark in plan.timetable.remarks:
        LOG.info(remark)
    with _Bound(loaded, request, plan) as run:
        latents, pictures = denoise(run)
        shares = run.family.recorded()
    return Ran(
        images=_finished(pictures, plan, run.source),
        latents=latents,
        timetable=run.timetable,
        attention_shares=shares,
        drift=tuple(run.drifts),
        retouched=run.hooks.retouches,
        kept=run.source is not None and run.source.kept is not None,
        steps=run.ran,
    )


class _Bound:
    """A run, bound for as long as a ``with`` takes; no generator, where StopIteration is lost."""

    def __init__(self, loaded: LoadedModel, request: Request, plan: Plan) -> None:
        self._arguments = loaded, request, plan
        self._closing = Closing()

    def __enter__(self) -> Run:
        loaded, _, plan = self._arguments
        try:
            if plan.leaves_out and loaded.model.compiled:
                self._closing.enter(of_any_length())
            return _bind(*self._arguments, self._closing)
        except BaseException as error:
            self._closing.close(error)
            raise

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._closing.close(error)


def _bind(loaded: LoadedModel, request: Request, plan: Plan, closing: Closing) -> Run:
    family = named_family(loaded.family, loaded.registry)
    loaded.pipe._interrupt = False  # noqa: SLF001  as a call of the pipeline begins
    closing.enter(naming_warnings())
    state = family.open(
        prompts=request.prompts,
        guidance=plan.guidance,
        seeds=request.batch_seeds,
        size=plan.size,
        references=plan.token_sizes,
        shown=plan.shown,
    )
    closing.callback(named_run(state, family, loaded.registry).close)
    moment = Moment()
    opened = named_run(state, family, loaded.registry, moment)
    check_texts(opened.texts, getattr(loaded.pipe, "text_encoder", None))
    source = bind_source(family, opened, plan)
    drifts: list[Drift] = []
    hooks = bind_hooks(loaded, opened, plan, source, drifts.append, eager=request.eager)
    closing.callback(hooks.close)
    opened.prepare(attention=hooks.edits_attention, record=request.record_attention)
    scheduler = named_scheduler(plan.scheduler, moment)
    return Run(
        family=opened,
        start=opened.noise if plan.from_noise else _noised(opened, scheduler, plan, source),
        hooks=hooks,
        drifts=drifts,
        scheduler=scheduler,
        timetable=plan.timetable,
        timesteps=plan.timesteps,
        name=family.name,
        blocks=family.blocks,
        source=source,
        moment=moment,
        decode=functools.partial(_decode, family, request, plan),
        bar=_bar(loaded, request, plan, closing),
        callback=request.callback,
        interrupted=lambda: bool(loaded.pipe._interrupt),  # noqa: SLF001  it has no setter
        scales=plan.guidance.scales,
    )


def _bar(loaded: LoadedModel, request: Request, plan: Plan, closing: Closing) -> Any:
    bar = closing.enter(loaded.pipe.progress_bar(total=len(plan.timetable.steps)))
    bar.set_description(f"seed {request.seeds[0]}")
    return bar


def _noised(opened: FamilyRun, scheduler: Any, plan: Plan, source: Source | None) -> Tensor:
    """The source at the noise level of the first step, ``[B,T,C]``."""
    assert source is not None  # noqa: S101  the request says so
    return scheduler.scale_noise(source.latents, plan.timesteps[:1], opened.noise)  # type: ignore[no-any-return]


def _finished(pictures: Tensor, plan: Plan, source: Source | None) -> tuple[Image, ...]:
    """The pictures; what was put back of a source comes out in its own colours."""
    height, width = plan.exact.height, plan.exact.width
    images = as_pil(pictures[..., :height, :width])
    if source is None or source.kept is None or plan.source is None:
        return images
    put_back, share = source.kept
    same = (put_back == pictures).all(dim=1).cpu()  # what came after may have changed some of it
    kept = (share.to("cpu", torch.float32) * same)[:, :height, :width].numpy()  # [B,height,width]
    return tuple(
        in_own_colours(image, *plan.source.of_job(number), kept[number])
        for number, image in enumerate(images)
    )


def _decode(family: Family, request: Request, plan: Plan, latents: Tensor) -> Tensor:
    steered = bool(request.plugins) or plan.steered_beside(family.native)
    check_final(latents, family.transformer, unsure=steered and not request.eager)
    return autoencoder.decode(family, latents, plan.size)


@torch.no_grad()
def decode(loaded: LoadedModel, latents: Tensor, size: Size) -> tuple[Image, ...]:
    """Return the pictures that clean latents ``[B,T,C]`` hold.

    Raises:
        InputError, NotFiniteError: As :meth:`refhooks.Editor.decode` says.
    """
    settle()
    family = named_family(loaded.family, loaded.registry)
    whole = Size(upward(size.height, family.multiple), upward(size.width, family.multiple))
    check_tiles(loaded.pipe, [whole])
    autoencoder.check_latents(family, latents, whole)
    return as_pil(autoencoder.decode(family, latents, whole)[..., : size.height, : size.width])
