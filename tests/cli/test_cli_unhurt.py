"""A user's files and finished work: nothing is lost, and nothing written over without a word."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import tiny

import refhooks as rh
from refhooks._apps.editing import result as saving
from refhooks._apps.recipes.metadata import into_png
from refhooks.cli._libraries import logged_as_warnings
from refhooks.score import Pair


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_source_under_another_name_is_not_written_over(edit, unloadable, link):
    """By a symbolic link, or a hard one."""
    link("photo.png", "other.png")
    before = Path("photo.png").read_bytes()

    done = edit(output="other.png")

    assert done.exit_code == 2
    assert before == Path("photo.png").read_bytes()


def test_a_mask_is_not_written_over(edit, unloadable):
    """It is read as well."""
    tiny.picture(2, (32, 24)).convert("L").save("mask.png")
    before = Path("mask.png").read_bytes()

    done = edit("--edit-mask", "mask.png", output="mask.png")

    assert done.exit_code == 2
    assert before == Path("mask.png").read_bytes()


@pytest.fixture
def full(monkeypatch):
    """A disk on which no file may have more than so many bytes."""
    real = Path.open

    def limit(most):
        def opened(self, mode="r", *rest, **named):
            file = real(self, mode, *rest, **named)
            if self.suffix != ".part" or not set(mode) & set("wxa+"):
                return file
            return Limited(file, most)

        monkeypatch.setattr(Path, "open", opened)

    return limit


class Limited:
    """A file that has no room beyond some bytes."""

    def __init__(self, file, most):
        self._file, self._left = file, most

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        self._left -= len(data)
        if self._left < 0:
            raise OSError(28, "No space left on device")
        return self._file.write(data)


STRATEGY = '[[stage]]\nmethod = "default"\n'
COMMANDS = {
    "edit": ["edit", "photo.png", "x", "-o", "out.png"],
    "edit, several": ["edit", "photo.png", "x", "-o", "out.png", "-n", "3"],
    "edit, size": ["edit", "photo.png", "x", "-o", "out.png", "--height", "512", "--width", "512"],
    "chain": ["chain", "photo.png", "-p", "x", "-p", "y", "-o", "out.png"],
    "grid": [
        "grid",
        "photo.png",
        "x",
        "--methods",
        "default",
        "--strengths",
        "0,1",
        "-o",
        "out.png",
    ],
    "score": ["score", "-o", "scores", "--quick"],
    "demo": ["demo", "-o", "demo"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_full_disk_is_told_before_the_model_loads(cli, toy, unloadable, full, command):
    """As many bytes are tried as the output may take; nothing stays of the trial."""
    model = attrs.evolve(
        toy, samples=lambda: [Path("photo.png").absolute()], pairs=lambda count: [
            Pair("photo.png", "x", right=tiny.picture(9, (32, 24))) for _ in range(count)
        ],
    )  # fmt: skip
    rh.load_registry().models["toy"] = model
    full(3000)

    done = cli(*command)

    assert done.exit_code == 2, done.output
    assert "No space left on device" in done.output
    assert list(Path().rglob("*.part")) == []


def test_a_full_disk_is_told_by_plans_and_reports(cli, edit, full):
    """Before anything is drawn; and of the score's own file."""
    Path("s.toml").write_text(STRATEGY)
    assert edit().exit_code == 0
    full(3000)

    for command in (
        ["plan", "s.toml", "--steps", "4", "--plot", "plan.png"],
        ["explain", "out.png", "--html", "report.html"],
    ):
        done = cli(*command)
        assert done.exit_code == 2, done.output
        assert "No space left on device" in done.output


def test_the_json_of_a_score_may_lie_on_a_full_disk(cli, toy, unloadable, monkeypatch):
    """It is tried as well."""
    tried = []
    from refhooks.cli import _score

    def try_writing(place, size):
        tried.append((str(place), size))
        if "card" in str(place):
            raise rh.InputError(f"{place} cannot be written: No space left on device")

    pairs = [Pair("photo.png", "x", right=tiny.picture(9, (32, 24)))]
    rh.load_registry().models["toy"] = attrs.evolve(toy, pairs=lambda _count: pairs)
    monkeypatch.setattr(_score, "try_writing", try_writing)
    done = cli("score", "-o", "scores", "--quick", "--json", "card.json")

    assert done.exit_code == 2
    assert "card.json" in done.output
    assert all(size > 0 for _, size in tried)


def test_a_picture_that_has_no_place_any_more_is_told_of(edit, monkeypatch):
    """The steps are not lost; where it lies instead is said."""
    real = saving.write_whole

    def write(data, path, **named):
        if path.absolute() == Path("out.png").absolute():
            raise rh.InputError(f"{path} cannot be written: No space left on device")
        real(data, path, **named)

    monkeypatch.setattr(saving, "write_whole", write)
    done = edit()

    assert done.exit_code == 2
    place = Path(re.search(r"it is in (\S+)", done.output)[1])
    assert rh.load_recipe(place).seed == 1


def test_the_mode_of_a_replaced_output_is_kept(edit):
    """Run twice, a private picture stays private."""
    edit()
    Path("out.png").chmod(0o600)
    edit()

    assert stat.S_IMODE(Path("out.png").stat().st_mode) == 0o600


def test_what_nobody_named_is_not_replaced_without_a_word(edit, cli):
    """Numbered pictures, previews, and the default name of a replay."""
    Path("out-2.png").write_bytes(b"mine")
    assert "replaces out-2.png" in edit("-n", "2").output
    Path("one.preview.png").write_bytes(b"mine")
    assert "replaces one.preview.png" in edit("--preview-every", "1", output="one.png").output
    Path("out-1-replay.png").write_bytes(b"mine")
    assert "replaces out-1-replay.png" in cli("replay", "out-1.png").output
    assert "replaces" not in edit(output="fresh.png").output


@pytest.fixture
def demo(cli, toy):
    """Run the demo in a folder of its own."""
    sample = Path("photo.png").absolute()
    rh.load_registry().models["toy"] = attrs.evolve(
        toy, samples=lambda: [sample], prompts=("make it blue", "make it night")
    )
    Path("demo").mkdir()
    return lambda: cli("demo", "-o", "demo")


@pytest.mark.parametrize("name", ["photo.png", "edited.png", "before-after.png"])
@pytest.mark.parametrize("data", ["picture", "junk"])
def test_the_demo_keeps_a_users_picture(demo, unloadable, name, data):
    """It names what is in its way."""
    place = Path("demo", name)
    if data == "picture":
        tiny.picture(77, (40, 40)).save(place)
    else:
        place.write_bytes(b"junk")
    before = place.read_bytes()

    done = demo()

    assert done.exit_code == 2
    assert f"{place} is there already" in done.output
    assert before == place.read_bytes()


def test_the_demo_may_write_over_itself(demo):
    """Twice into one folder is no mistake; a user's edit of its photo there is kept."""
    assert demo().exit_code == 0
    done = demo()
    assert done.exit_code == 0, done.output

    tiny.picture(5, (32, 24)).save("demo/edited.png")
    assert demo().exit_code == 2


def test_advice_to_copy_is_quoted(cli, edit):
    """A stranger's recipe names the model; a shell would run what is in it."""
    edit()
    name = "x/y; touch OWNED #"
    table = rh.load_recipe("out.png").as_dict()
    table["model"]["name"] = name
    made = io.BytesIO()
    tiny.picture(0, (8, 8)).save(made, "PNG")
    Path("bad.png").write_bytes(into_png(made.getvalue(), json.dumps(table), {}))

    offered = cli("replay", "bad.png").output.rpartition("--model")[2]

    assert [name] == shlex.split(offered)


def test_the_command_that_new_offers_is_quoted(cli):
    """Folders may be called anything."""
    Path("my 'odd' $folder").mkdir()
    done = cli("new", "mine", "-o", "my 'odd' $folder")
    assert done.exit_code == 0, done.output

    offered = next(line for line in done.output.splitlines() if line.startswith("next: "))

    assert "my 'odd' $folder/mine[test]" in shlex.split(offered)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_command_with_a_word(tmp_path, number):
    """Terminated is interrupted: half of nothing stays, and the status tells which it was."""
    code = (
        "import os, signal, sys, click, refhooks.cli as cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may ignore it
        "@cli.main.command('stuck')\n"
        "def stuck():\n"
        "    try: os.kill(os.getpid(), int(sys.argv[1])); __import__('time').sleep(60)\n"
        "    finally: print('cleaned up')\n"
        "cli.main(['stuck'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(int(number))],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert 128 + number == done.returncode, done.stderr
    assert "cleaned up" in done.stdout
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr


RAISED = {
    "StopIteration": "StopIteration('odd')",
    "BaseException": "type('Beyond', (BaseException,), {})('odd')",
    "exit": "SystemExit(3)",
    "group": "ExceptionGroup('odd', [ValueError('inner')])",
    "unprintable": "type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()",
    "long": "ValueError('\\x1b[31m' * 10000)",
}


@pytest.mark.parametrize("raised", RAISED.values(), ids=RAISED)
def test_whatever_a_plugin_raises_is_one_line(cli, toy, monkeypatch, raised):
    """And a line that says whose it was; never a traceback."""
    from plugs import Made

    error = eval(raised)

    def bind(_reference, _run):
        raise error

    class Odd(Made):
        name = "odd"

        def __init__(self):
            super().__init__(bind)

    monkeypatch.setitem(rh.load_registry().methods, "odd", Odd)
    done = cli("edit", "photo.png", "x", "-o", "out.png", "--method", "odd", "--steps", "2")

    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert any(line.startswith("error: ") for line in lines), done.stderr
    assert any(line.startswith("note: raised by odd") for line in lines)
    assert all(len(line) <= 4100 and line.isprintable() for line in lines)


def test_each_warning_of_a_library_is_told_once(tmp_path):
    """Also where PYTHONWARNINGS leaves warnings out."""
    code = (
        "import warnings, refhooks as rh\nfrom refhooks.cli._terminal import warnings_as_lines\n"
        "with warnings_as_lines():\n"
        "    for _ in range(2):\n"
        "        warnings.warn('told', rh.RefhooksWarning)\n"
    )
    ignoring = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(ignoring, check=True, capture_output=True, text=True, cwd=tmp_path)
    others = [sys.executable, "-c", code.replace("rh.RefhooksWarning", "UserWarning")]
    other = subprocess.run(others, check=True, capture_output=True, text=True, cwd=tmp_path)

    assert done.stderr.count("warning: told") == 1, done.stderr
    assert other.stderr.count("warning: told") == 1, other.stderr


def test_what_diffusers_logs_while_a_lora_loads_is_a_warning():
    """Such as keys that nothing in the model is called by."""
    import logging

    with pytest.warns(rh.RefhooksWarning, match="no such key"), logged_as_warnings():
        logging.getLogger("diffusers.loaders.peft").warning("no such key")
