"""``refhooks.plan``: what a strategy would do, without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from refhooks._apps.forecast.inside import check_inside
from refhooks._base.once import keeping
from refhooks._base.shown import shown
from refhooks._core.contract.methods import check_method
from refhooks._core.models.family_calls import named_family
from refhooks._core.planning.bounds import read_steps
from refhooks._core.planning.compilation import compile_timetable
from refhooks._core.planning.foresight import foresee
from refhooks._core.planning.request import make_request, read_plugins, steps_in_all
from refhooks._core.planning.run_plugins import named_plugins, with_plugins
from refhooks._core.planning.strategy import Reference, Stage, Strategy, as_strategy
from refhooks._core.plugins.labels import naming_method
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import InputError

if TYPE_CHECKING:
    from refhooks._core.contract.methods import BoundReference, Method, RunInfo
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.plugins.registry import Registry

__all__ = ["plan"]

NATIVE = "native"  # how a plan without a model names its own way to take a reference


@attrs.frozen
class Native:
    """Stands for a model's own method where no model is known; nobody can name it."""

    name: ClassVar[str] = NATIVE

    def bind(self, reference: BoundReference, run: RunInfo) -> Any:
        """Never called: only plans hold it."""
        raise NotImplementedError


@keeping()
def plan(
    what: Strategy | Stage | Method | str | Sequence[Reference],
    steps: int | None = None,
    *,
    editor: LoadedModel | None = None,
    height: int | None = None,
    width: int | None = None,
    resolution: int | Literal["native"] | None = None,
    denoise: float = 1.0,
    edit_mask: Any = None,
    compute: Any = "all",
    plugins: Sequence[object] = (),
) -> Timetable:
    """Return what every reference would do at every step, without running anything.

    Args:
        what: A strategy (or stage, method, its name) of one reference, or a list of references.
        steps: Number of steps; ``None``: that of the editor's model.
        editor: Its noise levels are used and, for references with pictures, their tokens and areas
            are those of the run. ``None``: unshifted noise levels, from 1 down by 1/steps; only a
            strategy that depends on the noise level may then differ from what a model does.
        height: Of the output in pixels; noise levels may depend on it.
        width: Likewise.
        resolution: Likewise, as a pixel area, or ``native``: the first picture's own size.
        denoise: As for ``edit()``: noise levels begin lower where it is below 1.
        edit_mask: As for ``edit()``; with pictures and an editor, what it makes of ``compute`` is
            remarked.
        compute: As for ``edit()``.
        plugins: As for ``edit()``; the strengths of those that have one are in the timetable.

    Raises:
        InputError: The strategy does not fit that many steps or the model, or neither says how many
            steps there are.
        UnknownNameError: A name that no live plugin registers.
    """
    references = references_of(what)
    size: dict[str, Any] = {"height": height, "width": width, "resolution": resolution}
    check_inside(edit_mask, compute)
    if editor is not None and all(reference.image != "" for reference in references):
        local = {"edit_mask": edit_mask, "compute": compute, "plugins": plugins}
        return _of_edit(editor, references, steps, denoise, {**size, **local})
    registry = load_registry() if editor is None else editor.registry
    named = named_plugins(read_plugins(plugins), registry, None, pictures=False)
    if editor is not None:
        timetable = _of_model(editor, references, steps, denoise, size)
        return with_plugins(timetable, named, registry)
    strategies = [as_strategy(reference.strategy, NATIVE) for reference in references]
    methods = [_methods(reference, registry) for reference in references]
    if steps is None:
        raise InputError("steps is required without a model (--steps N, or --model NAME)")
    count = read_steps(steps)
    total = steps_in_all(count, denoise)
    sigmas = [(count - index) / total for index in range(count)]
    timetable = foresee(compile_timetable(strategies, sigmas, registry), methods, registry)
    return with_plugins(timetable, named, registry)


def _methods(reference: Reference, registry: Registry) -> list[Method]:
    """The methods of a reference's stages, checked; none for what a model does in its own way."""
    if reference.strategy is None:
        return []
    chosen = [stage.method for stage in as_strategy(reference.strategy, NATIVE).stages]
    methods = [registry.method(entry) if isinstance(entry, str) else entry for entry in chosen]
    for method in methods:
        with naming_method(method, "check", registry):
            check_method(method, None)
    return methods


def _of_edit(
    editor: LoadedModel,
    references: Sequence[Reference],
    steps: int | None,
    denoise: float,
    options: dict[str, Any],
) -> Timetable:
    """What would run, refusals included."""
    from refhooks._core.planning.planner import make_plan  # noqa: PLC0415  imports torch, a second

    first, *others = references
    request = make_request(first, "", references=others, steps=steps, denoise=denoise, **options)
    return make_plan(editor, request).timetable


def _of_model(
    editor: LoadedModel,
    references: Sequence[Reference],
    steps: int | None,
    denoise: float,
    size: dict[str, Any],
) -> Timetable:
    """What strategies of pictures that are not given would do."""
    from refhooks._core.planning.attention_use import check_attention  # noqa: PLC0415
    from refhooks._core.planning.planner import resolve_methods  # noqa: PLC0415  imports torch, a second

    family = named_family(editor.family, editor.registry)
    strategies = [as_strategy(reference.strategy, family.native) for reference in references]
    methods = [resolve_methods(editor, strategy) for strategy in strategies]
    count = family.default_steps if steps is None else read_steps(steps)
    total = steps_in_all(count, denoise)
    _, sigmas, _ = family.schedule(count, family.output_size(None, **size), total)
    timetable = compile_timetable(strategies, sigmas, editor.registry)
    attending = [
        f"the region mask of reference {number}"
        for number, (strategy, own) in enumerate(zip(strategies, methods, strict=True), 1)
        if any(mask.kind == "region" for mask in strategy.masks)
        and any(getattr(method, "gives_tokens", True) for method in own)
    ]
    planned = foresee(timetable, methods, editor.registry, model=editor.model, attending=attending)
    check_attention(editor, attending)
    return planned


def references_of(what: Any) -> tuple[Reference, ...]:
    """Return what is to be planned as references; those without a picture have ``""``.

    Raises:
        InputError: It is neither a strategy nor a list of references.
    """
    listed = isinstance(what, Sequence) and not isinstance(what, str)
    if not listed:
        return (Reference("", what),)
    if not what or not all(isinstance(entry, Reference) for entry in what):
        raise InputError(f"plan a strategy, or a list of references, got {shown(what)}")
    return tuple(what)
