"""Merged attention is right for every dtype, head size, number of references and kind of weight."""

from __future__ import annotations

import math

import pytest
import torch

from refhooks.attention import KeyGroup, merged_attention

B, H, S, T = 2, 2, 5, 11
SIZES = (7, 9, 4, 6)  # tokens of references
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def weights_of(kind, length, own, place):
    """A number for all queries but the group's own, or one for each query, 0 for some."""
    generator = torch.Generator().manual_seed(place)
    if kind == "number":
        weight = torch.full((length,), (0.3, 1.7, 0.05, 1.2)[place])
    else:
        weight = 2 * torch.rand(length, generator=generator)
        weight[S + 2 : S + 6] = 0.0
    weight[own] = 1.0
    return weight


def exact(query, keys, values, bias):
    """Softmax attention in float64 with a bias ``[B,1,L,K]`` on the logits."""
    query, keys, values = (part.double().transpose(1, 2) for part in (query, keys, values))
    logits = query @ keys.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias
    return (logits.softmax(-1) @ values).transpose(1, 2)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float32", "bfloat16"])
@pytest.mark.parametrize("size", [8, 16, 32, 40, 64, 80, 96, 128, 256])
@pytest.mark.parametrize("references", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["number", "per query"])
@pytest.mark.parametrize("padded", [False, True], ids=["whole text", "padded text"])
def test_equals_float64_attention(dtype, size, references, kind, padded):
    """1e-5 in float32, 2e-2 in bfloat16."""
    length = S + T + sum(SIZES[:references])
    generator = torch.Generator().manual_seed(0)
    query, keys, values = (
        torch.randn(B, length, H, size, generator=generator).to(dtype) for _ in range(3)
    )
    mask = None
    bias = torch.zeros(B, 1, length, length, dtype=torch.float64)
    if padded:
        mask = torch.ones(B, S + T, dtype=torch.bool)
        mask[1, 3:S] = False
        bias[..., : S + T] = torch.where(mask, 0.0, -torch.inf)[:, None, None]
    groups = [KeyGroup(keys[:, : S + T], values[:, : S + T], mask=mask)]
    start = S + T
    for place, tokens in enumerate(SIZES[:references]):
        own = slice(start, start + tokens)
        start += tokens
        weight = weights_of(kind, length, own, place)
        bias[..., own] += weight.double().log()[:, None]
        groups.append(KeyGroup(keys[:, own], values[:, own], weight, own=own))

    out = merged_attention(query, groups)

    assert out.dtype == dtype
    found = exact(query, keys, values, bias)
    torch.testing.assert_close(out.double(), found, atol=TOLERANCE[dtype], rtol=0)


def test_gradients_are_those_of_plain_attention():
    """Mixing in place is for runs; what is trained through it gets its gradients."""
    generator = torch.Generator().manual_seed(0)
    query, keys, values = (
        torch.randn(1, S + T, H, 16, generator=generator).requires_grad_() for _ in range(3)
    )
    groups = [KeyGroup(keys[:, :S], values[:, :S]), KeyGroup(keys[:, S:], values[:, S:])]

    merged_attention(query, groups).square().sum().backward()
    found = [part.grad for part in (query, keys, values)]
    plain = [part.detach().requires_grad_() for part in (query, keys, values)]
    exact(*plain, torch.zeros(())).square().sum().backward()

    for ours, part in zip(found, plain, strict=True):
        torch.testing.assert_close(ours, part.grad, atol=1e-4, rtol=0)


def test_a_group_that_nobody_attends_to_comes_first():
    """Where the groups so far have no weight at all, the first that has one is taken whole."""
    generator = torch.Generator().manual_seed(0)
    query, keys, values = (torch.randn(1, 12, H, 16, generator=generator) for _ in range(3))
    weights = [torch.zeros(12), torch.zeros(12), torch.ones(12)]
    cuts = [slice(0, 4), slice(4, 8), slice(8, 12)]
    groups = [
        KeyGroup(keys[:, cut], values[:, cut], weight)
        for cut, weight in zip(cuts, weights, strict=True)
    ]

    assert torch.equal(merged_attention(query, groups), merged_attention(query, groups[2:]))


@pytest.mark.parametrize("gradients", [False, True])
def test_a_separate_group_may_come_first(gradients):
    """Mixing in place of the first part must not change what is added."""
    generator = torch.Generator().manual_seed(0)
    query, keys, values = (torch.randn(1, 12, H, 16, generator=generator) for _ in range(3))
    query.requires_grad_(gradients)
    own = KeyGroup(keys[:, :4], values[:, :4], torch.full((12,), 0.7), separate=True)
    others = [KeyGroup(keys[:, cut], values[:, cut]) for cut in (slice(4, 8), slice(8, 12))]

    first, last = (merged_attention(query, groups) for groups in ([own, *others], [*others, own]))

    torch.testing.assert_close(first, last, atol=1e-6, rtol=0)
