"""What adding a LoRA costs: ``add_lora`` beside ``load_lora_weights`` of the same file.

    python benchmarks/lora.py [--blocks 8] [--rank 16] [--repeats 5] [--json lora.json]

On a wide model of the real class, a LoRA on the twelve linear layers of each block, in the layouts
that diffusers loads. Both read the file, wrap the layers and give them their weights; what was
added is taken off between two measurements, which is not timed. Rounds are interleaved, and the
figure is the median of the ratios of a round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from _wide import DTYPES, Scale, build, interleaved, once, over, write_json
from safetensors.torch import save_file

import refhooks as rh

LAYERS = (
    "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_k_proj",
    "attn.add_v_proj", "attn.to_add_out", "img_mlp.net.0.proj", "img_mlp.net.2",
    "txt_mlp.net.0.proj", "txt_mlp.net.2",
)  # fmt: skip
LAYOUTS = {
    "diffusers": ("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight", ""),
    "Lightning": ("{}.lora_down.weight", "{}.lora_up.weight", "{}.alpha"),
    "kohya": ("lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight", "lora_unet_{}.alpha"),
}


def write(model: Any, layout: str, rank: int, dtype: torch.dtype, path: Path) -> None:
    """Write a LoRA on the model's blocks."""
    tensors = {}
    for block in range(len(model.transformer_blocks)):
        for part in LAYERS:
            name = f"transformer_blocks.{block}.{part}"
            layer = model.get_submodule(name)
            written = name.replace(".", "_") if layout == "kohya" else name
            down, up, alpha = (key.format(written) for key in LAYOUTS[layout])
            tensors[down] = torch.randn(rank, layer.in_features, dtype=dtype)
            tensors[up] = torch.randn(layer.out_features, rank, dtype=dtype)
            if alpha:
                tensors[alpha] = torch.tensor(float(rank))
    save_file(tensors, path)


def cases(editor: rh.Editor, path: Path) -> dict[str, Any]:
    """Return what is timed: a function for each, that returns its seconds."""
    pipe, device = editor.pipe, str(editor.pipe.device)

    def ours() -> float:
        seconds = once(device, lambda: editor.add_lora(path, name="style"))
        editor.remove_lora("style")
        return seconds

    def stock() -> float:
        load = {"weight_name": path.name, "adapter_name": "style"}
        seconds = once(device, lambda: pipe.load_lora_weights(str(path.parent), **load))
        pipe.unload_lora_weights()
        return seconds

    return {"add_lora": ours, "load_lora_weights": stock}


def main(arguments: list[str]) -> int:
    """Print the medians, and write them as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", choices=list(DTYPES), default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    scale = Scale(blocks=options.blocks, side=2, dtype=options.dtype, device=options.device)
    editor = rh.Editor(build(scale))
    result: dict[str, Any] = {"blocks": options.blocks, "rank": options.rank, "layouts": {}}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for layout in LAYOUTS:
            path = Path(folder) / f"{layout}.safetensors"
            dtype = DTYPES[options.dtype]
            write(editor.pipe.transformer, layout, options.rank, dtype, path)
            taken = interleaved(cases(editor, path), options.repeats)
            ratio = over(taken, "add_lora", "load_lora_weights")
            result["layouts"][layout] = {"ratio": ratio, "seconds": taken}
            print(
                f"{layout:10} {path.stat().st_size / 2**20:6.0f} MiB:"
                f" {ratio['median']:.2f} of load_lora_weights"
                f" ({ratio['lowest']:.2f}-{ratio['highest']:.2f})"
            )
    if options.json:
        write_json(result, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
