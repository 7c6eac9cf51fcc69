"""The size of a ``LongCatImageTransformer2DModel``, from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks import ModelShape
from refhooks.families import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = {
    "num_layers": 10, "num_single_layers": 20, "num_attention_heads": 24, "attention_head_dim": 128,
    "in_channels": 64, "joint_attention_dim": 3584,
}  # fmt: skip
TIMESTEP = 256  # channels of the sinusoidal timestep embedding
SEEN = 512 * 512 // 28**2  # tokens of the picture in the text, at 1 MP


def shape(config: Mapping[str, Any] | None) -> ModelShape:
    """Return the size; ``None`` stands for LongCat-Image-Edit at 1 MP.

    A block of one stream has the same layers as one stream of the others.
    """
    stated = sizes(config, FULL)
    heads, head = stated["num_attention_heads"], stated["attention_head_dim"]
    return ModelShape(
        name="LongCat-Image-Edit at full size and 1 MP" if config is None else "this transformer",
        blocks=stated["num_layers"] + stated["num_single_layers"],
        heads=heads,
        head=head,
        parameters=_parameters(stated, heads * head),
        passes=2,
        text=512 + SEEN,
    )


def _parameters(stated: Mapping[str, int], width: int) -> int:
    """How many weights there are: in the blocks, and around them; every layer has a bias."""
    norms = 2 * stated["attention_head_dim"]
    stream = 12 * width**2 + 9 * width + norms + 6 * width * (width + 1)
    single = 12 * width**2 + 8 * width + norms + 3 * width * (width + 1)
    time = TIMESTEP * width + width**2 + 2 * width
    ends = (2 * stated["in_channels"] + stated["joint_attention_dim"]) * width
    ends += 2 * width + stated["in_channels"] + 2 * width * (width + 1)
    return 2 * stated["num_layers"] * stream + stated["num_single_layers"] * single + time + ends
