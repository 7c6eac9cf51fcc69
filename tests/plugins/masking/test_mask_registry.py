"""Mask shapes of plugins: registering, naming and reading them, and plugins that are off."""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
import pytest
import tiny
import torch
from confining import LEFT

import refhooks as rh
import refhooks_masking
from refhooks._core.plugins.loading import load_registry, register_plugin
from refhooks._core.plugins.registry import Registry


def fresh():
    """Return an empty registry."""
    return Registry(records=(), methods={}, families={}, models={})


def shaped(name, **attributes):
    """Return a plugin that registers one mask shape."""
    made = type("Made", (), {"cover": lambda _self, _size: None, "name": name, **attributes})

    class Plugin:
        @rh.hookimpl
        def refhooks_masks(self):
            return [made]

    return Plugin()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"name": "box"}, "mask 'box' is already registered by plugin 'first'"),
        ({"name": "other", "key": "box"}, "option of masks 'box' is already registered by plugin"),
        ({"name": 3}, "is not a mask shape: it needs a name and cover"),
        ({"name": "other"}, None),
    ],
)
def test_registering_a_shape(attributes, message):
    """A name or an option that is taken is refused, and who has it is named."""
    registry = fresh()
    register_plugin(shaped("box", key="box"), "first", registry)
    if message is None:
        assert register_plugin(shaped(**attributes), "second", registry) == ("mask other",)
        return
    with pytest.raises(rh.PluginError, match=message):
        register_plugin(shaped(**attributes), "second", registry)
    assert list(registry.masks) == ["box"]


def test_a_strangers_shape_by_its_option(monkeypatch):
    """What is registered can be named by its key, read, and given as a value."""

    @attrs.frozen
    class Stripe:
        name: ClassVar[str] = "stripe"
        key: ClassVar[str] = "stripe"
        stripe: int

        @classmethod
        def read(cls, value):
            return cls(value) if isinstance(value, int) else None

        def cover(self, size):
            cover = torch.zeros(size.height, size.width)
            cover[:, : self.stripe] = 1.0
            return cover

    registry = load_registry()
    monkeypatch.setitem(registry.masks, "stripe", Stripe)
    expected = Stripe(3).cover(rh.Size(8, 8))

    for mask in (rh.mask(stripe=3), rh.mask(3), rh.mask(Stripe(3)), rh.mask(
        shape="stripe", stripe=3)):  # fmt: skip
        assert torch.equal(mask.cover(rh.Size(8, 8)), expected)
    with pytest.raises(rh.InputError, match=r"a mask needs one of .*Did you mean 'stripe'"):
        rh.mask(stripes=3)
    with pytest.raises(rh.UnknownNameError, match="there is no mask shape 'strip'"):
        rh.mask(shape="strip", stripe=3)


def test_two_shapes_that_read_one_value(monkeypatch):
    """Neither is guessed."""
    cls = type(
        "Greedy",
        (),
        {
            "name": "greedy",
            "cover": lambda _self, _size: None,
            "read": classmethod(lambda c, _: c()),
        },
    )
    monkeypatch.setitem(load_registry().masks, "greedy", cls)
    with pytest.raises(rh.InputError, match="could be any of the mask shapes box, greedy"):
        rh.mask(LEFT)


def test_a_blocked_plugin_is_named(monkeypatch):
    """For masks of every form, and for the edit mask."""
    area = 32 * 32
    array = np.ones((4, 4), dtype=bool)
    made = rh.mask(LEFT)
    monkeypatch.setenv("REFHOOKS_BLOCK", "masking")

    for give in (
        lambda: rh.mask(LEFT), lambda: rh.mask(box=LEFT), lambda: rh.mask(array),
        lambda: rh.mask(shape="box", box=LEFT),
    ):  # fmt: skip
        with pytest.raises(rh.RefhooksError, match=r"Not loaded: masking \(.*REFHOOKS_BLOCK"):
            give()
    editor = rh.Editor(
        tiny.build("plus", "small"), checkpoint=rh.Checkpoint(output=area, reference=area)
    )
    for mask in (made, LEFT):
        with pytest.raises(rh.RefhooksError, match=r"Not loaded: masking \("):
            editor.edit(tiny.picture(), "x", steps=2, edit_mask=mask)


@pytest.mark.parametrize("shape", refhooks_masking.refhooks_masks())
def test_every_shape_has_examples_that_cover_something(shape):
    """What the kit, and whoever writes one like it, goes by."""
    for options in shape.examples():
        assert bool((shape(**options).cover(rh.Size(20, 20)) > 0).any())
    assert shape.examples()


@pytest.mark.parametrize("plugin", refhooks_masking.refhooks_plugins())
def test_every_plugin_of_a_call_has_examples_that_can_be_used(plugin):
    """They are no more than its options."""
    assert [plugin(**options).check(rh.Size(20, 30)) for options in plugin.examples()] == [None]
