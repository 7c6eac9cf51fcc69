"""Names of FLUX.2's own code, whose layers diffusers has under other names, or in several.

The names are those that diffusers' own converter knows (``lora_conversion_utils``). That one leaves
the halves of the last modulation as they are, which its converter of checkpoints swaps.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Rows = tuple[tuple[int, int], ...]

_TWO_STREAMS: dict[str, tuple[str, ...]] = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_mlp.0": ("ff.linear_in",),
    "img_mlp.2": ("ff.linear_out",),
    "txt_mlp.0": ("ff_context.linear_in",),
    "txt_mlp.2": ("ff_context.linear_out",),
}
_ONE_STREAM: dict[str, tuple[str, ...]] = {
    "linear1": ("attn.to_qkv_mlp_proj",),
    "linear2": ("attn.to_out",),
}
_BLOCKS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "transformer_blocks": ("double_blocks", _TWO_STREAMS),
    "single_transformer_blocks": ("single_blocks", _ONE_STREAM),
}
_AROUND = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "guidance_in.in_layer": "time_guidance_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_guidance_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
}
_SWAPPED = "norm_out.linear"  # shift and scale there, scale and shift in diffusers
_OF_FLUX2 = ("double_stream_modulation_img.linear", "double_stream_modulation_txt.linear")
_LEGACY = "sformer_blocks."  # some exports cut the same letters off all names


@attrs.frozen
class Part:
    """A layer of a model, and which outputs of what a file calls a layer are its own.

    Attributes:
        layer: The layer's name in the model.
        rows: First output and the one behind the last, one after the other; empty: all of them.
    """

    layer: str
    rows: Rows = ()


def originals(dotted: Mapping[str, str], outputs: Mapping[str, int]) -> dict[str, tuple[Part, ...]]:
    """Return the layers of a FLUX.2 model by their names in its own code; of any other, none.

    Args:
        dotted: Names of layers in the model, by what a file may call them.
        outputs: How many outputs each layer has, by its name in the model.
    """
    if any(name not in dotted for name in _OF_FLUX2):
        return {}
    found = {}
    for written, names in _written(dotted):
        layers = [dotted[name] for name in names if name in dotted]
        if len(layers) == len(names):
            found[written] = tuple(_parts(layers, outputs, swapped=names == (_SWAPPED,)))
    return found


def _written(dotted: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each name of the own code, with those of diffusers that it stands for."""
    for written, name in _AROUND.items():
        yield written, (name,)
    for blocks, (own, inside) in _BLOCKS.items():
        marks = (re.match(rf"{blocks}\.(\d+)\.", name) for name in dotted)
        for number in dict.fromkeys(mark[1] for mark in marks if mark):
            for written, names in inside.items():
                whole = tuple(f"{blocks}.{number}.{name}" for name in names)
                yield f"{own}.{number}.{written}", whole
    for name in dotted:
        if name.startswith("transformer_blocks."):
            yield _LEGACY + name.removeprefix("transformer_blocks."), (name,)


def _parts(layers: list[str], outputs: Mapping[str, int], *, swapped: bool) -> Iterator[Part]:
    if len(layers) == 1 and not swapped:
        yield Part(layers[0])
        return
    start = 0
    for layer in layers:
        stop = start + outputs[layer]
        half = (start + stop) // 2
        yield Part(layer, ((half, stop), (start, half)) if swapped else ((start, stop),))
        start = stop
