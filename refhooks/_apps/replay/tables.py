"""The tables of a recipe as strategies, masks and plugins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.files.loader import FileTable, Loader
from refhooks._apps.files.structuring import as_table
from refhooks._base.shown import shown
from refhooks.errors import InputError

if TYPE_CHECKING:
    from refhooks._apps.recipes.recipe import Recipe
    from refhooks._apps.replay.finder import Finder
    from refhooks._core.masks.mask import Mask
    from refhooks._core.planning.strategy import Strategy
    from refhooks._core.plugins.registry import Registry


class Tables:
    """Reads the tables of a recipe; a file that it does not list is refused.

    Raises:
        InputError: A table cannot be used, or a file is found nowhere.
        UnknownNameError: It names what no live plugin registers.
    """

    def __init__(self, recipe: Recipe, finder: Finder, registry: Registry) -> None:
        self._files = {file.sha256: file for file in recipe.files}
        self._found = finder
        self._registry = registry
        self._loader = Loader(registry, Path("recipe"))

    def strategy(self, table: dict[str, Any], label: str) -> Strategy:
        """Return the strategy of a reference, which messages call ``label``."""
        file_table: FileTable = as_table(FileTable, self._with_masks(table), label)
        stages = file_table.stage if isinstance(file_table.stage, list) else []
        resolved = attrs.evolve(file_table, stage=[self._stage(stage) for stage in stages])
        return self._loader.strategy(resolved, label)

    def mask(self, table: dict[str, Any]) -> Mask:
        """Return the edit mask."""
        return self._loader.mask(self._mask(table), "edit_mask")

    def plugin(self, table: dict[str, Any]) -> object:
        """Return a run plugin with its options."""
        options = dict(table)
        name = options.pop("plugin", None)
        if not isinstance(name, str):
            raise InputError(f"a plugin of the recipe has no name: {shown(table)}")
        cls = self._registry.plugins.get(name)
        return self._loader.plugin({"plugin": name, **self._with_files(options, cls)}, "")

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
            raise InputError(f"the recipe names a file that it does not list: {shown(value)}")
        return str(self._found.file(self._files[value]))
