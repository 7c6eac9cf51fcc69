"""Edits with known answers: a source, a prompt, and what is known of the right result."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from PIL import Image

from refhooks._base.numbers import is_list
from refhooks._base.pictures import load_picture
from refhooks._base.shown import shown
from refhooks._core.planning.bounds import MAX_SEED, read_seed
from refhooks.errors import InputError
from refhooks.score._measures import changed_region

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    Picture = str | Path | Image.Image
    Region = npt.NDArray[np.bool_]

MAX_PROMPT = 10_000  # characters


def _seed(value: Any) -> int:
    return read_seed(value, "a pair's", MAX_SEED // 2)


def _references(value: Any) -> tuple[Picture, ...]:
    if not is_list(value):
        raise InputError(f"a pair's references must be a list of pictures, got {shown(value)}")
    return tuple(value)


def _mask(value: Any) -> Region | None:
    if value is None:
        return None
    mask = np.array(value)
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError(
            f"a pair's mask must be bool [H,W], True where the picture should change; got"
            f" {mask.dtype} {list(mask.shape)}"
        )
    if not mask.any():
        raise InputError("a pair's mask is empty: nothing should change; leave it out, or mark it")
    mask.flags.writeable = False
    return mask


@attrs.frozen(eq=False)
class Pair:
    """One edit to be scored.

    Pictures that are given as paths are read when they are needed, and not kept.

    Attributes:
        source: The picture that is edited; a path or a PIL picture.
        prompt: What to do with it.
        kind: What sort of edit it is; figures are told by it.
        seed: Of its noise, 0 and above.
        references: More pictures, ``Picture 2`` of the prompt and so on.
        right: The right answer, of the source's size; ``None``: it is not known.
        mask: Where the picture should change, bool ``[H,W]`` of the source's size; all ``True``:
            the whole picture. ``None``: where the right answer differs, if there is one.
        name: What errors call it.

    Raises:
        InputError: A field cannot be used, a picture cannot be read, or sizes differ.
    """

    source: Picture
    prompt: str
    kind: str = attrs.field(default="edit", kw_only=True)
    seed: int = attrs.field(default=0, kw_only=True, converter=_seed)
    references: tuple[Picture, ...] = attrs.field(default=(), kw_only=True, converter=_references)
    right: Picture | None = attrs.field(default=None, kw_only=True)
    mask: Region | None = attrs.field(default=None, kw_only=True, converter=_mask, repr=False)
    name: str = attrs.field(default="", kw_only=True)
    sizes: tuple[tuple[int, int], ...] = attrs.field(init=False, repr=False)
    key: str = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Look at every picture once: what cannot be used is found before anything runs."""
        for field, text in (("prompt", self.prompt), ("kind", self.kind)):
            if not isinstance(text, str) or not text.strip() or len(text) > MAX_PROMPT:
                raise InputError(f"a pair's {field} must be a text, got {shown(text)}")
        pictures = [load_picture(it) for it in (self.source, *self.references)]
        right = None if self.right is None else load_picture(self.right)
        size = pictures[0].size
        if right is not None and right.size != size:
            raise InputError(
                f"the right answer is {_named(right.size)}, its source {_named(size)}; it must have"
                " the source's size"
            )
        if self.mask is not None and self.mask.shape != (size[1], size[0]):
            mask_size = _named((self.mask.shape[1], self.mask.shape[0]))
            raise InputError(
                f"the mask is {mask_size}, its source {_named(size)}; it must have the source's"
                " size"
            )
        if right is not None and self.mask is None and not _region(pictures[0], right).any():
            raise InputError("the right answer does not differ from its source")
        parts = [*pictures, right, self.mask]
        hashes = [None if part is None else _hash(np.asarray(part)) for part in parts]
        told = repr((hashes, self.prompt, self.kind, self.seed))
        object.__setattr__(self, "sizes", tuple(picture.size for picture in pictures))
        object.__setattr__(self, "key", hashlib.sha256(told.encode()).hexdigest()[:20])

    @property
    def region(self) -> Region | None:
        """Where the picture should change: the mask, or where the right answer differs."""
        if self.mask is not None or self.right is None:
            return self.mask
        return _region(load_picture(self.source), load_picture(self.right))

    @property
    def is_whole(self) -> bool:
        """Whether the whole picture should change, so that nothing can be kept outside."""
        region = self.region
        return region is not None and bool(region.all())


def _region(source: Image.Image, right: Image.Image) -> Region:
    region: Region = changed_region(np.asarray(source)[None], np.asarray(right)[None])[0]
    return region


def _hash(values: npt.NDArray[Any]) -> str:
    return f"{values.shape} {hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}"


def _named(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


@attrs.frozen(eq=False)
class Shot:
    """What a measure sees: one result, and what is known of it, at the result's size.

    Pictures are sRGB, uint8 ``[H,W,3]``.

    Attributes:
        pair: The edit.
        out: The result.
        source: Its source.
        right: The right answer, if it is known.
        region: Where the picture should change, bool ``[H,W]``, if that is known.
        without: The result without any reference, from the same seed and in as many steps.
    """

    pair: Pair
    out: npt.NDArray[np.uint8]
    source: npt.NDArray[np.uint8]
    right: npt.NDArray[np.uint8] | None
    region: Region | None
    without: npt.NDArray[np.uint8] | None


def make_shot(pair: Pair, out: Image.Image, without: Image.Image | None) -> Shot:
    """Return what is measured, everything at the size of ``out``."""

    def fitted(picture: Picture | None) -> Any:
        if picture is None:
            return None
        opened = load_picture(picture)
        if opened.size != out.size:
            opened = opened.resize(out.size, Image.Resampling.LANCZOS)
        return np.asarray(opened)

    region = pair.region
    if region is not None and region.shape != (out.height, out.width):
        grown = Image.fromarray(region).resize(out.size, Image.Resampling.NEAREST)
        region = np.asarray(grown, bool)
    return Shot(pair, np.asarray(out), fitted(pair.source), fitted(pair.right), region,
                fitted(without))  # fmt: skip


def grouped(pairs: Sequence[Pair], most: int) -> list[tuple[int, ...]]:
    """Return the places of pairs that can run at once, at most so many, by size and references.

    They depend on the pairs alone, so whoever goes on after an interruption computes the same.
    """
    alike: dict[Any, list[int]] = {}
    for place, pair in enumerate(pairs):
        alike.setdefault(pair.sizes, []).append(place)
    return [
        tuple(places[at : at + most])
        for places in alike.values()
        for at in range(0, len(places), most)
    ]
