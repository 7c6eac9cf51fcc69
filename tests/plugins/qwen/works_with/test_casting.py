"""Layerwise casting: weights rest in 8 bits, and are cast for the time of their layer."""

from __future__ import annotations

import plain
import tiny
import torch

EIGHT = torch.float8_e4m3fn


def test_layerwise_casting(own):
    """As the stock pipeline and, for every method, as a pipeline whose weights were rounded."""
    own.transformer.enable_layerwise_casting(storage_dtype=EIGHT, compute_dtype=torch.float32)
    rounded = tiny.build("plus", "middle")
    at_rest = {name for name, value in own.transformer.named_parameters() if value.dtype == EIGHT}
    with torch.no_grad():
        for name, value in rounded.transformer.named_parameters():
            if name in at_rest:
                value.copy_(value.to(EIGHT))

    found = plain.every_way(own)

    assert at_rest
    assert torch.equal(found["no strategy"], plain.stock(own))
    plain.assert_same(plain.every_way(rounded), found)
