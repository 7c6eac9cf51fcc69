"""The size of a ``FluxTransformer2DModel``, from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks import ModelShape
from refhooks.families import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = {
    "num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24, "attention_head_dim": 128,
    "in_channels": 64, "joint_attention_dim": 4096, "pooled_projection_dim": 768,
}  # fmt: skip
TIMESTEP = 256  # channels of the sinusoidal timestep embedding


def shape(config: Mapping[str, Any] | None) -> ModelShape:
    """Return the size; ``None`` stands for FLUX.1 Kontext dev at 1 MP.

    A block of one stream has the same layers as one stream of the others.
    """
    stated = sizes(config, FULL)
    heads, head = stated["num_attention_heads"], stated["attention_head_dim"]
    guided = config is None or bool(config.get("guidance_embeds"))
    return ModelShape(
        name="FLUX.1 Kontext dev at full size and 1 MP" if config is None else "this transformer",
        blocks=stated["num_layers"] + stated["num_single_layers"],
        heads=heads,
        head=head,
        parameters=_parameters(stated, heads * head, guided=guided),
    )


def _parameters(stated: Mapping[str, int], width: int, *, guided: bool) -> int:
    """How many weights there are: in the blocks, and around them; every layer has a bias."""
    norms = 2 * stated["attention_head_dim"]
    stream = 12 * width**2 + 9 * width + norms + 6 * width * (width + 1)
    single = 12 * width**2 + 8 * width + norms + 3 * width * (width + 1)
    embedded = TIMESTEP * width + width**2 + 2 * width
    pooled = stated["pooled_projection_dim"] * width + width**2 + 2 * width
    ends = (2 * stated["in_channels"] + stated["joint_attention_dim"]) * width
    ends += 2 * width + stated["in_channels"] + 2 * width * (width + 1)
    blocks = 2 * stated["num_layers"] * stream + stated["num_single_layers"] * single
    return blocks + (1 + guided) * embedded + pooled + ends
