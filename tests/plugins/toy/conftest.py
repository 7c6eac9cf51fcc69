"""An untrained toy pipeline with weights large enough that every part acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from diffusers import QwenImageEditPlusPipeline


@pytest.fixture(scope="session")
def untrained() -> QwenImageEditPlusPipeline:
    """Build the pipeline as training starts it, then stir the weights that start at zero."""
    from refhooks_toy._model import assemble, new_text_encoder, new_transformer
    from refhooks_toy._tokenizer import new_tokenizer
    from refhooks_toy._vae import new_vae

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = new_tokenizer()
        transformer = new_transformer(heads=2, layers=2)
        with torch.no_grad():
            for parameter in transformer.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
        pipe = assemble(new_vae(), transformer, new_text_encoder(tokenizer), tokenizer)
    pipe.set_progress_bar_config(disable=True)
    return pipe
