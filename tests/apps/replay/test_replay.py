"""Replaying: with other settings or pictures, and what is told and refused."""

from __future__ import annotations

from importlib.metadata import version

import attrs
import pytest
import tiny
from results import same

import refhooks as rh
from refhooks import hookimpl


@attrs.frozen
class Halved:
    """A run plugin of a stranger's; nothing registers it."""

    name = "halved"

    def bind_run(self, run):
        """Return what does nothing."""
        return Nothing()


class Nothing:
    """An object with a hook that changes nothing."""

    @hookimpl
    def refhooks_image(self):
        return None


def test_what_no_recipe_holds_makes_replay_refuse(edit, editor):
    """With the class that it was; the picture is saved all the same."""
    for plugin, words in ((Nothing(), "plugin Nothing of the call"), (Halved(), "Halved")):
        [path] = edit(plugins=[plugin]).save("out.png")

        with pytest.raises(rh.InputError, match=f"cannot be replayed: .*{words}"):
            editor.replay(path)


def test_another_picture_takes_the_place_of_a_missing_one(edit, editor, folder):
    """And is told; one that is for nothing is refused."""
    [path] = edit().save("out.png")
    with pytest.raises(rh.InputError, match=r"style.png is no picture of this recipe"):
        editor.replay(path, references=["style.png"])
    (folder / "photo.png").unlink()

    with pytest.warns(rh.RefhooksWarning, match=r"reference 1 is style.png, not .* photo.png"):
        other = editor.replay(path, references=["style.png"])

    assert same(other, editor.edit("style.png", "make it blue", steps=2, seed=1, cfg=2.0))


def test_a_changed_picture_is_not_taken_for_the_recorded_one(edit, editor, folder):
    """Its name is the same, its content is not."""
    [path] = edit().save("out.png")
    tiny.picture(9, (32, 24)).save("photo.png")

    with pytest.raises(rh.InputError, match=r"photo.png, which is not here with its recorded"):
        editor.replay(path)


def test_settings_change_one_thing(edit, editor):
    """A picture of a batch then runs alone."""
    [path, _] = edit(strategy=rh.Stage("inject", 0.4), n=2).save("out.png")

    other = editor.replay(path, strength=0.7, seed=5, steps=3)

    assert same(other, edit(strategy=rh.Stage("inject", 0.7), seed=5, steps=3))
    assert same(
        editor.replay(path, method="cross_attn"), edit(strategy=rh.Stage("cross_attn", 0.4))
    )
    assert same(
        editor.replay(path, prompt="red"), edit(prompt="red", strategy=rh.Stage("inject", 0.4))
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strenght": 1}, "no setting 'strenght'. Did you mean 'strength'"),
        ({"strength": 3}, "strength must be a number from 0 to 2"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"seed": -1}, "seed must be"),
        ({"denoise": 0}, "denoise must be"),
        ({"seed": [1, 2]}, "a replay makes one picture: seed must be one"),
        ({"prompt": ("a", "b")}, "a replay makes one picture: prompt must be one"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(edit, editor, settings, words):
    """As an edit would."""
    [path] = edit().save("out.png")

    with pytest.raises(rh.InputError, match=words):
        editor.replay(path, **settings)


def test_several_stages_keep_their_strengths(full, editor):
    """One number does not say which."""
    with pytest.raises(rh.InputError, match="several stages"):
        editor.replay(full.recipes[0], strength=0.5)


def test_what_differs_is_told(edit, editor):
    """Another version, and what the picture then is."""
    recipe = edit().recipe
    older = attrs.evolve(
        recipe, versions={**recipe.versions, "torch": "1.0"}, pixels="0" * 64,
        used={"nowhere": "x 1"},
    )  # fmt: skip

    assert recipe.differences(editor) == ()
    with pytest.warns(rh.RefhooksWarning) as caught:
        editor.replay(older)
    told = str(caught[0].message)
    assert "not the recorded picture to the bit" in told
    assert f"torch: it was 1.0, and is {version('torch')}" in told
    assert "plugin nowhere: it was x 1, and is not there" in told


def test_an_edit_mask_needs_no_method(edit, editor, monkeypatch):
    """Whatever a method of somebody's needs to be made, a mask is read without it."""
    path, *_ = edit(edit_mask="0,0,20,20").save("out.png")

    def needing(self, amount):
        raise AssertionError("made")

    wrong = attrs.make_class("Wrong", {"amount": attrs.field()}, frozen=True)
    wrong.name, wrong.bind = "a", needing
    for registry in (editor.registry, rh.load_registry()):
        methods = {"a": wrong, **registry.methods}
        registry.methods.clear()
        registry.methods.update(methods)
    try:
        assert editor.replay(path).image is not None
    finally:
        for registry in (editor.registry, rh.load_registry()):
            registry.methods.pop("a", None)


def test_a_drift_is_that_of_the_picture(edit, editor):
    """Of one picture of a batch."""
    reuse = rh.Stage(rh.method("cross_attn", reuse="every 1"), 0.8)
    _, second = edit(strategy=reuse, steps=4, n=2).save("out.png")

    assert {entry.blocks.shape[1] for entry in editor.replay(second).drift} == {1}
