"""Strategies as tables of a recipe, in which the hash of a file stands for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from PIL import Image

from refhooks._apps.files.writer import Writer
from refhooks._apps.recipes.parts import RecipeFile, is_name
from refhooks._base.advice import silenced
from refhooks._base.colours import has_profile, without_profile
from refhooks._base.files import file_hash
from refhooks._base.kept_pictures import pixels_hash
from refhooks._base.pictures import (
    in_mode,
    load_mask,
    load_original,
    load_picture,
    load_whole,
)
from refhooks._core.masks.shape_cover import shape_cover
from refhooks._core.planning.compilation import method_name
from refhooks._core.planning.input_pictures import HandedOn
from refhooks.errors import InputError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refhooks._base.size import Size
    from refhooks._core.contract.methods import RunPlugin
    from refhooks._core.contract.protocols import MaskShape
    from refhooks._core.masks.mask import Mask
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.strategy import Strategy
    from refhooks._core.planning.timetable import PluginStrengths

MAX_FILE = 2**32


def rgb_hash(picture: Image.Image) -> str:
    """Return the hash of a picture's pixels in sRGB, on white where it is transparent."""
    shown = load_whole(picture) if has_profile(picture) else picture
    return pixels_hash(in_mode(shown, "RGB"), "RGB")


def mask_hash(picture: Path | Image.Image) -> str:
    """Return the hash of a mask's pixels, as they are seen."""
    return pixels_hash(load_mask(picture).convert("RGBA"), "RGBA")


def hash_of(path: Path, kind: str) -> str:
    """Return the hash of a file; empty: it is none of this kind.

    Args:
        path: Of the file.
        kind: ``reference``, ``mask`` or ``file``; ``numbers``: a reference by its own numbers,
            which were taken as sRGB before profiles were read.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            return ""
        if kind == "file":
            return file_hash(path)
        with silenced():
            if kind == "numbers":
                return rgb_hash(without_profile(load_original(path)))
            return rgb_hash(load_picture(path)) if kind == "reference" else mask_hash(path)
    except (InputError, OSError, ValueError):
        return ""


@attrs.frozen(eq=False)
class RecipeWriter(Writer):
    """Turns strategies into tables that name files by their hashes.

    Attributes:
        plan: Of the edit; masks of arrays are drawn at the sizes that they lie on there.
        files: What was read, by its hash.
        pictures: Paths or pictures of masks, by their hashes.
        used: Plugins that took part, with distribution and version.
    """

    plan: Plan
    files: dict[str, RecipeFile] = attrs.field(factory=dict)
    pictures: dict[str, tuple[Path | Image.Image, bool]] = attrs.field(factory=dict)
    used: dict[str, str] = attrs.field(factory=dict)
    _sizes: list[Size | None] = attrs.field(factory=list)

    def strategy(self, strategy: Strategy, number: int) -> dict[str, Any]:
        """Return the tables of a reference's strategy."""
        for stage in strategy.stages:
            self.use("method", method_name(stage.method))
            self._use_short(stage.strength)
            if isinstance(stage.until, float):
                self.use("short form", "until=NUMBER")
        return self._strategy(strategy, number, f"reference {number + 1}, ")

    def plugin(
        self, plugin: RunPlugin, label: str, ran: PluginStrengths | None = None
    ) -> dict[str, Any]:
        """Return the table of a run plugin."""
        if getattr(plugin, "scheduled", False):
            self._use_short(getattr(plugin, "strength", None))
        return super().plugin(plugin, label, ran)

    def mask(self, mask: Mask) -> dict[str, Any]:
        """Return the table of an edit mask."""
        return self._mask(mask, 0, 0, "edit_mask")

    def use(self, kind: str, name: str) -> None:
        """Note that the plugin that registers a name took part."""
        record = self.registry.record(self.registry.owner(kind, name))
        if record is not None:
            self.used[record.name] = record.origin

    def _use_short(self, strength: Any) -> None:
        if isinstance(strength, str):
            self.use("schedule", self.registry.schedule_from(strength).name)

    def _mask(self, mask: Mask, reference: int, place: int, label: str) -> dict[str, Any]:
        self._use_short(mask.strength)
        source, references = self.plan.source, self.plan.references
        content = mask.kind == "content" or source is None
        masked = references[reference].opened if content else source
        self._sizes.append(None if masked is None else masked.size)
        try:
            return super()._mask(mask, reference, place, label)
        finally:
            self._sizes.pop()

    def _shape(self, shape: MaskShape, label: str) -> dict[str, Any]:
        """An array, or a shape of a stranger's, is drawn: a picture can hold it."""
        try:
            return super()._shape(shape, label)
        except StrategyError:
            drawn = None if self._sizes[-1] is None else _drawn(shape, self._sizes[-1])
            if drawn is None:
                raise
            return super()._shape(self.registry.shape_from(drawn), label)

    def _options(
        self, value: Any, kind: str, known: Mapping[str, type[Any]], label: str
    ) -> dict[str, Any]:
        options = super()._options(value, kind, known, label)
        self.use("mask" if kind == "mask shape" else kind, value.name)
        for option in getattr(value, "files", ()):
            if options.get(option) is not None:
                options[option] = self._file(options[option], picture=kind == "mask shape")
        for option, chosen in options.items():
            if isinstance(chosen, str | Path) and Path(chosen).is_absolute():
                raise StrategyError(f"{label}: {option} is a path, which no recipe holds")
        return options

    def _relative(self, image: Path) -> str:
        return str(image)

    def _file(self, file: Any, *, picture: bool) -> str:
        """Note a file, and return the hash that stands for it."""
        path = Path(file).absolute() if isinstance(file, str | Path) else None
        source = file if path is None else path
        key = mask_hash(source) if picture else file_hash(Path(file))
        name = name_of(file) if path is None else known_name(path.name)
        self.files[key] = RecipeFile(key, name, picture)
        if picture:
            self.pictures[key] = (source, True)
        return key


def _drawn(shape: MaskShape, size: Size) -> Image.Image | None:
    """A cover as a grey picture; ``None`` if 256 greys cannot tell it to the bit."""
    cover = shape_cover(shape, size).numpy()  # drawn once, so that it warns once
    grey = np.rint(cover * 255.0).astype(np.uint8)
    if not np.array_equal(grey.astype(np.float32) / np.float32(255), cover.astype(np.float32)):
        return None
    return Image.fromarray(grey)


def known_name(name: str) -> str:
    """Return a file's name, or nothing where no recipe could hold it."""
    return name if is_name(name) else ""


def name_of(picture: Any) -> str:
    """Return the name of a picture's file: one that PIL opened knows it."""
    if isinstance(picture, HandedOn):
        return known_name(picture.name)
    return known_name(Path(str(getattr(picture, "filename", "") or "")).name)
