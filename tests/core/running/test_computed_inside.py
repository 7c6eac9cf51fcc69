"""``compute="inside"``: what is left out, what stays to the bit, and what is refused."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import tiny
import torch
from diffusers import FirstBlockCacheConfig
from diffusers.models.transformers.transformer_qwenimage import QwenDoubleStreamAttnProcessor2_0
from seeing import seeing

import refhooks as rh
from refhooks._core.planning.inside import around

CORNER = "0,0,25%,25%"  # 4 of 64 tokens
MIDDLE = "40%,40%,20%,20%"
SIZE = (64, 64)
AT = {"height": 64, "width": 64}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "zero_cond_t"])
def local(request):
    """``edit()`` on a tiny model at 8x8 tokens, with or without modulation at t = 0."""
    pipe = tiny.build("plus", "middle", zero_cond_t=request.param)
    area = 64 * 64
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area))

    def edit(mask=CORNER, **options):
        call = {"steps": 3, "seed": 1, "cfg": 2.0, **AT, **options}
        return editor.edit(tiny.picture(0, SIZE), "make it blue", edit_mask=mask, **call)

    edit.editor = editor
    return edit


class Given:
    """Keeps the target that the model is given, and the velocities that hooks see."""

    def __init__(self):
        self.targets, self.velocities, self.layouts = [], [], []

    @rh.hookimpl(trylast=True)
    def refhooks_conditioning(self, inputs):
        self.targets.append(inputs.target.shape[1])

    @rh.hookimpl
    def refhooks_attention(self, layout):
        self.layouts.append(layout)

    @rh.hookimpl
    def refhooks_velocity(self, ctx, latents, velocity):
        self.velocities.append((ctx.step.sigma, latents, velocity))


def same(one, other):
    """Whether latents and pictures are equal to the bit."""
    pixels = [np.asarray(it.image) for it in (one, other)]
    return torch.equal(one.latents, other.latents) and np.array_equal(*pixels)


METHODS = [
    "default", "inject", "cross_attn", rh.Stage("default", 0.5), rh.Stage("cross_attn", 1.4),
    rh.Stage(rh.method("concat", tied=True), 0.5), "guidance",
]  # fmt: skip


@pytest.mark.parametrize("strategy", METHODS, ids=str)
def test_with_all_tokens_kept_it_is_the_full_run(local, strategy):
    """To the bit, whatever the method: a halo as wide as the picture, or a mask of all of it."""
    for mask, compute in ((CORNER, rh.Inside(halo=8)), ("0,0,100%,100%", "inside")):
        assert same(local(mask, strategy=strategy, compute=compute), local(mask, strategy=strategy))


@pytest.mark.parametrize("strategy", ["default", rh.Stage("cross_attn", 0.7)], ids=str)
def test_reuse_with_all_tokens_near_is_the_full_run(local, strategy):
    """Keys and values that are all computed anew are those of the step, to the bit."""
    compute = rh.Inside(halo=8, reuse=3, near=8)
    near = local(strategy=strategy, compute=compute)

    if strategy == "default":  # merged attention is the stock one where nothing has a weight
        assert same(near, local(strategy=strategy))
    torch.testing.assert_close(near.latents, local(strategy=strategy).latents, atol=1e-5, rtol=0)


class MaskedTarget(QwenDoubleStreamAttnProcessor2_0):
    """The stock processor, with some of the target's keys masked for everyone."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __call__(self, attn, hidden_states, encoder_hidden_states, encoder_hidden_states_mask=None,
                 attention_mask=None, image_rotary_emb=None):  # fmt: skip
        text = encoder_hidden_states.shape[1]
        mask = torch.ones(text + hidden_states.shape[1], dtype=torch.bool)
        mask[text : text + 64] = self.seen
        with seeing(mask):
            return super().__call__(
                attn, hidden_states, encoder_hidden_states, None, None, image_rotary_emb
            )


@pytest.mark.parametrize("mask", [CORNER, MIDDLE, rh.mask(box=MIDDLE, feather=6)], ids=str)
def test_what_is_left_out_is_not_there_for_anyone(local, mask):
    """As if the keys of the tokens outside were masked: positions and modulation are theirs."""
    part = local(mask, compute="inside").latents
    shape = mask if isinstance(mask, rh.Mask) else rh.mask(mask)
    cover = torch.nn.functional.adaptive_max_pool2d(shape.cover(rh.Size(64, 64))[None], (8, 8))[0]
    seen = torch.zeros(64, dtype=torch.bool)
    seen[around(cover, 1)] = True
    assert 4 < int(seen.sum()) < 64

    transformer = local.editor.pipe.transformer
    for block in transformer.transformer_blocks:
        block.attn.set_processor(MaskedTarget(seen))
    try:
        masked = local(mask).latents
    finally:
        for block in transformer.transformer_blocks:
            block.attn.set_processor(QwenDoubleStreamAttnProcessor2_0())
    torch.testing.assert_close(part, masked, atol=1e-5, rtol=0)


def test_outside_the_source_stays_to_the_bit(local):
    """Latents and pixels, as they do with all tokens."""
    whole, part = local(), local(compute="inside")
    outside = np.ones((64, 64), dtype=bool)
    outside[:16, :16] = False

    assert np.array_equal(np.asarray(whole.image)[outside], np.asarray(part.image)[outside])
    assert torch.equal(whole.latents[:, 24:], part.latents[:, 24:])
    assert not same(whole, part)


def test_hooks_see_all_tokens(local):
    """The target, layouts and velocities are whole; what is left out goes to the source."""
    given = Given()
    local(compute="inside", plugins=[given])
    source = local("0,0,1,1", compute="inside", steps=2).latents  # of which one token may change

    assert set(given.targets) == {64}
    assert {layout.target.stop - layout.target.start for layout in given.layouts} == {64}
    sigma, latents, velocity = given.velocities[-1]
    left_out = (latents - sigma * velocity)[:, 63]
    torch.testing.assert_close(left_out, source[:, 63], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("box", "tokens"),
    [("0,0,1,1", 4), ("28,28,8,8", 16), ("0,0,64,8", 16), ("0,0,64,64", 64), ("56,56,8,8", 4)],
)
def test_the_computed_tokens(local, box, tokens):
    """One token, one in the middle, a border, everything: with a border of one, in fours."""
    given = Given()
    remarks = local(box, compute="inside", plugins=[given]).timetable.remarks

    keep = given.layouts[-1].keep
    assert (64 if keep is None else len(keep)) == tokens
    said = f"compute inside: {tokens} of 64 tokens of the output, at every step"
    assert (said in remarks) == (tokens < 64)


def test_around_rounds_up_with_the_nearest():
    """To a multiple of 16 on a large grid; nothing that is inside is lost."""
    cover = torch.zeros(64, 64)
    cover[20:30, 20:31] = 1.0

    exact, kept = set(range(64 * 64)), around(cover, 0)
    wide = torch.zeros(64, 64)
    wide[19:31, 19:32] = 1.0
    ring = set(wide.flatten().nonzero()[:, 0].tolist())
    own = set(cover.flatten().nonzero()[:, 0].tolist())
    assert len(kept) == 112
    assert own < set(kept.tolist()) <= ring <= exact
    assert torch.equal(kept, kept.sort().values)


def test_two_areas_and_a_region_that_moves(local):
    """An edit mask of two boxes, beside a reference whose region holds more and more."""
    mask = np.zeros((64, 64), dtype=np.float32)
    mask[:8, :8] = mask[-8:, -8:] = 1.0
    region = rh.mask(box="0,0,50%,100%", strength=[0.0, 0.5, 1.0])
    strategy = rh.Strategy(rh.Stage("cross_attn", "0.4:1.0"), masks=[region])

    whole = local(torch.from_numpy(mask), strategy=strategy)
    part = local(torch.from_numpy(mask), strategy=strategy, compute="inside", check="eager")
    near = local(torch.from_numpy(mask), strategy=strategy, compute=rh.Inside(halo=8))

    assert same(near, whole)
    assert not same(part, whole)
    assert torch.equal(part.latents[:, 28:36], whole.latents[:, 28:36])


class Stranger:
    """A method of a stranger's, which knows nothing of what is left out."""

    name = "stranger"

    def bind(self, reference, _run):
        return Bound(reference)


@attrs.define(eq=False)
class Bound:
    """Tokens, and a weight for each query."""

    reference: rh.BoundReference

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        added = inputs.target.new_zeros(*inputs.target.shape[:2], 32)
        tokens = rh.Tokens(self.reference.latents)
        return attrs.evolve(inputs, added=added).fill(self.reference.index, tokens)

    @rh.hookimpl
    def refhooks_attention(self, layout):
        weight = torch.linspace(0.1, 1.9, layout.length)[None]
        return [rh.AttentionEdit(self.reference.index, weight=weight)]


def test_a_strangers_method_works_unchanged(local):
    """What it gives for each query is taken for those that are there: kept all, it is the same."""
    assert local.editor.pipe.transformer.inner_dim == 32  # of what it adds

    strategy = rh.Stage(Stranger())
    assert same(local(strategy=strategy, compute=rh.Inside(halo=8)), local(strategy=strategy))
    for compute in ("inside", "inside:reuse=2", "inside:reuse=2,near=1"):
        part = local(strategy=strategy, compute=compute, check="eager")
        assert not same(part, local(strategy=strategy))


def test_reuse_reads_what_an_earlier_step_stored(local):
    """Refreshed at every second step, the model is given no reference at the others."""
    seen = []
    handle = local.editor.pipe.transformer.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append(kwargs["hidden_states"].shape[1]),
        with_kwargs=True,
    )
    try:
        local(compute="inside:reuse=2", steps=4, cfg=1.0)
        local(compute="inside:reuse=3,near=0", steps=4, cfg=1.0)
    finally:
        handle.remove()

    assert seen[:4] == [12 + 64, 12, 12 + 64, 12]
    assert seen[4:] == [12 + 64, 12 + 4, 12 + 4, 12 + 64]


def test_a_strength_that_scales_the_tokens_stores_anew(local):
    """Latents that are scaled otherwise are other tokens: old keys would be of another strength."""
    stage = rh.Stage("default", [0.5, 0.5, 1.0])
    masked = {"strategy": stage, "compute": "inside:reuse=3"}

    moved = local(**masked, steps=3)
    fresh = local(strategy=stage, compute="inside:reuse=2", steps=3)

    assert same(moved, fresh)


def test_a_batch_is_its_edits(local):
    """In a batch each picture comes out as alone, within rounding; tokens near the mask too."""
    from refhooks.batch import Job, edit_batch

    jobs = [Job(tiny.picture(number, SIZE), "make it blue", number) for number in range(2)]
    options = {"steps": 3, "cfg": 2.0, "edit_mask": CORNER, "compute": "inside:reuse=2,near=1"}
    both = edit_batch(local.editor, jobs, **options, **AT)
    alone = [
        local.editor.edit(job.image, job.prompt, seed=job.seed, **options, **AT) for job in jobs
    ]
    expected = torch.cat([it.latents for it in alone])
    torch.testing.assert_close(both.latents, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("denoise", [0.3, 0.8])
def test_it_goes_with_denoise(local, denoise):
    """A run that starts from the source, too."""
    whole, near, part = (
        local(denoise=denoise, compute=it) for it in ("all", "inside:halo=8", "inside")
    )
    assert same(whole, near)
    assert torch.equal(part.latents[:, 24:], whole.latents[:, 24:])


REFUSED = {
    "no mask": ({"mask": None}, "needs an edit mask"),
    "word": ({"compute": "outside"}, "must be 'all', 'inside'"),
    "option": ({"compute": "inside:hallo=1"}, "no option 'hallo'. Did you mean 'halo'"),
    "halo": ({"compute": {"halo": -1}}, "halo .* must be a whole number from 0 to 64, got -1"),
    "near": ({"compute": "inside:near=1"}, "near=1 does nothing with reuse=1"),
    "reuses": (
        {"compute": "inside:reuse=2", "strategy": rh.Stage(rh.method("cross_attn", reuse="once"))},
        "cross_attn keeps keys and values of earlier steps itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(local, case):
    """In one sentence that says what to do, before anything is encoded."""
    options, words = REFUSED[case]
    with pytest.raises(rh.InputError, match=words):
        local(**{"compute": "inside", **options})


def test_a_method_that_needs_the_whole_target_is_refused(local):
    """It says so itself."""
    stranger = Stranger()
    stranger.needs_whole_target = True
    with pytest.raises(rh.InputError, match="stranger needs the whole target"):
        local(strategy=rh.Stage(stranger), compute="inside")


def test_step_caches_and_parallel_runs_are_refused(local, monkeypatch):
    """Both take every step to be of the whole picture."""
    transformer = local.editor.pipe.transformer
    transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
    try:
        with pytest.raises(rh.InputError, match="has a step cache"):
            local(compute="inside", cfg=1.0)
    finally:
        transformer.disable_cache()
    monkeypatch.setattr(transformer, "_parallel_config", object(), raising=False)
    with pytest.raises(rh.InputError, match="runs in parallel"):
        local(compute="inside")


def test_the_families_that_compute_the_whole_target_refuse(local, monkeypatch):
    """A family of a stranger's that does not say that it can."""
    monkeypatch.setattr(type(local.editor.family), "takes_keep", False)
    with pytest.raises(rh.InputError, match="computes the whole target at every step"):
        local(compute="inside")


@attrs.define(eq=False)
class Keeping:
    """Sets ``keep`` itself."""

    keep: object

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        return attrs.evolve(inputs, keep=self.keep)


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ([0, 1], "keep must be a tensor"),
        (torch.tensor([0.0]), "keep must be int64"),
        (torch.zeros(0, dtype=torch.int64), "keeps no token; keep one at least"),
        (torch.tensor([3, 2]), "must rise within 0 to 63"),
        (torch.tensor([0, 64]), "must rise within 0 to 63"),
    ],
)
def test_bad_indices_of_a_plugin_are_told(local, keep, words):
    """With the plugin's name."""
    with pytest.raises(rh.HookReturnError, match=rf"Keeping.*{words}"):
        local(plugins=[Keeping(keep)], check="eager")


def test_a_plugin_may_leave_out_tokens_itself(local):
    """Without an edit mask; the rest goes to the source."""
    keep = torch.arange(0, 64, 3)
    result = local(None, plugins=[Keeping(keep)])
    other = local(None, plugins=[Keeping(keep)], seed=2)

    left_out = [number for number in range(64) if number % 3]
    torch.testing.assert_close(
        result.latents[:, left_out], other.latents[:, left_out], atol=1e-5, rtol=0
    )
    assert not torch.allclose(result.latents[:, keep], other.latents[:, keep], atol=1e-3)


def test_a_step_cache_beside_a_plugin_that_leaves_out_tokens_is_told(local):
    """A plugin that has not said so before (``inside``): at its call, by its name."""
    transformer = local.editor.pipe.transformer
    transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
    try:
        with pytest.raises(rh.HookReturnError, match=r"Keeping.* cannot use keep, or not with a"):
            local(None, plugins=[Keeping(torch.arange(0, 64, 3))], cfg=1.0)
    finally:
        transformer.disable_cache()
