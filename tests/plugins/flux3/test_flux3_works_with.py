"""What users do to a pipeline: every way to steer gives what it gives without that."""

from __future__ import annotations

import pytest
import torch
from small3 import KINDS, Small, rgb

import refhooks as rh
from refhooks_cross_attn import CrossAttn

CPU = torch.device("cpu")
WAYS = {
    "no strategy": None,
    "default": rh.Stage("default", "0.4:1.0"),
    "concat": rh.Stage(rh.method("concat", tied=True), 0.6),
    "cross_attn": rh.Stage("cross_attn", "0.4:1.0"),
    "content mask": rh.Strategy("default", masks=[rh.mask(box="0,0,30%,30%", kind="content")]),
    "region mask": rh.Strategy("default", masks=[rh.mask(box="0,0,50%,100%", kind="region")]),
}


COMPILED = ("no strategy", "cross_attn", "region mask")


def every_way(small, names=tuple(WAYS)):
    """Latents of each of them, with a second reference."""
    return {name: small.edit(rgb(2), strategy=WAYS[name]).latents for name in names}


def assert_close(expected, actual, atol=0.0):
    """The same latents, within a tolerance."""
    for name, latents in expected.items():
        difference = float((actual[name] - latents).abs().max())
        assert (name, difference <= atol) == (name, True), difference


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    """The base, or a flow map."""
    return request.param


@pytest.fixture(scope="module")
def plain(kind):
    """What comes out of a pipeline to which nothing was done; all ways differ."""
    latents = every_way(Small(**KINDS[kind]))
    values = list(latents.values())
    assert not any(
        torch.equal(one, other) for n, one in enumerate(values) for other in values[n + 1 :]
    )
    return latents


def test_group_offload(kind, plain):
    """What hangs on the transformer's forward goes on working."""
    own = Small(**KINDS[kind])
    own.pipe.transformer.enable_group_offload(
        onload_device=CPU, offload_device=CPU, offload_type="block_level", num_blocks_per_group=1
    )

    assert_close(plain, every_way(own))


def test_model_offload(kind, plain):
    """`enable_model_cpu_offload`: hooks on whole models, set anew at the end of each run."""
    own = Small(**KINDS[kind])
    own.pipe.enable_model_cpu_offload(device="cpu")

    assert_close(plain, every_way(own))


def test_layerwise_casting(kind):
    """Weights rest in 8 bits: as a pipeline whose weights were rounded, and as stock."""
    own, rounded = Small(**KINDS[kind]), Small(**KINDS[kind])
    own.pipe.transformer.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32
    )
    at_rest = dict(own.pipe.transformer.named_parameters())
    with torch.no_grad():
        for name, weight in rounded.pipe.transformer.named_parameters():
            weight.copy_(at_rest[name].float())

    latents = every_way(own)

    assert any(weight.dtype == torch.float8_e4m3fn for weight in at_rest.values())
    assert_close(every_way(rounded), latents)


def test_a_lora(kind, plain):
    """Loaded by peft: stock's latents to the bit, and those of the fused one within rounding."""
    import peft

    own = Small(**KINDS[kind])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = peft.LoraConfig(
            r=2, target_modules=["to_q", "to_k", "linear_in"], init_lora_weights=False
        )
        own.pipe.transformer.add_adapter(config)

    latents = every_way(own)

    assert torch.equal(own.edit(rgb(2)).latents, own.stock(rgb(2))[0])
    assert not torch.equal(latents["no strategy"], plain["no strategy"])
    own.pipe.transformer.fuse_lora()
    assert_close(every_way(own), latents, atol=1e-4)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_blocks():
    """No graph break; after one run of a strategy nothing is compiled again for other strengths."""
    torch._dynamo.reset()
    own, plain = (Small(distilled=True) for _ in range(2))
    own.pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="eager")
    strengths = [[0.4, 0.6, 0.8], [0.2, 0.9, 1.4], [0.5, 0.51, 0.7]]

    assert_close(every_way(plain, COMPILED), every_way(own, COMPILED), atol=1e-5)
    results = [own.edit(rgb(2), strategy=rh.Stage("cross_attn", strengths[0]))]
    with torch._dynamo.config.patch(error_on_recompile=True):
        results += [
            own.edit(rgb(2), strategy=rh.Stage("cross_attn", each)) for each in strengths[1:]
        ]

    assert len({float(result.latents.sum()) for result in results}) == len(strengths)
    torch._dynamo.reset()


def test_after_an_exception_the_model_is_as_before(kind, plain):
    """In the middle of a run; the next one is clean."""
    own = Small(**KINDS[kind])
    attended = [dict(own.pipe.transformer.attn_processors)]

    def fail(step, *_):
        raise RuntimeError("stopped in the middle")

    with pytest.raises(RuntimeError, match="stopped in the middle"):
        own.edit(rgb(2), strategy=rh.Stage(CrossAttn(reuse="once"), 0.5), callback=fail)

    attended.append(dict(own.pipe.transformer.attn_processors))
    assert attended[0] == attended[1]
    assert_close(plain, every_way(own))
