"""What an edit will do, and everything that can be refused, before anything is encoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.advice import warn_user
from refhooks._base.canvas import Canvas, Cut, remark_on
from refhooks._core.contract.family import Shown, prompted
from refhooks._core.contract.methods import check_method, edits_prefix
from refhooks._core.masks.layout import cover_masks, hide, in_force
from refhooks._core.models.family_calls import named_family
from refhooks._core.planning.attention_use import check_attention, drops, needs_of
from refhooks._core.planning.compilation import compile_timetable
from refhooks._core.planning.described import describe
from refhooks._core.planning.edit_plan import Plan, PlannedReference
from refhooks._core.planning.factories import as_mask
from refhooks._core.planning.foresight import foresee
from refhooks._core.planning.guiding import guidance_of, with_scales
from refhooks._core.planning.input_pictures import InputPicture, open_picture
from refhooks._core.planning.inside import with_inside
from refhooks._core.planning.request import steps_in_all
from refhooks._core.planning.run_plugins import named_plugins, with_plugins
from refhooks._core.planning.strategy import as_strategy
from refhooks._core.plugins.labels import naming_method
from refhooks._parts.tiles import check_tiles
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._base.size import Size
    from refhooks._core.contract.checkpoint import Checkpoint
    from refhooks._core.contract.family import Family
    from refhooks._core.contract.methods import Method
    from refhooks._core.masks.mask import Mask
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.request import Request
    from refhooks._core.planning.strategy import Reference, Strategy
    from refhooks._core.planning.timetable import Timetable


def make_plan(loaded: LoadedModel, request: Request) -> Plan:
    """Resolve a request.

    Raises:
        InputError: Something of it cannot be used with this model.
        UnknownNameError: A method that no live plugin registers.
    """
    family = named_family(loaded.family, loaded.registry)
    _check_call(family, request)
    pictures = [
        open_picture(reference.image, family.picture_mode) for reference in request.references
    ]
    source = _source(loaded, request, pictures)
    picture = None if source is None else source.picture
    size = family.output_size(picture, request.height, request.width, request.resolution)
    _judge(loaded.checkpoint, request.prompts, source, size)
    source = _on_canvas(loaded, request, source, size)
    pictures = _laid(family, request.references, pictures, source)
    references = _resolve(loaded, request.references, pictures, source)
    steps = request.steps or family.default_steps
    guidance = guidance_of(family, request, steps)
    total = steps_in_all(steps, request.denoise)
    scheduler, sigmas, timesteps = family.schedule(steps, size, total)
    timetable = compile_timetable([it.strategy for it in references], sigmas, loaded.registry)
    references = _hidden(references, timetable)
    shown = _shown(family, references, timetable, request.vision_resolution)
    _warn_of_hidden(request.prompts, shown)
    references = _sized(loaded, request.references, references, timetable)
    _warn_of_specks(references, source, size)
    if source is not None:
        timetable = describe(timetable, family, references, size)
    plugins = _plugins(loaded, request, source, size)
    plan = Plan(
        references=references,
        source=source,
        size=size,
        exact=source.size if source is not None and isinstance(source.canvas, Canvas) else size,
        guidance=guidance,
        from_noise=request.denoise == 1.0,
        scheduler=scheduler,
        timesteps=timesteps,
        timetable=with_plugins(timetable, plugins, loaded.registry),
        shown=shown,
        plugins=plugins,
    )
    _check_fits(family, request, plan)
    return with_outlook(loaded, request, plan)


def _check_fits(family: Family, request: Request, plan: Plan) -> None:
    """Refuse what the VAE's tiles or the positions of the text have no room for."""
    sizes = [reference.size for reference in plan.references if reference.size is not None]
    check_tiles(family.pipe, [plan.size, *sizes])
    texts = prompted(family.guidance_kind, request.prompts, plan.guidance)
    family.check_texts(texts, plan.size, plan.token_sizes, plan.shown)


def with_outlook(loaded: LoadedModel, request: Request, plan: Plan) -> Plan:
    """Return a plan with what its methods foresee.

    Raises:
        InputError: A method sees that it cannot do what is planned, or the attention of the model
            cannot be edited, as it is loaded.
    """
    attending = needs_of(request, plan)
    timetable = foresee(
        plan.timetable,
        [reference.methods for reference in plan.references],
        loaded.registry,
        model=loaded.model,
        batch=len(request.batch_seeds),
        passes=2 if plan.guidance.scale > 1 and loaded.family.guidance_kind == "true" else 1,
        attending=attending,
    )
    check_attention(loaded, attending, dropped=drops(plan))
    timetable = with_scales(timetable, plan.guidance)
    return with_inside(loaded, request, attrs.evolve(plan, timetable=timetable))


def _check_call(family: Family, request: Request) -> None:
    for prompt in (*request.prompts, *request.negative):
        family.check_prompt(prompt)
    if len(request.references) > family.max_references:
        raise InputError(
            f"{family.name} takes at most {family.max_references} references, the source included;"
            f" got {len(request.references)}"
        )


def _source(
    loaded: LoadedModel, request: Request, pictures: Sequence[InputPicture]
) -> InputPicture | None:
    """The picture being edited: the one that is named, or else the first reference."""
    if request.source is not None:
        return open_picture(request.source, loaded.family.picture_mode)
    if not pictures:
        return None
    return pictures[0]


def _on_canvas(
    loaded: LoadedModel, request: Request, source: InputPicture | None, size: Size
) -> InputPicture | None:
    """The source on a canvas of the output's size, where it is edited in its own, or cut to it."""
    if source is None:
        return None
    if request.resolution != "native":
        cut = loaded.family.cut(source.size, size)
        return attrs.evolve(source, canvas=cut and attrs.evolve(cut, output=True))
    _warn(remark_on(size, loaded.checkpoint.output or loaded.family.area))
    return attrs.evolve(source, canvas=Canvas(size, output=True))


def _judge(
    checkpoint: Checkpoint, prompts: Sequence[str], source: InputPicture | None, size: Size
) -> None:
    """Warn of what the checkpoint will not know what to make of, once of each."""
    if checkpoint.judge is not None and source is not None and not source.handed:
        _warn(checkpoint.judge(source.picture))
    if checkpoint.judge_size is not None:
        _warn(checkpoint.judge_size(size))
    if checkpoint.judge_prompt is not None:
        for warning in dict.fromkeys(map(checkpoint.judge_prompt, prompts)):
            _warn(warning)


def _laid(
    family: Family,
    references: Sequence[Reference],
    pictures: Sequence[InputPicture],
    source: InputPicture | None,
) -> list[InputPicture]:
    """A picture of the source's size lies on what that does; another native one, on its own."""
    frame, canvas = (None, None) if source is None else (source.size, source.canvas)
    laid = []
    for reference, opened in zip(references, pictures, strict=True):
        own = canvas if opened.size == frame else None
        if own is None and reference.resolution == "native":
            own = Canvas(family.reference_size(opened.picture, "native"))
        laid.append(attrs.evolve(opened, canvas=own))
    return laid


def _plugins(
    loaded: LoadedModel, request: Request, source: InputPicture | None, size: Size
) -> tuple[tuple[Any, str], ...]:
    """The plugins of the call, valid; descriptions are bound when the run starts."""
    plugins = [*request.plugins]
    if request.edit_mask is not None:
        mask = as_mask(loaded.registry, request.edit_mask, "edit_mask")
        plugins.append(loaded.registry.for_argument("edit_mask", mask))
    if request.align:
        plugins.append(loaded.registry.for_argument("align", True))
    frame = None if source is None else source.size
    named = named_plugins(plugins, loaded.registry, frame, loaded.model)
    if request.edit_mask is not None and source is not None:
        _warn_of_a_speck("the edit mask", mask, source.size, size)
    return named


def _resolve(
    loaded: LoadedModel,
    references: Sequence[Reference],
    pictures: Sequence[InputPicture],
    source: InputPicture | None,
) -> tuple[PlannedReference, ...]:
    strategies = [as_strategy(entry.strategy, loaded.family.native) for entry in references]
    methods = [resolve_methods(loaded, strategy) for strategy in strategies]
    planned = []
    for number, (strategy, opened) in enumerate(zip(strategies, pictures, strict=True)):
        frame = opened if source is None else source
        canvases = (frame.canvas, opened.canvas)
        masks = cover_masks(strategy.masks, number, frame.size, opened.size, canvases)
        kept = loaded.family.sight == "prefix" and not any(map(edits_prefix, methods[number]))
        if kept and any(
            entry.mask.kind == "region" and entry.mask.text == "area" for entry in masks
        ):
            raise InputError(
                f"reference {number + 1}: text='area' of a region mask does nothing on"
                f" {loaded.family.name}, whose text sees all of every reference; leave it out, or"
                " use a method that lets the text see less, as cross_attn with scope='all' does"
            )
        planned.append(PlannedReference(opened, opened, strategy, methods[number], masks=masks))
    return tuple(planned)


def _hidden(
    references: Sequence[PlannedReference], timetable: Timetable
) -> tuple[PlannedReference, ...]:
    """The references with the masks that hold at any step, and without what those hide."""
    hidden = []
    for number, reference in enumerate(references):
        rows = [step.rows[number] for step in timetable.steps]
        masks = in_force(reference.masks, rows)
        used = reference.opened.hiding(hide(reference.opened.picture, masks, rows))
        hidden.append(attrs.evolve(reference, used=used, masks=masks))
    return tuple(hidden)


def _warn_of_specks(
    references: Sequence[PlannedReference], source: InputPicture | None, size: Size
) -> None:
    for it in references:
        own, frame = it.opened.size, it.opened.size if source is None else source.size
        for entry in it.masks:
            at = (frame, size) if entry.mask.kind == "region" else (own, it.size or own)
            _warn_of_a_speck(entry.label, entry.mask, *at)


def _warn_of_a_speck(label: str, mask: Mask, frame: Size, size: Size) -> None:
    from refhooks._base.coverage import warn_of_a_speck  # noqa: PLC0415  imports torch, a second

    warn_of_a_speck(label, attrs.evolve(mask, feather=0.0).cover(frame), size)


def resolve_methods(loaded: LoadedModel, strategy: Strategy) -> tuple[Method, ...]:
    """Return the method of each stage of a strategy.

    Raises:
        InputError: The family, or a method itself, says that the model cannot do it.
        UnknownNameError: A method that no live plugin registers.
    """
    methods = tuple(
        [
            loaded.registry.method(stage.method) if isinstance(stage.method, str) else stage.method
            for stage in strategy.stages
        ]
    )
    for entry in methods:
        reason = loaded.family.refuses.get(entry.name)
        if reason:
            raise InputError(f"{loaded.family.name} cannot do {entry.name!r}: {reason}")
        with naming_method(entry, "check", loaded.registry):
            check_method(entry, loaded.model)
    return methods


def _shown(
    family: Family,
    references: Sequence[PlannedReference],
    timetable: Timetable,
    area: int | None,
) -> tuple[Shown, ...]:
    """The text encoder sees a picture that acts at any step, unless its strategy says otherwise.

    Raises:
        InputError: It is to see them at an area, and cannot.
    """
    if area is not None and not family.takes_vision_area:
        raise InputError(f"{family.name} has no vision_resolution; leave it out")
    shown = tuple(
        Shown(number + 1, reference.used.laid, area)
        for number, reference in enumerate(references)
        if reference.strategy.vision == "always"
        or (reference.strategy.vision == "auto" and any(timetable.strengths(number)))
    )
    if area is not None and not shown:
        _warn("vision_resolution does nothing: the text encoder is shown no picture")
    return shown


def _sized(
    loaded: LoadedModel,
    requested: Sequence[Reference],
    references: Sequence[PlannedReference],
    timetable: Timetable,
) -> tuple[PlannedReference, ...]:
    return tuple(
        [
            attrs.evolve(
                _cut(loaded.family, reference, requested[number].resolution, len(requested)),
                gives_tokens=any(
                    getattr(method, "gives_tokens", True)
                    for stage, method in enumerate(reference.methods)
                    if any(timetable.strengths(number, stage))
                ),
            )
            if any(timetable.strengths(number))
            else reference
            for number, reference in enumerate(references)
        ]
    )


def _cut(
    family: Family, reference: PlannedReference, resolution: Any, count: int
) -> PlannedReference:
    """The reference at its size, with its content masks, and cut where the family cuts it."""
    opened, canvas = reference.opened, reference.opened.canvas
    if isinstance(canvas, Cut):
        opened = attrs.evolve(opened, canvas=None)
    size = _size(family, opened, resolution, count)
    if not isinstance(canvas, Cut) or canvas.size != size:  # not as the output, or in another size
        canvas = opened.canvas or family.cut(opened.size, size)
    masks = [
        attrs.evolve(it, canvas=canvas) if it.mask.kind == "content" else it
        for it in reference.masks
    ]
    laid = [attrs.evolve(it, canvas=canvas) for it in (reference.opened, reference.used)]
    return attrs.evolve(reference, size=size, opened=laid[0], used=laid[1], masks=tuple(masks))


def _size(family: Family, opened: InputPicture, resolution: int | str | None, count: int) -> Size:
    """What has a canvas, or an edit before made, is taken as it is, unless an area is said."""
    if (opened.canvas is not None or opened.handed) and not isinstance(resolution, int):
        return opened.whole
    ask = family.lone_reference_size if count == 1 else family.reference_size
    size: Size = ask(opened.laid[0], resolution)
    return size


def _warn(message: str | None) -> None:
    if message:
        warn_user(message)


def _warn_of_hidden(prompts: Sequence[str], shown: Sequence[Shown]) -> None:
    numbers = {str(entry.number) for entry in shown}
    for prompt in prompts:
        for number in re.findall(r"\bpicture (\d+)\b", prompt, flags=re.IGNORECASE):
            if number not in numbers:
                _warn(f"the prompt names Picture {number}, which the text encoder is not shown")
