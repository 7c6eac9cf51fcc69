"""A training-time form of the transformer: the same numbers, which the compiler can fuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from diffusers import QwenImageTransformer2DModel


class RealRotaryProcessor:
    """Joint attention of text and image tokens, as the stock processor does it, in real numbers.

    The stock one rotates complex numbers, which the compiler cannot fuse.
    """

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,  # noqa: ARG002 - part of the interface
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Attend: image `[B, T, width]` and text `[B, S, width]` in, the same out."""
        image, text = hidden_states, encoder_hidden_states
        assert image_rotary_emb is not None  # noqa: S101 - the model always passes it
        rotation = torch.cat([image_rotary_emb[1], image_rotary_emb[0]])[
            :, None
        ]  # [S+T, 1, D/2, 2]
        heads = (-1, attn.inner_dim // attn.heads)
        query = _joined(
            attn.norm_added_q, attn.add_q_proj(text), attn.norm_q, attn.to_q(image), heads
        )
        key = _joined(
            attn.norm_added_k, attn.add_k_proj(text), attn.norm_k, attn.to_k(image), heads
        )
        value = torch.cat([attn.add_v_proj(text), attn.to_v(image)], dim=1).unflatten(-1, heads)
        out = _attend(
            _rotate(query, rotation).to(value.dtype).transpose(1, 2),
            _rotate(key, rotation).to(value.dtype).transpose(1, 2),
            value.transpose(1, 2),
            encoder_hidden_states_mask,
        )
        out = out.transpose(1, 2).flatten(2)
        split = text.shape[1]
        return attn.to_out[0](out[:, split:]), attn.to_add_out(out[:, :split])


def _joined(
    text_norm: nn.Module, text: Tensor, norm: nn.Module, image: Tensor, heads: tuple[int, int]
) -> Tensor:
    return torch.cat(
        [text_norm(text.unflatten(-1, heads)), norm(image.unflatten(-1, heads))], dim=1
    )


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Attend, `[B, H, L, D]`, the last text tokens hidden where `mask` `[B, S]` is False.

    Written out: for sequences this short the backward pass of torch's CPU kernel is the slower one.
    """
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if mask is not None:
        bias = torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -1e4)
        scores = scores + functional.pad(bias, (0, key.shape[2] - mask.shape[1]))[:, None, None]
    out: Tensor = scores.float().softmax(dim=-1).to(value.dtype) @ value
    return out


def _rotate(x: Tensor, rotation: Tensor) -> Tensor:
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = rotation.unbind(-1)
    turned = torch.stack([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=-1)
    return turned.flatten(-2)


def speed_up(transformer: QwenImageTransformer2DModel, *, compiled: bool) -> None:
    """Give a transformer the fusible attention, and compile its blocks if asked."""
    transformer.set_attn_processor(RealRotaryProcessor())

    def real(_module: nn.Module, _inputs: Any, output: tuple[Tensor, Tensor]) -> Any:
        return tuple(torch.view_as_real(rotation) for rotation in output)

    transformer.pos_embed.register_forward_hook(real)
    if compiled:
        for block in transformer.transformer_blocks:
            block.compile(fullgraph=True, dynamic=False)
