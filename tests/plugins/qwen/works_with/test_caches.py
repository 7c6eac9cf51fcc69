"""diffusers' step caches: the stock pipeline's result, and emptied whenever they must be."""

from __future__ import annotations

import plain
import pytest
import tiny
import torch
from diffusers.hooks import (
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
)

import refhooks as rh

pytestmark = pytest.mark.long

STEPS = 6
ALWAYS = 1e9  # a threshold below which every step after the first is
CACHES = {
    "first block": FirstBlockCacheConfig(threshold=ALWAYS),
    "mag": MagCacheConfig(threshold=ALWAYS, num_inference_steps=STEPS, mag_ratios=[1.0] * STEPS),
    "taylor": TaylorSeerCacheConfig(cache_interval=3, taylor_factors_dtype=torch.float32),
}


def edited(pipe, strategy=None, **options):
    """Latents after as many steps as give the caches something to do."""
    return plain.edited(pipe, strategy, **{"steps": STEPS, **options})


def counted(pipe, **options):
    """At which forward passes the last block ran, as a string of 1 and 0."""
    ran = []
    whole = pipe.transformer.register_forward_pre_hook(lambda *_: ran.append(0))
    inside = pipe.transformer.transformer_blocks[-1].attn.to_q.register_forward_pre_hook(
        lambda *_: ran.__setitem__(-1, 1)
    )
    try:
        edited(pipe, **options)
    finally:
        whole.remove()
        inside.remove()
    return "".join(map(str, ran))


def test_a_switch_empties_them_once_for_all_passes_of_a_step(own):
    """What the first pass of that step put in serves the next step, as what the second did."""
    own.transformer.enable_cache(CACHES["first block"])
    strategy = rh.Strategy([rh.Stage("default", until=0.5), rh.Stage("inject", 0.5)])

    assert counted(own, strategy=strategy, cfg=2.0) == "110000" * 2


@pytest.mark.parametrize("name", CACHES)
def test_no_strategy_is_the_stock_pipeline_with_the_same_cache(own, untouched, name):
    """To the bit, twice in a row, and after a run that failed half way; the cache does act."""
    own.transformer.enable_cache(CACHES[name])
    with_cache = plain.stock(own, steps=STEPS)

    def stop(step, *_):
        if step == 3:
            raise KeyboardInterrupt

    assert not torch.allclose(with_cache, edited(untouched), atol=1e-4)
    assert torch.equal(with_cache, edited(own))
    with pytest.raises(KeyboardInterrupt):
        edited(own, callback=stop)
    assert torch.equal(with_cache, edited(own))
    own.transformer.disable_cache()
    assert torch.equal(edited(own), edited(untouched))


def test_what_a_failed_stock_run_left_is_not_used(own):
    """The stock pipeline keeps its state after an exception; a run begins with none."""
    own.transformer.enable_cache(FirstBlockCacheConfig(threshold=ALWAYS))
    before = edited(own)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own(image=[plain.SOURCE], prompt=plain.PROMPT, height=32, width=32, true_cfg_scale=1.0,
            num_inference_steps=2, callback_on_step_end=stop)  # fmt: skip
    assert torch.equal(before, edited(own))


def test_a_cache_put_on_between_two_runs(own):
    """Also with the function that does not tell the model."""
    edited(own)
    apply_first_block_cache(own.transformer, FirstBlockCacheConfig(threshold=ALWAYS))

    assert counted(own, cfg=1.0) == "100000"


@pytest.mark.parametrize(
    ("strategy", "ran"),
    [
        (None, "100000"),
        (rh.Stage("default", [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]), "100000"),
        (rh.Stage("default", [0.0, 0.0, 0.5, 0.6, 0.0, 0.0]), "101010"),
        (rh.Strategy([rh.Stage("inject", until=0.5), rh.Stage("default")]), "100100"),
        (rh.Strategy([rh.Stage("cross_attn", 0.5, until=0.5), rh.Stage("default")]), "100100"),
        (rh.Strategy([rh.Stage(rh.method("concat", tied=True), until=0.5), rh.Stage("inject")]),
         "100100"),
        (rh.Stage(rh.method("cross_attn", reuse="every 3"), 0.5), "110110"),
        (rh.Stage("guidance", 0.5), "110000000000"),
    ],
)  # fmt: skip
def test_it_is_emptied_where_the_tokens_change(own, strategy, ran):
    """At a switch, where tokens come or go, and for keys and values that are stored or read."""
    own.transformer.enable_cache(FirstBlockCacheConfig(threshold=ALWAYS))

    assert counted(own, strategy=strategy, cfg=1.0) == ran


def test_a_cache_that_never_skips_changes_no_method(own, expected):
    """At a threshold of 0 every block runs, and every method gives what it gives without."""
    own.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.0))

    plain.assert_close(expected, plain.every_way(own), atol=1e-6)


def test_pyramid_attention_broadcast():
    """It asks the pipeline for the timestep, and mixes passes: with guidance it is refused."""
    own = tiny.build("plus", "middle")
    own.transformer.enable_cache(
        PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=2,
            spatial_attention_timestep_skip_range=(-1, 1001),
            spatial_attention_block_identifiers=("transformer_blocks",),
            current_timestep_callback=lambda: own.current_timestep,
        )
    )

    assert counted(own, cfg=1.0) == "101010"
    assert torch.equal(plain.stock(own, steps=STEPS, cfg=1.0), edited(own, cfg=1.0))
    with pytest.raises(
        rh.InputError, match="one state for all passes of a step, and this run has 2"
    ):
        edited(own, cfg=2.0)
    with pytest.raises(rh.InputError, match="cond, without reference 1"):
        edited(own, rh.Stage("guidance", 0.5), cfg=1.0)


def test_recording_with_a_cache_is_refused(own):
    """What is left out has no attention to record."""
    own.transformer.enable_cache(FirstBlockCacheConfig())

    with pytest.raises(rh.InputError, match=r"FBCHeadBlockHook.*cannot be recorded"):
        edited(own, record_attention=True)


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_with_compiled_blocks(own):
    """Which cannot be one graph then; the blocks are left out all the same."""
    torch.compiler.reset()
    config = FirstBlockCacheConfig(threshold=ALWAYS)
    strategy = rh.Strategy([rh.Stage("inject", until=0.5), rh.Stage("cross_attn", 0.5)])
    plain_pipe = tiny.build("plus", "middle")
    plain_pipe.transformer.enable_cache(config)
    expected = edited(plain_pipe, strategy, cfg=1.0)

    own.transformer.enable_cache(config)
    own.transformer.compile_repeated_blocks(backend="aot_eager")

    torch.testing.assert_close(edited(own, strategy, cfg=1.0), expected, atol=1e-5, rtol=0)
    torch.compiler.reset()
