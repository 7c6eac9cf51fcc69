"""Offloading, with the CPU as the device that runs: every hook of it is on, every weight moves."""

from __future__ import annotations

import plain
import pytest
import torch
from accelerate import cpu_offload

CPU = torch.device("cpu")


@pytest.mark.parametrize("how", ["block_level", "leaf_level"])
def test_group_offload(own, expected, how):
    """Groups of blocks, and single layers, for every method."""
    blocks = {"num_blocks_per_group": 1} if how == "block_level" else {}
    own.transformer.enable_group_offload(
        onload_device=CPU, offload_device=CPU, offload_type=how, **blocks
    )

    plain.assert_same(expected, plain.every_way(own))


def test_model_offload(own, expected):
    """`enable_model_cpu_offload`: hooks on whole models, set anew at the end of each run."""
    own.enable_model_cpu_offload(device="cpu")
    hooks = len(own._all_hooks)

    plain.assert_same(expected, plain.every_way(own))

    assert hooks == len(own._all_hooks) > 0


def test_sequential_offload(own, expected):
    """What `enable_sequential_cpu_offload` does to a model: weights are there only for their layer.

    Not to the text encoder, whose tied weights accelerate cannot offload from the CPU to the CPU.
    """
    for model in (own.transformer, own.vae):
        cpu_offload(model, CPU, offload_buffers=len(model._parameters) > 0)
    assert own.transformer.img_in.weight.device.type == "meta"

    plain.assert_same(expected, plain.every_way(own))

    assert own.transformer.img_in.weight.device.type == "meta"


def test_after_an_exception_a_model_offloaded_pipeline_runs_again(own, expected):
    """The models go back to rest also then."""
    own.enable_model_cpu_offload(device="cpu")

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plain.edited(own, callback=stop)

    assert torch.equal(expected["no strategy"], plain.edited(own))
