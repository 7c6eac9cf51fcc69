"""A batch of jobs is its single edits, whatever steers them."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import refhooks as rh
from refhooks.batch import edit_batch

pytestmark = pytest.mark.long

LEFT = "0,0,50%,100%"
FORMS = {
    "default": "default",
    "default, same frame": rh.method("default", positions="same"),
    "cross_attn": rh.Stage("cross_attn", 0.6),
    "cross_attn, keys": rh.Stage(rh.method("cross_attn", gain="keys"), 0.6),
    "cross_attn, separate": rh.Stage(rh.method("cross_attn", softmax="separate"), 0.6),
    "cross_attn, layers": rh.Stage(rh.method("cross_attn", layers="1-1"), 0.6),
    "guidance": rh.Stage("guidance", 1.4),
    "inject add": rh.Stage("inject", 0.5),
    "inject add, latents": rh.Stage(rh.method("inject", where="latents"), 0.5),
    "inject add, contain": rh.Stage(rh.method("inject", fit="contain"), 0.5),
    "inject blend": rh.Stage(rh.method("inject", formula="blend"), 0.5),
    "inject blend, latents": rh.Stage(rh.method("inject", formula="blend", where="latents"), 0.5),
    "inject pull": rh.Stage(rh.method("inject", formula="pull", tokens="keep"), 0.5),
    "concat, tied": rh.Stage(rh.method("concat", tied=True), 0.8),
    "strength 0": rh.Stage("default", 0.0),
    "stages": rh.Strategy([rh.Stage("cross_attn", "0.4:1.0", until=0.5), rh.Stage("inject", 0.5)]),
}
MASKED = {
    "region": {"kind": "region"},
    "region, soft": {"kind": "region", "feather": 12},
    "content": {"kind": "content"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cfg", [1.0, 2.0])
def test_a_batch_is_its_single_edits(same, jobs, form, cfg):
    """With pictures, prompts and seeds of their own, with and without guidance."""
    same(jobs, strategy=FORMS[form], cfg=cfg)


@pytest.mark.parametrize("form", FORMS)
def test_two_references_each(same, pairs, form):
    """The source in the family's way, the other picture in every way."""
    same(pairs, others=FORMS[form])


def test_both_references_may_be_edited(same, pairs):
    """Attention is weighted for both, beside padded prompts."""
    same(pairs, strategy=rh.Stage("cross_attn", 0.7), others=rh.Stage("cross_attn", 1.3))


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_the_results_differ_from_each_other(same, jobs, strength):
    """Nothing that is a job's own is taken from another one."""
    result = same(jobs, strategy=rh.Stage("cross_attn", strength))

    first, *others = result.images
    assert len(result.images) == 3
    assert all(np.asarray(first).tolist() != np.asarray(other).tolist() for other in others)


@pytest.mark.parametrize("method", ["default", "cross_attn", "inject"])
@pytest.mark.parametrize("mask", MASKED)
def test_masks_cover_every_job(same, pairs, method, mask):
    """A region, and a part of each job's own picture."""
    masks = [rh.mask(LEFT, **MASKED[mask])]
    strategy = rh.Strategy(rh.Stage(method, 0.7), masks=masks)

    same(pairs, strategy=strategy, others=strategy)


def test_blends_in_different_places(same, pairs):
    """Weights are shared where masks meet."""
    blend = rh.Stage(rh.method("inject", formula="blend"), 1.4)
    strategy = rh.Strategy(blend, masks=[rh.mask(LEFT)])

    same(pairs, strategy=strategy, others=blend)


@pytest.mark.parametrize("options", [{"denoise": 0.6}, {"edit_mask": rh.mask(LEFT, feather=6)}])
def test_every_job_starts_from_its_own_source(same, jobs, options):
    """Below ``denoise`` 1, and within an edit mask."""
    same(jobs, **options)
    same(jobs, **{"denoise": 0.8, **options}, strategy=rh.Stage("cross_attn", 0.7))


def test_an_edit_mask_puts_back_each_source(editor, single, jobs):
    """Outside of it the pictures are the sources, to the bit those of single edits."""
    options = {"edit_mask": LEFT, "steps": 2, "cfg": 1.0}

    together = edit_batch(editor, jobs, **options).images

    for job, picture in zip(jobs, together, strict=True):
        alone = np.asarray(single(job, **options).image)
        right = slice(alone.shape[1] // 2 + 1, None)
        assert np.array_equal(np.asarray(picture)[:, right], alone[:, right])


@pytest.mark.parametrize("lengths", [("blue", "red"), ("blue", "a long prompt " * 12)])
def test_prompts_of_any_length(same, jobs, lengths):
    """Without padding, and with much of it; attention is edited beside it."""
    named = [attrs.evolve(job, prompt=prompt) for job, prompt in zip(jobs, lengths, strict=False)]

    same(named)
    same(named, strategy=rh.Stage("cross_attn", 0.5))
    same(named, strategy=rh.Stage("cross_attn", 0.5), record_attention=True)


def test_a_negative_prompt_for_all(same, jobs):
    """As for a single edit."""
    same(jobs, negative_prompt="a long negative prompt, longer than any other one")


def test_a_negative_prompt_a_job(editor, single, jobs):
    """Each job has its own, padded apart from the prompts."""
    negatives = ["grey", " ", "the background of the input image, unchanged"]

    together = edit_batch(editor, jobs, negative_prompt=negatives, steps=3, cfg=2.0)

    alone = [
        single(job, negative_prompt=negative).latents
        for job, negative in zip(jobs, negatives, strict=True)
    ]
    assert (together.latents - torch.cat(alone)).abs().max() <= 1e-5


def test_one_job_is_one_edit(editor, single, jobs):
    """To the bit."""
    together = edit_batch(editor, jobs[1:2], steps=3, cfg=2.0)

    assert torch.equal(together.latents, single(jobs[1]).latents)


def test_one_picture_and_seed_may_serve_several_jobs(same, jobs):
    """Jobs are not told apart by what they have in common."""
    same([attrs.evolve(jobs[0], prompt=prompt) for prompt in ("blue", "red, and dark")])


def test_the_text_encoder_may_be_shown_all_or_none(same, pairs):
    """Each job's pictures stand at its own placeholders."""
    same(pairs, strategy=rh.Strategy("inject", vision="never"), others=rh.Stage("default", 0.5))
    same(pairs, strategy=rh.Strategy(rh.Stage("default", 0.0), vision="always"))


def test_the_callback_sees_all_jobs(editor, jobs):
    """One call a step, with a row a job."""
    seen = []

    edit_batch(editor, jobs, steps=2, callback=lambda step, *held: seen.append((step, held)))

    assert [step for step, _ in seen] == [0, 1]
    assert {len(tensor) for _, held in seen for tensor in held} == {3}


def test_a_family_of_one_reference(jobs):
    """The first Qwen-Image-Edit shows the text encoder a picture of another size."""
    areas = {"output": 32 * 32, "reference": 32 * 32}
    editor = rh.Editor(tiny.build("edit"), checkpoint=rh.Checkpoint(**areas))
    options = {"steps": 2, "cfg": 2.0, "strategy": rh.Stage("cross_attn", 0.7)}

    together = edit_batch(editor, jobs, **options)

    alone = [editor.edit(job.image, job.prompt, seed=job.seed, **options) for job in jobs]
    expected = torch.cat([result.latents for result in alone])
    assert (together.latents - expected).abs().max() <= 1e-5


def test_a_file_is_read_as_a_picture(same, jobs, tmp_path):
    """As a source and as a reference."""
    jobs[0].image.save(tmp_path / "source.png")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "other.png")
    named = [
        attrs.evolve(job, image=str(tmp_path / "source.png"), references=[tmp_path / "other.png"])
        for job in jobs[:2]
    ]

    same(named)


def test_the_model_stays_as_it_was(editor, jobs, single):
    """Nothing of a batch is left in it."""
    before = single(jobs[0]).latents

    edit_batch(editor, jobs, strategy=rh.Stage("cross_attn", 0.5), steps=2)

    assert torch.equal(before, single(jobs[0]).latents)
