"""A picture's recipe on the page: all that it was made from becomes what the page shows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import InputError, load_recipe
from refhooks.pictures import load_picture
from refhooks_play._pictures import safe_name
from refhooks_play._state import FILES, Card, State, mask_inside

if TYPE_CHECKING:
    from pathlib import Path

    from refhooks import Recipe

__all__ = ["has_recipe", "read_recipe"]


def has_recipe(path: Path) -> bool:
    """Return whether a file is a picture that carries a recipe."""
    try:
        load_recipe(path)
    except InputError:
        return False
    return True


def read_recipe(path: Path, folder: Path) -> State:
    """Return the page of a picture.

    Args:
        path: Of the picture, which may be a stranger's; the pictures that it was made from are
            inside of it, or in the folder under their names.
        folder: Of the session; pictures from inside are put there.

    Raises:
        InputError: It carries no recipe, one that cannot be replayed, or a picture is missing.
        StrategyError: A strategy in it cannot be read.
    """
    recipe = load_recipe(path)
    if recipe.lost:
        raise InputError(f"{path.name} cannot be replayed: {'; '.join(recipe.lost)}")
    if recipe.source is not None:
        raise InputError(
            f"{path.name} was made in a chain, or from latents; the page has one edit:"
            " make it again with refhooks replay"
        )
    finder = _Finder(recipe, folder)
    cards = [
        Card.of(
            finder.table(
                {
                    "image": finder.picture(entry.picture.sha256, entry.picture.name, number),
                    **({} if entry.resolution is None else {"resolution": entry.resolution}),
                    **entry.strategy,
                },
                number,
            )
        )
        for number, entry in enumerate(recipe.references, 1)
    ]
    mask = recipe.edit_mask
    return State(
        cards=tuple(cards),
        plugins=tuple(recipe.plugins),
        prompt=recipe.prompt,
        negative=recipe.negative[recipe.picture // len(recipe.seeds)],
        steps=recipe.steps,
        seed=recipe.seed,
        cfg=f"{recipe.cfg!r}" if recipe.cfg_steps is None else recipe.cfg_steps,
        denoise=recipe.denoise,
        height=None if recipe.native else recipe.height,
        width=None if recipe.native else recipe.width,
        edit_mask=None if mask is None else finder.mask(mask, "the edit mask"),
        more=_more(recipe),
    )


def _more(recipe: Recipe) -> dict[str, Any]:
    """What a recipe says and the page does not show; what is as ever is left out."""
    given = {
        "resolution": "native" if recipe.native else None,
        "vision_resolution": recipe.vision_resolution,
        "align": recipe.align or None,
        "compute": recipe.compute,
        "cache": recipe.cache,
    }
    return {key: value for key, value in given.items() if value is not None}


@attrs.frozen
class _Finder:
    """Finds what a recipe names by hashes, inside of it or in the session's folder."""

    recipe: Recipe
    folder: Path

    def picture(self, key: str, name: str, number: int) -> str:
        """Return the name of a reference's picture in the folder."""
        return self._named(key, name, f"reference {number} of this recipe")

    def table(self, table: dict[str, Any], number: int) -> dict[str, Any]:
        """Return a ``[[reference]]`` whose masks have names in place of hashes."""
        label = f"a mask of reference {number}"
        masks = [self.mask(mask, label) for mask in table.get("mask", ())]
        return {**table, **({"mask": masks} if masks else {})}

    def mask(self, mask: dict[str, Any], label: str) -> dict[str, Any]:
        """Return a ``[[mask]]`` likewise."""
        names = {file.sha256: file.name for file in self.recipe.files}
        files = {
            key: self._named(str(mask[key]), names.get(str(mask[key]), ""), label)
            for key in FILES
            if key in mask
        }
        return mask_inside({**mask, **files}, self.folder, label)

    def _named(self, key: str, name: str, label: str) -> str:
        data = self.recipe.embedded.get(key)
        if data is not None:
            return self._put(data, safe_name(name or f"{key[:12]}.png"))
        if name and (self.folder / name).is_file() and self._is(self.folder / name, key):
            return name
        raise InputError(
            f"{label} is {name or 'a picture without a name'}, which is neither inside of the"
            " picture nor on the page; open it together with the picture"
        )

    def _put(self, data: bytes, name: str) -> str:
        """Write what was inside as a PNG; another file of that name stays."""
        stem, number = name.rpartition(".")[0] or name, 1
        place = self.folder / f"{stem}.png"
        while place.exists() and place.read_bytes() != data:
            number += 1
            place = self.folder / f"{stem}-{number}.png"
        place.write_bytes(data)
        try:
            load_picture(place)
        except InputError:
            place.unlink()
            raise
        return place.name

    def _is(self, place: Path, key: str) -> bool:
        """Whether a file is the recorded picture: a mask is known by its name alone."""
        if key in {file.sha256 for file in self.recipe.files}:
            return True
        picture = load_picture(place).convert("RGB")
        head = f"RGB {picture.width}x{picture.height}\n".encode()
        return hashlib.sha256(head + picture.tobytes()).hexdigest() == key
