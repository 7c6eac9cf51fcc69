"""Running a recipe again: everything it names is found and checked before anything runs."""

from __future__ import annotations

import functools
import shutil
import tempfile
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.files.strategy_file import FileTable, Loader, as_table
from refhooks._apps.recipes.needs import needing, plugin_differences
from refhooks._apps.recipes.picture_files import load_recipe
from refhooks._apps.recipes.recipe import Recipe, RecipeFile, RecipePicture
from refhooks._apps.recipes.recording import Materials
from refhooks._apps.recipes.tables import hash_of, rgb_hash
from refhooks._base.files import is_file
from refhooks._base.names import did_you_mean, listed
from refhooks._base.numbers import is_list
from refhooks._base.pictures import load_picture
from refhooks._core.planning.input_pictures import Handed
from refhooks._core.planning.planner import make_plan
from refhooks._core.planning.request import Request, make_request
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks._core.running.run import exclusive, run_plan
from refhooks.errors import InputError, RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from refhooks._apps.editing.result import EditResult
    from refhooks._core.masks.mask import Mask
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.request import Callback
    from refhooks._core.plugins.registry import Registry

SETTINGS = (
    "strength", "method", "denoise", "steps", "seed", "cfg", "height", "width", "prompt",
    "negative_prompt",
)  # fmt: skip


@attrs.frozen
class _Edit:
    recipe: Recipe
    references: tuple[Reference, ...]
    source: Any
    edit_mask: Mask | None
    plugins: tuple[object, ...]


def replay(
    editor: LoadedModel,
    recipe: Recipe | str | Path,
    references: Sequence[str | Path],
    callback: Callback | None,
    settings: Mapping[str, Any],
) -> EditResult:
    """Run a recipe again; see :meth:`refhooks.Editor.replay`."""
    held = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    folder = _Folder()
    found = _Finder(held, folder, [Path(path) for path in references])
    request = _checked(held, found, settings, editor.registry, callback)
    for note in found.notes:
        _warn(note)
    with exclusive(editor.family):
        with needing(held, editor.registry):
            plan = make_plan(editor, request)
        result = run_plan(editor, request, plan)
    number = 0 if settings else held.picture
    if not settings and not found.notes:
        _tell_differences(held, result, number, editor)
    else:  # another picture is meant, so there is none to compare it with
        for line in plugin_differences(held, editor.registry):
            _warn(line)
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
    found = _Finder(recipe, _Folder(), [Path(path) for path in references])
    _checked(recipe, found, settings, registry, None)
    return tuple(found.read)


def _checked(
    recipe: Recipe,
    found: _Finder,
    settings: Mapping[str, Any],
    registry: Registry,
    callback: Callback | None,
) -> Request:
    if recipe.lost:
        raise InputError(f"this edit cannot be replayed: {'; '.join(recipe.lost)}")
    _check_settings(settings)
    with needing(recipe, registry):
        return _request(_edit(recipe, found, registry), settings, callback)


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
    found = recipe.differences(editor)
    _warn(
        "this is not the recorded picture to the bit. What differs:"
        f" {'; '.join(found) or 'nothing that a recipe knows of'}"
    )


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if name not in SETTINGS:
            raise InputError(
                f"a replay has no setting {name!r:.80}.{did_you_mean(name, SETTINGS)} There are"
                f" {listed(SETTINGS)}"
            )
        if name in {"seed", "prompt", "negative_prompt"} and is_list(value):
            raise InputError(f"a replay makes one picture: {name} must be one, got {value!r:.80}")


def _edit(recipe: Recipe, found: _Finder, registry: Registry) -> _Edit:
    """Return what a recipe says, as values; whatever is wrong with it is found here."""
    tables = _Tables(recipe, found, registry)
    references = tuple(
        Reference(
            _opened(found.picture(entry.picture, f"reference {number}"), entry.picture),
            tables.strategy(entry.strategy, f"reference {number}"),
            resolution=entry.resolution,
        )
        for number, entry in enumerate(recipe.references, 1)
    )
    source = None
    if recipe.source is not None:
        source = _opened(found.picture(recipe.source, "the source"), recipe.source)
    found.check_used()
    return _Edit(
        recipe,
        references,
        source,
        None if recipe.edit_mask is None else tables.mask(recipe.edit_mask),
        tuple(tables.plugin(table) for table in recipe.plugins),
    )


def _opened(path: Path, entry: RecipePicture) -> Any:
    """What an edit before made is taken at its own size, as it was then."""
    return Handed(load_picture(path), None, path.name) if entry.handed else path


def _request(edit: _Edit, settings: Mapping[str, Any], callback: Callback | None) -> Request:
    """The whole batch as it was; with settings the one picture alone."""
    recipe = edit.recipe
    alone = bool(settings)
    number = recipe.picture // len(recipe.seeds)
    given = {name: settings[name] for name in settings if name not in {"strength", "method"}}
    first, *others = edit.references or (None,)
    values: dict[str, Any] = {
        "prompt": recipe.prompt if alone else list(recipe.prompts),
        "negative_prompt": recipe.negative[number] if alone else list(recipe.negative),
        "seed": recipe.seed if alone else list(recipe.seeds),
        "steps": recipe.steps,
        "denoise": recipe.denoise,
        "cfg": recipe.cfg,
        "height": recipe.height,
        "width": recipe.width,
        **given,
    }
    if "strength" in settings or "method" in settings:
        first = _changed(first, settings.get("method"), settings.get("strength"))
    return make_request(
        first,
        references=others,
        resolution=None,
        edit_mask=edit.edit_mask,
        plugins=edit.plugins,
        callback=callback,
        source=edit.source,
        **values,
    )


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


class _Tables:
    """Reads the tables of a recipe; a file that it does not list is refused."""

    def __init__(self, recipe: Recipe, found: _Finder, registry: Registry) -> None:
        self._files = {file.sha256: file for file in recipe.files}
        self._found = found
        self._registry = registry
        self._loader = Loader(registry, Path("recipe"))

    def strategy(self, table: dict[str, Any], label: str) -> Strategy:
        held: FileTable = as_table(FileTable, self._with_masks(table), label)
        stages = held.stage if isinstance(held.stage, list) else []
        resolved = attrs.evolve(held, stage=[self._stage(stage) for stage in stages])
        return self._loader.strategy(resolved, label)

    def mask(self, table: dict[str, Any]) -> Mask:
        return self._loader.mask(self._mask(table), "edit_mask")

    def plugin(self, table: dict[str, Any]) -> object:
        options = dict(table)
        name = options.pop("plugin", None)
        if not isinstance(name, str):
            raise InputError(f"a plugin of the recipe has no name: {table!r:.80}")
        cls = self._registry.plugins.get(name)
        return self._registry.plugin(name, self._with_files(options, cls))

    def _stage(self, stage: Any) -> Any:
        method = stage.get("method") if isinstance(stage, dict) else None
        if not isinstance(method, dict) or not isinstance(method.get("method"), str):
            return stage
        cls = self._registry.methods.get(method["method"])
        return {**stage, "method": self._with_files(method, cls)}

    def _with_masks(self, table: dict[str, Any]) -> dict[str, Any]:
        masks = table.get("mask")
        if not isinstance(masks, list):
            return table
        return {**table, "mask": [self._mask(mask) for mask in masks]}

    def _mask(self, mask: Any) -> Any:
        """Whatever shape reads a file under an option's name, the option must name one here."""
        if not isinstance(mask, dict):
            return mask
        for cls in self._registry.masks.values():
            mask = self._with_files(mask, cls)
        return mask

    def _with_files(self, options: dict[str, Any], cls: Any) -> dict[str, Any]:
        named = [option for option in getattr(cls, "files", ()) if option in options]
        return {**options, **{option: self._path(options[option]) for option in named}}

    def _path(self, value: Any) -> str:
        if isinstance(value, str) and value in self._found.resolved:
            return value
        if not isinstance(value, str) or value not in self._files:
            raise InputError(f"the recipe names a file that it does not list: {value!r:.80}")
        return str(self._found.file(self._files[value]))


class _Folder:
    """Holds what was inside of a recipe, for as long as it is used; made when it is needed."""

    @functools.cached_property
    def path(self) -> Path:
        """Where it is."""
        made = Path(tempfile.mkdtemp(prefix="refhooks-"))
        weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        return made


class _Finder:
    """Finds the files of a recipe: inside of it, among those given, or beside the picture.

    A file counts where its hash is the recorded one. One that is given and has another takes the
    place of the first picture that is found nowhere, and is told.
    """

    def __init__(self, recipe: Recipe, folder: _Folder, given: Sequence[Path]) -> None:
        self._recipe = recipe
        self._folder = folder
        self._given = dict.fromkeys(given)
        self._hashes: dict[tuple[Path, str], str] = {}
        self._others = [path for path in self._given if not self._is_any(path)]
        self.resolved: set[str] = set()
        self.read: list[Path] = []
        self.notes: list[str] = []

    def picture(self, entry: RecipePicture, label: str) -> Path:
        """Return the path of a picture.

        Raises:
            InputError: It is nowhere, or what is put inside is not it.
        """
        found = self._lookup(entry.sha256, entry.name, "reference")
        if found is not None:
            return found
        if self._others:
            other = self._others.pop(0)
            self.notes.append(f"{label} is {other}, not the recorded {_said(entry.name)}")
            load_picture(other)
            self.read.append(other)
            return other
        raise _missing(entry.name, label)

    def file(self, entry: RecipeFile) -> Path:
        """Return the path of a file that a mask, a method or a plugin reads; raises likewise."""
        kind = "mask" if entry.picture else "file"
        found = self._lookup(entry.sha256, entry.name, kind)
        if found is None:
            raise _missing(entry.name, "a mask" if entry.picture else "a file")
        self.resolved.add(str(found))
        return found

    def check_used(self) -> None:
        """Refuse a file that was given and is for nothing."""
        if self._others:
            raise InputError(f"{self._others[0]} is no picture of this recipe, and none is missing")

    def _lookup(self, key: str, name: str, kind: str) -> Path | None:
        if key in self._recipe.embedded:
            return self._unpacked(key, name, kind)
        places = [*self._given]
        if name:
            beside = {self._recipe.folder or Path(), Path()}
            places += [folder / name for folder in sorted(beside)]
        for path in places:
            if self._hash(path, kind) == key:
                self.read.append(path)
                return path
        return None

    def _unpacked(self, key: str, name: str, kind: str) -> Path:
        place = self._folder.path / key / (name or "picture.png")
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(self._recipe.embedded[key])
        if kind == "file" or self._hash(place, kind) != key:
            raise InputError("a picture inside of the recipe is not the one that it names")
        return place

    def _is_any(self, path: Path) -> bool:
        kinds = {picture.sha256: "reference" for picture in self._recipe.pictures}
        kinds |= {file.sha256: "mask" if file.picture else "file" for file in self._recipe.files}
        if not is_file(path):
            raise InputError(f"there is no file {path}")
        return any(self._hash(path, kind) == key for key, kind in kinds.items())

    def _hash(self, path: Path, kind: str) -> str:
        if (path, kind) not in self._hashes:
            self._hashes[path, kind] = hash_of(path, kind)
        return self._hashes[path, kind]


def _missing(name: str, label: str) -> InputError:
    return InputError(
        f"{label} of this recipe is {_said(name)}, which is not here with its recorded content;"
        " name the file with --reference (references=[...])"
    )


def _said(name: str) -> str:
    return name or "a picture without a name"


def _warn(message: str) -> None:
    warnings.warn(message, RefhooksWarning, stacklevel=4)
