"""The attention processor of a run: how Qwen-Image projects, and how it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.transformers.transformer_qwenimage import (
    QwenDoubleStreamAttnProcessor2_0,
    apply_rotary_emb_qwen,
)

from refhooks.attention import BlockProcessor, Processors, stock_modules

if TYPE_CHECKING:
    from torch import Tensor


_PARTS = (
    "to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "norm_q", "norm_k",
    "norm_added_q", "norm_added_k", "to_out", "to_add_out",
)  # fmt: skip


def check(transformer: Any) -> None:
    """Refuse a ``QwenImageTransformer2DModel`` whose attention cannot be edited.

    Raises:
        InputError: It is fused, another library's, or not the stock one, or runs in parallel.
    """
    stock_modules(transformer.transformer_blocks, QwenDoubleStreamAttnProcessor2_0, _PARTS)


def processors(transformer: Any, *, record: bool) -> Processors:
    """Return those of a run on a ``QwenImageTransformer2DModel``.

    Raises:
        InputError: The model's attention is not the stock one, or runs in parallel.
    """
    blocks = transformer.transformer_blocks
    modules = stock_modules(blocks, QwenDoubleStreamAttnProcessor2_0, _PARTS)
    return Processors(modules, MergedProcessor, QwenDoubleStreamAttnProcessor2_0, record=record)


class MergedProcessor(BlockProcessor):
    """Attention of one block of two streams, which are joined with the text first."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
        refhooks: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Attend; ``hidden_states`` are target and references ``[B,T+R,E]``, the others the text.

        Every parameter is named: diffusers drops those that a signature does not show.
        ``refhooks`` is among the ``attention_kwargs`` of the run's own passes: whoever else calls
        the model meanwhile, in any thread, has the stock attention.
        """
        if not (refhooks and self.edited):
            out: tuple[Tensor, Tensor] = self.stock(
                attn,
                hidden_states,
                encoder_hidden_states,
                encoder_hidden_states_mask,
                attention_mask,
                image_rotary_emb,
            )
            if not (refhooks and self.record):
                return out
        text = encoder_hidden_states.shape[1]
        query, keys, values = _project(attn, hidden_states, encoder_hidden_states, image_rotary_emb)
        joint = self.attended(query, keys, values, encoder_hidden_states_mask, text)
        return out if joint is None else _finish(attn, joint, text)


def _project(
    attn: Any, image: Tensor, text: Tensor, rotary: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of the whole sequence, text first, ``[B,L,H,D]``."""
    size = attn.inner_dim // attn.heads
    image_query = attn.norm_q(attn.to_q(image).unflatten(-1, (-1, size)))  # [B,T+R,H,D]
    image_keys = attn.norm_k(attn.to_k(image).unflatten(-1, (-1, size)))
    text_query = attn.norm_added_q(attn.add_q_proj(text).unflatten(-1, (-1, size)))  # [B,S,H,D]
    text_keys = attn.norm_added_k(attn.add_k_proj(text).unflatten(-1, (-1, size)))
    if rotary is not None:
        image_query, image_keys = (_rotated(x, rotary[0]) for x in (image_query, image_keys))
        text_query, text_keys = (_rotated(x, rotary[1]) for x in (text_query, text_keys))
    values = torch.cat([attn.add_v_proj(text), attn.to_v(image)], dim=1)
    return (
        torch.cat([text_query, image_query], dim=1),
        torch.cat([text_keys, image_keys], dim=1),
        values.unflatten(-1, (-1, size)),
    )


def _rotated(x: Tensor, frequencies: Tensor) -> Tensor:
    return apply_rotary_emb_qwen(x, frequencies, use_real=False)  # type: ignore[no-any-return]


def _finish(attn: Any, joint: Tensor, text: int) -> tuple[Tensor, Tensor]:
    """The two streams after attention, of the joined result ``[B,L,H·D]``."""
    image = attn.to_out[0](joint[:, text:].contiguous())
    return attn.to_out[1](image), attn.to_add_out(joint[:, :text].contiguous())
