"""Commands that plugins bring, and run plugins from a strategy file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import attrs
import click
import pytest
from PIL import Image

import refhooks as rh
from refhooks._core.plugins.inline import with_plugins
from refhooks._core.plugins.loading import OWN_COMMANDS
from refhooks.cli import main
from refhooks.testing import CheckFailed, check_plugin

STRATEGY = '[[stage]]\nmethod = "default"\n\n[[plugin]]\nplugin = "bright"\namount = 1.0\n'


@click.command()
@click.argument("name")
def hello(name):
    """Say hello to NAME."""
    click.echo(f"hello {name}")


@click.command()
def failing():
    """Fail."""
    raise KeyError("nowhere")


def missing():
    """What a command needs that is not installed."""
    raise ImportError("no module named other")


def bringing(**loads):
    """Return a plugin module that registers these commands."""
    entries = [rh.CommandEntry(name, "Greets.", load) for name, load in loads.items()]
    return SimpleNamespace(__name__="greets", refhooks_commands=rh.hookimpl(lambda: entries))


@pytest.fixture
def install(monkeypatch):
    """Let the command line find these commands."""

    def install(**loads):
        registry = with_plugins(rh.load_registry(), [bringing(**loads)])
        monkeypatch.setattr("refhooks.cli._command.load_registry", lambda: registry)

    return install


def test_a_command_of_a_plugin_is_listed_and_runs(cli, install):
    """It is imported when it is called, not when it is listed."""
    loaded = []
    install(hello=lambda: loaded.append(1) or hello)

    listed = cli("--help")
    assert "hello            Greets." in listed.stdout
    assert "train-concat     Train the projection" in listed.stdout
    assert loaded == []
    assert cli("hello", "you").stdout == "hello you\n"
    assert cli("hello", "--help").stdout.startswith("Usage: main hello [OPTIONS] NAME")


def test_a_command_that_fails_names_its_plugin(cli, install):
    """One that cannot be imported, one that ends in an error, and one that is none."""
    install(broken=missing)

    result = cli("broken")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[:2] == [
        "error: ImportError: no module named other",
        "note: raised by plugin 'greets', command 'broken'",
    ]
    install(fails=lambda: failing)
    result = cli("fails")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[:2] == [
        "error: KeyError: 'nowhere'",
        "note: raised by plugin 'greets', command 'fails'",
    ]
    assert "Traceback" in cli("fails", "--debug").stderr
    install(nothing=lambda: "a string")
    result = cli("nothing")
    assert result.exit_code == 2
    assert "plugin 'greets', command 'nothing': 'a string' is no click.Command" in result.stderr


def test_the_commands_of_refhooks_itself_are_taken():
    """What is installed takes none of them away."""
    assert tuple(sorted(main.commands)) == OWN_COMMANDS
    with pytest.raises(rh.PluginError, match="command 'edit' is already registered by plugin"):
        with_plugins(rh.load_registry(), [bringing(edit=lambda: hello)])


def test_the_kit_checks_commands():
    """That they can be imported, and that their help can be read."""
    check_plugin(bringing(hello=lambda: hello))
    for load, words in (
        (missing, "command: ImportError: no module named other"),
        (lambda: "a string", "command: load.. returns no click.Command"),
    ):
        with pytest.raises(CheckFailed, match=words):
            check_plugin(bringing(hello=load))


def test_the_shipped_command_is_there(cli):
    """The one that ``python -m refhooks_concat.train`` runs."""
    result = cli("train-concat", "--help")
    assert result.exit_code == 0
    assert "Train a projection for the method concat" in result.stdout


@attrs.frozen
class Bright:
    """Makes the finished picture brighter."""

    name: ClassVar[str] = "bright"
    amount: float = 0.5

    def bind_run(self, run):
        return SimpleNamespace(refhooks_image=rh.hookimpl(lambda images: images + self.amount))


@pytest.fixture
def bright(monkeypatch):
    """Register the run plugin."""
    monkeypatch.setitem(rh.load_registry().plugins, "bright", Bright)


@pytest.mark.usefixtures("bright")
def test_run_plugins_of_a_strategy_file_take_part(edit, folder, cli):
    """Brighter than white is white; the recipe knows of it, and grids have it too."""
    Path("s.toml").write_text(STRATEGY)

    result = edit("--strategy", "s.toml")

    assert result.exit_code == 0, result.output
    assert Image.open("out.png").convert("RGB").getextrema() == ((255, 255),) * 3
    assert rh.load_recipe("out.png").plugins == ({"plugin": "bright", "amount": 1.0},)
    assert "note: run plugins without a strength are not in the table: bright" in (
        cli("plan", "s.toml", "--steps", 4).stderr
    )
    grid = ["--strategy", "s.toml", "--columns", "denoise=1", "--seeds", "0", "--steps", 2]
    assert cli("grid", "photo.png", "make it blue", *grid, "-o", "g.png").exit_code == 0
    [cell] = Path("g.cells").glob("*.png")
    assert Image.open(cell).convert("RGB").getextrema() == ((255, 255),) * 3


@pytest.mark.usefixtures("bright")
@pytest.mark.parametrize("ending", ["toml", "json"])
def test_run_plugins_survive_a_file(folder, ending):
    """Beside a strategy, and beside references."""
    strategy, plugins = rh.Strategy("default"), (Bright(0.25), Bright())
    for what, load in (
        (strategy, rh.load_strategy),
        ((rh.Reference(Path("photo.png"), strategy),), rh.load_references),
    ):
        place = rh.dump_strategy(what, f"s.{ending}", plugins=plugins)

        assert rh.load_plugins(place) == plugins
        assert load(place) == what
    assert rh.load_plugins(rh.dump_strategy(strategy, f"s.{ending}")) == ()


@pytest.mark.usefixtures("bright")
@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ('[[plugin]]\nplugin = "brigth"\n', "plugin 1: there is no plugin 'brigth'. Did you mean"),
        ('[[plugin]]\nplugin = "bright"\nby = 1\n', "plugin 1: plugin 'bright' has no option 'by'"),
        ("[[plugin]]\namount = 1\n", "plugin 1: a table here needs the key 'plugin'"),
        ('plugin = "bright"\n', "there is no [[plugin]]; plugin is 'bright'"),
        ('plugin = ["bright"]\n', "plugin 1: must be a table with the key 'plugin'"),
        ("[[plugin]]\nplugin = 3\n", "plugin 1: plugin must be a registered name, got 3"),
    ],
)
def test_run_plugins_that_cannot_be(edit, folder, unloadable, tables, words):
    """Refused with their place in the file, before a model is loaded."""
    Path("s.toml").write_text(f'{tables}\n[[stage]]\nmethod = "default"\n')

    result = edit("--strategy", "s.toml")

    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.usefixtures("bright")
@pytest.mark.parametrize("plugin", [object(), type("Other", (Bright,), {})()])
def test_what_no_file_can_name_is_refused(folder, plugin):
    """An object with hooks, and a class that nobody registered."""
    with pytest.raises(rh.StrategyError, match=r"plugin 1: .* is not registered"):
        rh.dump_strategy(rh.Strategy("default"), "s.toml", plugins=[plugin])
    assert not Path("s.toml").exists()
