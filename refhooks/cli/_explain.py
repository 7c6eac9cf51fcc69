"""``refhooks explain``: what a saved edit changed and kept, and what to try if it went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from refhooks._apps.advice.advice import advise
from refhooks._apps.advice.baseline import Baseline
from refhooks._apps.advice.report import Report, check_report, write_report
from refhooks._apps.forecast.planned import NATIVE
from refhooks._apps.recipes.picture_files import load_recipe
from refhooks._apps.replay.replay import recorded
from refhooks._base.advice import silenced
from refhooks._base.files import try_writing
from refhooks._base.once import keeping
from refhooks._base.pictures import load_picture
from refhooks._base.shift import can_measure
from refhooks._base.shifts import measure_shift
from refhooks._base.size import Size
from refhooks._core.planning.compilation import compile_timetable
from refhooks._core.planning.factories import as_mask
from refhooks._core.planning.request import steps_in_all
from refhooks._core.planning.strategy import as_strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._room import REPORT, picture_room
from refhooks.cli._terminal import say, tell
from refhooks.errors import InputError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image
    from torch import Tensor

    from refhooks._apps.recipes.recipe import Recipe
    from refhooks._core.masks.mask import Mask
    from refhooks._core.planning.request import Request
    from refhooks._core.planning.strategy import Strategy
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.plugins.registry import Registry


@attrs.frozen(kw_only=True)
class ExplainOptions:
    """What the command was given."""

    picture: str
    source: str | None
    edit_mask: str | None
    as_json: bool
    html: str | None


@attrs.frozen
class _Made:
    """What is known of how a picture was made.

    Attributes:
        before: What it was made from.
        inside: Where it was to change, ``[height,width]``; ``None``: there was no mask.
        facts: How it was made, for a report.
        timetable: What its references did, if that is known.
    """

    before: Baseline
    inside: Tensor | None
    facts: tuple[str, ...]
    timetable: Timetable | None = None


@keeping()
def run_explain(options: ExplainOptions) -> None:
    """Print the advice on a saved picture and, if asked for, write a report.

    Raises:
        RefhooksError: A picture, a mask or the report's place cannot be used.
    """
    if options.html is not None:
        check_report(options.html)
    result = load_picture(options.picture)
    if options.html is not None:  # three pictures as text, a third longer than their bytes
        room = picture_room(result.width * result.height, 3) * 4 // 3
        try_writing(Path(options.html), room + REPORT)
    origin = _made(options, result, load_registry())
    before = origin.before
    source = before.source()
    shift = measure_shift(before.picture(), result) if can_measure() else None
    advice = advise(
        source,
        result,
        inside=origin.inside,
        timetable=origin.timetable,
        shift=shift,
        limit=before.limit,
    )
    if shift is not None and shift.noticed:
        say("warning", f"{shift}; see the page on sizes, and --align", "yellow")
    if options.as_json:
        click.echo(advice.to_json())
    else:
        for line in str(advice).split("\n"):
            tell(line)
    if options.html is not None:
        report = Report(
            title=options.picture,
            facts=origin.facts,
            source=source,
            result=result,
            advice=advice,
            timetable=origin.timetable,
        )
        write_report(report, options.html)
        if not options.as_json:
            tell(f"wrote {options.html}")


def _made(options: ExplainOptions, result: Image.Image, registry: Registry) -> _Made:
    """What the recipe says or, where it cannot be used, the source that was named."""
    size = Size(result.height, result.width)
    edit_mask = (
        None if options.edit_mask is None else as_mask(registry, options.edit_mask, "--edit-mask")
    )
    if edit_mask is not None:
        edit_mask.cover(size)  # what is wrong with it is no fault of the recipe's
    try:
        recipe = load_recipe(options.picture)
        named = [] if options.source is None else [options.source]
        with recorded(recipe, named, registry) as request:
            return _recorded(request, recipe, size, registry, edit_mask)
    except RefhooksError as error:
        if options.source is None:
            raise InputError(
                f"{error}; name the picture that it was made from with --source"
            ) from error
        say("note", f"only the pictures are looked at: {error}", "cyan")
    picture = load_picture(options.source)
    before = Baseline((picture,), Size(picture.height, picture.width), size, edit_mask)
    return _Made(before, before.inside(), (f"made from {options.source}",))


def _recorded(
    request: Request, recipe: Recipe, size: Size, registry: Registry, named: Mask | None
) -> _Made:
    """What the recipe says; a mask that was named replaces its own."""
    original = request.source or (request.references[0].image if request.references else None)
    if original is None:
        raise InputError("it was made from the prompt alone, so there is nothing to compare with")
    source = load_picture(original)
    strategies = [as_strategy(reference.strategy, NATIVE) for reference in request.references]
    own = request.edit_mask
    before = Baseline(
        (source,),
        Size(source.height, source.width),
        size,
        named or (None if own is None else as_mask(registry, own, "the recipe's edit mask")),
        tuple(mask for strategy in strategies for mask in strategy.masks if mask.kind == "region"),
    )
    facts = (recipe.prompt, f"seed {recipe.seed}, {recipe.steps} steps, {recipe.model.name}")
    return _Made(before, before.inside(), facts, _timetable(strategies, recipe, registry))


def _timetable(strategies: Sequence[Strategy], recipe: Recipe, registry: Registry) -> Timetable:
    """At unshifted noise levels: those of the run are known to its model only."""
    total = steps_in_all(recipe.steps, recipe.denoise)
    sigmas = [(recipe.steps - index) / total for index in range(recipe.steps)]
    with silenced():  # that a strength is high is advice here
        return compile_timetable(strategies, sigmas, registry)
