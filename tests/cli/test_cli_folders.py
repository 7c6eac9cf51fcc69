"""A command that is refused leaves no folder behind that it made for its results."""

from __future__ import annotations

from pathlib import Path

import pytest

import refhooks as rh
from refhooks._base.folders import make_folder, no_empty_folders
from refhooks._base.shown import shown
from refhooks.errors import InputError, ModelError

NEW = ("made", "made/deeper")
LINES = {
    "score": ["score", "--quick", "--model", "toy", "-o"],
    "grid": ["grid", "photo.png", "make it blue", "--model", "toy", "-o", "sheet.png", "--cells"],
    "demo": ["demo", "-o"],
    "new": ["new", "my-method", "--kind", "method", "-o"],
}


@pytest.fixture
def unwritable(monkeypatch):
    """Every command is refused as late as it can be: where it writes, or where the model loads."""

    def full(place, *_given):
        if Path(place).name != "sheet.png":  # it lies where the command is run
            raise InputError("the disk is full")

    def kept(*_given):
        raise PermissionError("no renaming here")

    def absent(*_given, **_named):
        raise ModelError("no model")

    for place in ("_score", "_grid", "_demo"):
        monkeypatch.setattr(f"refhooks.cli.{place}.try_writing", full)
    monkeypatch.setattr(Path, "rename", kept)
    monkeypatch.setattr(rh.Editor, "from_pretrained", absent)


@pytest.mark.parametrize("made", NEW)
@pytest.mark.parametrize("command", LINES)
def test_a_folder_that_was_made_for_nothing_is_taken_away(folder, cli, unwritable, command, made):
    """With those that it lies in; also where the model cannot be loaded."""
    done = cli(*LINES[command], made)

    assert done.exit_code == 2, done.output
    assert not Path("made").exists()


@pytest.mark.parametrize("command", LINES)
def test_a_folder_that_was_there_stays(folder, cli, unwritable, command):
    """Also an empty one: it is the user's."""
    Path("made").mkdir()

    assert cli(*LINES[command], "made/deeper").exit_code == 2

    assert list(Path("made").iterdir()) == []


def test_only_empty_folders_that_were_made_are_taken_away(tmp_path):
    """What was written, and what others made, stays; and nothing goes where all went well."""
    (tmp_path / "there").mkdir()

    def run():
        with no_empty_folders():
            make_folder(tmp_path / "there" / "a" / "b")
            (make_folder(tmp_path / "used") / "file").write_text("x")
            raise RuntimeError("late")

    with no_empty_folders():
        make_folder(tmp_path / "good")
        with pytest.raises(RuntimeError, match="late"):
            run()

    assert sorted(it.name for it in tmp_path.iterdir()) == ["good", "there", "used"]
    assert list((tmp_path / "there").iterdir()) == []


def test_an_inner_part_that_went_well_is_of_the_whole(tmp_path):
    """What it made is taken away where the whole is refused."""

    def run():
        with no_empty_folders():
            with no_empty_folders():
                make_folder(tmp_path / "a")
            raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        run()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["\ud800", "a\0b", "-o\ud800"])
def test_a_word_that_no_command_line_can_have_is_refused(cli, word):
    """As a program could give it, for every command and plugin's command."""
    for command in ("edit", "new", "train-concat", word):
        done = cli(command, word)

        assert done.exit_code == 2
        assert shown(word) in done.stderr
        assert "no command line can have" in done.stderr
