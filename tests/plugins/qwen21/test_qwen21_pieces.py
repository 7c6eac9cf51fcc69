"""The pieces of the kept prefix: what each sees, and which rows are a group's own."""

from __future__ import annotations

import torch

from refhooks._attending.blocks import BlockGroup
from refhooks_qwen21._first import pieces_of

TEXT, SLOTS = ((0, 2), (5, 6)), {1: slice(2, 5), 2: slice(6, 8)}


def pieces():
    """Of text, a picture of three tokens, a text of one and a picture of two."""
    groups = [
        BlockGroup(place, torch.empty(count, 0), weight=weight)
        for place, count, weight in ((0, 3, None), (1, 3, torch.arange(8.0)), (2, 2, None))
    ]
    return pieces_of(groups, TEXT, SLOTS, torch.arange(8), [None] * 4)


def test_a_piece_sees_what_stands_before_it():
    """And all of itself; a picture after it is none of its groups."""
    seen = [[group.place for group in piece.groups] for piece in pieces()]

    assert seen == [[0], [0, 1], [0, 1], [0, 1, 2]]
    assert [piece.spans[0] for piece in pieces()] == [
        ((0, 2),), ((0, 2),), ((0, 2), (5, 6)), ((0, 2), (5, 6)),
    ]  # fmt: skip


def test_all_rows_of_a_group_are_its_own_and_no_others():
    """Its own queries see it at weight 1, from the first to the last."""
    own = [
        [list(range(piece.stop - piece.start)[it]) for it in piece.own] for piece in pieces()
    ]  # fmt: skip

    assert own == [[[0, 1]], [[], [0, 1, 2]], [[0], []], [[], [], [0, 1]]]


def test_weights_are_of_its_own_rows():
    """In the order of the prefix."""
    assert pieces()[2].groups[1].weight.tolist() == [5.0]
    assert pieces()[3].groups[1].weight.tolist() == [6.0, 7.0]
