"""The embedded model while it is trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from refhooks_toy._model import new_text_encoder, new_transformer
from refhooks_toy._modes import GRID, Batch
from refhooks_toy._text import Words, encode


class Toy(nn.Module):
    """Everything that is trained together."""

    def __init__(self, words: Words, heads: int, layers: int) -> None:
        super().__init__()
        self.transformer = new_transformer(heads, layers)
        self.text_encoder = new_text_encoder(words.tokenizer)
        self.projection = nn.Linear(64, self.transformer.inner_dim, bias=False)
        nn.init.zeros_(self.projection.weight)
        self.prefix: Tensor
        self.register_buffer("prefix", torch.tensor(words.prefix), persistent=False)
        self._added: Tensor | None = None
        self.transformer.img_in.register_forward_hook(self._add)

    def _add(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
        return None if self._added is None else output + self._added

    def forward(self, noisy: Tensor, sigma: Tensor, batch: Batch) -> Tensor:
        """Predict the velocity `[B, T, 64]` of noisy latents at noise levels `[B]`."""
        text = encode(self.text_encoder, self.prefix, batch.ids, batch.pictures)
        self._added = None if batch.concat is None else self.projection(batch.concat)
        tokens = noisy.shape[1]
        pictures = 1 + batch.references.shape[1] // tokens
        try:
            velocity: Tensor = self.transformer(
                hidden_states=torch.cat([noisy, batch.references], dim=1),
                encoder_hidden_states=text,
                encoder_hidden_states_mask=batch.mask,
                timestep=sigma,
                img_shapes=[[GRID] * pictures] * len(noisy),
                return_dict=False,
            )[0]
        finally:
            self._added = None
        return velocity[:, :tokens]
