"""``refhooks replay`` and ``refhooks recipe``: a picture made again, and what it was made from."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import click

from refhooks._apps.recipes.picture_files import load_recipe, strip_recipe
from refhooks._apps.replay.replay import check_replay
from refhooks._base.files import is_file
from refhooks._base.once import keeping
from refhooks._base.pictures import load_picture
from refhooks._base.scales import parsed, read_scales
from refhooks._base.shown import shown
from refhooks._core.planning.bounds import MAX_CFG
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._denoise import say_denoise
from refhooks.cli._libraries import quiet
from refhooks.cli._model import ModelOptions, open_editor, plan_model
from refhooks.cli._parse import parse_strength
from refhooks.cli._places import check_places, save
from refhooks.cli._room import picture_room
from refhooks.cli._terminal import say, steps_bar, tell
from refhooks.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._apps.recipes.recipe import Recipe
    from refhooks._core.plugins.registry import Registry

WHOLE = ("steps", "seed", "height", "width")
NUMBERS = ("denoise",)


@attrs.frozen(kw_only=True)
class ReplayOptions:
    """What the command was given."""

    model: ModelOptions
    picture: str
    references: tuple[str, ...]
    settings: tuple[str, ...]
    output: str | None
    embed: bool
    metadata: Literal["drop", "keep"]


@keeping()
def run_replay(options: ReplayOptions) -> None:
    """Make a picture again, and say whether it is the same.

    Raises:
        RefhooksError: Something cannot be used; found before the model loads, where it can be.
    """
    registry = load_registry()
    recipe = load_recipe(options.picture)
    settings = _settings(options.settings, registry)
    files = check_replay(recipe, options.references, settings, registry)
    target = _target(options, files, recipe)
    model = plan_model(_model(options.model, recipe, registry), registry)
    started = time.perf_counter()
    editor = open_editor(model)
    loaded = time.perf_counter()
    steps = settings.get("steps", recipe.steps)
    say_denoise(settings.get("denoise", recipe.denoise), steps)
    with quiet(bars=False), steps_bar(steps) as advance:
        result = editor.replay(
            recipe,
            references=options.references,
            callback=lambda *_: advance(),
            **settings,
        )
    written = save(result, target, embed=options.embed, metadata=options.metadata)
    same = result.recipe is not None and result.recipe.pixels == recipe.pixels
    said = ", the same picture to the bit" if same else ""
    now = time.perf_counter()
    tell(f"wrote {written[0]}{said}, {now - loaded:.1f} s + {loaded - started:.1f} s loading")


def _settings(texts: Sequence[str], registry: Registry) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name in settings:
            raise InputError(f"--set {text}: once for each name, as --set strength=0.7")
        settings[name] = _value(name, value, f"--set {text}", registry)
    return settings


def _value(name: str, value: str, label: str, registry: Registry) -> Any:
    if name == "strength":
        return parse_strength(value, label, registry)
    if name == "cfg":
        return read_scales(parsed(value), MAX_CFG, f"{label}: cfg")
    if name not in WHOLE + NUMBERS:
        return value
    try:
        return int(value) if name in WHOLE else float(value)
    except ValueError as error:
        raise InputError(f"{label}: {name} must be a number, got {shown(value)}") from error


def _target(options: ReplayOptions, files: Sequence[Path], recipe: Recipe) -> Path:
    picture = Path(options.picture)
    if options.output is None and picture.suffix.lower() == ".json":
        raise InputError("name the output with -o")
    output = options.output or str(picture.with_stem(f"{picture.stem}-replay"))
    if options.output is None and is_file(output):
        say("note", f"replaces {output}", "cyan")
    embedded = [load_picture(file) for file in files] if options.embed else []
    return check_places(
        output,
        count=1,
        preview=False,
        pictures=[options.picture, *options.references, *files],
        room=picture_room(recipe.height * recipe.width, 1, embedded),
    )


def _model(options: ModelOptions, recipe: Recipe, registry: Registry) -> ModelOptions:
    """A recipe may come from a stranger, so it never says what is loaded from anywhere."""
    name, file = recipe.model.name, recipe.model.transformer
    if file is not None and options.transformer is None and options.name is not None:
        name_of_file = file.name or "FILE"
        say(
            "note",
            f"this picture was made with the transformer of a single file; to have the same one,"
            f" add --transformer {name_of_file}",
            "cyan",
        )
    if options.name is not None or not recipe.model.family:
        return options
    if name in registry.models:
        return attrs.evolve(options, name=name)
    also = "" if file is None else f" --transformer {file.name or 'FILE'}"
    raise ModelError(
        f"{name or 'a model without a name'} made this picture, and a recipe does not choose what"
        f" is loaded; if you trust that model, add --model"
        f" {shlex.quote(name) if name else 'NAME'}{also}"
    )


def show_recipe(picture: str, *, strip: bool) -> None:
    """Print the recipe of a picture as JSON, or remove it.

    Raises:
        InputError: The file cannot be read, or carries no recipe.
    """
    if not strip:
        recipe = load_recipe(picture)
        click.echo(recipe.to_json(indent=2))
        if recipe.lost:
            say("note", f"it cannot be replayed: {'; '.join(recipe.lost)}", "cyan")
        return
    if not strip_recipe(picture):
        raise InputError(f"{picture} carries no recipe")
    tell(f"removed the recipe of {picture}")
