"""Commands of the docs, measured on the embedded model: masks confine, chains do every edit."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from places import DOCS

from refhooks.cli import main
from refhooks_toy import SAMPLES, SCENES
from refhooks_toy._draw import draw

if TYPE_CHECKING:
    import numpy.typing as npt

    Picture = npt.NDArray[np.float64]

EDGE = 0.55  # of the height: where the masks of the docs end
FEATHER = 6  # pixels
QUICK = ("--seed", "0", "--steps", "8")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with the picture that the docs name."""
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    shutil.copy(SAMPLES / "meadow.png", "demo/photo.png")


def run(command: str) -> None:
    """Run a command that stands in the docs as it is, from seed 0 and in half of the steps."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert f"\n{command}\n" in pages
    result = CliRunner().invoke(main, [*shlex.split(command)[1:], *QUICK])
    assert result.exit_code == 0, result.output


def read(name: str) -> Picture:
    """Return a picture as `[H,W,3]`, 0–1."""
    with Image.open(name) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.float64) / 255


def error(one: Picture, other: Picture) -> float:
    """RMSE in sRGB, 0–1."""
    return float(np.sqrt(np.mean((one - other) ** 2)))


def test_a_region_confines_a_reference() -> None:
    """Inside it the edit is as without the mask; outside the reference is hardly there."""
    run(
        'refhooks edit demo/photo.png "make it night" -o region.png'
        " --mask-region 0,0,100%,55% --feather 6"
    )
    plain = ["edit", "demo/photo.png", "make it night", "-o", "plain.png", *QUICK]
    assert CliRunner().invoke(main, plain).exit_code == 0
    masked, full = read("region.png"), read("plain.png")
    row = round(EDGE * len(masked))

    inside = error(masked[: row - 8], full[: row - 8])  # without the tokens at the edge
    outside = error(masked[row + FEATHER + 8 :], full[row + FEATHER + 8 :])

    assert outside > 2 * inside


def test_an_edit_mask_changes_only_what_it_covers() -> None:
    """Outside of it and its feather band nothing, to the pixel; inside most of it."""
    run(
        'refhooks edit demo/photo.png "make it night" -o sky.png'
        " --edit-mask 0,0,100%,55% --feather 6"
    )
    before, after = read("demo/photo.png"), read("sky.png")
    row = round(EDGE * len(before))

    assert np.array_equal(before[row + FEATHER + 1 :], after[row + FEATHER + 1 :])
    assert np.median(np.abs(after - before)[:row].max(axis=-1)) > 0.2


def test_a_chain_of_three_edits_does_three_edits() -> None:
    """Each picture is nearest to its own right answer, of those before and after any edit."""
    run(
        'refhooks chain demo/photo.png -p "make it night" -p "make the circle blue"'
        ' -p "make the face sad" -o out.png'
    )
    day = SCENES["meadow"]
    assert day.face is not None
    night = attrs.evolve(day, light="night")
    circle, star = night.shapes
    blue = attrs.evolve(night, shapes=(attrs.evolve(circle, colour="blue"), star))
    sad = attrs.evolve(blue, face=attrs.evolve(day.face, mood="sad"))
    right = draw([day, night, blue, sad]) / 255

    for number, name in enumerate(["out-1.png", "out-2.png", "out.png"], 1):
        errors = [error(read(name), answer) for answer in right]
        assert int(np.argmin(errors)) == number, errors
