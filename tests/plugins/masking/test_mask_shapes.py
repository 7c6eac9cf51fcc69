"""What masks cover: every source, feather, invert, resizing, and what is refused."""

from __future__ import annotations

import inspect

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

import refhooks as rh
from refhooks._base.coverage import fitted, resized

SIZE = rh.Size(height=20, width=30)
HALF = np.zeros((20, 30), dtype=np.uint8)
HALF[:, :15] = 255


def half():
    """Return the cover of the left half."""
    return torch.from_numpy(HALF / np.float32(255))


def stored(tmp_path, picture, **options):
    """Return the path of a saved picture."""
    path = tmp_path / "mask.png"
    picture.save(path, **options)
    return path


def clear(inside):
    """White all over, transparent outside."""
    picture = Image.new("RGBA", (30, 20), (255, 255, 255, 0))
    picture.paste((255, 255, 255, 255) if inside else (255, 255, 255, 0), (0, 0, 15, 20))
    return picture


PICTURES = {
    "grey": lambda: Image.fromarray(HALF),
    "colour": lambda: Image.fromarray(HALF).convert("RGB"),
    "1 bit": lambda: Image.fromarray(HALF).convert("1"),
    "palette": lambda: Image.fromarray(HALF).convert("RGB").quantize(2),
    "16 bit": lambda: Image.fromarray(HALF.astype(np.uint16) * 257),
    "float": lambda: Image.fromarray(HALF.astype(np.float32) / 255),
    "white on nothing": lambda: clear(inside=True),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name):
    """Of every mode."""
    assert torch.equal(rh.mask(PICTURES[name]()).cover(SIZE), half())


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "float"])
def test_picture_files(tmp_path, name):
    """The same, from paths as texts and as paths, by either way to name them."""
    path = stored(tmp_path, PICTURES[name]())

    for mask in (rh.mask(path), rh.mask(str(path)), rh.mask(image=path), rh.mask(image=str(path))):
        assert torch.equal(mask.cover(SIZE), half())


def test_a_file_that_lies_on_its_side(tmp_path):
    """Its EXIF tag is followed, as it is for every picture."""
    path = tmp_path / "mask.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right to be seen
    Image.fromarray(HALF).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=100)

    torch.testing.assert_close(rh.mask(path).cover(SIZE), half(), atol=0.02, rtol=0)


def test_grey_covers_in_part():
    """Brightness is cover."""
    cover = rh.mask(Image.new("L", (30, 20), 51)).cover(SIZE)

    torch.testing.assert_close(cover, torch.full((20, 30), 0.2))


def test_alpha(tmp_path):
    """What is opaque is covered, from a file and from a picture."""
    picture = clear(inside=True)

    assert torch.equal(rh.mask(alpha=picture).cover(SIZE), half())
    assert torch.equal(rh.mask(alpha=stored(tmp_path, picture)).cover(SIZE), half())
    with pytest.raises(rh.InputError, match="has no alpha channel; its mode is RGB"):
        rh.mask(alpha=picture.convert("RGB")).cover(SIZE)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ("0,0,15,20", (0, 20), (0, 15)),
        ("0,0,50%,100%", (0, 20), (0, 15)),
        ((5, 2, 10.0, 4), (2, 6), (5, 15)),
        ([0, "50%", "100%", "50%"], (10, 20), (0, 30)),
        ("-5, -5, 10, 10", (0, 5), (0, 5)),
        ("20,10,100,100", (10, 20), (20, 30)),
    ],
)
def test_boxes(box, rows, columns):
    """In pixels and percent; what lies outside of the picture covers nothing."""
    expected = torch.zeros(20, 30)
    expected[slice(*rows), slice(*columns)] = 1.0

    assert torch.equal(rh.mask(box).cover(SIZE), expected)
    assert torch.equal(rh.mask(box=box).cover(SIZE), expected)


def test_a_box_covers_pixels_in_part():
    """At an edge within a pixel, the share of it that lies inside."""
    cover = rh.mask("0.25,0,1,0.5").cover(rh.Size(2, 2))

    torch.testing.assert_close(cover, torch.tensor([[0.375, 0.125], [0.0, 0.0]]))


@pytest.mark.parametrize("points", [[(0, 0), (14, 0), (14, 20), (0, 20)], [
    ("0%", "0%"), (14, 0), (14, "100%"), (0, "100%")]])  # fmt: skip
def test_polygons(points):
    """In pixels and percent; the line itself is inside."""
    assert torch.equal(rh.mask(points).cover(SIZE), half())
    assert torch.equal(rh.mask(polygon=points).cover(SIZE), half())


ARRAYS = {
    "bool": HALF > 0,
    "uint8 0-255": HALF,
    "uint8 0-1": HALF // 255,
    "uint16 0-1": (HALF // 255).astype(np.uint16),
    "int64 0-1": (HALF // 255).astype(np.int64),
    "float16": (HALF / 255).astype(np.float16),
    "float64": HALF / 255,
    "big-endian": (HALF / 255).astype(">f4"),
    "read-only": np.asarray(Image.fromarray(HALF)),
    "turned around": HALF[::-1],
    "with a channel": HALF[None] > 0,
    "tensor": torch.from_numpy(HALF > 0),
    "bfloat16": torch.from_numpy(HALF > 0).bfloat16()[None, None],
    "with a gradient": torch.from_numpy(HALF / 255).requires_grad_(),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name):
    """Of every dtype, of numpy and torch."""
    cover = rh.mask(ARRAYS[name]).cover(SIZE)

    assert torch.equal(cover, half())
    assert torch.equal(rh.mask(array=ARRAYS[name]).cover(SIZE), cover)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((20, 30), np.nan), "must hold bools, 0-1 or, as uint8, 0-255; got torch.float64"),
        (np.full((20, 30), 2.0), "from 2 to 2"),
        (np.full((20, 30), -0.5), "from -0.5 to -0.5"),
        (np.full((20, 30), 255), "got torch.int64 from 255 to 255"),
        (np.full((20, 30), 300, dtype=np.uint16), "got torch.uint16 from 300 to 300"),
        (np.full((20, 30), 1j), "must hold real numbers, got torch.complex128"),
        (np.zeros((20, 30, 3)), r"must be \[height,width\], got \[20, 30, 3\]"),
        (np.zeros((2, 20, 30)), r"must be \[height,width\], got \[2, 20, 30\]"),
        (np.zeros(30), r"must be \[height,width\], got \[30\]"),
        (np.zeros((0, 30)), r"must be \[height,width\], got \[0, 30\]"),
        (np.full((20, 30), "x"), "cannot be read"),
        (np.full((20, 30), None), "cannot be read"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_masks(array, message):
    """Each is named, with what came."""
    with pytest.raises(rh.InputError, match=message):
        rh.mask(array).cover(SIZE)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (3, "3 is no mask"),
        (None, "a mask needs one of"),
        ([(0, 0), (1, 1)], "is no mask"),
        ("1,2,3,0", "box height must be above 0, got '0'"),
        (("a", 2, 3, 4), "is no mask"),
        ([(0, 0), (1, 1), ("x", 2)], "polygon's points must be pixels or percent"),
        ([(0, 0), (1, 1), (float("nan"), 2)], "out of range"),
        ((0, 0, float("inf"), 4), "out of range"),
        ((0, 0, 10**400, 4), "out of range"),
        ("no/such/mask.png", "there is no picture"),
    ],
)
def test_what_is_no_mask(what, message):
    """Refused when it is made, or when it is read."""
    with pytest.raises(rh.InputError, match=message):
        rh.mask(what).cover(SIZE)


@pytest.mark.parametrize("points", [[(0, 0), (1, 1)], [(0, 0), (1, 1), (1, 1, 1)]])
def test_a_polygon_has_points_enough_of_two_numbers(points):
    """Also where it is named as one."""
    with pytest.raises(rh.InputError, match=r"polygon must have 3 to \d+ points"):
        rh.mask(polygon=points)


def test_options_of_a_mask_are_named():
    """A shape alone stands first: what a second value would mean, nobody could read."""
    kinds = [it.kind for it in inspect.signature(rh.Mask).parameters.values()]

    assert kinds[1:] == [inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 1)


def test_another_shape_is_stretched_with_a_warning():
    """Of a picture and of an array; the same shape in another size is not warned of."""
    tall = np.zeros((40, 10), dtype=bool)
    tall[:, :5] = True

    with pytest.warns(rh.RefhooksWarning, match="10x40 and is stretched over a picture of 30x20"):
        assert torch.equal(rh.mask(tall).cover(SIZE), half())
    with pytest.warns(rh.RefhooksWarning, match="the mask is 10x40"):
        assert torch.equal(rh.mask(Image.fromarray(tall)).cover(SIZE), half())
    larger = Image.fromarray(HALF).resize((60, 40), Image.Resampling.NEAREST)
    assert torch.equal(rh.mask(larger).cover(SIZE), half())


def test_invert():
    """What is not covered counts instead; feathering comes after it."""
    cover = rh.mask("0,0,15,20", invert=True, feather=3).cover(SIZE)

    assert torch.equal(rh.mask("0,0,15,20", invert=True).cover(SIZE), 1 - half())
    torch.testing.assert_close(cover[0, 11:16], torch.tensor([0.0, 0.2, 0.4, 0.6, 1.0]))


@pytest.mark.parametrize("feather", [1, 2, 3, 4, 7, 12.4])
def test_feather(feather):
    """Inside 1 to the bit, beyond the band 0 to the bit, falling evenly in between."""
    size, band = rh.Size(40, 50), round(feather)

    cover = rh.mask("20,15,10,10", feather=feather).cover(size)

    assert (cover[15:25, 20:30] == 1).all()
    reached = rh.mask((20 - band, 15 - band, 10 + 2 * band, 10 + 2 * band)).cover(size)
    assert torch.equal(cover > 0, reached > 0)
    ramp = 1 - torch.arange(1, band + 1) / (band + 1)
    fall = cover[20, 30 : 30 + band]
    torch.testing.assert_close(fall, ramp, atol=1 / (band + 1), rtol=0)
    assert (fall.diff() < 0).all()
    torch.testing.assert_close(cover, cover.flip(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(cover, cover.flip(1), atol=1e-6, rtol=0)


def test_a_feather_wider_than_the_picture():
    """It is a part of a long ramp, not everything."""
    row = rh.mask("0,0,10,20", feather=200).cover(SIZE)[5]

    torch.testing.assert_close(row[10:], 1 - torch.arange(1, 21) / 201, atol=1e-6, rtol=0)


def test_a_feather_of_a_soft_cover():
    """Grey counts as it is."""
    grey = Image.new("L", (30, 20))
    grey.paste(128, (10, 5, 20, 15))

    cover = rh.mask(grey, feather=4).cover(SIZE)

    assert cover.max() == 128 / 255
    assert ((cover > 0) & (cover < 0.5)).any()


def test_cells_by_covered_area():
    """Also where pixels lie in two cells; 0 and 1 stay 0 and 1 to the bit."""
    row = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0]])

    assert torch.equal(resized(row, 1, 2), torch.tensor([[0.8, 0.0]]))
    assert torch.equal(resized(row[:, :2], 1, 5), torch.ones(1, 5))
    torch.testing.assert_close(resized(row, 1, 10)[0, 3:5], torch.tensor([1.0, 0.0]))
    random = torch.rand(37, 53, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resized(random, 5, 7).mean(), random.mean())


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_fitted_covers_stay_0_and_1(fit):
    """No resampling rings over their edges."""
    cover = torch.zeros(64, 40)
    cover[:, :20] = 1.0

    found = fitted(cover, rh.Size(32, 32), fit)

    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert (found[:, :15] == 1).all()
    assert (found[:, 17:] == 0).all()


@attrs.frozen
class Odd:
    """A stranger's shape that returns what it is given."""

    name = "odd"
    returned: object = attrs.field(eq=False)

    def cover(self, size):
        if isinstance(self.returned, Exception):
            raise self.returned
        return self.returned


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "must return a tensor, got NoneType"),
        (np.zeros((20, 30)), "must return a tensor, got ndarray"),
        (torch.zeros(30, 20), r"must return \[20,30\], got \[30, 20\]"),
        (torch.full((20, 30), 1.5), "must return values from 0 to 1"),
        (torch.full((20, 30), float("nan")), "must return values from 0 to 1"),
    ],
)
def test_wrong_covers_of_a_strangers_shape(returned, message):
    """The shape is named."""
    with pytest.raises(rh.HookReturnError, match=message) as caught:
        rh.mask(Odd(returned)).cover(SIZE)
    assert "mask shape 'odd'" in str(caught.value)


def test_covers_of_a_strangers_shape():
    """Any dtype will do, and an error of it says whose it is."""
    assert torch.equal(rh.mask(Odd(torch.from_numpy(HALF > 0))).cover(SIZE), half())
    with pytest.raises(ZeroDivisionError) as caught:
        rh.mask(Odd(ZeroDivisionError())).cover(SIZE)
    assert "mask shape 'odd' for a picture of 30x20" in caught.value.__notes__[0]


def test_masks_of_one_file_are_equal_however_its_path_is_written(tmp_path, monkeypatch):
    """From where they were made; of another file they are others."""
    monkeypatch.chdir(tmp_path)
    one = rh.mask("face.png").shape

    assert one == rh.mask("./face.png").shape == rh.mask(tmp_path / "x" / ".." / "face.png").shape
    assert one != rh.mask("other.png").shape
