"""Encode batches of prompts and pictures as the pipeline encodes one, only faster.

Training needs it: the template's prefix is computed once a batch (it is the same for every prompt,
and attention is causal), and all pictures go through the vision tower at once (each is one
attention window there). Equal to `QwenImageEditPlusPipeline.encode_prompt` up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import rotate_half

from refhooks_toy._processor import SEEN
from refhooks_toy._tokenizer import PREFIX, template

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

GRID: Final = SEEN // 14
SLOTS: Final = 4
"""Text tokens of one picture."""


@attrs.frozen
class Words:
    """Tokenizes prompts with `pictures` placeholders, without the template's prefix."""

    tokenizer: Qwen2Tokenizer

    @property
    def prefix(self) -> list[int]:
        """The token ids of the template before the prompt."""
        ids: list[int] = self.tokenizer(template()).input_ids[:PREFIX]
        return ids

    def ids(self, prompts: Sequence[str], pictures: int) -> list[list[int]]:
        """Token ids after the prefix, one list a prompt."""
        whole, shown = template(), _placeholders(pictures)
        texts = [whole.format(shown + prompt) for prompt in prompts]
        return [ids[PREFIX:] for ids in self.tokenizer(texts).input_ids]

    def slots(self, pictures: int) -> list[int]:
        """Token ids of the placeholders of `pictures` pictures."""
        ids: list[int] = self.tokenizer(_placeholders(pictures)).input_ids
        return ids


def _placeholders(pictures: int) -> str:
    slot = "Picture {}: <|vision_start|>" + "<|image_pad|>" * SLOTS + "<|vision_end|>"
    return "".join(slot.format(i + 1) for i in range(pictures))


def padded(rows: Sequence[Sequence[int]], length: int) -> tuple[Tensor, Tensor]:
    """Pad token ids on the right to `length`: ids and mask, `[B, length]`."""
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return ids, mask


def seen(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """Resize pictures `[B, H, W, 3]` as the processor does: uint8 `[B, SEEN, SEEN, 3]`."""
    resized = [Image.fromarray(p).resize((SEEN, SEEN), Image.Resampling.BICUBIC) for p in pictures]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in resized]))


def patches(pictures: Tensor) -> Tensor:
    """Normalise and cut resized pictures as the processor does: `[B, GRID², 3·2·14·14]`."""
    mean, std = torch.tensor(OPENAI_CLIP_MEAN), torch.tensor(OPENAI_CLIP_STD)
    x = ((pictures.float() / 255 - mean) / std).permute(0, 3, 1, 2)  # [B, 3, SEEN, SEEN]
    half = GRID // 2
    x = x.reshape(-1, 3, half, 2, 14, half, 2, 14).permute(0, 2, 5, 3, 6, 1, 4, 7)
    x = x.reshape(-1, GRID * GRID, 3, 1, 14, 14).expand(-1, -1, -1, 2, -1, -1)
    return x.reshape(-1, GRID * GRID, 3 * 2 * 14 * 14)


def see(text_encoder: Qwen2_5_VLForConditionalGeneration, pictures: Tensor) -> Tensor:
    """Run the vision tower on resized pictures `[B, SEEN, SEEN, 3]`: `[B, SLOTS, width]`."""
    tower = text_encoder.model.visual
    x = patches(pictures)
    b, n, _ = x.shape
    x = functional.linear(
        x, tower.patch_embed.proj.weight.flatten(1)
    )  # the convolution's kernel is a patch
    half = torch.arange(GRID).view(GRID // 2, 2)
    rows = half[:, None, :, None].expand(-1, GRID // 2, -1, 2).flatten()
    columns = half[None, :, None, :].expand(GRID // 2, -1, 2, -1).flatten()
    cos, sin = tower.rotary_pos_emb(x, torch.stack([rows, columns], -1))  # [n, D]
    for block in tower.blocks:
        attention = block.attn
        qkv = attention.qkv(block.norm1(x)).view(b, n, 3, attention.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # [B, H, n, D]
        q, k = (y * cos + rotate_half(y) * sin for y in (q, k))
        scores = q.to(v.dtype) @ k.to(v.dtype).mT * attention.scaling  # [B, H, n, n]
        y = scores.softmax(dim=-1).to(v.dtype) @ v
        x = x + attention.proj(y.transpose(1, 2).reshape(b, n, -1))
        x = x + block.mlp(block.norm2(x))
    tokens: Tensor = tower.merger(x.reshape(b * n, -1)).view(b, SLOTS, -1)
    return tokens


def encode(
    text_encoder: Qwen2_5_VLForConditionalGeneration,
    prefix: Tensor,
    ids: Tensor,
    pictures: Tensor | None,
) -> Tensor:
    """Encode prompts `ids` `[B, S]`, padded on the right: embeddings `[B, S, width]`.

    `prefix` holds the template's ids `[PREFIX]`, `pictures` the resized pictures in the order of
    their placeholders, `[B·pictures, SEEN, SEEN, 3]`.
    """
    model = text_encoder.model.language_model
    b = len(ids)
    inputs = model.embed_tokens(ids)
    if pictures is not None:
        tokens = see(text_encoder, pictures).flatten(0, 1).to(inputs.dtype)
        slots = (ids == text_encoder.config.image_token_id)[..., None].expand_as(inputs)
        inputs = inputs.masked_scatter(slots, tokens)
    start = model(input_ids=prefix[None], use_cache=True).past_key_values
    cache = DynamicCache(
        [(la.keys.expand(b, -1, -1, -1), la.values.expand(b, -1, -1, -1)) for la in start.layers]
    )
    embeddings: Tensor = model(inputs_embeds=inputs, past_key_values=cache).last_hidden_state
    return embeddings
