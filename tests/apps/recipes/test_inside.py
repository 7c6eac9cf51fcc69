"""What a recipe puts inside of a picture, or beside it, is what the edit saw."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import tiny
from PIL import Image
from results import same

import refhooks as rh
from refhooks._apps.recipes import picture_files
from refhooks._apps.recipes.parts import RecipeFile
from refhooks._apps.replay import finder
from refhooks._apps.replay.replay import check_replay


def turned(picture, path):
    """Save a picture lying on its side, with the EXIF tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


MASKS = {
    "turned": lambda path: turned(tiny.picture(3, (32, 24)).convert("L"), path),
    "16 bits": lambda path: Image.fromarray(
        np.linspace(0, 65535, 32 * 24).reshape(24, 32).astype(np.uint16)
    ).save(path),
    "grey, one of them clear": lambda path: (
        tiny.picture(3, (32, 24)).convert("L").save(path, transparency=200)
    ),
    "colours, one of them clear": lambda path: tiny.picture(3, (32, 24)).save(
        path, transparency=tiny.picture(3, (32, 24)).getpixel((5, 5))
    ),
    "palette": lambda path: tiny.picture(3, (32, 24)).convert("P").save(path, transparency=3),
}


@pytest.mark.filterwarnings("ignore:the mask is (coloured|transparent in part)")
@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_goes_inside_as_it_is_seen(edit, editor, folder, kind):
    """Whatever its file says beside its numbers: a turn, a clear colour, more bits."""
    MASKS[kind]("mask.png")
    result = edit(edit_mask="mask.png")

    [path] = result.save("out.png", embed=True)

    (folder / "mask.png").unlink()
    assert same(result, editor.replay(path))


def test_a_sidecar_that_cannot_be_written_is_not_an_older_one(full, folder, monkeypatch):
    """It would pass for this picture's; half of one is never there."""
    with pytest.warns(rh.RefhooksWarning, match="does not fit into"):
        full.save("out.jpg", embed=True)

    def fails(_data, path, **_):
        raise rh.InputError(f"{path} cannot be written: the disk is full")

    monkeypatch.setattr(picture_files, "write_whole", fails)
    with pytest.warns(rh.RefhooksWarning, match="has no recipe: .* the disk is full"):
        full.save("out.jpg", embed=True)
    assert sorted(folder.glob("*.recipe.json")) == []


def test_what_is_given_is_read_once_however_long_the_recipe_is(edit, folder, monkeypatch):
    """A stranger's may name a thousand files, and more is no recipe."""
    edit().save("out.png")
    recipe = rh.load_recipe("out.png")
    many = [RecipeFile(f"{number:064x}", "m.png", picture=True) for number in range(1000)]
    (folder / "photo.png").unlink()
    tiny.picture(7, (32, 24)).save("mine.png")
    read = []
    original = finder.hash_of
    monkeypatch.setattr(finder, "hash_of", lambda *given: read.append(given) or original(*given))

    check_replay(attrs.evolve(recipe, files=tuple(many)), ["mine.png"], {}, rh.load_registry())

    assert 0 < len([given for given in read if given[0].name == "mine.png"]) <= 3
    with pytest.raises(ValueError, match="1024"):
        attrs.evolve(recipe, files=tuple(many * 2))
