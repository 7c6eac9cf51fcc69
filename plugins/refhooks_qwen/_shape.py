"""The size of a ``QwenImageTransformer2DModel``, from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks import ModelShape
from refhooks.families import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = {
    "num_layers": 60, "num_attention_heads": 24, "attention_head_dim": 128, "in_channels": 64,
    "out_channels": 16, "patch_size": 2, "joint_attention_dim": 3584,
}  # fmt: skip
TIMESTEP = 256  # channels of the sinusoidal timestep embedding


def shape(config: Mapping[str, Any] | None) -> ModelShape:
    """Return the size; ``None`` stands for the released checkpoints of Qwen-Image-Edit, at 1 MP."""
    settings = sizes(config, FULL)
    heads, head = settings["num_attention_heads"], settings["attention_head_dim"]
    return ModelShape(
        name="Qwen-Image-Edit at full size and 1 MP" if config is None else "this transformer",
        blocks=settings["num_layers"],
        heads=heads,
        head=head,
        parameters=_parameters(settings, heads * head),
        passes=2,  # the pipelines guide by default: with the prompt, and with the negative one
    )


def _parameters(config: Mapping[str, int], width: int) -> int:
    """How many weights there are: in each block of two streams, and around the blocks."""
    linear = 2 * (4 + 8) * width**2 + 2 * (4 + 5) * width  # attention and feed-forward, biases
    modulation = 2 * (6 * width**2 + 6 * width)
    block = linear + modulation + 4 * config["attention_head_dim"]  # norms of queries and keys
    into = (config["in_channels"] + config["joint_attention_dim"] + 2) * width
    norm = config["joint_attention_dim"]
    time = (TIMESTEP + 1) * width + (width + 1) * width
    out = config["patch_size"] ** 2 * config["out_channels"]
    last = 2 * (width + 1) * width + (width + 1) * out
    return config["num_layers"] * block + into + norm + time + last
