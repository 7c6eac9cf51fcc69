"""What an edit will do, and everything that can be refused, before anything is encoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.advice import warn_user
from refhooks._core.contract.family import Guidance, Shown
from refhooks._core.contract.methods import check_method
from refhooks._core.masks.layout import cover_masks, hide, in_force
from refhooks._core.models.family_calls import named_family
from refhooks._core.planning.compilation import compile_timetable
from refhooks._core.planning.described import describe
from refhooks._core.planning.edit_plan import Plan, PlannedReference
from refhooks._core.planning.factories import as_mask
from refhooks._core.planning.foresight import foresee
from refhooks._core.planning.input_pictures import InputPicture, open_picture
from refhooks._core.planning.request import steps_in_all
from refhooks._core.planning.strategy import as_strategy
from refhooks._core.plugins.attribution import naming
from refhooks._core.plugins.labels import is_description, naming_method, plugin_labels
from refhooks._core.plugins.validation import check_implementations
from refhooks.errors import InputError
from refhooks.hookspecs import Registration, RunHooks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._base.size import Size
    from refhooks._core.contract.family import Family
    from refhooks._core.contract.methods import Method
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
    guidance = _guidance(family, request)
    mode = family.picture_mode
    pictures = [open_picture(reference.image, mode) for reference in request.references]
    source = _source(loaded, request, pictures)
    references = _resolve(loaded, request.references, pictures, source)
    picture = None if source is None else source.picture
    size = family.output_size(picture, request.height, request.width, request.resolution)
    steps = request.steps or family.default_steps
    scheduler, sigmas, timesteps = family.schedule(
        steps, size, steps_in_all(steps, request.denoise)
    )
    timetable = compile_timetable(
        [reference.strategy for reference in references], sigmas, loaded.registry
    )
    references = _hidden(references, timetable)
    shown = _shown(references, timetable)
    _warn_of_hidden(request.prompts, shown)
    references = _sized(loaded, request.references, references, timetable)
    if source is not None:
        timetable = describe(timetable, family, references, source.size, size)
    plan = Plan(
        references=references,
        source=source,
        size=size,
        guidance=guidance,
        from_noise=request.denoise == 1.0,
        scheduler=scheduler,
        timesteps=timesteps,
        timetable=timetable,
        shown=shown,
        plugins=_plugins(loaded, request, source),
    )
    return with_outlook(loaded, request, plan)


def with_outlook(loaded: LoadedModel, request: Request, plan: Plan) -> Plan:
    """Return a plan with what its methods foresee.

    Raises:
        InputError: A method sees that it cannot do what is planned.
    """
    timetable = foresee(
        plan.timetable,
        [reference.methods for reference in plan.references],
        loaded.registry,
        model=loaded.model,
        batch=len(request.batch_seeds),
        passes=2 if plan.guidance.scale > 1 and loaded.family.guidance_kind == "true" else 1,
    )
    return attrs.evolve(plan, timetable=timetable)


def _check_call(family: Family, request: Request) -> None:
    for prompt in (*request.prompts, *request.negative):
        family.check_prompt(prompt)
    if len(request.references) > family.max_references:
        raise InputError(
            f"{family.name} takes at most {family.max_references} references, the source included;"
            f" got {len(request.references)}"
        )


def _guidance(family: Family, request: Request) -> Guidance:
    """The guidance of a run, as far as the model has any.

    Raises:
        InputError: A negative prompt, or a scale, that would do nothing.
    """
    kind = family.guidance_kind
    if kind != "true" and any(text.strip() for text in request.negative):
        raise InputError(
            f"this model of {family.name} is distilled ({kind} guidance), so it takes no negative"
            " prompt; leave negative_prompt out"
        )
    if kind == "none" and request.cfg is not None and request.cfg > 1.0:
        raise InputError(
            f"this model of {family.name} is distilled and runs without guidance, so"
            f" cfg={request.cfg:g} would do nothing; leave cfg out"
        )
    scale = family.default_cfg if request.cfg is None else request.cfg
    if request.cfg is None and scale <= 1.0 and any(text.strip() for text in request.negative):
        _warn(
            f"this model runs at cfg {scale:g} unless cfg is given, without a pass for a negative"
            " prompt, so negative_prompt does nothing; raise cfg above 1"
        )
    return Guidance(scale=scale, negative=request.negative)


def _source(
    loaded: LoadedModel, request: Request, pictures: Sequence[InputPicture]
) -> InputPicture | None:
    """The picture being edited: the one that is named, or else the first reference."""
    if request.source is not None:
        return open_picture(request.source, loaded.family.picture_mode)
    if not pictures:
        return None
    source, judge = pictures[0], loaded.checkpoint.judge
    if judge is not None and not source.handed:
        _warn(judge(source.picture))
    return source


def _plugins(
    loaded: LoadedModel, request: Request, source: InputPicture | None
) -> tuple[tuple[Any, str], ...]:
    """The plugins of the call, valid; descriptions are bound when the run starts."""
    plugins = [*request.plugins]
    if request.edit_mask is not None:
        mask = as_mask(loaded.registry, request.edit_mask, "edit_mask")
        plugins.append(loaded.registry.for_argument("edit_mask", mask))
    labels = plugin_labels(plugins, loaded.registry)
    for plugin, label in zip(plugins, labels, strict=True):
        if not is_description(plugin):
            check_implementations(plugin, label, RunHooks, Registration)
        elif hasattr(plugin, "check"):
            with naming(f"{label}, check, before the first step"):
                plugin.check(None if source is None else source.size)
    return tuple(zip(plugins, labels, strict=True))


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
        frame = opened.size if source is None else source.size
        masks = cover_masks(strategy.masks, number, frame, opened.size)
        if loaded.family.sight == "prefix" and any(
            entry.mask.kind == "region" and entry.mask.text == "area" for entry in masks
        ):
            raise InputError(
                f"reference {number + 1}: text='area' of a region mask does nothing on"
                f" {loaded.family.name}, whose text sees all of every reference; leave it out"
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


def _shown(references: Sequence[PlannedReference], timetable: Timetable) -> tuple[Shown, ...]:
    """The text encoder sees a picture that acts at any step, unless its strategy says otherwise."""
    return tuple(
        Shown(number + 1, reference.used.pictures)
        for number, reference in enumerate(references)
        if reference.strategy.vision == "always"
        or (reference.strategy.vision == "auto" and any(timetable.strengths(number)))
    )


def _sized(
    loaded: LoadedModel,
    requested: Sequence[Reference],
    references: Sequence[PlannedReference],
    timetable: Timetable,
) -> tuple[PlannedReference, ...]:
    return tuple(
        [
            attrs.evolve(
                reference,
                size=_size(loaded, reference.opened, requested[number].resolution),
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


def _size(loaded: LoadedModel, opened: InputPicture, resolution: int | str | None) -> Size:
    """What an edit before made is taken as it is, unless the call says otherwise."""
    if opened.handed and resolution is None:
        return opened.size
    return loaded.family.reference_size(opened.picture, resolution)


def _warn(message: str | None) -> None:
    if message:
        warn_user(message, stacklevel=2)


def _warn_of_hidden(prompts: Sequence[str], shown: Sequence[Shown]) -> None:
    numbers = {str(entry.number) for entry in shown}
    for prompt in prompts:
        for number in re.findall(r"\bpicture (\d+)\b", prompt, flags=re.IGNORECASE):
            if number not in numbers:
                _warn(f"the prompt names Picture {number}, which the text encoder is not shown")
