"""Attention of blocks of two streams and of one, whose modules have diffusers' usual names.

A block of two streams projects text and pictures apart and joins them, text first, for its
attention; a block of one has both in one sequence, and leaves what follows attention to the block.
FLUX.1's and LongCat's attention modules are of this kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.embeddings import apply_rotary_emb

from refhooks._attending.processors import BlockProcessor, Processors, stock_modules

if TYPE_CHECKING:
    from torch import Tensor

    Rotary = tuple[Tensor, Tensor] | None

__all__ = ["StreamsProcessor", "stream_modules", "stream_processors"]

_ONE_STREAM = ("to_q", "to_k", "to_v", "norm_q", "norm_k")
_TWO_STREAMS = (
    *_ONE_STREAM, "add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q", "norm_added_k",
    "to_out", "to_add_out",
)  # fmt: skip


class StreamsProcessor(BlockProcessor):
    """Attention of a block of either kind.

    ``refhooks`` comes with the run's own passes alone, and says how many tokens the text has:
    whoever else calls the model meanwhile, in any thread, has the stock attention. It is among the
    ``joint_attention_kwargs``; a model that has none gives it as the third of ``image_rotary_emb``.
    Every parameter is named: diffusers drops those that a signature does not show.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
        refhooks: int = 0,
    ) -> Any:
        """Attend.

        Args:
            attn: The attention module.
            hidden_states: Target and references ``[B,T+R,E]``; of one stream, the text before them.
            encoder_hidden_states: The text ``[B,S,E]`` of a block of two streams.
            attention_mask: As the stock processor takes it.
            image_rotary_emb: Cosine and sine ``[L,D]`` of text and pictures, and maybe ``S``.
            refhooks: ``S`` in the run's own passes.
        """
        if image_rotary_emb is not None and len(image_rotary_emb) == 3:
            refhooks, image_rotary_emb = image_rotary_emb[2], image_rotary_emb[:2]
        out = None
        if not (refhooks and self.edited):
            out = self.stock(
                attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb
            )
            if not (refhooks and self.record):
                return out
        made = _projected(attn, hidden_states, encoder_hidden_states, image_rotary_emb)
        joint = self.attended(*made, None, refhooks)
        if joint is None:
            return out
        return joint if encoder_hidden_states is None else _parted(attn, joint, refhooks)


def _projected(
    attn: Any, hidden: Tensor, text: Tensor | None, rotary: Rotary
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of the whole sequence, text first, ``[B,L,H,D]``."""
    size = attn.head_dim
    query, keys, values = (
        layer(hidden).unflatten(-1, (-1, size)) for layer in (attn.to_q, attn.to_k, attn.to_v)
    )
    query, keys = attn.norm_q(query), attn.norm_k(keys)
    if text is not None:
        first = [
            layer(text).unflatten(-1, (-1, size))
            for layer in (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
        ]
        query = torch.cat([attn.norm_added_q(first[0]), query], dim=1)
        keys = torch.cat([attn.norm_added_k(first[1]), keys], dim=1)
        values = torch.cat([first[2], values], dim=1)
    if rotary is not None:
        query, keys = (apply_rotary_emb(it, rotary, sequence_dim=1) for it in (query, keys))
    return query, keys, values


def _parted(attn: Any, joint: Tensor, text: int) -> tuple[Tensor, Tensor]:
    """The two streams after attention, of the joined result ``[B,L,H·D]``."""
    pictures = attn.to_out[0](joint[:, text:].contiguous())
    return attn.to_out[1](pictures), attn.to_add_out(joint[:, :text].contiguous())


def stream_modules(transformer: Any, stock: type[Any]) -> list[Any]:
    """Return the attention modules of a model of such blocks, which can be edited.

    Args:
        transformer: With ``transformer_blocks`` of two streams, ``single_transformer_blocks`` of
            one.
        stock: The class of its processors.

    Raises:
        InputError: They are fused, another library's, or not the stock ones, or run in parallel.
    """
    two = stock_modules(transformer.transformer_blocks, stock, _TWO_STREAMS)
    return [*two, *stock_modules(transformer.single_transformer_blocks, stock, _ONE_STREAM)]


def stream_processors(transformer: Any, stock: type[Any], *, record: bool) -> Processors:
    """Return those of a run.

    Args:
        transformer: As for :func:`stream_modules`.
        stock: Likewise.
        record: Whether shares are computed.

    Raises:
        InputError: As :func:`stream_modules` does.
    """
    modules = stream_modules(transformer, stock)
    return Processors(modules, StreamsProcessor, stock, record=record)
