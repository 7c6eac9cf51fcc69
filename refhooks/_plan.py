"""What an edit will do, and everything that can be refused, before anything is encoded."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._compile import compile_timetable
from refhooks._family import Guidance, Shown
from refhooks._hooks import BoundPlugin
from refhooks._pictures import load_picture
from refhooks._strategy import as_strategy
from refhooks.errors import InputError, RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._bound import Method
    from refhooks._editor import Editor
    from refhooks._family import Size
    from refhooks._request import Request
    from refhooks._strategy import Reference, Strategy
    from refhooks._timetable import Timetable


@attrs.frozen(eq=False)
class PlannedReference:
    """A reference of the call, resolved.

    Attributes:
        picture: RGB, upright.
        strategy: What it does over the run.
        methods: The method of each of the strategy's stages.
        size: At which the VAE encodes it; ``None`` if its strength is 0 at every step.
        gives_tokens: Whether any of its methods that act gives the model tokens.
    """

    picture: Image
    strategy: Strategy
    methods: tuple[Method, ...]
    size: Size | None = None
    gives_tokens: bool = False


@attrs.frozen(eq=False)
class Plan:
    """An edit, resolved.

    Attributes:
        references: In the order of the call.
        size: Of the output.
        guidance: Scale and negative prompts.
        scheduler: A private copy, ready to run.
        timesteps: Its timesteps ``[N]``, on the device of the run.
        timetable: What every reference does at every step.
        shown: The pictures that the text encoder sees.
        plugins: Those of the call, valid.
    """

    references: tuple[PlannedReference, ...]
    size: Size
    guidance: Guidance
    scheduler: Any
    timesteps: Tensor
    timetable: Timetable
    shown: tuple[Shown, ...]
    plugins: tuple[BoundPlugin, ...]


def make_plan(editor: Editor, request: Request) -> Plan:
    """Resolve a request.

    Raises:
        InputError: Something of it cannot be used with this model.
        UnknownNameError: A method that no live plugin registers.
    """
    family = editor.family
    for prompt in (*request.prompts, *request.negative):
        family.check_prompt(prompt)
    if len(request.references) > family.max_references:
        raise InputError(
            f"{family.name} takes at most {family.max_references} references, the source included;"
            f" got {len(request.references)}"
        )
    plugins = tuple(
        BoundPlugin(plugin, f"plugin {type(plugin).__name__} of the call")
        for plugin in request.plugins
    )
    for plugin in plugins:
        plugin.check()
    references = [_resolve(editor, reference) for reference in request.references]
    source = references[0].picture if references else None
    if source is not None and editor.checkpoint.judge is not None:
        _warn(editor.checkpoint.judge(source))
    size = family.output_size(source, request.height, request.width, request.resolution)
    scheduler, sigmas, timesteps = family.schedule(request.steps or family.default_steps, size)
    timetable = compile_timetable(
        [reference.strategy for reference in references], sigmas, editor.registry
    )
    shown = _shown(references, timetable)
    _warn_of_hidden(request.prompts, shown)
    return Plan(
        references=_sized(editor, request.references, references, timetable),
        size=size,
        guidance=Guidance(
            scale=family.default_cfg if request.cfg is None else request.cfg,
            negative=request.negative,
        ),
        scheduler=scheduler,
        timesteps=timesteps,
        timetable=timetable,
        shown=shown,
        plugins=plugins,
    )


def _resolve(editor: Editor, reference: Reference) -> PlannedReference:
    strategy = as_strategy(reference.strategy, editor.family.native)
    methods = tuple(
        editor.registry.method(stage.method) if isinstance(stage.method, str) else stage.method
        for stage in strategy.stages
    )
    for entry in methods:
        reason = editor.family.refuses.get(entry.name)
        if reason:
            raise InputError(f"{editor.family.name} cannot do {entry.name!r}: {reason}")
    return PlannedReference(load_picture(reference.image), strategy, methods)


def _shown(references: Sequence[PlannedReference], timetable: Timetable) -> tuple[Shown, ...]:
    """The text encoder sees a picture that acts at any step, unless its strategy says otherwise."""
    return tuple(
        Shown(number + 1, reference.picture)
        for number, reference in enumerate(references)
        if reference.strategy.vision == "always"
        or (reference.strategy.vision == "auto" and any(timetable.strengths(number)))
    )


def _sized(
    editor: Editor,
    given: Sequence[Reference],
    references: Sequence[PlannedReference],
    timetable: Timetable,
) -> tuple[PlannedReference, ...]:
    return tuple(
        attrs.evolve(
            reference,
            size=editor.family.reference_size(reference.picture, given[number].resolution),
            gives_tokens=any(
                getattr(method, "gives_tokens", True)
                for stage, method in enumerate(reference.methods)
                if any(timetable.strengths(number, stage))
            ),
        )
        if any(timetable.strengths(number))
        else reference
        for number, reference in enumerate(references)
    )


def _warn(message: str | None) -> None:
    if message:
        warnings.warn(message, RefhooksWarning, stacklevel=2)


def _warn_of_hidden(prompts: Sequence[str], shown: Sequence[Shown]) -> None:
    numbers = {str(entry.number) for entry in shown}
    for prompt in prompts:
        for number in re.findall(r"\bpicture (\d+)\b", prompt, flags=re.IGNORECASE):
            if number not in numbers:
                _warn(f"the prompt names Picture {number}, which the text encoder is not shown")
