"""Compiled blocks with Inductor: the values of eager at every strength, for one graph."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
from small21 import Small, rgb

import refhooks as rh

FOUR = [0.2, 0.6, 0.9, 1.4]
COMPILER = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
WAYS = {
    "cross_attn": lambda strength: rh.Stage("cross_attn", strength),
    "scope": lambda strength: rh.Stage(rh.method("cross_attn", scope="all"), strength),
    "default": lambda strength: rh.Stage("default", strength),
}

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*complex operators.*:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


@pytest.mark.skipif(COMPILER is None, reason="Inductor needs a C++ compiler, and there is none")
@pytest.mark.parametrize(
    ("dtype", "within"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)], ids=["fp32", "bf16"]
)
def test_values_with_inductor(dtype, within):
    """Relative to the largest value; nothing is compiled again after one run of a strategy."""
    torch.compiler.reset()
    plain, compiled = Small(dtype=dtype), Small(dtype=dtype)
    compiled.pipe.transformer.compile_repeated_blocks(fullgraph=True)
    for way in WAYS if dtype == torch.float32 else ("cross_attn",):
        with torch._inductor.config.patch(compile_threads=1):
            compiled.edit(rgb(2), steps=2, strategy=WAYS[way]([0.5, 0.7]))

        with torch._dynamo.config.patch(error_on_recompile=True):
            for strength in FOUR:
                expected, actual = (
                    each.edit(rgb(2), steps=2, strategy=WAYS[way](strength)).latents
                    for each in (plain, compiled)
                )
                assert (actual - expected).abs().max() <= within * expected.abs().max()
    torch.compiler.reset()
