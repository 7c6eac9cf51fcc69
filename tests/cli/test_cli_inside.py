"""``--compute inside`` on the command line: what reaches the editor, replays, chains, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import refhooks as rh

LOCAL = ["--edit-mask", "0,0,25%,25%"]
CHAIN = """
[[edit]]
prompt = "one"
edit_mask = "0,0,25%,25%"
compute = {compute}

[[edit]]
prompt = "two"
denoise = 0.5
"""


def read(path):
    """What a recipe says of what was computed."""
    return rh.load_recipe(path).compute


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("inside", {"halo": 1, "reuse": 1, "near": None}),
        ("inside:halo=0,reuse=2,near=1", {"halo": 0, "reuse": 2, "near": 1}),
    ],
)
def test_a_local_edit_is_made_again_to_the_bit(cli, edit, given, kept):
    """With its options, which the recipe has."""
    assert edit(*LOCAL, "--compute", given).exit_code == 0
    result = cli("replay", "out.png")

    assert read("out.png") == kept
    assert result.exit_code == 0, result.stderr
    assert "wrote out-replay.png, the same picture to the bit" in result.stdout
    assert read("out-replay.png") == kept


def test_all_is_no_word_in_the_recipe(edit):
    """The default, said aloud, is the edit without it."""
    assert edit(*LOCAL, "--compute", "all").exit_code == 0
    whole = Image.open("out.png").tobytes()
    assert read("out.png") is None

    assert edit(*LOCAL, output="plain.png").exit_code == 0
    assert edit(*LOCAL, "--compute", "inside:halo=0", output="part.png").exit_code == 0
    assert Image.open("plain.png").tobytes() == whole
    assert Image.open("part.png").tobytes() != whole


REFUSED = {
    "no mask": (["--compute", "inside"], "--compute inside needs --edit-mask, which says where"),
    "word": ([*LOCAL, "--compute", "outside"], "--compute must be 'all', 'inside' (with options"),
    "option": ([*LOCAL, "--compute", "inside:hallo=1"], "Did you mean 'halo'?"),
    "number": ([*LOCAL, "--compute", "inside:reuse=x"], "--compute must be 'all', 'inside' (with"),
    "range": ([*LOCAL, "--compute", "inside:halo=65"], "a whole number from 0 to 64, got 65"),
    "nothing": ([*LOCAL, "--compute", "inside:near=2"], "near=2 does nothing with reuse=1"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("unloadable")
def test_bad_values_are_told_before_anything_is_loaded(edit, case):
    """In one line that names the option and says what to give."""
    arguments, words = REFUSED[case]
    result = edit(*arguments)

    assert result.exit_code != 0
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not Path("out.png").exists()


def test_a_plan_says_what_is_computed(cli):
    """And what it costs; without a mask it is refused as an edit is."""
    Path("s.toml").write_text('[[stage]]\nmethod = "default"\n')
    plan = ["plan", "s.toml", "--steps", 8, "--cost"]
    whole, part = (cli(*plan, *LOCAL, "--compute", it) for it in ("all", "inside:reuse=4"))

    assert (whole.exit_code, part.exit_code) == (0, 0)
    assert "1.00 times as fast" in whole.stdout
    assert "(304 computed)" in part.stdout  # 17 of 64 rows and columns, in sixteens
    assert "keys and values kept from step to step: 5.62 GiB" in part.stdout
    refused = cli(*plan, "--compute", "inside")
    assert refused.exit_code != 0
    assert "compute='inside' needs an edit mask" in refused.stderr


@pytest.mark.parametrize("compute", ['"inside"', "{ halo = 0, reuse = 2 }"])
def test_a_chain_hands_on_what_was_computed_inside(cli, toy, compute):
    """Its first edit is that of the command ``edit``; the second works on what it made."""
    Path("chain.toml").write_text(CHAIN.format(compute=compute))
    size = ["--steps", 2, "--seed", 1]
    result = cli("chain", "photo.png", "chain.toml", "-o", "out.png", *size)
    assert result.exit_code == 0, result.stderr
    assert read("out-1.png") is not None
    assert read("out.png") is None

    local = [*LOCAL, "--compute", "inside" if "inside" in compute else "inside:halo=0,reuse=2"]
    assert cli("edit", "photo.png", "one", "-o", "a.png", *size, *local).exit_code == 0
    replayed = cli("replay", "out-1.png", "-o", "again.png")
    first = Image.open("out-1.png").tobytes()
    assert "the same picture to the bit" in replayed.stdout
    assert Image.open("a.png").tobytes() == first

    Path("whole.toml").write_text(CHAIN.format(compute='"all"'))
    assert cli("chain", "photo.png", "whole.toml", "-o", "whole.png", *size).exit_code == 0
    assert Image.open("whole-1.png").tobytes() != first
    assert Image.open("whole.png").tobytes() != Image.open("out.png").tobytes()


def test_a_chain_file_with_a_bad_value_is_refused(cli, unloadable):
    """With the place of the edit in the file."""
    Path("chain.toml").write_text(CHAIN.format(compute='"insid"'))
    result = cli("chain", "photo.png", "chain.toml", "-o", "out.png")

    assert result.exit_code != 0
    assert "chain.toml" in result.stderr
    assert "compute must be 'all', 'inside'" in result.stderr
    assert not Path("out.png").exists()
