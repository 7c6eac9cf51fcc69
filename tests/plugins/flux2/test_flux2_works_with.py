"""Step caches; what else users do to a pipeline is in `test_families.py`."""

from __future__ import annotations

import pytest
import torch
from diffusers import MagCacheConfig, TaylorSeerCacheConfig
from small2 import KINDS, rgb

import refhooks as rh

CACHES = {
    "MagCache": lambda: MagCacheConfig(num_inference_steps=6, mag_ratios=torch.ones(6)),
    "TaylorSeer": lambda: TaylorSeerCacheConfig(cache_interval=3, disable_cache_before_step=2),
}


@pytest.mark.parametrize("kind", ["klein", "kv"])
@pytest.mark.parametrize("cache", CACHES)
def test_a_step_cache(kind, cache):
    """The stock pipeline's with the same cache; refused where the run keeps keys itself."""
    own, stock = (KINDS[kind](blocks=2, singles=2) for _ in range(2))
    own.pipe.transformer.enable_cache(CACHES[cache]())
    if kind == "kv":
        with pytest.raises(rh.InputError, match=r"step cache .*flux2-klein-kv keeps"):
            own.edit(rgb(1))
        return
    stock.pipe.transformer.enable_cache(CACHES[cache]())

    result = own.edit(rgb(1), steps=6, negative_prompt="")

    assert torch.equal(result.latents, stock.stock(rgb(1), num_inference_steps=6)[0])
    plain = KINDS[kind](blocks=2, singles=2).edit(rgb(1), steps=6, negative_prompt="")
    assert not torch.equal(result.latents, plain.latents)
