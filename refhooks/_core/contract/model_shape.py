"""The size of a model: what costs are estimated from."""

from __future__ import annotations

import attrs
from attrs import validators

__all__ = ["ModelShape"]

WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_COUNT = [validators.instance_of(int), validators.ge(1)]


@attrs.frozen(kw_only=True)
class ModelShape:
    """The size of a transformer and of its inputs.

    Attributes:
        name: What it is the size of, for messages.
        blocks: Number of transformer blocks.
        heads: ``H``.
        head: ``D``.
        mlp: Width of the feed-forward layers over ``H·D``.
        parameters: Number of the transformer's weights.
        dtype: Of the weights, and of keys and values: ``bfloat16``, ``float16`` or ``float32``.
        stored: Memory that the weights take where they are kept in fewer bits; ``None``: as dtype.
        passes: Forward passes of a step under the model's own default guidance.
        pixels: Side of the square of pixels that a token stands for.
        target: Tokens of the output, ``T``.
        reference: Tokens of one reference, ``R``.
        text: Tokens of the prompt, ``S``, with those of the pictures in it.
        keeps_prefix: Whether text and references see neither target nor noise level, so that they
            are computed once a run and their keys and values are kept.
        keeps_text: Whether, where a prefix is kept, the text is in it; else the references alone.
    """

    name: str
    blocks: int = attrs.field(validator=_COUNT)
    heads: int = attrs.field(validator=_COUNT)
    head: int = attrs.field(validator=_COUNT)
    parameters: int = attrs.field(validator=_COUNT)
    mlp: float = attrs.field(default=4.0, validator=validators.gt(0.0))
    dtype: str = attrs.field(default="bfloat16", validator=validators.in_(WEIGHT_BYTES))
    stored: int | None = attrs.field(default=None, validator=validators.optional(_COUNT))
    passes: int = attrs.field(default=1, validator=_COUNT)
    pixels: int = attrs.field(default=16, validator=_COUNT)
    target: int = attrs.field(default=4096, validator=_COUNT)
    reference: int = attrs.field(default=4096, validator=_COUNT)
    text: int = attrs.field(default=512, validator=_COUNT)
    keeps_prefix: bool = False
    keeps_text: bool = True

    @property
    def width(self) -> int:
        """``H·D``."""
        return self.heads * self.head

    @property
    def weight_bytes(self) -> int:
        """Memory of the transformer's weights."""
        return self.stored or self.parameters * WEIGHT_BYTES[self.dtype]

    def flops(self, tokens: float, keys: float) -> float:
        """Return the floating-point operations of one forward pass for one picture.

        Args:
            tokens: Of the whole sequence, text included: each passes the linear layers and attends.
            keys: Those that each of them attends to.

        A linear layer costs 2 operations a weight and token: a block has ``4·width²`` of them for
        queries, keys, values and the output, and ``2·mlp·width²`` in its feed-forward layers.
        Attention costs ``4·tokens·keys·width``: products with keys, and with values. Norms, rotary
        embeddings and what runs once a pass, such as modulation, are left out: below 1 % here.
        """
        linear = 2 * (4 + 2 * self.mlp) * self.width**2 * tokens
        return self.blocks * (linear + 4 * tokens * keys * self.width)

    def kept_bytes(self, tokens: float) -> float:
        """Return the memory of keys and values of so many tokens, for one pass and picture."""
        return 2 * self.blocks * tokens * self.width * WEIGHT_BYTES[self.dtype]
