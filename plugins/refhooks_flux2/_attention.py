"""The attention processors of a run: how FLUX.2's blocks project, and how they go on.

A block of two streams joins the text with the pictures for its attention; a block of one stream has
both in one sequence, and its attention and feed-forward layers in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux2 import (
    Flux2AttnProcessor,
    Flux2KVAttnProcessor,
    Flux2KVParallelSelfAttnProcessor,
    Flux2ParallelSelfAttnProcessor,
)

from refhooks.attention import BlockProcessor, Processors, key_groups, stock_modules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    Rotary = tuple[Tensor, Tensor] | None

_TWO_STREAMS = (
    "to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "norm_q", "norm_k",
    "norm_added_q", "norm_added_k", "to_out", "to_add_out",
)  # fmt: skip
_ONE_STREAM = ("to_qkv_mlp_proj", "norm_q", "norm_k", "mlp_act_fn", "to_out")
STOCK = (Flux2AttnProcessor, Flux2ParallelSelfAttnProcessor)
STOCK_KV = (Flux2KVAttnProcessor, Flux2KVParallelSelfAttnProcessor)


def check(transformer: Any, stock: tuple[type[Any], type[Any]]) -> list[Any]:
    """Return the attention modules of a ``Flux2Transformer2DModel``, which can be edited.

    Args:
        transformer: The model.
        stock: The classes of its processors, in blocks of two streams and of one.

    Raises:
        InputError: They are fused, another library's, or not the stock ones, or run in parallel.
    """
    two = stock_modules(transformer.transformer_blocks, stock[:1], _TWO_STREAMS)
    one = stock_modules(transformer.single_transformer_blocks, stock[1:], _ONE_STREAM)
    return [*two, *one]


def processors(transformer: Any, stock: tuple[type[Any], type[Any]], *, record: bool) -> Processors:
    """Return those of a run.

    Raises:
        InputError: As :func:`check` does.
    """
    return Processors(check(transformer, stock), _made, stock, record=record)


def _made(stock: Any, *, record: bool) -> BlockProcessor:
    made: BlockProcessor = _OURS[type(stock)](stock, record=record)
    return made


class Projected(NamedTuple):
    """Queries, keys and values of a whole sequence, text first, and what goes past attention.

    Attributes:
        query: ``[B,L,H,D]``, after norm and rotary embedding.
        keys: As ``query``.
        values: ``[B,L,H,D]``.
        rest: Of a block of one stream: the input of its feed-forward part ``[B,L,E]``.
    """

    query: Tensor
    keys: Tensor
    values: Tensor
    rest: Tensor | None = None


class TwoStreams(BlockProcessor):
    """Attention of a block of two streams.

    ``refhooks`` is among the ``joint_attention_kwargs`` of the run's own passes, and says how many
    tokens the text has: whoever else calls the model meanwhile, in any thread, has the stock
    attention. Every parameter is named: diffusers drops those that a signature does not show.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotary = None,
        refhooks: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Attend; ``hidden_states`` are target and references, ``[B,T+R,E]``, then the text."""
        if not (refhooks and self.edited):
            out: tuple[Tensor, Tensor] = self.stock(
                attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb
            )
            if not (refhooks and self.record):
                return out
        made = _two_streams(attn, hidden_states, encoder_hidden_states, image_rotary_emb)
        joint = self.attended(*made[:3], None, refhooks)
        return out if joint is None else _finish_two(attn, joint, refhooks)


class OneStream(BlockProcessor):
    """Attention of a block of one stream; see :class:`TwoStreams`."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotary = None,
        refhooks: int = 0,
    ) -> Tensor:
        """Attend; ``hidden_states`` are text, target and references ``[B,L,E]``."""
        if not (refhooks and self.edited):
            out: Tensor = self.stock(attn, hidden_states, attention_mask, image_rotary_emb)
            if not (refhooks and self.record):
                return out
        made = _one_stream(attn, hidden_states, image_rotary_emb)
        joint = self.attended(*made[:3], None, refhooks)
        return out if joint is None else _finish_one(attn, joint, made.rest)


class KeptProcessor(BlockProcessor):
    """Attention where keys and values of references are computed in one pass, and then kept.

    References see one another alone. In the pass that computes them they stand between text and
    target.

    Attributes:
        spans: Where each slot stands among the references, by its place: its number plus 1.
    """

    def __init__(self, stock: Any, *, record: bool) -> None:
        super().__init__(stock, record=record)
        self.spans: Mapping[int, slice] = {}

    def kept(
        self, made: Projected, cache: Any, mode: str | None, references: int, text: int
    ) -> Tensor | None:
        """Attend, ``[B,L,H·D]``; ``None`` where the pass is only recorded.

        Args:
            made: Of the sequence.
            cache: Of the block: filled in the mode ``extract``, else read; ``None``: there are no
                references.
            mode: That of the stock model's pass.
            references: How many tokens of them the sequence has, in the mode ``extract``.
            text: ``S``.
        """
        extracting = mode == "extract" and references > 0
        inner = slice(text, text + (references if extracting else 0))
        query, keys, values = (_without(part, inner) for part in made[:3])
        parts, own = [(keys, values)], [slice(0, keys.shape[1])]
        if extracting:
            fresh = made.keys[:, inner].clone(), made.values[:, inner].clone()
            cache.store(*fresh)
        kept = (keys[:, :0], values[:, :0]) if cache is None else cache.get()
        for group in self.groups[1:]:
            span = self.spans.get(group.place, slice(0, 0))  # of one that is loaded: nothing
            parts.append((kept[0][:, span], kept[1][:, span]))
            own.append(slice(0, 0))
        joint = self.joined(
            query, key_groups(self.groups, parts, own, None), slice(text, keys.shape[1])
        )
        if joint is None or not extracting:
            return joint
        inside = dispatch_attention_fn(
            made.query[:, inner], *fresh, backend=self._attention_backend
        ).flatten(2, 3)
        return torch.cat([joint[:, :text], inside, joint[:, text:]], dim=1)


class TwoStreamsKept(KeptProcessor):
    """Of a block of two streams; see :class:`TwoStreams`."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotary = None,
        kv_cache: Any | None = None,
        kv_cache_mode: str | None = None,
        num_ref_tokens: int = 0,
        refhooks: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Attend; ``hidden_states`` are references, where they are computed, and target."""
        if not (refhooks and self.edited):
            out: tuple[Tensor, Tensor] = self.stock(
                attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb,
                kv_cache, kv_cache_mode, num_ref_tokens,
            )  # fmt: skip
            if not (refhooks and self.record):
                return out
        made = _two_streams(attn, hidden_states, encoder_hidden_states, image_rotary_emb)
        joint = self.kept(made, kv_cache, kv_cache_mode, num_ref_tokens, refhooks)
        return out if joint is None else _finish_two(attn, joint, refhooks)


class OneStreamKept(KeptProcessor):
    """Of a block of one stream; see :class:`TwoStreams`."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotary = None,
        kv_cache: Any | None = None,
        kv_cache_mode: str | None = None,
        num_txt_tokens: int = 0,
        num_ref_tokens: int = 0,
        refhooks: int = 0,
    ) -> Tensor:
        """Attend; ``hidden_states`` are text, references where they are computed, and target."""
        if not (refhooks and self.edited):
            out: Tensor = self.stock(
                attn, hidden_states, attention_mask, image_rotary_emb, kv_cache, kv_cache_mode,
                num_txt_tokens, num_ref_tokens,
            )  # fmt: skip
            if not (refhooks and self.record):
                return out
        made = _one_stream(attn, hidden_states, image_rotary_emb)
        joint = self.kept(made, kv_cache, kv_cache_mode, num_ref_tokens, refhooks)
        return out if joint is None else _finish_one(attn, joint, made.rest)


_OURS: dict[type[Any], Any] = dict(
    zip((*STOCK, *STOCK_KV), (TwoStreams, OneStream, TwoStreamsKept, OneStreamKept), strict=True)
)


def _without(x: Tensor, inner: slice) -> Tensor:
    """All of a sequence ``[B,L,H,D]`` but its part ``inner``."""
    if inner.start == inner.stop:
        return x
    return torch.cat([x[:, : inner.start], x[:, inner.stop :]], dim=1)


def _two_streams(attn: Any, image: Tensor, text: Tensor, rotary: Rotary) -> Projected:
    size = attn.head_dim
    query = attn.norm_q(attn.to_q(image).unflatten(-1, (-1, size)))  # [B,T+R,H,D]
    keys = attn.norm_k(attn.to_k(image).unflatten(-1, (-1, size)))
    text_query = attn.norm_added_q(attn.add_q_proj(text).unflatten(-1, (-1, size)))  # [B,S,H,D]
    text_keys = attn.norm_added_k(attn.add_k_proj(text).unflatten(-1, (-1, size)))
    values = torch.cat([attn.add_v_proj(text), attn.to_v(image)], dim=1)
    return Projected(
        _rotated(torch.cat([text_query, query], dim=1), rotary),
        _rotated(torch.cat([text_keys, keys], dim=1), rotary),
        values.unflatten(-1, (-1, size)),
    )


def _finish_two(attn: Any, joint: Tensor, text: int) -> tuple[Tensor, Tensor]:
    """The two streams after attention, of the joined result ``[B,L,H·D]``."""
    image = attn.to_out[0](joint[:, text:])
    return attn.to_out[1](image), attn.to_add_out(joint[:, :text])


def _one_stream(attn: Any, hidden: Tensor, rotary: Rotary) -> Projected:
    projected = attn.to_qkv_mlp_proj(hidden)
    wide, gated = 3 * attn.inner_dim, attn.mlp_hidden_dim * attn.mlp_mult_factor
    joined, rest = projected.split([wide, gated], dim=-1)
    query, keys, values = (
        part.unflatten(-1, (-1, attn.head_dim)) for part in joined.chunk(3, dim=-1)
    )
    query, keys = _rotated(attn.norm_q(query), rotary), _rotated(attn.norm_k(keys), rotary)
    return Projected(query, keys, values, rest)


def _finish_one(attn: Any, joint: Tensor, rest: Tensor | None) -> Tensor:
    """The stream after attention and feed-forward layers, ``[B,L,E]``."""
    out: Tensor = attn.to_out(torch.cat([joint, attn.mlp_act_fn(rest)], dim=-1))
    return out


def _rotated(x: Tensor, rotary: Rotary) -> Tensor:
    return x if rotary is None else apply_rotary_emb(x, rotary, sequence_dim=1)
