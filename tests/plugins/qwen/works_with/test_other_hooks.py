"""Beside what another library has put on the model, and after a fault with all that on."""

from __future__ import annotations

import plain
import pytest
import torch
from diffusers.hooks import FirstBlockCacheConfig

import refhooks as rh

CPU = torch.device("cpu")


def brighter(_module, _args, output):
    """A forward hook that changes what a layer returns."""
    return output * 1.01


def patched(module):
    """Put a forward of one's own on a module, as libraries do that keep steps or watch them."""
    stock = module.forward

    def forward(*args, **options):
        return (stock(*args, **options)[0] * 1.01,)

    module.forward = forward
    return forward


def hooked(pipe):
    """Have hooks of another library on the transformer, the text encoder and the VAE."""
    handles = [
        pipe.transformer.transformer_blocks[0].attn.to_q.register_forward_hook(brighter),
        pipe.transformer.img_in.register_forward_hook(brighter),
        pipe.transformer.register_forward_pre_hook(lambda *_: None),
        pipe.text_encoder.get_input_embeddings().register_forward_hook(brighter),
    ]
    return [handle.id for handle in handles]


def hooks_of(pipe):
    """The numbers of the forward hooks on it."""
    return [
        number
        for part in (pipe.transformer, pipe.text_encoder, pipe.vae)
        for module in part.modules()
        for number in (*module._forward_hooks, *module._forward_pre_hooks)
    ]


def test_forward_hooks_of_another_library(own, untouched):
    """They act as in the stock pipeline, to the bit, whatever steers, and stay on."""
    numbers = hooked(own)
    expected = plain.stock(own)
    before = hooks_of(own)  # transformers puts on some of its own when it is first called

    found = plain.every_way(own)

    assert torch.equal(expected, found["no strategy"])
    assert not torch.equal(plain.edited(untouched), found["no strategy"])
    assert before == hooks_of(own)
    assert set(numbers) <= set(before)


def test_a_forward_of_another_library(own, untouched):
    """One that was put in the place of the transformer's own; every way acts, and it stays."""
    forward = patched(own.transformer)
    expected = plain.stock(own)

    found = plain.every_way(own)

    assert torch.equal(expected, found["no strategy"])
    assert not torch.equal(plain.edited(untouched), found["no strategy"])
    assert own.transformer.forward is forward


class Louder:
    """An attention processor of another library."""

    def __init__(self, stock):
        self._stock = stock

    def __call__(self, attn, *args, **options):
        image, text = self._stock(attn, *args, **options)
        return image * 1.01, text


def test_attention_processors_of_another_library(own):
    """They act where nothing edits attention; where something does, it is refused, and why."""
    stock = [block.attn.processor for block in own.transformer.transformer_blocks]
    for block, processor in zip(own.transformer.transformer_blocks, stock, strict=True):
        block.attn.processor = Louder(processor)
    before = [block.attn.processor for block in own.transformer.transformer_blocks]
    expected = plain.stock(own)

    assert torch.equal(expected, plain.edited(own))
    plain.edited(own, plain.METHODS["inject"])
    with pytest.raises(rh.InputError, match="attention processor Louder; what edits or records"):
        plain.edited(own, plain.METHODS["cross_attn"])
    now = [block.attn.processor for block in own.transformer.transformer_blocks]
    assert all(one is other for one, other in zip(before, now, strict=True))


def lora(pipe):
    """A LoRA by peft."""
    import peft

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = peft.LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False)
        pipe.transformer.add_adapter(config)


def grouped(pipe):
    """Blocks that come to the device one by one."""
    pipe.transformer.enable_group_offload(
        onload_device=CPU, offload_device=CPU, offload_type="block_level", num_blocks_per_group=1
    )


def compiled(pipe):
    """Blocks compiled without a compiler."""
    torch.compiler.reset()
    pipe.transformer.compile_repeated_blocks(backend="eager")


WITH = {
    "nothing": lambda _pipe: None,
    "LoRA": lora,
    "model offload": lambda pipe: pipe.enable_model_cpu_offload(device="cpu"),
    "group offload": grouped,
    "step cache": lambda pipe: pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1)),
    "compiled": compiled,
    "hooks": hooked,
    "forward": lambda pipe: patched(pipe.transformer),
}
FAULTS = {
    "text encoder": lambda pipe: pipe.text_encoder,
    "transformer": lambda pipe: pipe.transformer.norm_out,
    "decoder": lambda pipe: pipe.vae.decoder,
}


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.parametrize("name", WITH)
def test_after_a_fault_with_it_on(own, name):
    """In the encoder, amid a pass and in the decoder; the next edit is as before, to the bit."""
    WITH[name](own)
    ways = {way: plain.METHODS[way] for way in ("default", "cross_attn", "region mask")}
    expected = {way: plain.edited(own, strategy) for way, strategy in ways.items()}
    hooks, found = hooks_of(own), {}

    for (way, strategy), find in zip(ways.items(), FAULTS.values(), strict=True):
        error = StopIteration("on purpose")

        def fail(*_, error=error):
            raise error

        handle = find(own).register_forward_pre_hook(fail)
        try:
            with pytest.raises(StopIteration) as caught:
                plain.edited(own, strategy)
        finally:
            handle.remove()
        assert error is caught.value
        found[way] = plain.edited(own, strategy)

    plain.assert_same(expected, found)
    assert len(hooks) == len(hooks_of(own))
    torch.compiler.reset()
