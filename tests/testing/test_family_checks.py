"""What a family that leaves most to the base does and refuses."""

from __future__ import annotations

import attrs
import pytest
import torch
from families import adapter, tiny

import refhooks as rh
from refhooks import testing

SIZE = {"height": 32, "width": 32}


@pytest.fixture(scope="module")
def edit():
    """Edits with the adapter of `refhooks new --kind family`, on its tiny pipeline."""
    held = rh.Checkpoint(output=32 * 32, reference=32 * 32)
    with pytest.MonkeyPatch.context() as patch:
        from refhooks._core.plugins.inline import with_plugins

        known = with_plugins(rh.load_registry(), [adapter()])
        patch.setattr("refhooks._core.models.loaded.load_registry", lambda: known)
        editor = rh.Editor(tiny(), checkpoint=held)

    def edit(image=None, **options):
        call = {"steps": 2, "seed": 1, "cfg": 2.0, **SIZE, **options}
        return editor.edit(image or testing.picture(), "make it blue", **call)

    return edit


def test_dropped_tokens_leave_the_others_at_their_places(edit):
    """A content mask hides half of the picture; what it hides makes no difference."""
    mask = rh.mask(box="0,0,50%,100%", kind="content")
    strategy = rh.Strategy("default", masks=[mask])
    one, other = testing.picture(), testing.picture(1)
    other.paste(one.crop((0, 0, 32, 48)), (0, 0))

    latents = [edit(image, strategy=strategy).latents for image in (one, other)]

    assert torch.equal(*latents)
    assert not torch.equal(latents[0], edit().latents)


@pytest.mark.parametrize("method", ["inject", "guidance"])
def test_methods_that_need_no_attention_work(edit, method):
    """And make a difference."""
    latents = edit(strategy=rh.Stage(method, 0.7)).latents

    assert torch.isfinite(latents).all()
    assert not torch.equal(latents, edit().latents)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "cross_attn"}, "kit-family cannot do 'cross_attn': this adapter does not"),
        ({"strategy": "concat"}, "kit-family"),
        ({"record_attention": True}, "Run neither edits nor records attention"),
        ({"strategy": rh.Strategy("default", masks=[rh.mask(box="0,0,9,9")])}, "a region mask"),
        ({"references": [testing.picture(1)] * 4}, "takes at most 4 references"),
        ({"height": 30}, "height must be a multiple of 4, got 30; try"),
    ],
)
def test_what_it_cannot_do_is_refused(edit, options, words):
    """With the reason, and before the first step."""
    with pytest.raises(rh.InputError, match=words):
        edit(**options)


ADDED = {
    "added": lambda inputs: torch.zeros(1, inputs.target.shape[1], 32),
    "adapters": lambda inputs: (rh.Adapter("a", ()),),
}


@pytest.mark.parametrize("field", ADDED)
def test_inputs_that_it_would_ignore_are_refused(edit, field):
    """Nothing is silently without effect."""

    class Adds:
        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            return attrs.evolve(inputs, **{field: ADDED[field](inputs)})

    with pytest.raises(rh.HookReturnError, match=f"the model's family cannot use {field}"):
        edit(plugins=[Adds()])
