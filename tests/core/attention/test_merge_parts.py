"""Heads in parts, and attention as one node of a compiled graph, are all heads at once."""

from __future__ import annotations

import pytest
import torch
from test_merge import B, D, H, S, T, key_groups, layout, tensors

import refhooks as rh
from refhooks._attending import merging
from refhooks.attention import KeyGroup, merged_attention


@pytest.fixture
def cleared():
    """No graph of another test."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def made():
    """Queries, and groups with weights, a mask and a softmax of their own."""
    query, keys, values = tensors(3)
    edits = [
        rh.AttentionEdit(0, weight=torch.tensor(0.4)),
        rh.AttentionEdit(2, weight=torch.tensor(0.7), separate=True),
    ]
    mask = torch.ones(B, S + T, dtype=torch.bool)
    mask[0, :2] = False
    return query, key_groups(keys, values, layout(3), edits, mask)


def noted(function, calls):
    """The same function, which notes that it was called."""

    def call(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return call


@pytest.mark.parametrize("bytes_at_once", [1, B * 40 * D * 4, 2 * B * 40 * D * 4])
def test_heads_in_parts_are_all_heads(monkeypatch, bytes_at_once):
    """But for rounding; in even parts or not."""
    query, groups = made()
    with torch.no_grad():
        whole = merged_attention(query, groups)
        monkeypatch.setattr(merging, "AT_ONCE", bytes_at_once)
        calls = []
        monkeypatch.setattr(merging, "_merged", noted(merging._merged, calls))
        parts = merged_attention(query, groups)

    assert len(calls) > 1
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)


def test_compiled_is_eager_to_the_bit(cleared, monkeypatch):
    """A few heads at a time there too; a graph that told how many would hold for one length."""
    query, groups = made()
    monkeypatch.setattr(merging, "AT_ONCE", 1)
    calls = []
    with torch.no_grad():
        eager = merged_attention(query, groups)
        monkeypatch.setattr(merging, "_merged", noted(merging._merged, calls))
        compiled = torch.compile(merged_attention, fullgraph=True, backend="aot_eager")
        found = compiled(query, groups)

    assert len(calls) == H
    assert torch.equal(found, eager)
    assert found.is_contiguous()


@pytest.mark.parametrize("merge", [merged_attention, merging._merged], ids=["cpu", "elsewhere"])
@pytest.mark.parametrize("separate", [False, True], ids=["common", "separate"])
def test_one_graph_for_every_length(cleared, merge, separate):
    """The lengths of sequence and groups are not asked for when it is made.

    They come as shapes, as in a processor.
    """

    def cut_and_merged(query, keys, values, weight, extent):
        cut = extent.shape[0]
        own = slice(cut, query.shape[1])
        groups = [
            KeyGroup(keys[:, :cut], values[:, :cut], own=slice(0, 0)),  # as a processor makes it
            KeyGroup(keys[:, cut:], values[:, cut:], weight, separate=separate, own=own),
        ]
        return merge(query, groups)

    compiled = torch.compile(cut_and_merged, fullgraph=True, backend="aot_eager", dynamic=True)
    generator = torch.Generator().manual_seed(0)

    def attended(length, cut):
        parts = [torch.randn(1, length, H, D, generator=generator) for _ in range(3)]
        given = (*parts, torch.rand(length, generator=generator), torch.empty(cut, 0))
        return compiled(*given), cut_and_merged(*given)

    with torch.no_grad():
        attended(20, 9)
        with torch._dynamo.config.patch(error_on_recompile=True):
            for length, cut in ((33, 9), (57, 40)):
                found, eager = attended(length, cut)
                torch.testing.assert_close(found, eager, atol=1e-6, rtol=0)


def test_what_is_trained_through_a_compiled_graph_gets_its_gradients(cleared):
    """The one node has none: where one is asked for, the graph holds the operations."""
    query, groups = made()
    query.requires_grad_()
    gradients = []
    for merge in (
        merged_attention,
        torch.compile(merged_attention, fullgraph=True, backend="aot_eager"),
    ):
        merge(query, groups).square().sum().backward()
        gradients.append(query.grad)
        query.grad = None

    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=0)


def test_the_node_is_what_pytorch_expects_of_one():
    """Its shapes and strides are foretold, and it writes over nothing."""
    query, groups = made()
    with torch.no_grad():
        torch.library.opcheck(
            merging._as_one_node,
            (query, *merging._columns(groups)),
            test_utils=("test_schema", "test_faketensor"),
        )
