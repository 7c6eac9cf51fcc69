"""The processor is traced whole, and strength reaches it as a tensor."""

from __future__ import annotations

import pytest
import tiny
import torch
from test_run import editor_for, gain


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_blocks_compile_without_a_break_and_once_for_all_strengths():
    """No graph break, no recompilation, and the values of eager at four strengths."""
    strengths = (0.3, 0.6, 0.9, 1.2)
    plain = tiny.build("plus", "large")
    expected = [gain(editor_for(plain), strength) for strength in strengths]
    torch.compiler.reset()
    compiled = tiny.build("plus", "large")
    compiled.transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    gain(editor_for(compiled), 0.5)

    with torch._dynamo.config.patch(error_on_recompile=True):
        found = [gain(editor_for(compiled), strength) for strength in strengths]

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    torch.compiler.reset()
