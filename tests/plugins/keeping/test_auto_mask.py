"""``auto_mask``: what the first steps leave as it is follows the source, and is not computed."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import tiny
import torch
from diffusers import FirstBlockCacheConfig
from plugs import plugin

import refhooks as rh
from refhooks.batch import Job, edit_batch
from refhooks_keeping._nearness import closed, softened, widened

SIDE = 64  # of the picture: 8 by 8 tokens
FAR = 5.0  # of latents, above any threshold that is used here
STEPS = 4  # the mask is found at the second


@pytest.fixture(scope="module")
def editor():
    """A tiny model at 8 by 8 tokens."""
    area = SIDE * SIDE
    checkpoint = rh.Checkpoint(output=area, reference=area, vision=area)
    return rh.Editor(tiny.build("plus", "middle"), checkpoint=checkpoint)


@pytest.fixture(scope="module")
def source():
    """As large as the output."""
    return tiny.picture(4, (SIDE, SIDE))


@pytest.fixture(scope="module")
def edit(editor, source):
    """``edit()`` in four steps."""

    def edit(plugins, image=source, **options):
        call = {"steps": STEPS, "seed": 1, "cfg": 2.0, "height": SIDE, "width": SIDE, **options}
        return editor.edit(image, "make it blue", plugins=plugins, **call)

    return edit


@attrs.define(eq=False)
class Changing:
    """Predicts the source with some tokens changed, and notes how many tokens are computed."""

    name = "changing"
    changed: object  # indices of tokens, or one such list a picture
    computed: list = attrs.field(factory=list)

    def bind_run(self, run):
        rows = self.changed if isinstance(self.changed[0], list) else [self.changed]
        away = torch.zeros(len(rows), run.noise.shape[1], 1)
        for number, indices in enumerate(rows):
            away[number, indices] = FAR

        def refhooks_velocity(ctx, latents):
            return (latents - run.source.latents - away) / ctx.step.sigma

        def refhooks_attention(layout):
            computed = layout.target.stop - layout.target.start
            self.computed.append(computed if layout.keep is None else len(layout.keep))

        return plugin(refhooks_velocity=refhooks_velocity, refhooks_attention=refhooks_attention)


def block(row, column, rows, columns):
    """Return the tokens of a rectangle on the grid."""
    return [8 * y + x for y in range(row, row + rows) for x in range(column, column + columns)]


def test_what_does_not_change_follows_the_source_and_is_not_computed(edit, source):
    """From the step after that at which the mask is found, but for two tokens around it."""
    changing = Changing(block(2, 2, 2, 2))
    result = edit([changing, rh.plugin("auto_mask")])

    found, own = np.asarray(result.image).astype(int), np.asarray(source)
    assert changing.computed == [64, 64, 64, 64, 36, 36, 36, 36]
    assert (found[:, 40:] == own[:, 40:]).all()
    assert (found[:8] == own[:8]).all()
    assert (found[16:32, 16:32] != own[16:32, 16:32]).any()


def test_all_is_computed_where_that_is_asked_for(edit, source):
    """The picture follows the source all the same."""
    changing = Changing(block(2, 2, 2, 2))
    found = np.asarray(edit([changing, rh.plugin("auto_mask", compute="all")]).image)

    assert set(changing.computed) == {64}
    assert (found[:, 40:] == np.asarray(source)[:, 40:]).all()


def test_references_are_read_again_with_reuse(edit, source):
    """Their keys and values are stored at the first step after the mask was found."""
    changing = Changing(block(2, 2, 2, 2))
    result = edit([changing, rh.plugin("auto_mask", reuse=4)], steps=6)

    assert changing.computed[-2:] == [36, 36]
    assert (np.asarray(result.image)[:, 40:] == np.asarray(source)[:, 40:]).all()


def test_latents_outside_are_the_sources_at_the_end(edit, editor):
    """To the bit, and those inside are not."""
    given = []

    class Looking:
        name = "looking"

        def bind_run(self, run):
            given.append(run.source.latents)
            return plugin(refhooks_image=lambda images: None)

    latents = edit([Changing(block(2, 2, 2, 2)), Looking(), rh.plugin("auto_mask")]).latents

    outside = block(5, 0, 3, 8)
    torch.testing.assert_close(latents[:, outside], given[0][:, outside], atol=1e-5, rtol=0)
    assert not torch.allclose(latents[:, block(2, 2, 2, 2)], given[0][:, block(2, 2, 2, 2)])


def test_an_edit_of_the_whole_picture_is_left_alone(edit):
    """To the bit, and the warning says so."""
    changing = [Changing(list(range(60))) for _ in range(2)]
    plain = edit([changing[0]])
    with pytest.warns(rh.RefhooksWarning, match="auto_mask: picture 1, estimated .* as a whole"):
        result = edit([changing[1], rh.plugin("auto_mask")])

    assert torch.equal(result.latents, plain.latents)
    assert (np.asarray(result.image) == np.asarray(plain.image)).all()
    assert set(changing[1].computed) == {64}


def test_each_picture_of_a_batch_has_its_own_mask(editor):
    """What is computed lies in any of them; a whole edit beside it stays whole."""
    pictures = [tiny.picture(seed, (SIDE, SIDE)) for seed in (4, 5)]
    jobs = [Job(picture, "x", seed=number) for number, picture in enumerate(pictures)]
    changing = Changing([block(0, 0, 2, 2), block(6, 6, 2, 2)])
    options = {"steps": STEPS, "height": SIDE, "width": SIDE, "cfg": 2.0}
    found = edit_batch(
        editor, jobs, plugins=[changing, rh.plugin("auto_mask", context=0)], **options
    ).images

    first, second = (np.asarray(it) for it in found)
    assert changing.computed[-1] == 20  # 18, rounded up
    assert (first[32:] == np.asarray(pictures[0])[32:]).all()
    assert (second[:32] == np.asarray(pictures[1])[:32]).all()

    changing = Changing([block(0, 0, 2, 2), list(range(64))])
    with pytest.warns(rh.RefhooksWarning, match="picture 2, estimated"):
        found = edit_batch(editor, jobs, plugins=[changing, rh.plugin("auto_mask")], **options)
    assert set(changing.computed) == {64}
    assert (np.asarray(found.images[0])[32:] == np.asarray(pictures[0])[32:]).all()
    assert (np.asarray(found.images[1]) != np.asarray(pictures[1])).any(axis=-1).mean() > 0.9


def test_keep_pixels_beside_it_acts_inside_of_the_mask(edit, source):
    """Outside, the source is there already."""
    plugins = [Changing(block(2, 2, 2, 2)), rh.plugin("keep_pixels", threshold=1.0)]
    found = np.asarray(edit([*plugins, rh.plugin("auto_mask")]).image)

    assert (found == np.asarray(source)).all()


def test_gaps_of_two_tokens_are_closed_and_the_halo_is_soft():
    """Two changed tokens with two between them are one; pixels fall to 0 within the halo."""
    cover = torch.zeros(1, 6, 8)
    cover[0, 2, [2, 5]] = 1.0
    assert closed(cover)[0, 2].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    assert closed(torch.ones(1, 3, 3)).min() == 1.0
    assert widened(cover, 1)[0].sum() == 18

    soft = softened(cover, 1, 4)
    assert (soft[0, 8:12, 8:12] == 1).all()
    assert (soft[0, :4] == 0).all()
    assert 0 < soft[0, 6, 10] < 1
    assert torch.equal(softened(cover, 0, 2), cover.repeat_interleave(2, 1).repeat_interleave(2, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0.0}, "sigma must be a number above 0, at most 1, a noise level; got 0.0"),
        ({"sigma": True}, "got True"),
        ({"threshold": -1}, "threshold must be a number above 0, at most 10"),
        ({"halo": 33}, r"halo \(tokens\) must be a whole number from 0 to 32; got 33"),
        ({"context": 0.5}, "context .* got 0.5"),
        ({"reuse": 0}, "reuse .* must be a whole number from 1"),
        ({"compute": "outside"}, "compute must be 'inside' or 'all'"),
        ({"compute": "all", "reuse": 4}, "reuse=4 does nothing with compute='all'"),
        ({"treshold": 0.1}, "no option 'treshold'. Did you mean 'threshold'"),
    ],
)
def test_options_that_cannot_be(options, message):
    """Are refused where they are written."""
    with pytest.raises(rh.RefhooksError, match=message):
        rh.plugin("auto_mask", **options)


REFUSED = {
    "cache": ({"cache": "fbcache"}, "cache='fbcache' .* leave out either it or auto_mask"),
    "compute": (
        {"compute": "inside", "edit_mask": "0,0,32,32"},
        "compute='inside': .*auto_mask.* needs the whole target; leave compute out",
    ),
    "twice": ({"plugins": [rh.plugin("auto_mask")] * 2}, "auto_mask.* needs the whole target"),
    "reuses": (
        {
            "plugins": [rh.plugin("auto_mask", reuse=2)],
            "strategy": rh.Stage(rh.method("cross_attn", reuse="once")),
        },
        "auto_mask.*: cross_attn keeps keys and values of earlier steps itself",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_with_it_is_refused(edit, editor, monkeypatch, case):
    """By name, before anything is encoded."""
    monkeypatch.setattr(editor.family, "encode_texts", None)
    options, message = REFUSED[case]
    with pytest.raises(rh.InputError, match=message):
        edit(**{"plugins": [rh.plugin("auto_mask")], **options})


def test_what_is_on_the_transformer_is_refused(edit, editor, monkeypatch):
    """A step cache, parallel runs, a forward that is compiled, a family that computes all."""
    transformer, auto = editor.pipe.transformer, [rh.plugin("auto_mask")]
    monkeypatch.setattr(editor.family, "encode_texts", None)
    transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
    try:
        with pytest.raises(rh.InputError, match=r"auto_mask.*has a step cache.*leave .* out"):
            edit(auto)
    finally:
        transformer.disable_cache()
    with monkeypatch.context() as patched:
        patched.setattr(transformer, "_parallel_config", object(), raising=False)
        with pytest.raises(rh.InputError, match=r"auto_mask.*runs in parallel"):
            edit(auto)
    with monkeypatch.context() as patched:
        patched.setattr(transformer, "_compiled_call_impl", object())
        with pytest.raises(rh.InputError, match=r"auto_mask.*compiled as a whole"):
            edit(auto)
    monkeypatch.setattr(type(editor.family), "takes_keep", False)
    with pytest.raises(rh.InputError, match=r"auto_mask.*computes the whole target"):
        edit(auto)


def test_without_a_source_it_is_refused(editor):
    """There is nothing to follow."""
    with pytest.raises(rh.InputError, match="auto_mask needs a source picture"):
        editor.edit(None, "x", steps=2, height=32, width=32, plugins=[rh.plugin("auto_mask")])


def test_too_few_steps_are_told(edit):
    """No step is below the noise level: it would do nothing, and silently."""
    with pytest.warns(rh.RefhooksWarning, match="auto_mask does nothing: the noise level"):
        edit([rh.plugin("auto_mask", sigma=0.01)])


def test_a_recipe_makes_it_again_to_the_bit(editor, edit, source, tmp_path):
    """With its options; chains and grids take it."""
    path = tmp_path / "source.png"
    source.save(path)
    auto = rh.plugin("auto_mask", threshold=1.4, halo=0)
    result = edit([auto], path)

    again = editor.replay(result.recipe, references=[path])

    assert [it["plugin"] for it in result.recipe.plugins] == ["auto_mask"]
    assert torch.equal(again.latents, result.latents)
    assert (np.asarray(again.image) == np.asarray(result.image)).all()

    at = {"steps": 2, "height": SIDE, "width": SIDE, "plugins": [rh.plugin("auto_mask", sigma=1)]}
    with pytest.warns(rh.RefhooksWarning, match="as a whole"):  # a random model changes all
        chain = editor.chain(source, [rh.Edit("x"), rh.Edit("y")], seed=1, **at)
    with pytest.warns(rh.RefhooksWarning, match="as a whole"):
        grid = editor.grid(source, "x", strengths=[0.5, 1.0], **at)
    assert (len(chain.results), len(grid.images)) == (2, 1)
