"""Merged attention equals attention with a float mask."""

from __future__ import annotations

import math

import pytest
import torch

import refhooks as rh
from refhooks.attention import GroupEdit, KeyGroup, combine, merged_attention, shares

B, H, D, S, T = 2, 3, 16, 5, 12
SIZES = (7, 9, 4)


def tensors(groups, dtype=torch.float32, seed=0):
    """Random query, keys and values of text + target and so many references."""
    generator = torch.Generator().manual_seed(seed)
    length = S + T + sum(SIZES[:groups])
    return [torch.randn(B, length, H, D, generator=generator, dtype=dtype) for _ in range(3)]


def layout(groups):
    """Text, target and the references, in this order."""
    slots, stop = [], S + T
    for size in SIZES[:groups]:
        slots.append(slice(stop, stop + size))
        stop += size
    return rh.Layout(slice(0, S), slice(S, S + T), tuple(slots), stop)


def key_groups(keys, values, place, edits, mask=None, block=0):
    """The groups as a processor makes them."""
    combined = {edit.group: edit for edit in combine(edits, place)}
    found = []
    for name, own in [("base", slice(0, S + T)), *enumerate(place.slots)]:
        edit = combined.get(name, GroupEdit(name, None, None, False, (), None))
        weight = None if edit.weight is None else edit.weight[min(block, len(edit.weight) - 1)]
        scaled = keys[:, own] if edit.key_scale is None else keys[:, own] * edit.key_scale[0]
        found.append(
            KeyGroup(
                scaled, values[:, own], weight, mask if name == "base" else None, edit.separate, own
            )
        )
    return found


def reference(query, keys, values, bias):
    """Plain softmax attention in float64 with a bias [L,L] on the logits."""
    query, keys, values = (x.double().transpose(1, 2) for x in (query, keys, values))
    logits = query @ keys.transpose(-1, -2) / math.sqrt(D) + bias
    return (logits.softmax(-1) @ values).transpose(1, 2)


def bias_of(place, weights):
    """Log w_g(q) for each query and key; a group's own queries keep 1 where w is a number."""
    bias = torch.zeros(place.length, place.length, dtype=torch.float64)
    for group, weight in weights.items():
        own = place.slots[group]
        rows = torch.full((place.length,), float(weight)) if isinstance(weight, float) else weight
        rows = rows.clone().double()
        if isinstance(weight, float):
            rows[own] = 1.0
        bias[:, own] = rows.log()[:, None]
    return bias


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("text_mask", [False, True])
def test_equals_a_float_mask(groups, text_mask):
    """Numbers as weights, for 1–3 references, with and without padded text."""
    query, keys, values = tensors(groups)
    place = layout(groups)
    weights = {0: 0.3, 1: 1.7, 2: 0.05}
    edits = [rh.AttentionEdit(group, torch.tensor(weights[group])) for group in range(groups)]
    bias = bias_of(place, {group: weights[group] for group in range(groups)})
    mask = None
    if text_mask:
        mask = torch.ones(B, S + T, dtype=torch.bool)
        mask[1, 3:S] = False
        padding = torch.zeros(B, 1, 1, place.length, dtype=torch.float64)
        padding[..., : S + T] = torch.where(mask, 0.0, -torch.inf)[:, None, None]
        bias = bias + padding

    out = merged_attention(query, key_groups(keys, values, place, edits, mask))

    torch.testing.assert_close(out, reference(query, keys, values, bias).float(), atol=1e-5, rtol=0)


def test_a_weight_for_each_query():
    """A region: the weight differs from query to query, and is used as given."""
    query, keys, values = tensors(2)
    place = layout(2)
    weight = torch.rand(place.length, generator=torch.Generator().manual_seed(3)) * 2
    weight[S + 2 : S + 6] = 0.0
    edits = [rh.AttentionEdit(1, weight[None])]

    out = merged_attention(query, key_groups(keys, values, place, edits))

    expected = reference(query, keys, values, bias_of(place, {1: weight}))
    torch.testing.assert_close(out, expected.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("block", [0, 1])
def test_a_weight_for_each_block(block):
    """Each block takes its own number."""
    query, keys, values = tensors(1)
    place = layout(1)
    edits = [rh.AttentionEdit(0, torch.tensor([0.2, 1.4]))]

    out = merged_attention(query, key_groups(keys, values, place, edits, block=block))

    expected = reference(query, keys, values, bias_of(place, {0: (0.2, 1.4)[block]}))
    torch.testing.assert_close(out, expected.float(), atol=1e-5, rtol=0)


def test_zero_is_absence_to_the_bit():
    """At weight 0 everything but the group itself is as if the group were not there."""
    query, keys, values = tensors(2)
    place = layout(2)
    own = place.slots[1]
    edits = [rh.AttentionEdit(1, torch.tensor(0.0)), rh.AttentionEdit(0, torch.tensor(0.5))]
    groups = key_groups(keys, values, place, edits)

    out = merged_attention(query, groups)
    without = merged_attention(query, groups[:2])

    assert torch.equal(out[:, : own.start], without[:, : own.start])


@pytest.mark.parametrize("strength", [1e-6, 0.5, 2.0])
def test_large_logits_stay_finite(strength):
    """The maximum is taken over lse + log w, so nothing overflows."""
    query, keys, values = tensors(1)
    place = layout(1)
    groups = key_groups(keys * 300, values, place, [rh.AttentionEdit(0, torch.tensor(strength))])

    assert torch.isfinite(merged_attention(query * 300, groups)).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("size", [8, 16, 40, 64, 128])
def test_dtypes_and_head_sizes(dtype, tolerance, size):
    """fp32 to 1e-5, bf16 to 2e-2 of a float64 softmax, for the head sizes in use."""
    generator = torch.Generator().manual_seed(0)
    query, keys, values = (
        torch.randn(1, 20, 2, size, generator=generator).to(dtype) for _ in range(3)
    )
    weight = torch.full((20,), 0.4)
    weight[12:] = 1.0
    groups = [
        KeyGroup(keys[:, :12], values[:, :12]),
        KeyGroup(keys[:, 12:], values[:, 12:], weight),
    ]
    logits = torch.einsum("blhd,bkhd->bhlk", query.double(), keys.double()) / math.sqrt(size)
    logits[..., 12:] += weight.double().log()[:, None]
    expected = torch.einsum("bhlk,bkhd->blhd", logits.softmax(-1), values.double())

    out = merged_attention(query, groups)

    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), expected, atol=tolerance, rtol=0)


def test_separate_softmax_is_added():
    """A separate group leaves the common softmax, and is added with its weight."""
    query, keys, values = tensors(1)
    place = layout(1)
    edits = [rh.AttentionEdit(0, torch.tensor(0.7), separate=True)]
    own = place.slots[0]

    out = merged_attention(query, key_groups(keys, values, place, edits))

    rest = slice(0, own.start)
    zero = torch.zeros(1, dtype=torch.float64)
    common = reference(query[:, rest], keys[:, rest], values[:, rest], zero)
    added = reference(query[:, rest], keys[:, own], values[:, own], zero)
    torch.testing.assert_close(out[:, rest], (common + 0.7 * added).float(), atol=1e-5, rtol=0)
    whole = reference(query, keys, values, zero)
    torch.testing.assert_close(out[:, own], whole[:, own].float(), atol=1e-5, rtol=0)


def test_key_scale():
    """A scale for each channel multiplies the group's keys, and only them."""
    query, keys, values = tensors(1)
    place = layout(1)
    scale = torch.linspace(0.5, 1.5, D)
    scaled = keys.clone()
    scaled[:, place.slots[0]] *= scale

    out = merged_attention(
        query, key_groups(keys, values, place, [rh.AttentionEdit(0, key_scale=scale)])
    )

    expected = reference(query, scaled, values, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(out, expected.float(), atol=1e-5, rtol=0)


def test_edits_of_one_group_multiply():
    """Weights and scales of several plugins multiply; one asking for separate is enough."""
    place = layout(1)

    (edit,) = combine(
        [
            rh.AttentionEdit(0, torch.tensor(0.5), key_scale=torch.tensor(2.0)),
            rh.AttentionEdit(0, torch.tensor([0.4, 0.2]), key_scale=torch.ones(D) * 3),
            rh.AttentionEdit(0, value_scale=torch.tensor([[1.5], [2.0]])),
            rh.AttentionEdit(0, value_scale=torch.tensor(2.0)),
            rh.AttentionEdit(0, torch.full((1, place.length), 0.1), separate=True),
        ],
        place,
    )

    own = place.slots[0]
    torch.testing.assert_close(edit.weight[0, : own.start], torch.full((own.start,), 0.02))
    torch.testing.assert_close(edit.weight[1, : own.start], torch.full((own.start,), 0.01))
    torch.testing.assert_close(edit.weight[:, own], torch.full((2, SIZES[0]), 0.1))
    torch.testing.assert_close(edit.key_scale, torch.full((1, D), 6.0))
    torch.testing.assert_close(edit.value_scale, torch.tensor([[3.0], [4.0]]))
    assert edit.separate


def test_the_base_group_can_be_weighed():
    """Text and target are a group as well: their own queries keep 1, references' do not."""
    place = layout(1)

    (edit,) = combine([rh.AttentionEdit("base", torch.tensor(0.5))], place)

    assert edit.weight[0, : S + T].eq(1).all()
    assert edit.weight[0, S + T :].eq(0.5).all()


def test_two_loads_for_one_group_are_refused():
    """Nobody can say which one should win."""
    buffers = rh.KeyValues(torch.zeros(1), torch.zeros(1))
    edits = [rh.AttentionEdit(0, load=buffers), rh.AttentionEdit(0, load=buffers)]

    with pytest.raises(rh.PluginError, match="two plugins load keys and values for group 0"):
        combine(edits, layout(1))


def test_shares_are_the_attention_that_groups_get():
    """The shares sum to 1 and equal the softmax mass on each group's keys."""
    query, keys, values = tensors(2)
    place = layout(2)
    edits = [rh.AttentionEdit(0, torch.full((1, place.length), 0.3))]
    groups = key_groups(keys, values, place, edits)

    found = shares(query, groups)

    logits = torch.einsum("blhd,bkhd->bhlk", query.double(), keys.double()) / math.sqrt(D)
    logits[..., place.slots[0]] += math.log(0.3)
    mass = logits.softmax(-1)
    expected = torch.stack(
        [mass[..., own].sum(-1).mean() for own in (slice(0, S + T), *place.slots)]
    )
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))


def test_shares_of_each_sample_have_the_common_mean():
    """``each`` tells the samples of a batch apart."""
    query, keys, values = tensors(2)
    groups = key_groups(keys, values, layout(2), [])

    found = shares(query, groups, each=True)

    assert found.shape == (3, len(query))
    torch.testing.assert_close(found.mean(dim=1), shares(query, groups))


def test_keys_and_values_of_another_type_are_attended():
    """As autocast leaves them: rotated queries and keys in float32, values in bfloat16."""
    query, keys, values = tensors(2)
    place = layout(2)
    half = values.to(torch.bfloat16)

    found = merged_attention(query, key_groups(keys, half, place, []))

    expected = merged_attention(query, key_groups(keys, half.to(query.dtype), place, []))
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
