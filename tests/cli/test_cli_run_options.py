"""Options of methods, run plugins and checks on the command line; outputs behind links."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from PIL import Image

import refhooks as rh


@attrs.frozen
class Counting:
    """A run plugin with options that takes part in nothing."""

    name: ClassVar[str] = "counting"
    every: int = 1
    label: str = ""
    limits: tuple[float, ...] = ()

    def bind_run(self, run: Any) -> object:
        return Watching()


class Watching:
    @rh.hookimpl
    def refhooks_step(self, ctx: Any) -> None:
        """Change nothing."""


@pytest.fixture
def counting(monkeypatch):
    """Let there be a run plugin ``counting``."""
    monkeypatch.setitem(rh.load_registry().plugins, "counting", Counting)


@pytest.fixture
def given(monkeypatch):
    """What each ``Editor.edit`` of the test was given."""
    calls = []
    run = rh.Editor.edit

    @functools.wraps(run)
    def edit(self, image, prompt, **options):
        calls.append(options)
        return run(self, image, prompt, **options)

    monkeypatch.setattr(rh.Editor, "edit", edit)
    return calls


def test_an_edit_takes_options_of_a_method_plugins_and_a_check(edit, counting, given):
    """Numbers, lists and texts are read as such."""
    done = edit(
        "--method", "cross_attn", "--option", "softmax=separate", "--option", "gain=keys",
        "--plugin", "counting:every=3;label=a,b;limits=[0.5,1]", "--plugin", "counting",
        "--check", "eager",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    [call] = given
    method = rh.method("cross_attn", softmax="separate", gain="keys")
    assert call["strategy"] == rh.Stage(method, 1.0)
    assert call["plugins"] == (Counting(3, "a,b", (0.5, 1.0)), Counting())
    assert call["check"] == "eager"


@attrs.frozen
class Fading:
    """A run plugin that has a strength."""

    name: ClassVar[str] = "fading"
    scheduled: ClassVar[bool] = True
    strength: Any = 1.0

    def bind_run(self, run: Any) -> object:
        return Watching()


@pytest.mark.parametrize(("strength", "expected"), [("0.4:1.0", (0.4, 1.0)), ("0.5", (0.5, 0.5))])
def test_a_plugin_takes_a_strength_over_the_steps(edit, monkeypatch, strength, expected):
    """As --strength does; the result's timetable has it."""
    monkeypatch.setitem(rh.load_registry().plugins, "fading", Fading)
    done = edit("--plugin", f"fading:strength={strength}", "--steps", 2)

    assert done.exit_code == 0, done.output
    [table] = rh.load_recipe("out.png").plugins
    planned = rh.plan("default", 2, plugins=[Fading(table["strength"])])
    assert planned.plugins[0].strengths == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--option", "softmax=separate"], "name the method with --method"),
        (["--method", "cross_attn", "--option", "softmax"], "written NAME=VALUE, got 'softmax'"),
        (["--method", "cross_attn", "--option", "gain="], "written NAME=VALUE, got 'gain='"),
        (["--method", "cross_attn", "--option", "sofmax=joint"], "Did you mean 'softmax'"),
        (["--method", "cross_attn", "--option", "softmax=one"], "softmax"),
        (["--method", "inject", "--option", "fit=cover", "--option", "fit=stretch"], "there twice"),
        (["--strategy", "s.toml", "--option", "fit=cover"], "leave --option out"),
        (["--preset", "object-swap-tuned", "--option", "fit=cover"], "has 2 stages"),
        (["--plugin", "countin"], "there is no plugin 'countin'. Did you mean 'counting'"),
        (["--plugin", "counting:evry=3"], "has no option 'evry'. Did you mean 'every'"),
        (["--plugin", "counting:3"], "written NAME=VALUE, got '3'"),
        (["--plugin", "counting:"], "written NAME=VALUE, got ''"),
    ],
)
def test_what_cannot_be_is_refused_before_the_model_loads(
    edit, folder, counting, unloadable, options, words
):
    """With one line."""
    (folder / "s.toml").write_text('[[stage]]\nmethod = "inject"\n')
    done = edit(*options)

    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_chain_and_a_grid_take_them_too(cli, toy, counting, monkeypatch):
    """The grid's note names the option."""
    calls, chain = [], rh.Editor.chain
    monkeypatch.setattr(
        rh.Editor, "chain",
        lambda self, *given, **options: calls.append(options) or chain(self, *given, **options),
    )  # fmt: skip
    plugin = ["--plugin", "counting:every=2", "--check", "eager", "--steps", 2]
    one = cli("chain", "photo.png", "-p", "make it blue", "-o", "out.png", *plugin)
    grid = cli(
        "grid", "photo.png", "make it blue", "--method", "inject", "--option", "fit=stretch",
        "--strengths", "1", "-o", "grid.png", *plugin,
    )  # fmt: skip

    assert (one.exit_code, grid.exit_code) == (0, 0), one.output + grid.output
    assert calls[0]["plugins"] == (Counting(2),)
    assert calls[0]["check"] == "eager"


def test_the_file_behind_a_link_is_written(edit, toy):
    """The link stays; a preview beside it is a file of its own."""
    Path("far").mkdir()
    Path("far/real.png").write_bytes(b"old")
    Path("out.png").symlink_to("far/real.png")

    done = edit()

    assert done.exit_code == 0, done.output
    assert Path("out.png").is_symlink()
    with Image.open("far/real.png") as picture:
        assert picture.format == "PNG"
    assert list(Path("far").iterdir()) == [Path("far/real.png")]


def test_grid_help_speaks_of_its_own_options(cli):
    """It has no ``-n``, and says what is made where nothing is said."""
    text = " ".join(cli("grid", "--help").stdout.split())

    assert "With -n" not in text
    assert "Where the sheet goes" in text
    assert "each method that the model can do, at 0, 0.5, 1 and 1.5" in text
