"""The size of a ``Flux2Transformer2DModel``, from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks import ModelShape
from refhooks.families import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

_KLEIN = {
    "num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "attention_head_dim": 128,
    "in_channels": 128, "joint_attention_dim": 12288, "mlp_ratio": 3, "guidance_embeds": 0,
}  # fmt: skip
_DEV = {
    **_KLEIN, "num_single_layers": 48, "num_attention_heads": 48, "joint_attention_dim": 15360,
    "guidance_embeds": 1,
}  # fmt: skip
TIMESTEP = 256  # channels of the sinusoidal timestep embedding


def klein_shape(config: Mapping[str, Any] | None) -> ModelShape:
    """Return the size; ``None`` stands for FLUX.2 klein 9B at 1 MP."""
    return _shape(config, _KLEIN, "FLUX.2 klein 9B")


def kv_shape(config: Mapping[str, Any] | None) -> ModelShape:
    """Return that of a klein which computes its references once, and the text at every step."""
    return attrs.evolve(klein_shape(config), keeps_prefix=True, keeps_text=False)


def dev_shape(config: Mapping[str, Any] | None) -> ModelShape:
    """Return the size; ``None`` stands for FLUX.2 dev at 1 MP."""
    return _shape(config, _DEV, "FLUX.2 dev")


def _shape(config: Mapping[str, Any] | None, full: Mapping[str, int], name: str) -> ModelShape:
    """A gated feed-forward of three layers costs as much as two of one and a half times its width.

    A block of one stream has the same layers as one stream of the others.
    """
    stated = sizes(config, full)
    heads, head = stated["num_attention_heads"], stated["attention_head_dim"]
    return ModelShape(
        name=f"{name} at full size and 1 MP" if config is None else "this transformer",
        blocks=stated["num_layers"] + stated["num_single_layers"],
        heads=heads,
        head=head,
        mlp=1.5 * stated["mlp_ratio"],
        parameters=_parameters(stated, heads * head),
    )


def _parameters(stated: Mapping[str, int], width: int) -> int:
    """How many weights there are: in the blocks, and around them; no layer has a bias."""
    stream = (4 + 3 * int(stated["mlp_ratio"])) * width**2 + 2 * stated["attention_head_dim"]
    streams = 2 * stated["num_layers"] + stated["num_single_layers"]
    modulation = (6 + 6 + 3 + 2) * width**2  # of both streams, of one, and before the output
    times = 1 + bool(stated["guidance_embeds"])
    time = times * (TIMESTEP * width + width**2)
    ends = (2 * stated["in_channels"] + stated["joint_attention_dim"]) * width
    return streams * stream + modulation + time + ends
