"""Which kernel gives the log-sum-exp: asked of tensors without memory, so that no GPU is needed."""

from __future__ import annotations

import pytest
import torch
from test_merge import B, S, T, key_groups, layout, reference, tensors
from torch.utils._python_dispatch import TorchDispatchMode

from refhooks._attending import merging
from refhooks.attention import merged_attention

HALF, BRAIN, SINGLE, DOUBLE = torch.float16, torch.bfloat16, torch.float32, torch.float64
FLASH, EFFICIENT = "flash_attention", "efficient_attention"
AMPERE, TURING = (8, 0), (7, 5)


class Kernels(TorchDispatchMode):
    """Notes which attention kernels are called."""

    def __init__(self):
        super().__init__()
        self.called = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function)
        self.called += [kernel for kernel in (FLASH, EFFICIENT) if kernel in name]
        return function(*args, **(kwargs or {}))


def attended(monkeypatch, dtype, size, gpu, keys=9, bias=None):
    """The kernels that a GPU of a generation calls, and the shapes of what they return."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: gpu)
    query = torch.empty(2, 3, 7, size, dtype=dtype, device="meta")
    key = torch.empty(2, 3, keys, size, dtype=dtype, device="meta")
    with Kernels() as kernels:
        out, lse = merging._attend_cuda(query, key, key, bias)
    assert (query.shape, query.shape[:3]) == (out.shape, lse.shape)
    assert out.dtype == dtype
    assert lse.dtype == (DOUBLE if dtype == DOUBLE else SINGLE)
    return kernels.called


@pytest.mark.parametrize(
    ("dtype", "size", "gpu", "kernels"),
    [
        (BRAIN, 128, AMPERE, [FLASH]),
        (HALF, 256, AMPERE, [FLASH]),
        (HALF, 264, AMPERE, [EFFICIENT]),
        (BRAIN, 20, AMPERE, [EFFICIENT]),
        (SINGLE, 128, AMPERE, [EFFICIENT]),
        (DOUBLE, 128, AMPERE, []),
        (HALF, 128, TURING, [EFFICIENT]),
        (BRAIN, 128, TURING, []),
    ],
)
def test_the_fastest_kernel_that_a_gpu_has(monkeypatch, dtype, size, gpu, kernels):
    """Flash for half precision and heads that it takes; plain where no kernel knows the dtype."""
    assert kernels == attended(monkeypatch, dtype, size, gpu)


@pytest.mark.parametrize("keys", [8, 9])
def test_a_mask_is_what_flash_does_not_take(monkeypatch, keys):
    """And the other kernel takes it in rows of a multiple of 8 alone."""
    bias = torch.empty(2, 1, 1, keys, dtype=BRAIN, device="meta")
    rows = []
    aligned = merging._aligned
    monkeypatch.setattr(merging, "_aligned", lambda it: rows.append(aligned(it)) or rows[-1])

    assert attended(monkeypatch, BRAIN, 64, AMPERE, keys, bias) == [EFFICIENT]
    assert (keys, 0) == (rows[0].shape[-1], rows[0].stride(-2) % 8)


@pytest.mark.parametrize(("shape", "laid"), [((2, 9), (2, 1, 1, 9)), ((2, 7, 9), (2, 1, 7, 9))])
def test_the_bias_of_a_mask_is_where_the_mask_is(shape, laid):
    """On its device, in the dtype of the queries."""
    bias = merging._bias(torch.ones(shape, dtype=torch.bool, device="meta"), BRAIN)

    assert (laid, BRAIN, "meta") == (bias.shape, bias.dtype, bias.device.type)


@pytest.mark.parametrize("gradients", [False, True], ids=["kernel", "plain"])
def test_a_mask_counts_with_gradients_and_without(gradients):
    """The kernels' log-sum-exp has no gradient, so that it is computed in plain operations."""
    query, keys, values = tensors(1)
    place = layout(1)
    mask = torch.ones(B, S + T, dtype=torch.bool)
    mask[1, 3:S] = False
    padding = torch.zeros(B, 1, 1, place.length, dtype=DOUBLE)
    padding[..., : S + T] = torch.where(mask, 0.0, -torch.inf)[:, None, None]
    query.requires_grad_(gradients)

    out = merged_attention(query, key_groups(keys, values, place, [], mask))

    assert out.requires_grad == gradients
    expected = reference(query, keys, values, padding).float()
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)
