"""What every training run needs: a log, a loss curve, and checkpoints that survive a kill."""

from __future__ import annotations

import csv
import math
import time
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

import click
import torch
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Stateful(Protocol):
    """Anything with a state to save: modules and optimizers."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any) -> Any: ...


class Run:
    """A training run of `steps` steps in a folder: iterate over it to get the steps still to do.

    `NAME.pt` is its checkpoint (weights, optimizer, random state, minutes used), `NAME.csv` the
    mean losses (step, minutes, then one column for each of `losses`), `NAME.png` their curve.
    """

    def __init__(self, folder: Path, name: str, steps: int, losses: Sequence[str]) -> None:
        self.folder = folder
        self.name = name
        self.steps = steps
        self.first = 0
        self.minutes_before = 0.0
        self.started = self.saved = time.monotonic()
        self._losses: dict[str, list[float]] = {loss: [] for loss in losses}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def minutes(self) -> float:
        """Minutes of training so far, over all resumptions."""
        return self.minutes_before + (time.monotonic() - self.started) / 60

    @property
    def resumes(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return (self.folder / f"{self.name}.pt").exists()

    def __iter__(self) -> Iterator[int]:
        """Iterate over the steps from the last checkpoint on."""
        yield from range(self.first, self.steps)

    def resume(self, parts: Mapping[str, Stateful]) -> None:
        """Load the checkpoint into `parts`, if there is one."""
        if not self.resumes:
            return
        state = torch.load(self.folder / f"{self.name}.pt", weights_only=True)
        for key, part in parts.items():
            part.load_state_dict(state["parts"][key])
        torch.set_rng_state(state["random"])
        self.first, self.minutes_before = state["step"] + 1, state["minutes"]
        self.say(f"resumed after step {state['step']} ({self.minutes_before:.1f} min)")

    def save(self, step: int, parts: Mapping[str, Stateful]) -> None:
        """Write the checkpoint: beside, then renamed, so that a kill never leaves half of one."""
        state = {
            "parts": {key: part.state_dict() for key, part in parts.items()},
            "random": torch.get_rng_state(),
            "step": step,
            "minutes": self.minutes,
        }
        path = self.folder / f"{self.name}.pt"
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        self.saved = time.monotonic()
        self._curve()

    def due(self, step: int, minutes: float) -> bool:
        """Whether `minutes` have passed since the last checkpoint."""
        return step > self.first and time.monotonic() - self.saved > minutes * 60

    def log(self, step: int, losses: Mapping[str, float]) -> None:
        """Collect losses by their names; every 100 steps, append their means to the log."""
        for name, loss in losses.items():
            self._losses[name].append(loss)
        if (step + 1) % 100:
            return
        means = [fmean(losses) if losses else math.nan for losses in self._losses.values()]
        for collected in self._losses.values():
            collected.clear()
        with (self.folder / f"{self.name}.csv").open("a", newline="") as file:
            csv.writer(file).writerow([step + 1, f"{self.minutes:.2f}", *means])
        named = zip(self._losses, means, strict=True)
        shown = " · ".join(f"{name} {mean:.4f}" for name, mean in named)
        self.say(f"step {step + 1}/{self.steps} {shown}")

    def say(self, text: str) -> None:
        """Print a line with the minutes used so far."""
        click.echo(f"[{self.name} {self.minutes:6.1f} min] {text}")

    def _curve(self) -> None:
        path = self.folder / f"{self.name}.csv"
        if not path.exists():
            return
        with path.open(newline="") as file:
            rows = [[float(cell) for cell in row] for row in csv.reader(file)]
        figure = Figure(figsize=(8, 5))
        axes = figure.subplots()
        for column, name in enumerate(self._losses, start=2):
            axes.plot([row[0] for row in rows], [row[column] for row in rows], label=name)
        axes.set(xlabel="step", ylabel="loss", yscale="log")
        axes.legend()
        figure.savefig(self.folder / f"{self.name}.png")
