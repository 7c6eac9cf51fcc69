"""``refhooks presets`` and ``refhooks edit --preset``."""

from __future__ import annotations

import functools
import json

import pytest

import refhooks as rh

MINE = '[[stage]]\nmethod = {method = "cross_attn", softmax = "separate"}\nstrength = 0.5\n'
TWO = '[[stage]]\nmethod = "inject"\nuntil = 0.5\n[[stage]]\nmethod = "default"\n'


@pytest.fixture
def edited(monkeypatch):
    """What each ``Editor.edit`` of the test was given."""
    calls = []
    run = rh.Editor.edit

    @functools.wraps(run)
    def edit(self, image, prompt, **options):
        calls.append({"image": image, **options})
        return run(self, image, prompt, **options)

    monkeypatch.setattr(rh.Editor, "edit", edit)
    return calls


def given(edited):
    """The strategy and denoise of the only edit."""
    (call,) = edited
    return call["image"].strategy, call["denoise"]


def test_presets_are_listed(cli):
    """A line each, its purpose and ranges below; those that hold first."""
    result = cli("presets")

    hold, others = result.stdout.split("not measured, or worse than plain default at 1")
    presets = {name: rh.preset(name) for name in rh.load_registry().presets}
    lines = others.splitlines()[1:]
    named = {line.split()[0] for line in lines if not line.startswith(" ")}
    assert result.exit_code == 0
    assert {line.split()[0] for line in hold.splitlines()[1:] if line and line[0] != " "} == {
        "name", *(name for name, entry in presets.items() if entry.measured)
    }  # fmt: skip
    assert named == {"name", *(name for name, entry in presets.items() if not entry.measured)}
    place = next(place for place, line in enumerate(lines) if line.startswith("color-change "))
    assert lines[place].split() == ["color-change", "inject", "0.9", "0.4"]
    assert lines[place + 1].strip() == (
        "Give something another colour. (strength 0.8 to 1, denoise 0.3 to 0.5)"
    )
    assert "lighting-change, style-transfer need more" in result.stderr


def test_the_origin_is_told_where_there_are_several(cli, folder, monkeypatch):
    """A folder of one's own beside the plugin's."""
    (folder / "mine.toml").write_text(MINE)
    monkeypatch.setenv("REFHOOKS_PRESETS", str(folder))
    monkeypatch.setenv("COLUMNS", "300")

    text = cli("presets").stdout

    assert f"from {folder / 'mine.toml'})" in text
    assert "denoise 0.3 to 0.5, from plugin presets)" in text


def test_one_preset_is_shown_with_what_it_needs(cli):
    """And that it is not measured."""
    result = cli("presets", "style-transfer")

    assert result.exit_code == 0
    assert "measured:  no" in result.stdout
    assert "needs:     a projection" in result.stdout
    assert "refhooks train-concat" in result.stdout


def test_presets_as_json(cli):
    """All of them, or one."""
    everyone = json.loads(cli("presets", "--json").stdout)
    one = json.loads(cli("presets", "color-change", "--json").stdout)

    assert {held["name"] for held in everyone} == set(rh.load_registry().presets)
    assert one in everyone
    assert one["strength_range"] == [0.8, 1.0]
    assert one["measured"] is False


def test_a_broken_preset_does_not_hide_the_others(cli, folder, monkeypatch):
    """It is named with its reason."""
    (folder / "bad.toml").write_text("denoise = 3")
    monkeypatch.setenv("REFHOOKS_PRESETS", str(folder))

    result = cli("presets")

    assert result.exit_code == 0
    assert "color-change" in result.stdout
    assert "warning: preset 'bad' cannot be used" in result.stderr


def test_an_edit_takes_a_preset(edit, edited):
    """Method, strength and denoise."""
    assert edit("--preset", "color-change").exit_code == 0

    assert given(edited) == (rh.Strategy(rh.Stage("inject", 0.9)), 0.4)


@pytest.mark.parametrize(
    ("options", "stage", "denoise"),
    [
        (["--strength", 0.5], rh.Stage("inject", 0.5), 0.4),
        (["--strength", "0.4:1"], rh.Stage("inject", "0.4:1"), 0.4),
        (["--method", "cross_attn"], rh.Stage("cross_attn", 0.9), 0.4),
        (["--denoise", 1], rh.Stage("inject", 0.9), 1.0),
        (["--denoise", 0.8, "--strength", 0], rh.Stage("inject", 0.0), 0.8),
    ],
)
def test_options_go_before_the_preset(edit, edited, options, stage, denoise):
    """Each changes its own value only; a denoise of 1 counts too."""
    assert edit("--preset", "color-change", *options).exit_code == 0

    assert given(edited) == (rh.Strategy(stage), denoise)


def test_a_preset_is_read_from_a_file(edit, edited, folder):
    """Options of its method stay; masks of the command line are added."""
    (folder / "mine.toml").write_text(MINE)
    result = edit("--preset", "./mine.toml", "--strength", 0.7, "--mask-region", "0,0,16,16")

    strategy, denoise = given(edited)
    assert result.exit_code == 0, result.stderr
    assert strategy.stages == (rh.Stage(rh.method("cross_attn", softmax="separate"), 0.7),)
    assert len(strategy.masks) == 1
    assert denoise == 1.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "colour-change"], "there is no preset 'colour-change'. Did you mean"),
        (["--preset", "color-change", "--strategy", "two.toml"], "both say how IMAGE steers"),
        (["--preset", "two.toml", "--strength", 1], "preset 'two' has 2 stages"),
        (["--preset", "two.toml", "--method", "inject"], "preset 'two' has 2 stages"),
        (["--preset", "color-change", "--strength", 3], "--strength: strength must be"),
        (["--preset", "color-change", "--method", "injct"], "Did you mean 'inject'"),
        (["--preset", "none.toml"], "there is no file none.toml"),
    ],
)
def test_what_cannot_be_is_refused_before_the_model_loads(edit, folder, unloadable, options, words):
    """With one line."""
    (folder / "two.toml").write_text(TWO)
    result = edit(*options)

    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_preset_that_needs_a_projection_says_so(edit, toy):
    """The tiny model brings none."""
    result = edit("--preset", "style-transfer")

    assert result.exit_code == 2
    assert "needs a projection" in result.stderr
    assert "refhooks train-concat" in result.stderr


def test_an_option_changes_the_method_of_a_preset(edit, edited, folder):
    """The options that the preset sets stay."""
    (folder / "mine.toml").write_text(MINE)
    assert edit("--preset", "mine.toml", "--option", "gain=keys").exit_code == 0

    method = rh.method("cross_attn", softmax="separate", gain="keys")
    assert given(edited)[0] == rh.Strategy(rh.Stage(method, 0.5))
