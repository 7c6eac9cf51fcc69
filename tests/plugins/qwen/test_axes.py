"""What a model says of its rotary axes is what its position embedding does."""

from __future__ import annotations

import torch


def test_neighbouring_tokens_differ_in_the_channels_of_one_axis(editor, pipe):
    """Frame, row and column in this order; within each the first pair turns fastest."""
    axes = editor.model.rope_axes
    turned, _ = pipe.transformer.pos_embed([[(1, 2, 2), (1, 2, 2)]], max_txt_seq_len=4,
                                           device=torch.device("cpu"))  # fmt: skip
    first, column, row, frame = turned[0], turned[1], turned[2], turned[4]  # [D/2], complex
    parts = dict(zip("frc", range(3), strict=True))

    assert sum(axes) == pipe.transformer.config.attention_head_dim
    for name, other in (("f", frame), ("r", row), ("c", column)):
        angles = (other / first).angle().abs().split([size // 2 for size in axes])
        moved = angles[parts[name]]
        assert [place for place, part in enumerate(angles) if part.max() > 1e-6] == [parts[name]]
        assert torch.equal(moved, moved.sort(descending=True).values)
