"""Put a trained export into the package: half-precision weights, and sample pictures."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from refhooks_toy._export import PROJECTION
from refhooks_toy._load import load
from refhooks_toy._samples import write_samples
from refhooks_toy._weights import SAMPLES, WEIGHTS

if TYPE_CHECKING:
    from pathlib import Path


def ship(export: Path) -> int:
    """Write the package's weights and samples from an export; returns the bytes of the weights."""
    pipe = load(export, "cpu", torch.float16)
    for name in ("vae", "text_encoder", "tokenizer", "transformer", "scheduler"):
        shutil.rmtree(WEIGHTS / name, ignore_errors=True)
    pipe.save_pretrained(WEIGHTS)
    shutil.rmtree(WEIGHTS / "processor")  # built from the tokenizer: its saved form is a copy
    with safe_open(export / PROJECTION, "pt") as file:
        weight, metadata = file.get_tensor("projection.weight"), file.metadata()
    save_file({"projection.weight": weight.half()}, WEIGHTS / PROJECTION, metadata)
    write_samples(SAMPLES)
    return sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file())
