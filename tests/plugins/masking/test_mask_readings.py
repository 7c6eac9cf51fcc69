"""What is likely no mask: numbers on another scale, photographs, next to nothing and everything."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import refhooks as rh

SIZE = rh.Size(height=20, width=30)
HALF = np.zeros((20, 30), dtype=np.uint8)
HALF[:, :15] = 1
SOURCE = (32, 32)


def half():
    """Return the cover of the left half."""
    return torch.from_numpy(HALF.astype(np.float32))


def soft(values, alpha=255):
    """A grey picture with an alpha channel."""
    return Image.merge("LA", (values, Image.new("L", values.size, alpha)))


ONES = Image.fromarray(HALF)
SCALES = {
    "classes, 8 bit": ONES,
    "classes, as colours": ONES.convert("RGB"),
    "classes, with alpha": soft(ONES),
    "classes, 16 bit": Image.fromarray(HALF.astype(np.uint16)),
    "classes, mode I": Image.fromarray(HALF.astype(np.int32)),
    "0-255, 16 bit": Image.fromarray(HALF.astype(np.uint16) * 255),
    "0-65535, 16 bit": Image.fromarray(HALF.astype(np.uint16) * 65535),
    "0-255, mode I": Image.fromarray(HALF.astype(np.int32) * 255),
    "0-65535, mode I": Image.fromarray(HALF.astype(np.int32) * 65535),
    "0-1, mode F": Image.fromarray(HALF.astype(np.float32)),
    "0-255, mode F": Image.fromarray(HALF.astype(np.float32) * 255),
    "alpha of 0 and 1": Image.merge("RGBA", (*[Image.new("L", (30, 20), 255)] * 3, ONES)),
}


@pytest.mark.parametrize("name", SCALES)
def test_the_smallest_scale_that_holds_all(name):
    """Of 1, 255 and 65535, in every mode; also inverted."""
    covers = [rh.mask(SCALES[name], invert=turned).cover(SIZE) for turned in (False, True)]
    alpha = name.startswith("alpha")

    if alpha:
        assert torch.equal(rh.mask(alpha=SCALES[name]).cover(SIZE), half())
    else:
        assert torch.equal(covers[0], half())
        assert torch.equal(covers[1], 1 - half())


def test_class_numbers_in_a_file(tmp_path):
    """As segmentation models write them: 8 bits, a palette of two nearly black greys."""
    indexed = Image.fromarray(HALF).convert("P")
    for name, picture in {"grey": ONES, "indexed": indexed}.items():
        picture.save(tmp_path / f"{name}.png")
        assert torch.equal(rh.mask(tmp_path / f"{name}.png").cover(SIZE), half())


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(HALF.astype(np.int32) * -1),
        Image.fromarray(HALF.astype(np.int32) * 70_000),
        Image.fromarray(HALF.astype(np.float32) * 1e6),
        Image.fromarray(HALF.astype(np.float32) - 0.5),
        Image.fromarray(np.full((20, 30), np.nan, np.float32)),
        Image.fromarray(np.full((20, 30), np.inf, np.float32)),
    ],
    ids=["below 0", "above 65535", "a million", "minus a half", "NaN", "infinite"],
)
def test_numbers_of_no_scale(picture):
    """Refused, with what there is."""
    with pytest.raises(
        rh.InputError, match=r"the numbers of mode [IF] must lie within 0 and 65535"
    ):
        rh.mask(picture).cover(SIZE)


COLOURS = tiny.picture(3, (30, 20))
CUT = COLOURS.convert("L").convert("LA")
CUT.putalpha(Image.linear_gradient("L").resize((30, 20)))
TOLD = {
    "a photograph": (COLOURS, "the mask is coloured"),
    "red on black": (Image.merge("RGB", (Image.fromarray(HALF * 255), *[ONES] * 2)), "is coloured"),
    "a palette": (COLOURS.quantize(8), "the mask is coloured"),
    "CMYK": (COLOURS.convert("CMYK"), "the mask is coloured"),
    "a cut-out": (COLOURS.convert("RGBA"), "the mask is coloured"),
    "a grey cut-out": (CUT, "the mask is transparent in part, and not white"),
    "classes up to 3": (Image.fromarray(HALF * 3), "nowhere brighter than 1.2% of white"),
    "classes up to 20": (Image.fromarray(HALF * 20), "nowhere brighter than 7.8% of white"),
    "classes, 16 bit": (Image.fromarray(HALF.astype(np.uint16) * 7), "nowhere brighter than 2.7%"),
    "classes, mode F": (Image.fromarray(HALF.astype(np.float32) * 7), "nowhere brighter than 2.7%"),
    "an array of classes": (HALF * 7, "the mask's array is nowhere brighter than 2.7%"),
    "a faint array": (HALF * 0.01, "the mask's array is nowhere brighter than 1.0%"),
    "a tensor of classes": (torch.from_numpy(HALF * 7), "the mask's array is nowhere brighter"),
    "white": (Image.new("L", (30, 20), 255), "the mask is white all over"),
    "white, of classes": (Image.new("L", (30, 20), 1), "the mask is white all over"),
    "a white array": (np.ones((20, 30)), "the mask's array is white all over"),
    "a full alpha": ({"alpha": COLOURS.convert("RGBA")}, "the alpha channel is white all over"),
    "a faint alpha": ({"alpha": soft(COLOURS.convert("L"), 9)}, "the alpha channel is nowhere"),
}


@pytest.mark.parametrize("kind", ["region", "content"])
@pytest.mark.parametrize("name", TOLD)
def test_what_is_likely_no_mask_is_told(name, kind):
    """Each with what it is, of every kind of mask."""
    what, message = TOLD[name]
    options = what if isinstance(what, dict) else {}
    given = () if options else (what,)

    with pytest.warns(rh.RefhooksWarning, match=message):
        rh.mask(*given, kind=kind, **options).cover(SIZE)


@pytest.mark.parametrize("way", ["edit mask", "region", "content", "file", "array"])
def test_it_is_told_once_in_an_edit(edit, tmp_path, way):
    """However it reaches the edit, and though a recipe draws it as well."""
    mask = Image.fromarray(np.pad(HALF, ((6, 6), (1, 1))) * 9)
    mask.save(tmp_path / "mask.png")
    arguments = {
        "edit mask": {"edit_mask": mask},
        "file": {"edit_mask": str(tmp_path / "mask.png")},
        "array": {"edit_mask": np.asarray(mask)},
        "region": {"strategy": rh.Strategy("inject", masks=[rh.mask(mask)])},
        "content": {"strategy": rh.Strategy("default", masks=[rh.mask(mask, kind="content")])},
    }[way]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        edit(tiny.picture(1, SOURCE), **arguments)

    told = [str(it.message) for it in caught if "is nowhere brighter than 3.5%" in str(it.message)]
    assert len(told) == 1


SPECKS = {
    "a share of 1": ("0,0,0.5,1.0", SOURCE, "pixel of the picture that it lies on, 32x32"),
    "a corner": ((0, 0, 0.9, 0.9), SOURCE, "pixel of the picture that it lies on, 32x32"),
    "at the run's size": ("0,0,3,3", (128, 128), "pixel of the run, 32x32"),
    "a polygon of shares": ([(0, 0), (1, 0), (1, 1)], SOURCE, "less than a pixel of 32x32"),
    "a line": ([(0, 0), (9, 9), (18, 18)], SOURCE, "less than a pixel of 32x32"),
}


@pytest.mark.parametrize("way", ["edit mask", "region", "content"])
@pytest.mark.parametrize("name", SPECKS)
def test_less_than_a_pixel_is_told(edit, name, way):
    """Of the picture, or of it at the size of the run; also where a feather makes it larger."""
    what, size, message = SPECKS[name]
    mask = rh.mask(what, kind="content" if way == "content" else "region", feather=2)
    masked = rh.Strategy("default", masks=[mask])
    arguments = {"edit_mask": mask} if way == "edit mask" else {"strategy": masked}

    with pytest.warns(rh.RefhooksWarning, match=message):
        edit(tiny.picture(1, size), **arguments)


@pytest.mark.parametrize("what", ["0,0,1,1", "0,0,100%,100%", [(0, 0), (2, 0), (2, 2), (0, 2)]])
@pytest.mark.parametrize("way", ["edit mask", "region"])
def test_a_pixel_and_everything_are_not(edit, what, way):
    """Without a word: a box that covers all was written as such."""
    mask = rh.mask(what)
    masked = (
        {"edit_mask": mask}
        if way == "edit mask"
        else {"strategy": rh.Strategy("inject", masks=[mask])}
    )

    assert edit(tiny.picture(1, SOURCE), **masked).images
