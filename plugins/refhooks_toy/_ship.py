"""Put a trained export into the package: half-precision weights, and sample pictures."""

from __future__ import annotations

import csv
import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from refhooks_toy._export import PROJECTION
from refhooks_toy._load import load
from refhooks_toy._samples import write_samples
from refhooks_toy._weights import SAMPLES, WEIGHTS

if TYPE_CHECKING:
    from pathlib import Path

TRAINING: Final = "training.json"
"""Beside the weights: how long what they are was trained, on how many edits and on what."""

STARTED: Final = "started-from.json"
"""In the folder of a run: that record of the weights that it began with."""


def ship(export: Path) -> int:
    """Write the package's weights and samples from an export; returns the bytes of the weights."""
    record = training(export)
    pipe = load(export, "cpu", torch.float16)
    for name in ("vae", "text_encoder", "tokenizer", "transformer", "scheduler"):
        shutil.rmtree(WEIGHTS / name, ignore_errors=True)
    pipe.save_pretrained(WEIGHTS)
    shutil.rmtree(WEIGHTS / "processor")  # built from the tokenizer: its saved form is a copy
    with safe_open(export / PROJECTION, "pt") as file:
        weight, metadata = file.get_tensor("projection.weight"), file.metadata()
    save_file({"projection.weight": weight.half()}, WEIGHTS / PROJECTION, metadata)
    (WEIGHTS / TRAINING).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    write_samples(SAMPLES)
    return sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file())


def training(export: Path) -> dict[str, Any]:
    """Return what the folder of a run records of the training that an export is of.

    The steps are those that the export names, the minutes those of the log.
    """
    folder = export.parent
    with safe_open(export / PROJECTION, "pt") as file:
        steps = int(file.metadata()["note"].removeprefix("step "))
    with safe_open(folder / "pool.safetensors", "pt") as file:
        pairs = file.get_slice("kind").get_shape()[0]
    started = folder / STARTED
    before = json.loads(started.read_text(encoding="utf-8")) if started.exists() else None
    *_, (vae_steps, vae_minutes) = _log(folder / "vae.csv")
    minutes = [minutes for step, minutes in _log(folder / "transformer.csv") if step <= steps]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    vae = {"steps": vae_steps, "minutes": vae_minutes}
    return {
        "machine": f"{os.cpu_count()} CPU cores, {device}",
        "pairs": pairs,
        "vae": before["vae"] if before and not vae_steps else vae,
        "transformer": {"steps": steps, "minutes": minutes[-1] if minutes else 0.0},
        "before": before,
    }


def remember_start(folder: Path, start: Path) -> None:
    """Keep, in the folder of a run, the record of the weights that it begins with."""
    record = start / TRAINING
    if record.exists():
        shutil.copyfile(record, folder / STARTED)


def _log(path: Path) -> list[tuple[int, float]]:
    """Step and minutes of each line of a run's log; none yet: a run of under 100 steps."""
    if not path.exists():
        return [(0, 0.0)]
    with path.open(newline="", encoding="utf-8") as file:
        return [(int(row[0]), float(row[1])) for row in csv.reader(file)]
