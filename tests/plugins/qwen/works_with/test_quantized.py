"""A transformer that torchao has quantised."""

from __future__ import annotations

import plain
import pytest
import tiny
import torch

pytest.importorskip("torchao", reason="torchao is not installed (pip install 'refhooks[quantize]')")


def test_int8_weights(own):
    """As the stock pipeline and, for every method, as a pipeline whose weights were rounded."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(own.transformer, Int8WeightOnlyConfig())
    rounded = tiny.build("plus", "middle")
    quantized = dict(own.transformer.named_parameters())
    changed = 0
    with torch.no_grad():
        for name, value in rounded.transformer.named_parameters():
            if hasattr(quantized[name], "dequantize") and type(quantized[name]) is not type(value):
                value.copy_(quantized[name].dequantize())
                changed += 1

    found = plain.every_way(own)

    assert changed
    assert torch.equal(found["no strategy"], plain.stock(own))
    plain.assert_close(plain.every_way(rounded), found, atol=1e-4)
