"""``refhooks edit`` with masks and ``--denoise``: what reaches the editor, and what is refused."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image, ImageChops

import refhooks as rh

MASK = """
[[mask]]
image = "face.png"
"""
STRATEGY = '[[stage]]\nmethod = "inject"\nstrength = 0.5\n'
REFERENCES = '[[reference]]\nimage = "photo.png"\n'


def same(one, other):
    """Whether two files hold the same picture."""
    return ImageChops.difference(Image.open(one), Image.open(other)).getbbox() is None


@pytest.fixture
def face(folder):
    """A mask of the left half of the folder's picture."""
    grey = np.zeros((24, 32), np.uint8)
    grey[:, :16] = 255
    Image.fromarray(grey).save("face.png")


@pytest.fixture
def seen(monkeypatch, pipe, toy):
    """The arguments with which ``Editor.edit`` was called."""
    arguments = {}
    edit = rh.Editor.edit

    @functools.wraps(edit)  # the command asks for its signature
    def record(self, image, prompt, **options):
        arguments.update(image=image, prompt=prompt, **options)
        return edit(self, "photo.png", "x", steps=2, seed=1)

    monkeypatch.setattr(rh.Editor, "edit", record)
    return arguments


REGION = rh.mask("face.png")
CASES = [
    (["--denoise", "0.5"], {"denoise": 0.5, "edit_mask": None, "strategy": None}),
    ([], {"denoise": 1.0, "edit_mask": None, "strategy": None}),
    (["--edit-mask", "face.png"], {"edit_mask": REGION, "strategy": None}),
    (["--edit-mask", "10%,10%,50%,50%"], {"edit_mask": rh.mask("10%,10%,50%,50%")}),
    (["--mask-region", "face.png"], {"strategy": rh.Strategy("default", masks=[REGION])}),
    (["--mask-content", "0,0,9,9"],
     {"strategy": rh.Strategy("default", masks=[rh.mask("0,0,9,9", kind="content")])}),
    (["--mask-region", "face.png", "--mask-region", "0,0,20,20", "--method", "inject"],
     {"strategy": rh.Strategy("inject", masks=[REGION, rh.mask("0,0,20,20")])}),
    (["--mask-region", "face.png", "--mask-content", "face.png", "--edit-mask", "face.png",
      "--feather", "4", "--invert-masks", "--strength", "0:1"],
     {"strategy": rh.Strategy(rh.Stage("default", "0:1"), masks=[
         rh.mask("face.png", feather=4, invert=True),
         rh.mask("face.png", kind="content", feather=4, invert=True)]),
      "edit_mask": rh.mask("face.png", feather=4, invert=True)}),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "expected"), CASES)
@pytest.mark.usefixtures("face")
def test_each_option_reaches_the_editor(edit, seen, arguments, expected):
    """``--feather`` and ``--invert-masks`` hold for every mask of the line."""
    result = edit(*arguments)

    assert result.exit_code == 0, result.stderr
    assert {name: seen[name] for name in expected} == expected


@pytest.mark.usefixtures("face")
def test_masks_join_those_of_a_file(edit, seen, folder):
    """Both hold; of references, the first one is the source."""
    Path("s.toml").write_text(STRATEGY + MASK)
    edit("--strategy", "s.toml", "--mask-region", "0,0,20,20")
    strategy = seen["image"].strategy
    assert [mask.shape for mask in strategy.masks] == [
        rh.mask(Path("face.png")).shape, rh.mask("0,0,20,20").shape,
    ]  # fmt: skip
    assert strategy.stages == (rh.Stage("inject", 0.5),)

    Path("r.toml").write_text(REFERENCES + REFERENCES)
    edit("--strategy", "r.toml", "--mask-region", "face.png")
    assert seen["image"].strategy == rh.Strategy("default", masks=[REGION])
    assert seen["references"][0].strategy is None


@pytest.mark.usefixtures("face")
def test_an_edit_mask_keeps_the_rest(edit):
    """To the pixel; and what is inside changes."""
    assert edit("--edit-mask", "face.png", "--width", 32, "--height", 24).exit_code == 0
    with Image.open("photo.png") as before, Image.open("out.png") as after:
        changed = np.asarray(before.convert("RGB")) != np.asarray(after)
    assert not changed[:, 16:].any()
    assert changed[:, :16].any()


@pytest.mark.parametrize(
    ("steps", "denoise", "note"),
    [
        (2, "1", None),
        (2, "0.5", "note: denoise 0.5: the last 2 of 4 steps"),
        (16, "0.7", "note: denoise 0.7: the last 16 of 23 steps, which is 0.696"),
        (2, "0.95", "note: denoise 0.95: the last 2 of 2 steps, which is 1"),
    ],
)
def test_what_denoise_comes_to_is_said(edit, steps, denoise, note):
    """Only whole steps can be run."""
    result = edit("--model", "toy", "--steps", steps, "--denoise", denoise, "--cfg", 1)

    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines() == ([note] if note else [])


@pytest.mark.usefixtures("face")
def test_masks_and_denoise_change_the_picture(edit):
    """Each of them, and as in Python."""
    lines = {
        "plain": [],
        "region": ["--mask-region", "face.png"],
        "denoise": ["--denoise", "0.5"],
        "edit": ["--edit-mask", "face.png"],
    }
    for name, arguments in lines.items():
        assert edit(*arguments, output=f"{name}.png").exit_code == 0
    assert not any(same("plain.png", f"{name}.png") for name in list(lines)[1:])


BAD = [
    (["--denoise", "0"], ["denoise must be a number above 0, up to 1; got 0.0"]),
    (["--denoise", "1.5"], ["denoise must be", "got 1.5"]),
    (["--denoise", "nan"], ["denoise must be", "got nan"]),
    (["--denoise", "1e-5"], ["denoise 1e-05 is too small for 2 steps; at least 0.0002"]),
    (["--edit-mask", "none.png"], ["--edit-mask none.png: there is no such file, and it is"]),
    (["--mask-region", "0,0,10"], ["--mask-region 0,0,10: there is no such file"]),
    (["--mask-region", ""], ["there is no such file"]),
    (["--mask-content", "0,0,0,10"], ["mask shape 'box': box width must be above 0, got '0'"]),
    (["--mask-content", "99,0,10,10"], ["--mask-content 99,0,10,10: it covers nothing"]),
    (["--edit-mask", "99,0,10,10"], ["--edit-mask 99,0,10,10: it covers nothing"]),
    (["--mask-region", "0,0,100%,100%", "--invert-masks"], ["it covers nothing"]),
    (["--mask-region", "bad.png"], ["--mask-region bad.png: bad.png is not a PNG"]),
    (["--mask-region", "face.png", "--feather", "-1"], ["feather must be a number from 0 to 4096"]),
    (["--mask-region", "face.png", "--feather", "nan"], ["feather must be", "got nan"]),
    (["--feather", "8"], ["--feather is for --mask-region, --mask-content and --edit-mask"]),
    (["--invert-masks"], ["--invert-masks is for --mask-region"]),
    (["--strategy", "bad.toml"], ["--strategy: reference 1, mask 1: there is no picture no.png"]),
    (["--strategy", "outside.toml"],
     ["--strategy: reference 2, mask 2: it covers nothing of a picture of 16x16"]),
    (["--mask-region", "face.png", "--mask-region", "20,0,9,9"],
     ["--mask-region face.png and --mask-region 20,0,9,9: no place is covered by all of them"]),
    (["--mask-region", "face.png", "-o", "face.png"], ["face.png is one of the pictures to read"]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[" ".join(case) for case, _ in BAD])
@pytest.mark.usefixtures("face", "unloadable")
def test_a_bad_mask_is_refused_before_the_model_loads(edit, arguments, words):
    """With 2 and one line that names the option; a strategy file's masks are laid too."""
    Path("bad.png").write_bytes(b"no picture")
    Path("bad.toml").write_text(STRATEGY + MASK.replace("face", "no"))
    tiny.picture(2, (16, 16)).save("coat.png")
    other = REFERENCES.replace("photo", "coat") + STRATEGY.replace("[stage", "[reference.stage")
    box = '[[reference.mask]]\nkind = "content"\nbox = "{},0,9,9"\n'
    Path("outside.toml").write_text(REFERENCES + other + box.format(0) + box.format(20))

    result = edit(*arguments)

    assert result.exit_code == 2, result.output
    [line] = result.stderr.splitlines()
    for word in words:
        assert word in line
    assert result.stdout == ""


@pytest.mark.usefixtures("face")
def test_masks_that_a_feather_joins_are_taken(edit):
    """Two that touch nowhere overlap in their bands."""
    masks = ["--mask-region", "face.png", "--mask-region", "20,0,9,9"]
    assert edit(*masks, "--feather", 6).exit_code == 0
