"""What FLUX.2's own code calls its layers, as LoRA files have it; the page lists them."""

from __future__ import annotations

import torch
from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers

# By the name there: layers of diffusers, of whose outputs one stands after the other.
ORIGINALS = {
    "double_blocks.0.img_attn.qkv": [f"transformer_blocks.0.attn.to_{it}" for it in "qkv"],
    "double_blocks.0.txt_attn.qkv": [f"transformer_blocks.0.attn.add_{it}_proj" for it in "qkv"],
    "double_blocks.0.img_attn.proj": ["transformer_blocks.0.attn.to_out.0"],
    "double_blocks.0.txt_attn.proj": ["transformer_blocks.0.attn.to_add_out"],
    "double_blocks.0.img_mlp.0": ["transformer_blocks.0.ff.linear_in"],
    "double_blocks.0.img_mlp.2": ["transformer_blocks.0.ff.linear_out"],
    "double_blocks.0.txt_mlp.0": ["transformer_blocks.0.ff_context.linear_in"],
    "double_blocks.0.txt_mlp.2": ["transformer_blocks.0.ff_context.linear_out"],
    "single_blocks.0.linear1": ["single_transformer_blocks.0.attn.to_qkv_mlp_proj"],
    "single_blocks.0.linear2": ["single_transformer_blocks.0.attn.to_out"],
    "img_in": ["x_embedder"],
    "txt_in": ["context_embedder"],
    "time_in.in_layer": ["time_guidance_embed.timestep_embedder.linear_1"],
    "time_in.out_layer": ["time_guidance_embed.timestep_embedder.linear_2"],
    "guidance_in.in_layer": ["time_guidance_embed.guidance_embedder.linear_1"],
    "guidance_in.out_layer": ["time_guidance_embed.guidance_embedder.linear_2"],
    "double_stream_modulation_img.lin": ["double_stream_modulation_img.linear"],
    "double_stream_modulation_txt.lin": ["double_stream_modulation_txt.linear"],
    "single_stream_modulation.lin": ["single_stream_modulation.linear"],
    "final_layer.linear": ["proj_out"],
    "final_layer.adaLN_modulation.1": ["norm_out.linear"],
}


def sizes(model):
    """Return outputs and inputs of each layer that the model has, by its name there."""
    layers = dict(model.named_modules())
    found = {}
    for written, names in ORIGINALS.items():
        if all(name in layers for name in names):
            parts = [getattr(layers[name], "base_layer", layers[name]) for name in names]
            found[written] = sum(it.out_features for it in parts), parts[0].in_features
    return found


def pairs(model, rank=4):
    """Return random factors of each, by its name there."""
    draw = torch.Generator().manual_seed(3)
    return {
        written: (torch.randn(rank, into, generator=draw), torch.randn(out, rank, generator=draw))
        for written, (out, into) in sizes(model).items()
    }


def converted(changes):
    """Return changes of weights by diffusers' names, as its converter of checkpoints has them."""
    checkpoint = {f"{written}.weight": change.clone() for written, change in changes.items()}
    made = convert_flux2_transformer_checkpoint_to_diffusers(checkpoint)
    return {name.removesuffix(".weight"): change for name, change in made.items()}
