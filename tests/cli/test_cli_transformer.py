"""``--transformer FILE`` on every command that loads a model."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
from click import Option
from weight_layouts import LAYOUTS, REFUSED

import refhooks as rh
from refhooks.cli import main
from refhooks.cli._model import ModelOptions, plan_model

SIZE = ("--height", 32, "--width", 32, "--steps", 2)
EDIT = ("photo.png", "make it blue", "-o", "out.png", "--seed", 1, *SIZE)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a checkpoint."""
    place = tmp_path_factory.mktemp("model")
    tiny.build("plus", "middle").save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def files(tmp_path_factory, model):
    """Files of its transformer."""
    place = tmp_path_factory.mktemp("files")
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.randn(value.shape, generator=generator) * 0.1
        for name, value in tiny.build("plus", "middle").transformer.state_dict().items()
    }
    paths = {}
    for name in ("scaled fp8 of ComfyUI", "GGUF Q8_0", "plain"):
        paths[name] = place / f"{name.split()[0]}{LAYOUTS[name].suffix}"
        LAYOUTS[name].write(state, paths[name])
    paths["other"] = place / "other.safetensors"
    REFUSED["another model"].write(state, paths["other"])
    return paths


def refused(result, *parts):
    """Check that a command ended with 2, in one line, and says all of this."""
    assert result.exit_code == 2, result.output
    for part in parts:
        assert part in result.stderr
    assert sum(line.startswith("error") for line in result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("small_stock")
@pytest.mark.parametrize("kind", ["scaled fp8 of ComfyUI", "GGUF Q8_0"])
def test_an_edit_and_its_replay(cli, model, files, kind):
    """The same picture with the same file; without it, or with another, it is said."""
    own = ("--model", model, "--transformer", files[kind])
    assert cli("edit", *EDIT, *own).exit_code == 0

    again = cli("replay", "out.png", *own)
    assert "the same picture to the bit" in again.stdout, again.stderr
    without = cli("replay", "out.png", "--model", model)
    assert f"add --transformer {files[kind].name}" in without.stderr
    assert f"transformer of the model: it was {files[kind].name} (sha256 " in without.stderr
    assert "and is no single file" in without.stderr
    other = cli("replay", "out.png", "--model", model, "--transformer", files["plain"])
    assert f"and is {files['plain'].name} (sha256 " in other.stderr
    refused(cli("replay", "out.png"), f"--transformer {files[kind].name}")


@pytest.mark.usefixtures("small_stock")
def test_a_grid_and_a_chain(cli, model, files):
    """From the same file."""
    own = ("--model", model, "--transformer", files["GGUF Q8_0"])
    grid = ("photo.png", "x", "--methods", "default", "--strengths", "1", "-o", "grid.png", *SIZE)
    assert cli("grid", *grid, *own, "--cells", "cells").exit_code == 0
    again = cli("grid", *grid, *own, "--cells", "cells")
    assert again.exit_code == 0
    chain = cli("chain", "photo.png", "-p", "a", "-p", "b", "-o", "c.png", *SIZE, *own)
    assert chain.exit_code == 0, chain.stderr


@pytest.mark.parametrize("kind", ["scaled fp8 of ComfyUI", "GGUF Q8_0", "plain"])
def test_a_plan_reads_its_header(cli, folder, model, files, kind):
    """And refuses one that does not fit."""
    (folder / "s.toml").write_text('[[stage]]\nmethod = "default"\n')
    plan = ("plan", "s.toml", "--steps", 2, "--model", model, "--cost", "--json")

    result = cli(*plan, "--transformer", files[kind])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["cost"]["weight_bytes"] > 0
    refused(cli(*plan, "--transformer", files["other"]), "another model", "other.safetensors")


COMMANDS = {
    "edit": EDIT,
    "grid": ("photo.png", "x", "-o", "out.png"),
    "chain": ("photo.png", "-p", "a", "-o", "out.png"),
    "score": ("-o", "score", "--quick"),
    "plan": ("s.toml", "--steps", 2),
}


@pytest.mark.usefixtures("unloadable", "toy")
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_file_is_refused_before_anything_is_loaded(cli, folder, command):
    """Whichever command it is."""
    (folder / "s.toml").write_text('[[stage]]\nmethod = "default"\n')
    (folder / "x.pt").write_bytes(b"")

    for named in ("missing.gguf", "x.pt", "."):
        arguments = (command, *COMMANDS[command], "--model", "a/b", "--transformer", named)
        refused(cli(*arguments), named)
    arguments = (command, *COMMANDS[command], "--transformer", "x.gguf")
    refused(cli(*arguments), "add --model")
    refused(cli(*arguments, "--model", "toy"), "add --model")


def test_every_command_that_loads_a_model_takes_one():
    """Where there is --model, there is --transformer."""
    with_model = {}
    for name in main.list_commands(None):
        command = main.commands.get(name)
        options = [it.name for it in getattr(command, "params", ()) if isinstance(it, Option)]
        if any("--model" in it.opts for it in getattr(command, "params", ())):
            with_model[name] = "transformer" in options

    assert {"edit", "grid", "replay", "chain", "score", "plan"} <= with_model.keys()
    assert all(with_model.values())


@pytest.mark.parametrize("name", ["x.gguf", "x.safetensors"])
def test_a_file_given_as_the_model_says_how(cli, folder, name):
    """In one sentence."""
    (folder / name).write_bytes(b"GGUF")

    refused(cli("edit", *EDIT, "--model", name), "is a single file", f"--transformer {name}")


def test_a_quantised_file_is_not_offloaded_layer_by_layer(files, monkeypatch):
    """Accelerate takes its weights apart."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    options = {"name": "a/b", "device": None, "dtype": None, "offload": "sequential",
               "quantize": "none", "loras": ()}  # fmt: skip

    for kind, fails in (("GGUF Q8_0", True), ("scaled fp8 of ComfyUI", False)):
        given = ModelOptions(transformer=str(files[kind]), **options)
        if fails:
            with pytest.raises(rh.ModelError, match="--offload sequential cannot move"):
                plan_model(given, rh.load_registry())
        else:
            assert plan_model(given, rh.load_registry()).transformer == str(files[kind])
