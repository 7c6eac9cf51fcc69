"""How long a model takes to load whose transformer comes from a scaled fp8 file.

    python benchmarks/single_file.py [--json single_file.json]
    python benchmarks/single_file.py --width 3072 --blocks 4 --dtype bfloat16 --device cuda

Four loads of one checkpoint in turn, in an order that rotates: its transformer from a file of its
dequantised weights, from one with a scale a tensor, from one with a scale a row (float8_e4m3fn),
and, told beside, as diffusers maps the dequantised file without reading it (``from_single_file``).
What a later edit reads of a mapped file is not in that time. The text encoder and the VAE are tiny,
so that the transformer is what is timed. Between two loads all memory is given back to the system,
so that each takes it anew, as the first of a process does; which of them found some would be luck.

Ratios are medians over the rounds, of the time on the clock and of the processor's (which another
program on the machine disturbs less).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import functools
import gc
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
from _timing import interleaved, once, over, write_json
from safetensors.torch import save_file

import refhooks as rh
from refhooks.testing._tiny import WIDTH, tiny_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

FP8 = torch.float8_e4m3fn
LIMIT = 1.3


def main() -> None:
    """Time the loads and print medians."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--width", type=int, default=1024, help="of the transformer")
    options.add_argument("--blocks", type=int, default=4)
    options.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    options.add_argument("--device", default="cpu")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--json", type=Path, help="a file of results; this width is put into it")
    given = options.parse_args()
    dtype = getattr(torch, given.dtype)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        size = write(folder, given.width, given.blocks, dtype)
        print(f"transformer of {size / 2**30:.2f} GiB in {given.dtype}, on {given.device}")
        result = report(folder, given.device, given.repeats)
    if given.json:
        keep(given.json, f"{given.width}x{given.blocks} {given.dtype}", {"bytes": size, **result})


def report(folder: Path, device: str, repeats: int) -> dict[str, Any]:
    """Time each load; print and return its time over the dequantised file's."""
    processor: dict[str, list[float]] = {}

    def timed(name: str, function: Callable[[], object]) -> Callable[[], float]:
        def run() -> float:
            give_back()
            gone = time.process_time()
            seconds = once(device, function)
            processor.setdefault(name, []).append(time.process_time() - gone)
            return seconds

        return run

    def load(name: str) -> None:
        file = folder / f"{name}.safetensors"
        rh.Editor.from_pretrained(folder / "model", transformer=file, device=device)

    def mapped() -> None:
        diffusers.QwenImageTransformer2DModel.from_single_file(
            str(folder / "dequantised.safetensors"),
            config=str(folder / "model"),
            subfolder="transformer",
        ).to(device)

    cases: dict[str, Callable[[], object]] = {
        name: functools.partial(load, name)
        for name in ("dequantised", "a scale a tensor", "a scale a row")
    }
    cases["mapped by diffusers"] = mapped
    runs = {name: timed(name, function) for name, function in cases.items()}
    seconds = interleaved(runs, repeats)
    used = {name: times[-repeats:] for name, times in processor.items()}  # without the warm round
    result: dict[str, Any] = {"limit": LIMIT, "ratios": {}, "seconds": seconds, "processor": used}
    for name in cases:
        clock, own = (over(times, name, "dequantised") for times in (seconds, used))
        result["ratios"][name] = {"clock": clock, "processor": own}
        middle = sorted(seconds[name])[len(seconds[name]) // 2]
        print(
            f"{name:20} {middle:7.3f} s  {clock['median']:.2f} of the dequantised file's time,"
            f" {own['median']:.2f} of its processor time"
        )
    print(f"limit of a scaled file: {LIMIT}")
    return result


def keep(path: Path, case: str, result: dict[str, Any]) -> None:
    """Write what was found of a case beside those that the file has."""
    known = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.exists() else {}
    write_json({"cases": {**known, case: result}}, path)


def give_back() -> None:
    """Give memory back to the system that an earlier call took."""
    gc.collect()
    with contextlib.suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc's own: it keeps what was freed


def write(folder: Path, width: int, blocks: int, dtype: torch.dtype) -> int:
    """Write a checkpoint and the files of its transformer; return the bytes of its weights."""
    pipe = tiny_pipeline(dtype=dtype)
    heads = width // 128
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=blocks, attention_head_dim=128,
        num_attention_heads=heads, joint_attention_dim=WIDTH, axes_dims_rope=(16, 56, 56),
    )  # fmt: skip
    pipe.transformer = torch.nn.Module.to(transformer, dtype)
    pipe.save_pretrained(folder / "model")
    state = {name: value.detach() for name, value in pipe.transformer.state_dict().items()}
    plain: dict[str, torch.Tensor] = {}
    for name, axes in {"a scale a tensor": None, "a scale a row": 1}.items():
        tensors = {}
        for key, value in state.items():
            tensors[key] = plain[key] = value
            if value.ndim == 2:
                top = value.abs().max() if axes is None else value.abs().amax(1, keepdim=True)
                scale = top.float().clamp_min(1e-9) / 448
                tensors[key] = (value.float() / scale).to(FP8)
                tensors[key.replace("weight", "weight_scale")] = scale
                plain[key] = (tensors[key].float() * scale).to(dtype)
        save_file(tensors, folder / f"{name}.safetensors")
    save_file({key: value.contiguous() for key, value in plain.items()},
              folder / "dequantised.safetensors")  # fmt: skip
    return sum(value.nbytes for value in state.values())


if __name__ == "__main__":
    main()
