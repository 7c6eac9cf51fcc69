"""Plugins of one editor, and what a trace shows of them."""

from __future__ import annotations

import types
from importlib.metadata import version

import attrs
import pytest
import tiny
import torch

import refhooks as rh


@attrs.frozen
class Faint:
    """The reference's tokens at a tenth of their strength."""

    name = "faint"

    def bind(self, reference, run):
        del run
        return FaintBound(reference)


class FaintBound:
    def __init__(self, reference):
        self.reference = reference

    @rh.hookimpl
    def refhooks_conditioning(self, ctx, inputs):
        strength = 0.1 * ctx.rows[self.reference.index].strength
        return inputs.fill(self.reference.index, rh.Tokens(self.reference.latents * strength))


@pytest.fixture
def module():
    """A module of a plugin, as a notebook or script may have one."""
    made = types.ModuleType("faintly")
    made.refhooks_methods = rh.hookimpl(lambda: [Faint])
    return made


@pytest.fixture
def with_faint(editor, module):
    """The editor of the tests, and the module besides."""
    return rh.Editor(editor.pipe, checkpoint=editor.checkpoint, plugins=[module])


def test_a_module_is_a_plugin_without_a_package(with_faint):
    """What it registers is named like everything else, and listed."""
    latents = [
        with_faint.edit(tiny.picture(), "a night", strategy=strategy, steps=2, seed=1).latents
        for strategy in (rh.Stage("faint", 0.5), rh.Stage(Faint(), 0.5), rh.Stage("default", 0.05))
    ]

    assert torch.equal(latents[0], latents[1])
    assert torch.allclose(latents[0], latents[2], atol=1e-6)
    record = with_faint.registry.records[-1]
    assert (record.name, record.state, record.registers) == ("faintly", "live", ("method faint",))


def test_other_editors_do_not_know_it(with_faint, edit):
    """Nor does the registry that everybody shares."""
    assert "faint" in with_faint.registry.methods
    assert "faint" not in rh.load_registry().methods
    with pytest.raises(rh.UnknownNameError, match="no method 'faint'"):
        edit(strategy="faint")


def test_a_name_that_is_taken_is_refused(editor, module):
    """And so is what is no plugin."""
    with pytest.raises(rh.PluginError, match="'faint' is already registered by plugin 'faintly'"):
        rh.Editor(editor.pipe, plugins=[module, module])
    with pytest.raises(rh.PluginError, match="no registration hook"):
        rh.Editor(editor.pipe, plugins=[types.ModuleType("empty")])
    with pytest.raises(rh.InputError, match="plugins must be a list of modules"):
        rh.Editor(editor.pipe, plugins=module)


def test_a_trace_has_a_line_for_each_call(with_faint, monkeypatch, capfd):
    """Step, hook and branch, plugin, strength, shapes and time; and nothing without it."""
    call = {"strategy": rh.Stage("faint", 0.5), "steps": 2, "seed": 1, "cfg": 2.0}
    with_faint.edit(tiny.picture(), "a night", **call)
    assert "refhooks_" not in capfd.readouterr().err

    monkeypatch.setenv("REFHOOKS_TRACE", "1")
    with_faint.edit(tiny.picture(), "a night", **call)

    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 4
    first = lines[0].split("  ")
    assert first[:4] == [
        "step 1/2", "refhooks_conditioning (cond)", "faint (reference 1, stage 1)", "strength 0.5",
    ]  # fmt: skip
    assert first[4].startswith("-> target [1, 16, 16], slots[0].latents [1, 16, 16], text.embeds ")
    assert first[5].endswith(" ms")


def test_a_trace_tells_branches_and_unchanged_values(with_faint, monkeypatch, capfd):
    """By their names and types where they are no tensors."""
    monkeypatch.setenv("REFHOOKS_TRACE", "1")

    with_faint.edit(
        tiny.picture(), "a night", strategy=rh.Stage("guidance", 0.5), steps=2, seed=1, cfg=1.0
    )

    lines = capfd.readouterr().err.splitlines()
    assert "-> [0] Branch, [1] Branch  " in lines[0]
    assert "-> unchanged  " in lines[2]
    named = f"guidance [refhooks {version('refhooks')}] (reference 1, stage 1)"
    assert f"refhooks_velocity  {named}  strength 0.5  -> [1, 16, 16]" in lines[3]
