"""What users do to a pipeline: every way to steer gives what it gives without that."""

from __future__ import annotations

import pytest
import torch
from small21 import Small, rgb

import refhooks as rh

CPU = torch.device("cpu")
ODD = rh.mask(box="0,0,30%,30%", kind="content")
REGION = rh.mask(box="0,0,50%,100%", kind="region")
WAYS = {
    "no strategy": None,
    "default": rh.Stage("default", "0.4:1.0"),
    "inject": rh.Stage("inject", 0.6),
    "concat": rh.Stage(rh.method("concat", tied=True), 0.6),
    "cross_attn": rh.Stage("cross_attn", "0.4:1.0"),
    "content mask": rh.Strategy("default", masks=[ODD]),
    "region mask": rh.Strategy("default", masks=[REGION]),
}


def every_way(small):
    """Latents of each of them, with guidance and a second reference."""
    return {name: small.edit(rgb(2), cfg=2.0, strategy=way).latents for name, way in WAYS.items()}


def assert_close(expected, actual, atol=0.0):
    """The same latents, within a tolerance."""
    for name, latents in expected.items():
        difference = float((actual[name] - latents).abs().max())
        assert (name, difference <= atol) == (name, True), difference


@pytest.fixture(scope="module")
def plain(small):
    """What comes out of a pipeline to which nothing was done; all ways differ."""
    latents = every_way(small)
    values = list(latents.values())
    assert not any(
        torch.equal(one, other) for n, one in enumerate(values) for other in values[n + 1 :]
    )
    return latents


@pytest.mark.parametrize("how", ["block_level", "leaf_level"])
def test_group_offload(plain, how):
    """What hangs on the transformer's forward goes on working, dropped tokens or not."""
    own = Small()
    blocks = {"num_blocks_per_group": 1} if how == "block_level" else {}
    own.pipe.transformer.enable_group_offload(
        onload_device=CPU, offload_device=CPU, offload_type=how, **blocks
    )

    assert_close(plain, every_way(own))


def test_model_offload(plain):
    """`enable_model_cpu_offload`: hooks on whole models, set anew at the end of each run."""
    own = Small()
    own.pipe.enable_model_cpu_offload(device="cpu")

    assert_close(plain, every_way(own))


def test_layerwise_casting(small):
    """Weights rest in 8 bits: as a pipeline whose weights were rounded, and as stock."""
    own, rounded = Small(), Small()
    own.pipe.transformer.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32
    )
    at_rest = dict(own.pipe.transformer.named_parameters())
    with torch.no_grad():
        for name, weight in rounded.pipe.transformer.named_parameters():
            weight.copy_(at_rest[name].float())

    latents = every_way(own)

    assert any(weight.dtype == torch.float8_e4m3fn for weight in at_rest.values())
    assert torch.equal(latents["no strategy"], own.stock(rgb(2), cfg=2.0)[0])
    assert_close(every_way(rounded), latents)


def test_a_lora(plain):
    """Loaded by peft: stock's latents to the bit, and those of the fused one within rounding."""
    import peft

    own = Small()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = peft.LoraConfig(
            r=2, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False
        )
        own.pipe.transformer.add_adapter(config)

    latents = every_way(own)

    assert torch.equal(latents["no strategy"], own.stock(rgb(2), cfg=2.0)[0])
    assert not torch.equal(latents["no strategy"], plain["no strategy"])
    own.pipe.transformer.fuse_lora()
    assert_close(every_way(own), latents, atol=1e-4)


def test_int8_weights():
    """By torchao: as stock."""
    quantization = pytest.importorskip("torchao.quantization")
    own = Small()
    quantization.quantize_(own.pipe.transformer, quantization.Int8WeightOnlyConfig())

    latents = every_way(own)

    assert torch.equal(latents["no strategy"], own.stock(rgb(2), cfg=2.0)[0])


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_blocks(plain):
    """No graph break; after one run of a strategy nothing is compiled again for other strengths."""
    torch._dynamo.reset()
    own = Small()
    own.pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="eager")
    strengths = [[0.4, 0.6, 0.8], [0.2, 0.9, 1.4], [0.5, 0.51, 0.7]]

    assert_close(plain, every_way(own), atol=1e-5)
    small_edit = [own.edit(rgb(2), strategy=rh.Stage("cross_attn", strengths[0]))]
    with torch._dynamo.config.patch(error_on_recompile=True):
        small_edit += [
            own.edit(rgb(2), strategy=rh.Stage("cross_attn", each)) for each in strengths[1:]
        ]

    assert len({float(result.latents.sum()) for result in small_edit}) == len(strengths)


def test_a_step_cache_is_refused(small):
    """It would leave out blocks whose keys and values are to be kept."""
    from diffusers.hooks.hooks import HookRegistry, ModelHook

    class Remembers(ModelHook):
        _is_stateful = True

        def reset_state(self, module):
            return module

    registry = HookRegistry.check_if_exists_or_initialize(small.pipe.transformer)
    registry.register_hook(Remembers(), "remembers")
    try:
        with pytest.raises(rh.InputError, match=r"step cache .Remembers., which knows nothing of"):
            small.edit(rgb(1))
    finally:
        registry.remove_hook("remembers")


def test_context_parallelism_is_refused(small, monkeypatch):
    """By diffusers, which has no plan for the model; where a plan is given to it, by us."""
    assert small.pipe.transformer._cp_plan is None
    for block in small.pipe.transformer.transformer_blocks:
        monkeypatch.setattr(block.attn.processor, "_parallel_config", object(), raising=False)
    monkeypatch.setattr(
        small.pipe.transformer, "forward", lambda **_: pytest.fail("a step was made")
    )

    with pytest.raises(rh.InputError, match="which diffusers has no plan on Qwen-Image"):
        small.edit(rgb(1))


def test_other_processors_are_refused_where_attention_is_edited(small):
    """The flex processor runs as it is where nothing is edited, and cannot be weighed."""
    from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21FlexAttnProcessor

    blocks = small.pipe.transformer.transformer_blocks
    stock = [block.attn.processor for block in blocks]
    for block in blocks:
        block.attn.set_processor(QwenImage21FlexAttnProcessor())
    try:
        with pytest.raises(rh.InputError, match=r"needs the stock one .*QwenImage21AttnProcessor"):
            small.edit(rgb(1), strategy=rh.Stage("cross_attn", 0.5))
    finally:
        for block, processor in zip(blocks, stock, strict=True):
            block.attn.set_processor(processor)
