"""What users do to a pipeline, over all families: the rows are in `tests/families_table.py`."""

from __future__ import annotations

import pytest
import torch
from families_table import CACHED_STEPS, CACHES, assert_close, ways_of

import refhooks as rh

pytestmark = pytest.mark.long
CPU = torch.device("cpu")
SOME = ("none", "cross_attn", "content mask", "region mask", "concat")
FEW = ("none", "switch")
TARGETS = ["to_q", "to_k", "to_v", "to_qkv_mlp_proj"]  # some of which every model has


@pytest.fixture(scope="module")
def plain(row, editor):
    """What some ways make of a pipeline to which nothing was done."""
    return ways_of(row, editor, {*SOME, *FEW})


def test_a_lora_on_and_off(row, plain):
    """On: the stock pipeline's with it. Off: as before, to the bit."""
    import peft

    own = row.editor()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = peft.LoraConfig(r=2, target_modules=TARGETS, init_lora_weights=False)
        own.pipe.transformer.add_adapter(config)

    on = ways_of(row, own, FEW)

    assert torch.equal(on["none"], row.stock(own, row.pictures(1)))
    assert not any(torch.equal(on[name], plain[name]) for name in on)
    own.pipe.transformer.unload_lora()
    assert_close(plain, ways_of(row, own, FEW))


def test_offload(row, plain):
    """By group and by model: what hangs on the transformer's forward goes on working."""
    own = row.editor()
    own.pipe.transformer.enable_group_offload(
        onload_device=CPU, offload_device=CPU, offload_type="block_level", num_blocks_per_group=1
    )
    assert_close(plain, ways_of(row, own, SOME))

    own = row.editor()
    own.pipe.enable_model_cpu_offload(device="cpu")
    assert_close(plain, ways_of(row, own, SOME))


def test_layerwise_casting(row):
    """Weights rest in 8 bits: the stock pipeline's latents; and every way of rounded weights."""
    own, rounded = row.editor(), row.editor()
    own.pipe.transformer.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32
    )
    at_rest = dict(own.pipe.transformer.named_parameters())
    with torch.no_grad():
        for name, weight in rounded.pipe.transformer.named_parameters():
            weight.copy_(at_rest[name].float())

    latents = ways_of(row, own, SOME)

    assert any(weight.dtype == torch.float8_e4m3fn for weight in at_rest.values())
    assert torch.equal(latents["none"], row.stock(own, row.pictures(1)))
    assert_close(ways_of(row, rounded, SOME), latents)


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_blocks(row, plain):
    """No graph break; after one run of a strategy nothing is compiled again for other strengths."""
    torch._dynamo.reset()
    own, picture = row.editor(), row.pictures(1)
    own.pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="eager")

    assert_close(plain, ways_of(row, own, SOME[:2]), atol=1e-5)
    with torch._dynamo.config.patch(error_on_recompile=True):
        sums = {
            float(row.edit(own, picture, rh.Stage("cross_attn", each)).latents.sum())
            for each in ([0.4, 0.6], [0.2, 1.4], [0.5, 0.7])
        }

    assert len(sums) == 3
    torch._dynamo.reset()


@pytest.mark.parametrize("cache", CACHES)
def test_step_caches(row, cache):
    """The stock pipeline's latents with it, to the bit; refused; or missing in diffusers.

    Some stock pipelines leave out to name their passes, without which diffusers' caches run on none
    of them: their call is named here.
    """
    own, pictures, steps = row.editor(), row.pictures(1), CACHED_STEPS
    if cache in row.lacks:
        with pytest.raises(ValueError, match="not registered"):
            CACHES[cache](own.pipe.transformer)
        return
    plain = row.edit(own, pictures, steps=steps).latents
    CACHES[cache](own.pipe.transformer)
    with row.unless_refused(cache) as refused:
        made = row.edit(own, pictures, steps=steps).latents
    if refused:
        return

    with own.pipe.transformer.cache_context("cond"):
        expected = row.stock(own, pictures, steps=steps)
    assert torch.equal(made, expected)
    assert not torch.equal(made, plain)
