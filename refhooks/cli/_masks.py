"""Masks on the command line: ``FILE`` or ``x,y,width,height``; those of files are checked too."""

from __future__ import annotations

import functools
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.files import is_file
from refhooks._base.size import Size
from refhooks._core.contract.inside import as_inside
from refhooks._core.masks.mask import Mask
from refhooks._core.planning.strategy import Reference, Strategy, as_strategy
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

    from refhooks._core.contract.inside import Inside
    from refhooks._core.contract.protocols import MaskShape
    from refhooks._core.plugins.registry import Registry

    Group = tuple[list["Named"], Size]

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
    compute: str | None
    feather: float | None
    invert_masks: bool

    @classmethod
    def take(cls, options: dict[str, Any]) -> MaskOptions:
        """Take these options out of all that a command was given."""
        return cls(**{field.name: options.pop(field.name) for field in attrs.fields(cls)})

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
        inside = as_inside(self.compute, "--compute")
        if inside is not None and edit is None:
            raise InputError(
                f"--compute {self.compute} needs {EDIT}, which says where the picture may change"
            )
        if edit is None and not own:
            self._check_unused()
        return Masks(tuple(own), edit, inside)

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
        compute: How much of it is computed; ``None``: all.
    """

    own: tuple[Named, ...] = ()
    edit: Named | None = None
    compute: Inside | None = None

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
            InputError: A mask cannot be read, covers nothing, or overlaps with no other.
        """
        sizes = [Size(picture.height, picture.width) for picture in pictures]
        edit = [] if self.edit is None else [self.edit]
        for named, size in (*self._groups(references, sizes), (edit, sizes[0])):
            for entry in named:
                _check_cover(entry, size)
            if len(named) > 1:
                _check_overlap(named, size)
        masks = [entry for named, _ in self._groups(references, sizes) for entry in named]
        return tuple(file for entry in (*masks, *edit) for file in files_of(entry.mask.shape))

    def _groups(self, references: Sequence[Reference], sizes: Sequence[Size]) -> Iterator[Group]:
        """The masks of each reference that act only where all of them cover."""
        for place, reference in enumerate(references):
            steering = reference.strategy
            label = f"--strategy: reference {place + 1}, mask"
            masks = steering.masks if isinstance(steering, Strategy) else ()
            named = [Named(f"{label} {number}", mask) for number, mask in enumerate(masks, 1)]
            named += self.own if place == 0 else ()
            yield [it for it in named if it.mask.kind == "region"], sizes[0]
            yield [it for it in named if it.mask.kind == "content"], sizes[place]


def files_of(shape: MaskShape) -> list[Path]:
    """Return the files that a shape is read from."""
    values = [getattr(shape, option) for option in getattr(shape, "files", ())]
    return [Path(value) for value in values if isinstance(value, str | Path)]


def _check_overlap(group: Sequence[Named], size: Size) -> None:
    """Masks of one kind multiply; one whose strength varies may let the others be at some steps."""
    if any(named.mask.strength != 1.0 for named in group):
        return
    covers = [named.mask.cover(size) for named in group]
    if not bool((functools.reduce(operator.mul, covers) > 0).any()):
        labels = " and ".join(named.label for named in group)
        raise InputError(
            f"{labels}: no place is covered by all of them, and a reference acts only there; let"
            " them overlap, or draw them as one mask"
        )


def _check_cover(named: Named, size: Size) -> None:
    """A feather takes long on a large picture, and changes nothing of what is checked here."""
    try:
        cover = attrs.evolve(named.mask, feather=0.0).cover(size)
    except InputError as error:
        raise InputError(f"{named.label}: {error}") from error
    if not bool((cover > 0).any()):
        raise InputError(f"{named.label}: it covers nothing of a picture of {size}")
