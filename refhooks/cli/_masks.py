"""Masks on the command line: ``FILE`` or ``x,y,width,height``; those of files are checked too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._family import Size
from refhooks._mask import Mask
from refhooks._strategy import Reference, Strategy, as_strategy
from refhooks.cli._parse import is_file
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

    from refhooks._mask import MaskShape
    from refhooks._registry import Registry

REGION, CONTENT, EDIT = "--mask-region", "--mask-content", "--edit-mask"


@attrs.frozen
class Named:
    """A mask, and how the user knows it."""

    label: str
    mask: Mask


@attrs.frozen(kw_only=True)
class MaskOptions:
    """The options under the heading ``Masks``, as they were given."""

    mask_region: tuple[str, ...]
    mask_content: tuple[str, ...]
    edit_mask: str | None
    feather: float | None
    invert_masks: bool

    @classmethod
    def take(cls, given: dict[str, Any]) -> MaskOptions:
        """Take these options out of all that a command was given."""
        return cls(**{field.name: given.pop(field.name) for field in attrs.fields(cls)})

    def read(self, registry: Registry) -> Masks:
        """Return the masks that were named.

        Raises:
            InputError: A mask is neither a file nor a box, or an option has no mask to act on.
            UnknownNameError: No live plugin registers what takes an edit mask.
        """
        own = [self._mask(REGION, text, registry) for text in self.mask_region]
        own += [self._mask(CONTENT, text, registry) for text in self.mask_content]
        edit = None
        if self.edit_mask is not None:
            edit = self._mask(EDIT, self.edit_mask, registry)
            registry.for_argument("edit_mask", edit.mask)
        if edit is None and not own:
            self._check_unused()
        return Masks(tuple(own), edit)

    def _mask(self, option: str, text: str, registry: Registry) -> Named:
        label = f"{option} {text}"
        try:
            shape = registry.shape_from(text)
            _check_files(shape)
            mask = Mask(
                shape,
                kind="content" if option == CONTENT else "region",
                feather=0.0 if self.feather is None else self.feather,
                invert=self.invert_masks,
            )
        except InputError as error:
            raise InputError(f"{label}: {error}") from error
        return Named(label, mask)

    def _check_unused(self) -> None:
        lone = "--feather" if self.feather is not None else "--invert-masks"
        if self.feather is not None or self.invert_masks:
            raise InputError(f"{lone} is for {REGION}, {CONTENT} and {EDIT}; there is none of them")


def _check_files(shape: MaskShape) -> None:
    if any(not is_file(str(getattr(shape, option))) for option in getattr(shape, "files", ())):
        raise InputError(
            "there is no such file, and it is no box: x,y,width,height in pixels or percent, as"
            " 40,40,200,120 or 10%,10%,50%,50%"
        )


@attrs.frozen
class Masks:
    """The masks of a command line.

    Attributes:
        own: Those of the source as a reference.
        edit: Where the picture may change at all.
    """

    own: tuple[Named, ...] = ()
    edit: Named | None = None

    def added(self, strategy: Any, native: str) -> Any:
        """Return how the source steers, within these masks as well."""
        if not self.own:
            return strategy
        whole = as_strategy(strategy, native)
        return attrs.evolve(whole, masks=(*whole.masks, *(named.mask for named in self.own)))

    def check(self, references: Sequence[Reference], pictures: Sequence[Image]) -> tuple[Path, ...]:
        """Lay every mask of an edit on its picture, those of strategy files as well.

        Args:
            references: The source first, with its strategy.
            pictures: Theirs.

        Returns:
            The files that masks are read from.

        Raises:
            InputError: A mask cannot be read, or covers nothing.
        """
        sizes = [Size(picture.height, picture.width) for picture in pictures]
        files: list[Path] = []
        for place, named in self._everyone(references):
            _check_cover(named, sizes[0 if named.mask.kind == "region" else place])
            shape = named.mask.shape
            values = [getattr(shape, option) for option in getattr(shape, "files", ())]
            files += [Path(value) for value in values if isinstance(value, str | Path)]
        return tuple(files)

    def _everyone(self, references: Sequence[Reference]) -> Iterator[tuple[int, Named]]:
        """Every mask, and the place of the reference that it belongs to."""
        for place, reference in enumerate(references):
            given = reference.strategy
            for number, mask in enumerate(given.masks if isinstance(given, Strategy) else (), 1):
                yield place, Named(f"--strategy: reference {place + 1}, mask {number}", mask)
        for named in (*self.own, *(() if self.edit is None else (self.edit,))):
            yield 0, named


def _check_cover(named: Named, size: Size) -> None:
    """A feather takes long on a large picture, and changes nothing of what is checked here."""
    try:
        cover = attrs.evolve(named.mask, feather=0.0).cover(size)
    except InputError as error:
        raise InputError(f"{named.label}: {error}") from error
    if not bool((cover > 0).any()):
        raise InputError(f"{named.label}: it covers nothing of a picture of {size}")
