"""A picture's recipe on the page: all that it was made from becomes what the page shows."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import InputError, load_recipe
from refhooks.pictures import load_mask, load_picture
from refhooks_play._files import mask_rewritten, rewritten
from refhooks_play._pictures import safe_name, take_in
from refhooks_play._state import MORE, Card, State

if TYPE_CHECKING:
    from refhooks import Editor, Recipe

__all__ = ["has_recipe", "made_by", "read_recipe"]


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
    tables = [
        {
            "image": finder.picture(entry.picture.sha256, entry.picture.name, number),
            **({} if entry.resolution is None else {"resolution": entry.resolution}),
            **entry.strategy,
        }
        for number, entry in enumerate(recipe.references, 1)
    ]
    found = finder.tables({"reference": tables, "plugin": list(recipe.plugins)})
    mask = recipe.edit_mask
    return State(
        cards=tuple(Card.of(it) for it in found["reference"]),
        plugins=tuple(found["plugin"]),
        prompt=recipe.prompt,
        negative=recipe.negative[recipe.picture // len(recipe.seeds)],
        steps=recipe.steps,
        seed=recipe.seed,
        cfg=f"{recipe.cfg!r}" if recipe.cfg_steps is None else recipe.cfg_steps,
        denoise=recipe.denoise,
        height=None if recipe.native else recipe.height,
        width=None if recipe.native else recipe.width,
        edit_mask=None if mask is None else finder.mask(mask),
        more=_more(recipe),
    )


def made_by(path: Path, editor: Editor) -> str:
    """Return what of the model that made a picture this page does not have; empty: nothing known.

    Args:
        path: Of the picture, which carries a recipe.
        editor: The model of the page.
    """
    model = load_recipe(path).model
    names = {editor.model.base, Path(str(getattr(editor.pipe, "name_or_path", "") or "")).name}
    names |= {
        it.name for it in editor.registry.models.values() if it.checkpoint is editor.checkpoint
    }
    other = [] if model.name in names else [f"the model {model.name or 'without a name'}"]
    other += ["a LoRA"] if model.loras else []
    other += [] if model.transformer is None else [f"the transformer {model.transformer.name}"]
    if not other:
        return ""
    return f"; it was made with {' and '.join(other)}, which this page has not: it may differ"


def _more(recipe: Recipe) -> dict[str, Any]:
    """What a recipe says and the page does not show; what is as ever is left out."""
    given = {
        **{name: getattr(recipe, name, None) for name in MORE},
        "resolution": "native" if recipe.native else None,
        "align": recipe.align or None,
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

    def tables(self, tables: dict[str, Any]) -> dict[str, Any]:
        """Return the tables of a strategy file whose options have names in place of hashes."""
        return rewritten(tables, self._file)

    def mask(self, mask: dict[str, Any]) -> dict[str, Any]:
        """Return the edit mask likewise."""
        return mask_rewritten(mask, self._file, "the edit mask")

    def _file(self, key: str, label: str) -> str:
        """The name of a file that an option names by its hash."""
        names = {file.sha256: file.name for file in self.recipe.files}
        return self._named(key, names.get(key, ""), f"{label} of this recipe")

    def _named(self, key: str, name: str, label: str) -> str:
        data = self.recipe.embedded.get(key)
        if data is not None:
            return self._put(data, name or f"{key[:12]}.png")
        beside = safe_name(name)
        if name and (self.folder / beside).is_file() and self._is(self.folder / beside, key):
            return beside
        raise InputError(
            f"{label} is {name or 'a picture without a name'}, which is neither inside of the"
            " picture nor, with its recorded content, on the page; open it together with the"
            " picture"
        )

    def _put(self, data: bytes, name: str) -> str:
        """Take in what was inside, as if it had been uploaded; another file of that name stays."""
        place = self.folder / f".inside-{secrets.token_hex(8)}.png"
        place.write_bytes(data)
        try:
            return take_in(place, self.folder, name)
        finally:
            place.unlink()

    def _is(self, place: Path, key: str) -> bool:
        """Whether a file is what was recorded: a picture and a mask by pixels, others by bytes."""
        kinds = {file.sha256: file.picture for file in self.recipe.files}
        if not kinds.get(key, True):
            return hashlib.sha256(place.read_bytes()).hexdigest() == key
        mode, load = ("RGBA", load_mask) if key in kinds else ("RGB", load_picture)
        try:
            picture = load(place).convert(mode)
        except InputError:
            return False
        head = f"{mode} {picture.width}x{picture.height}\n".encode()
        return hashlib.sha256(head + picture.tobytes()).hexdigest() == key
