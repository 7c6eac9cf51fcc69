"""The size of a ``Flux3Transformer2DModel``, from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks import ModelShape
from refhooks.families import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = {
    "num_layers": 5, "num_single_layers": 28, "num_attention_heads": 24, "attention_head_dim": 128,
    "in_channels": 128, "cond_in_channels": 128, "joint_attention_dim": 20480, "mlp_ratio": 3,
    "timestep_channels": 256,
}  # fmt: skip
_MODES = 3  # target, references, text


def shape(config: Mapping[str, Any] | None) -> ModelShape:
    """Return the size; ``None`` stands for the classes' own defaults, at 1 MP.

    A gated feed-forward of three layers costs as much as two of one and a half times its width.
    """
    stated = sizes(config, FULL)
    heads, head = stated["num_attention_heads"], stated["attention_head_dim"]
    distilled = bool((config or {}).get("flow_map"))
    return ModelShape(
        name="FLUX.3 at full size and 1 MP" if config is None else "this transformer",
        blocks=stated["num_layers"] + stated["num_single_layers"],
        heads=heads,
        head=head,
        mlp=1.5 * stated["mlp_ratio"],
        parameters=_parameters(stated, heads * head, distilled=distilled),
        passes=1 if distilled else 2,
    )


def _parameters(stated: Mapping[str, int], width: int, *, distilled: bool) -> int:
    """How many weights there are: in the blocks, and around them; no block has a bias."""
    block = (4 + 3 * int(stated["mlp_ratio"])) * width**2 + 2 * stated["attention_head_dim"]
    blocks = _MODES * stated["num_layers"] + stated["num_single_layers"]
    modulation = 2 * _MODES * 3 * width**2 + 2 * width**2  # of all modes, and before the output
    time = (1 + distilled) * (stated["timestep_channels"] * width + width**2)
    ends = 2 * stated["in_channels"] + stated["cond_in_channels"] + stated["joint_attention_dim"]
    return blocks * block + modulation + time + ends * width
