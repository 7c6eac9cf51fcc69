"""``refhooks plan --cost``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import torch
from click.testing import CliRunner

import refhooks as rh
from refhooks.cli import main

STRATEGY = '[[stage]]\nmethod = "default"\nuntil = 0.5\n[[stage]]\nmethod = "inject"\n'


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Run ``refhooks plan`` on a strategy that drops its tokens half-way."""
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(STRATEGY)

    def run(*arguments, file="s.toml"):
        return CliRunner().invoke(main, ["plan", file, *arguments])

    return run


@pytest.fixture
def saved(tmp_path):
    """A model's folder that has its configuration and no weights."""
    folder = tmp_path / "model"
    tiny.build("plus", "middle", dtype=torch.bfloat16).save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    return folder


def test_the_cost_stands_below_the_table(plan):
    """Operations, what is faster, the steps that differ, and memory."""
    result = plan("--steps", "4", "--cost")

    assert result.exit_code == 0, result.output
    assert "cost on Qwen-Image-Edit at full size and 1 MP" in result.stdout
    assert "0.72 of the model's own way with these references (1.38 times as fast)" in result.stdout
    assert "steps 3-4: 157 TFLOP each, 0.45" in result.stdout
    assert "38.05 GiB of weights in bfloat16; keys and values kept from step to step: none" in (
        result.stdout
    )


def test_as_json(plan):
    """The same numbers, unrounded."""
    result = plan("--steps", "4", "--cost", "--json")
    found = json.loads(result.stdout)["cost"]

    expected = rh.cost(rh.load_strategy("s.toml"), 4)
    assert list(expected.steps) == found["flops_per_step"]
    assert expected.over_native == found["over_native"]


def test_without_the_option_there_is_none(plan):
    """Neither in the table nor in JSON."""
    assert "cost" not in plan("--steps", "4").stdout
    assert "cost" not in json.loads(plan("--steps", "4", "--json").stdout)


def test_a_models_folder_is_read_without_its_weights(plan, saved):
    """There are none; the configuration is enough, for the noise levels too."""
    result = plan("--steps", "4", "--cost", "--model", str(saved), "--json")

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    model = found["cost"]["model"]
    assert (model["blocks"], model["heads"], model["head"]) == (2, 2, 16)
    assert (model["dtype"], model["name"]) == ("bfloat16", str(saved))
    assert [step["sigma"] for step in found["steps"]][1] != 0.75


def test_a_model_has_a_number_of_steps(plan, saved):
    """Of a stock pipeline, where the command names none."""
    result = plan("--cost", "--model", str(saved), "--json")

    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["steps"]) == 50


def test_an_embedded_model_gives_its_own_sizes(plan, toy):
    """It is small enough to be loaded."""
    result = plan("--cost", "--model", "toy", "--json")

    assert result.exit_code == 0, result.output
    model = json.loads(result.stdout)["cost"]["model"]
    assert (model["blocks"], model["dtype"], model["target"]) == (2, "float32", 16)


@pytest.mark.parametrize("content", [None, '{"num_layers": "many"}', "[]", "{"])
def test_a_broken_configuration(plan, saved, content):
    """One line that names the file."""
    config = saved / "transformer" / "config.json"
    config.unlink() if content is None else config.write_text(content)

    result = plan("--steps", "4", "--cost", "--model", str(saved))

    assert result.exit_code == 2, result.output
    assert f"{saved}: transformer/config.json cannot be used: " in result.stderr


def test_a_chain_is_refused(plan):
    """What it cannot do it says."""
    Path("chain.toml").write_text('[[edit]]\nprompt = "make it night"\n')
    result = plan("--steps", "4", "--cost", file="chain.toml")

    assert result.exit_code == 2
    assert "--cost is for a strategy or references, and this file is a chain" in result.stderr


def test_a_step_cache_is_counted(plan):
    """TaylorSeer's passes; what a cache is for, and one that there is not, are told."""
    result = plan("--steps", "8", "--cost", "--cache", "taylorseer")

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("taylorseer: 12 of 16 passes go through the blocks\n")
    alone = plan("--steps", "8", "--cache", "taylorseer")
    assert alone.exit_code == 2
    assert "--cache changes what --cost shows, and nothing else; add --cost" in alone.stderr
    assert "there is no step cache 'tea'" in plan("--steps", "8", "--cost", "--cache", "tea").stderr


def test_a_plugin_of_the_file_is_counted(plan):
    """Which needs a source picture, and the file names none."""
    Path("auto.toml").write_text(STRATEGY + '[[plugin]]\nplugin = "auto_mask"\n')
    result = plan("--steps", "8", "--cost", file="auto.toml")

    assert result.exit_code == 0, result.output
    assert "estimated: auto_mask computes 59% of the output's tokens from step 4 on" in (
        result.stdout
    )
