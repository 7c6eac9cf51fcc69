"""One edit by the stock pipeline, and the same one by refhooks with each way to steer it."""

from __future__ import annotations

import tiny
import torch

import refhooks as rh

AREA = 32 * 32  # 16 tokens on the middle model
PROMPT = "make it blue"
SOURCE = tiny.picture(0, (32, 32))
METHODS = {
    "default": rh.Stage("default", 0.6),
    "inject": rh.Stage("inject", 0.6),
    "concat": rh.Stage(rh.method("concat", tied=True), 0.6),
    "cross_attn": rh.Stage("cross_attn", 0.6),
    "reuse": rh.Stage(rh.method("cross_attn", reuse="every 2"), 0.6),
    "content mask": rh.Strategy(
        [rh.Stage("default")], masks=[rh.mask("0,0,100%,50%", kind="content")]
    ),
    "region mask": rh.Strategy(
        [rh.Stage("default")], masks=[rh.mask("0,0,100%,50%", kind="region")]
    ),
}


def editor_for(pipe):
    """An editor at the size to which the stock pipelines are shrunk."""
    return rh.Editor(
        pipe, checkpoint=rh.Checkpoint(output=AREA, reference=AREA, vision=AREA, cfg=2.0, steps=3)
    )


def edited(pipe, strategy=None, **options):
    """Latents of one edit by refhooks."""
    call = {"strategy": strategy, "seed": 1, **options}
    return editor_for(pipe).edit(SOURCE, PROMPT, **call).latents


def every_way(pipe):
    """Latents of one edit with no strategy, and with each of the methods."""
    return {
        "no strategy": edited(pipe),
        **{name: edited(pipe, strategy) for name, strategy in METHODS.items()},
    }


def stock(pipe, *, steps=3, cfg=2.0, seed=1, prompt=PROMPT):
    """Latents of the same edit by the stock pipeline, called as its users call it."""
    seen = {}
    pipe(
        image=[SOURCE], prompt=prompt, negative_prompt=" " if cfg > 1 else None,
        true_cfg_scale=cfg, num_inference_steps=steps, height=32, width=32,
        generator=torch.Generator("cpu").manual_seed(seed), output_type="latent",
        callback_on_step_end=lambda _pipe, _step, _t, tensors: seen.update(tensors) or tensors,
    )  # fmt: skip
    return seen["latents"]


def assert_same(expected, found):
    """Every way gives the same latents, to the bit."""
    assert expected.keys() == found.keys()
    assert [name for name, value in expected.items() if not torch.equal(value, found[name])] == []


def assert_close(expected, found, atol):
    """Every way gives the same latents, within a tolerance."""
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, atol=atol, rtol=0, msg=lambda m, n=name: n + m
        )
