"""Step caches by name: diffusers' own for one edit, taken off however it ends."""

from __future__ import annotations

import threading

import pytest
import torch
from diffusers.hooks import FirstBlockCacheConfig, TaylorSeerCacheConfig
from families_table import ROWS, shrink

import refhooks as rh
from refhooks import testing
from refhooks._attending.named_caches import as_step_cache
from refhooks._attending.step_caches import step_cache_of
from refhooks.batch import Job, edit_batch

STEPS = 5
CONFIGS = {
    "fbcache:threshold=1e9": FirstBlockCacheConfig(threshold=1e9),
    "taylorseer:interval=3": TaylorSeerCacheConfig(
        cache_interval=3, taylor_factors_dtype=torch.float32
    ),
}


@pytest.fixture
def editor(monkeypatch):
    """On a small model."""
    shrink(monkeypatch, ROWS["qwen-image-edit-plus"])
    return ROWS["qwen-image-edit-plus"].editor()


def edit(editor, image=None, **options):
    """Edit a random picture in five steps."""
    call = {"steps": STEPS, "seed": 1, "height": 32, "width": 32, "cfg": 2.0, **options}
    return editor.edit(image or testing.picture(0, (48, 32)), "make it blue", **call)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_diffusers_own_for_one_edit(editor, name):
    """To the bit; the next edit is as if it had never been there."""
    plain = edit(editor).latents
    transformer = editor.pipe.transformer
    transformer.enable_cache(CONFIGS[name])
    expected = edit(editor).latents
    transformer.disable_cache()

    assert torch.equal(edit(editor, cache=name).latents, expected)
    assert step_cache_of(transformer) is None
    assert not transformer.is_cache_enabled
    assert torch.equal(edit(editor).latents, plain)
    assert not torch.equal(expected, plain)


@pytest.mark.parametrize("name", ["fbcache", "taylorseer"])
def test_it_is_taken_off_after_an_exception(editor, name):
    """Whatever raises, whenever."""
    plain = edit(editor).latents

    def fail(step, _latents, _x0):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(editor, cache=name, callback=fail)

    assert step_cache_of(editor.pipe.transformer) is None
    assert torch.equal(edit(editor).latents, plain)


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ("fbc", "there is no step cache 'fbc'"),
        ("teacache", "there is no step cache 'teacache'.*fbcache:threshold=0.2"),
        ("fbcache:interval=5", "fbcache has no option 'interval'"),
        ("taylorseer:interval=1", "interval must be a whole number from 2"),
        ("taylorseer:interval", "taylorseer has no option 'interval'"),
        ("fbcache:threshold=-1", "threshold must be a number from 0"),
        ("fbcache:threshold=x", "threshold must be a number from 0"),
        (True, "cache must be one of"),
    ],
)
def test_what_is_none_is_refused(editor, cache, message):
    """Before anything is encoded."""
    editor.family.encode_texts = None
    with pytest.raises(rh.InputError, match=message):
        edit(editor, cache=cache)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"compute": "inside", "edit_mask": "0,0,16,16"},
            "leave out either it or compute='inside'",
        ),
        ({"record_attention": True}, "leave out either it or record_attention"),
    ],
)
def test_what_does_not_go_with_it_is_refused(editor, options, message):
    """By name, before anything is encoded."""
    editor.family.encode_texts = None
    with pytest.raises(rh.InputError, match=message):
        edit(editor, cache="fbcache", **options)


@pytest.mark.parametrize("compiled", ["module", "blocks"])
def test_blocks_in_one_graph_are_refused(editor, compiled):
    """Diffusers' caches break a graph; blocks that are compiled without that take them."""
    transformer, blocks = editor.pipe.transformer, editor.pipe.transformer.transformer_blocks
    if compiled == "module":
        blocks[0] = torch.compile(blocks[0], fullgraph=True, backend="eager")
    else:
        transformer.compile_repeated_blocks(fullgraph=True, backend="eager")
    encodes, editor.family.encode_texts = editor.family.encode_texts, None
    with pytest.raises(rh.InputError, match=r"cache='fbcache': blocks .* with fullgraph=True"):
        edit(editor, cache="fbcache")
    assert step_cache_of(transformer) is None
    if compiled == "module":
        return

    editor.family.encode_texts = encodes
    transformer.compile_repeated_blocks(backend="eager")
    assert edit(editor, cache="fbcache:threshold=1e9").images


def test_a_transformer_that_has_one_is_refused(editor):
    """Two would not fit; the user's own stays."""
    editor.pipe.transformer.enable_cache(FirstBlockCacheConfig())
    with pytest.raises(rh.InputError, match="has a step cache already"):
        edit(editor, cache="taylorseer")
    assert editor.pipe.transformer.is_cache_enabled


@pytest.mark.parametrize("name", [name for name in ROWS if ROWS[name].load is None])
def test_every_family_takes_it_or_says_that_it_cannot(name, monkeypatch):
    """What cannot have one is refused before a prompt is encoded, and left as it was."""
    row = ROWS[name]
    shrink(monkeypatch, row)
    editor, pictures = row.editor(), row.pictures(1)
    encoded = []
    own = type(editor.family).encode_texts
    monkeypatch.setattr(
        type(editor.family), "encode_texts",
        lambda *args, **options: encoded.append(1) or own(*args, **options),
    )  # fmt: skip
    for label, cache in (("First Block Cache", "fbcache"), ("TaylorSeer", "taylorseer")):
        encoded.clear()
        refused = ""
        try:
            assert torch.isfinite(row.edit(editor, pictures, cache=cache).latents).all()
        except rh.InputError as error:
            refused = str(error)
        assert bool(refused) == (label in row.refuses or label in row.lacks), refused
        assert not (refused and encoded)
        assert step_cache_of(editor.pipe.transformer) is None


def test_recipes_and_batches_hold_it(editor, tmp_path):
    """A replay has it as well, to the bit; so has a batch."""
    testing.picture(0, (48, 32)).save(tmp_path / "photo.png")
    result = edit(editor, tmp_path / "photo.png", cache="taylorseer:interval=3")
    result.save(tmp_path / "made.png")

    assert rh.load_recipe(tmp_path / "made.png").cache == "taylorseer:interval=3,order=1,start=3"
    assert torch.equal(editor.replay(tmp_path / "made.png").latents, result.latents)
    jobs = [Job(tmp_path / "photo.png", "make it blue", seed=1)]
    size = {"steps": STEPS, "height": 32, "width": 32, "cfg": 2.0}
    batch = edit_batch(editor, jobs, cache="taylorseer:interval=3", **size)
    assert torch.equal(batch.latents, result.latents)


def test_guidance_that_comes_back_begins_anew(editor):
    """What a branch kept before it was left out is not used after it."""
    late = edit(editor, cache="fbcache:threshold=1e9", cfg="2,1,1,2,2").latents

    assert torch.isfinite(late).all()
    assert not torch.equal(late, edit(editor, cfg="2,1,1,2,2").latents)


def test_the_short_form_reads_what_it_writes():
    """In recipes."""
    for text in ("fbcache", "taylorseer:order=2", "fbcache:threshold=0.05"):
        cache = as_step_cache(text)
        assert as_step_cache(cache.text) == cache


def test_chains_and_grids_take_it(editor):
    """On for each edit, each of which begins with an empty one; an edit that cannot is refused."""
    image, size = testing.picture(0, (32, 32)), {"height": 32, "width": 32, "cfg": 2.0}
    call = {"steps": STEPS, **size, "cache": "taylorseer:interval=3"}
    chain = editor.chain(image, [rh.Edit("make it blue"), rh.Edit("and red")], seed=1, **call)
    grid = editor.grid(image, "make it blue", strengths=[1.0], seeds=[1], **call)

    alone = editor.edit(image, "make it blue", seed=1, **call)
    assert torch.equal(chain.results[0].latents, alone.latents)
    assert {it.recipe.cache for it in chain.results} == {"taylorseer:interval=3,order=1,start=3"}
    assert grid.images[0][0].tobytes() == alone.image.tobytes()

    editor.family.encode_texts = None
    local = rh.Edit("x", edit_mask="0,0,16,16", compute="inside")
    with pytest.raises(rh.InputError, match="leave out either it or compute='inside'"):
        editor.chain(image, [rh.Edit("y"), local], seed=1, **call)
    with pytest.raises(rh.InputError, match="leave out either it or auto_mask"):
        editor.grid(image, "x", strengths=[1.0], plugins=[rh.plugin("auto_mask")], **call)
    assert step_cache_of(editor.pipe.transformer) is None


@pytest.mark.filterwarnings("ignore:auto_mask")
def test_it_goes_with_guidance_over_the_steps_in_a_recipe(editor, tmp_path):
    """Both come back, to the bit; `auto_mask` and guidance over the steps do as well."""
    testing.picture(0, (48, 32)).save(tmp_path / "photo.png")
    auto = {"plugins": [rh.plugin("auto_mask", sigma=0.9, threshold=1.4)]}
    for options in ({"cache": "taylorseer:interval=2"}, {"cache": "fbcache"}, auto):
        result = edit(editor, tmp_path / "photo.png", cfg="0.5@2", **options)
        result.save(tmp_path / "made.png")
        again = editor.replay(tmp_path / "made.png")
        assert torch.equal(again.latents, result.latents)
        assert again.image.tobytes() == result.image.tobytes()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("compute", {"compute": "inside", "edit_mask": "0,0,16,16"}),
        ("auto_mask", {"plugins": [rh.plugin("auto_mask")]}),
    ],
)
def test_a_forward_that_is_compiled_whole_refuses_parts(editor, name, options):
    """By name, before anything is encoded."""
    transformer = editor.pipe.transformer
    editor.family.encode_texts = None
    transformer._compiled_call_impl = transformer.forward
    try:
        with pytest.raises(rh.InputError, match=f"{name}.*compiled as a whole"):
            edit(editor, **options)
    finally:
        del transformer._compiled_call_impl


def test_an_edit_that_waits_for_one_with_a_cache_may_compute_a_part(editor):
    """It is planned while the cache is on, and will run without it."""
    call = {"seed": 1, "height": 32, "width": 32, "steps": 2, "cfg": 2.0}
    local = {"edit_mask": "0,0,16,16", "compute": "inside", "wait": True}
    image, made = testing.picture(0, (32, 32)), []

    def wait():
        made.append(editor.edit(image, "x", **call, **local))

    waiting = threading.Thread(target=wait)

    def started(step, _latents, _x0):
        if step == 0:
            waiting.start()
            waiting.join(0.5)

    editor.edit(image, "x", cache="fbcache", callback=started, **call)
    waiting.join()
    assert len(made) == 1
