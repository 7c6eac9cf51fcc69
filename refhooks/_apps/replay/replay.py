"""Running a recipe again: everything it names is found and checked before anything runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.editing.edit import edit_planned
from refhooks._apps.recipes.needs import needing, plugin_differences
from refhooks._apps.recipes.picture_files import load_recipe
from refhooks._apps.recipes.provenance import addition_changes, model_of
from refhooks._apps.recipes.recipe import Recipe
from refhooks._apps.recipes.recording import Materials
from refhooks._apps.recipes.tables import rgb_hash
from refhooks._apps.replay.finder import Finder, Folder, warn
from refhooks._apps.replay.tables import Tables
from refhooks._attending.named_caches import with_step_cache
from refhooks._base.colours import without_profile
from refhooks._base.files import as_path
from refhooks._base.names import did_you_mean, listed
from refhooks._base.numbers import is_list
from refhooks._base.once import keeping
from refhooks._base.pictures import load_original
from refhooks._base.shown import shown
from refhooks._base.turns import exclusive, seconds_of
from refhooks._core.planning.input_pictures import HandedOn
from refhooks._core.planning.planner import make_plan
from refhooks._core.planning.request import Request, make_request
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from refhooks._apps.editing.result import EditResult
    from refhooks._apps.recipes.parts import RecipePicture
    from refhooks._core.masks.mask import Mask
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.request import Callback
    from refhooks._core.plugins.registry import Registry

SETTINGS = (
    "strength", "method", "denoise", "steps", "seed", "cfg", "height", "width", "prompt",
    "negative_prompt",
)  # fmt: skip


MAX_AT_ONCE = 256  # pictures


@attrs.frozen
class _Edit:
    recipe: Recipe
    references: tuple[Reference, ...]
    source: Any
    edit_mask: Mask | None
    plugins: tuple[object, ...]


@keeping()
def replay(
    editor: LoadedModel,
    recipe: Recipe | str | Path,
    references: Sequence[str | Path],
    callback: Callback | None,
    wait: bool | float,
    settings: Mapping[str, Any],
) -> EditResult:
    """Run a recipe again; see :meth:`refhooks.Editor.replay`."""
    seconds = seconds_of(wait)
    replayed = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    folder = Folder()
    finder = Finder(replayed, folder, [as_path(path) for path in references])
    request = _checked(replayed, finder, settings, editor.registry, callback)
    for note in finder.notes:
        warn(note)
    if not settings and _is_alone(replayed, settings):
        warn(
            f"this picture was made in a batch of {replayed.count}, and at most {MAX_AT_ONCE} are"
            " made for one; it is made alone, which may differ in the last bits"
        )
    turn = exclusive(editor.family.transformer, seconds)
    with turn, with_step_cache(editor.family, request.cache):
        with needing(replayed.used, editor.registry):
            plan = make_plan(editor, request)
        result = edit_planned(editor, request, plan)
    number = 0 if _is_alone(replayed, settings) else replayed.picture
    if result.interrupted:
        return _only(result, number, folder)
    if not _is_alone(replayed, settings) and not finder.notes:
        _tell_differences(replayed, result, number, editor)
    else:  # another picture is meant, so there is none to compare it with
        for line in plugin_differences(replayed.used, editor.registry):
            warn(line)
        for line in addition_changes(replayed.model, model_of(editor)):
            warn(line)
    return _only(result, number, folder)


def check_replay(
    recipe: Recipe,
    references: Sequence[str | Path],
    settings: Mapping[str, Any],
    registry: Registry,
) -> tuple[Path, ...]:
    """Refuse what can be refused without a model; raises as :meth:`refhooks.Editor.replay`.

    Returns:
        The files that the replay will read.
    """
    finder = Finder(recipe, Folder(), [as_path(path) for path in references])
    _checked(recipe, finder, settings, registry, None)
    return tuple(finder.read)


@contextlib.contextmanager
def recorded(
    recipe: Recipe, references: Sequence[str | Path], registry: Registry
) -> Iterator[Request]:
    """Yield the edit that a recipe says; the files that it names are there as long.

    Raises:
        RefhooksError: As :meth:`refhooks.Editor.replay` says.
    """
    finder = Finder(recipe, Folder(), [as_path(path) for path in references])
    yield _checked(recipe, finder, {}, registry, None)


def _checked(
    recipe: Recipe,
    finder: Finder,
    settings: Mapping[str, Any],
    registry: Registry,
    callback: Callback | None,
) -> Request:
    if recipe.lost:
        raise InputError(f"this edit cannot be replayed: {'; '.join(recipe.lost)}")
    _check_settings(settings)
    with needing(recipe.used, registry):
        return _request(_edit(recipe, finder, registry), settings, callback)


def _only(result: EditResult, number: int, keep: Any) -> EditResult:
    """That of one picture of the batch; the recipes name files that must stay as long."""
    materials = result.materials or Materials()
    return attrs.evolve(
        result,
        images=result.images[number : number + 1],
        drift=tuple(
            attrs.evolve(entry, blocks=entry.blocks[:, number : number + 1])
            for entry in result.drift
        ),
        latents=result.latents[number : number + 1],
        seeds=result.seeds[number : number + 1],
        recipes=result.recipes[number : number + 1],
        materials=attrs.evolve(materials, keep=keep),
    )


def _tell_differences(recipe: Recipe, result: EditResult, number: int, editor: LoadedModel) -> None:
    if rgb_hash(result.images[number]) == recipe.pixels:
        return
    differences = [*recipe.differences(editor), *_strengths_apart(recipe, result)]
    warn(
        "this is not the recorded picture to the bit. What differs:"
        f" {'; '.join(differences) or 'nothing that a recipe knows of'}"
    )


def _strengths_apart(recipe: Recipe, result: EditResult) -> list[str]:
    """How strengths that were set while the edit ran are others now."""
    now = result.recipes[0].strengths if result.recipes else ()
    if not recipe.strengths or recipe.strengths == now:
        return []
    return ["the strengths that were set while it ran are others now"]


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if name not in SETTINGS:
            raise InputError(
                f"a replay has no setting {shown(name)}.{did_you_mean(name, SETTINGS)} There are"
                f" {listed(SETTINGS)}"
            )
        if name in {"seed", "prompt", "negative_prompt"} and is_list(value):
            raise InputError(f"a replay makes one picture: {name} must be one, got {shown(value)}")


def _edit(recipe: Recipe, finder: Finder, registry: Registry) -> _Edit:
    """Return what a recipe says, as values; whatever is wrong with it is found here."""
    tables = Tables(recipe, finder, registry)
    references = tuple(
        [
            Reference(
                _opened(finder, entry.picture, f"reference {number}"),
                tables.strategy(entry.strategy, f"reference {number}"),
                resolution=entry.resolution,
            )
            for number, entry in enumerate(recipe.references, 1)
        ]
    )
    source = None
    if recipe.source is not None:
        source = _opened(finder, recipe.source, "the source")
    finder.check_used()
    return _Edit(
        recipe,
        references,
        source,
        None if recipe.edit_mask is None else tables.mask(recipe.edit_mask),
        tuple([tables.plugin(table) for table in recipe.plugins]),
    )


def _is_alone(recipe: Recipe, settings: Mapping[str, Any]) -> bool:
    """A batch is made again for the bits' sake; not one that a stranger's file made up."""
    return bool(settings) or recipe.count > MAX_AT_ONCE


def _opened(finder: Finder, entry: RecipePicture, label: str) -> Any:
    """What an edit before made is taken at its own size, as it was then."""
    path = finder.picture(entry, label)
    picture: Any = path
    if path in finder.by_numbers:
        picture = without_profile(load_original(path))
        vars(picture)["filename"] = str(path)
    if not entry.handed:
        return picture
    given = load_original(path) if picture is path else picture
    return HandedOn(given, None, path.name, file=path.absolute(), origin=path)


def _request(edit: _Edit, settings: Mapping[str, Any], callback: Callback | None) -> Request:
    """The whole batch as it was; with settings the one picture alone."""
    recipe = edit.recipe
    alone = _is_alone(recipe, settings)
    number = recipe.picture // len(recipe.seeds)
    overrides = {name: settings[name] for name in settings if name not in {"strength", "method"}}
    first, *others = edit.references or (None,)
    values: dict[str, Any] = {
        "prompt": recipe.prompt if alone else list(recipe.prompts),
        "negative_prompt": recipe.negative[number] if alone else list(recipe.negative),
        "seed": recipe.seed if alone else list(recipe.seeds),
        "steps": recipe.steps,
        "denoise": recipe.denoise,
        "cfg": recipe.cfg if recipe.cfg_steps is None else recipe.cfg_steps,
        **_size(recipe, overrides),
        "vision_resolution": recipe.vision_resolution,
        "align": recipe.align,
        **overrides,
    }
    if "strength" in settings or "method" in settings:
        first = _changed(first, settings.get("method"), settings.get("strength"))
    return make_request(
        first,
        references=others,
        edit_mask=edit.edit_mask,
        compute="all" if recipe.compute is None else recipe.compute,
        cache=recipe.cache,
        plugins=edit.plugins,
        callback=callback,
        source=edit.source,
        **values,
    )


def _size(recipe: Recipe, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The size of the output; one that is set takes the place of a native one."""
    if recipe.native and not {"height", "width"} & set(overrides):
        return {"height": None, "width": None, "resolution": "native"}
    own = {} if recipe.native else {"height": recipe.height, "width": recipe.width}
    return {"height": None, "width": None, **own, "resolution": None}


def _changed(first: Reference | None, method: Any, strength: Any) -> Reference:
    if first is None:
        raise InputError("this edit has no reference whose strength or method could be set")
    strategy = first.strategy
    if not isinstance(strategy, Strategy) or len(strategy.stages) > 1:
        raise InputError(
            "reference 1 has several stages with strengths of their own; write them to a strategy"
            " file, and edit with that"
        )
    stage = strategy.stages[0]
    new = Stage(
        stage.method if method is None else method,
        stage.strength if strength is None else strength,
        until=stage.until,
    )
    return attrs.evolve(first, strategy=attrs.evolve(strategy, stages=(new,)))
