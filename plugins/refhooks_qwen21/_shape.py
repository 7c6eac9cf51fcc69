"""The size of a ``QwenImage21Transformer2DModel``, from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks import ModelShape
from refhooks.families import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = {
    "num_layers": 32, "num_attention_heads": 32, "attention_head_dim": 128, "in_channels": 64,
    "out_channels": 64, "context_in_dim": 4096, "mlp_ratio": 3,
}  # fmt: skip
TIMESTEP = 256  # channels of the sinusoidal timestep embedding


def shape(config: Mapping[str, Any] | None) -> ModelShape:
    """Return the size; ``None`` stands for the released checkpoints of Qwen-Image 2.1, at 1 MP.

    The feed-forward layers have a gate: three linear layers of ``mlp_ratio`` times the width, as
    much as two of one and a half times that.
    """
    stated = sizes(config, FULL)
    heads, head = stated["num_attention_heads"], stated["attention_head_dim"]
    return ModelShape(
        name="Qwen-Image 2.1 at full size and 1 MP" if config is None else "this transformer",
        blocks=stated["num_layers"],
        heads=heads,
        head=head,
        mlp=1.5 * stated["mlp_ratio"],
        parameters=_parameters(stated, heads * head),
        keeps_prefix=True,
    )


def _parameters(stated: Mapping[str, int], width: int) -> int:
    """How many weights there are: in each block, and around the blocks; no layer has a bias."""
    block = (4 + 3 * stated["mlp_ratio"]) * width**2 + 2 * stated["attention_head_dim"]
    text = stated["context_in_dim"] * (width + 1) + width**2
    time = TIMESTEP * width + width**2
    ends = (stated["in_channels"] + stated["out_channels"]) * width + width**2
    return stated["num_layers"] * block + text + time + 4 * width**2 + ends
