"""What every training run needs: a log, a loss curve, and checkpoints that survive a kill."""

from __future__ import annotations

import csv
import time
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
    losses, `NAME.png` their curve.
    """

    def __init__(self, folder: Path, name: str, steps: int) -> None:
        self.folder = folder
        self.name = name
        self.steps = steps
        self.first = 0
        self.minutes_before = 0.0
        self.started = self.saved = time.monotonic()
        self.losses: list[Sequence[float]] = []
        self.kinds: dict[str, list[float]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def minutes(self) -> float:
        """Minutes of training so far, over all resumptions."""
        return self.minutes_before + (time.monotonic() - self.started) / 60

    def __iter__(self) -> Iterator[int]:
        """Iterate over the steps from the last checkpoint on."""
        yield from range(self.first, self.steps)

    def resume(self, parts: Mapping[str, Stateful]) -> None:
        """Load the checkpoint into `parts`, if there is one."""
        path = self.folder / f"{self.name}.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
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

    def log(self, step: int, losses: Sequence[float], note: str = "") -> None:
        """Collect losses; every 100 steps, append their means to the log and print a line."""
        self.losses.append(losses)
        if (step + 1) % 100:
            return
        means = [sum(column) / len(column) for column in zip(*self.losses, strict=True)]
        self.losses.clear()
        with (self.folder / f"{self.name}.csv").open("a", newline="") as file:
            csv.writer(file).writerow([step + 1, f"{self.minutes:.2f}", *means])
        shown = " ".join(f"{mean:.4f}" for mean in means)
        self.say(f"step {step + 1}/{self.steps} loss {shown} {note}")

    def log_by(self, step: int, kind: str, loss: float, kinds: Sequence[str]) -> None:
        """Collect one loss of a kind; like `log`, with a column for each of `kinds`."""
        self.kinds.setdefault(kind, []).append(loss)
        if (step + 1) % 100:
            return
        means = [sum(v) / len(v) if (v := self.kinds.get(k)) else float("nan") for k in kinds]
        self.kinds.clear()
        with (self.folder / f"{self.name}.csv").open("a", newline="") as file:
            csv.writer(file).writerow([step + 1, f"{self.minutes:.2f}", *means])
        shown = " · ".join(f"{k} {mean:.4f}" for k, mean in zip(kinds, means, strict=True))
        self.say(f"step {step + 1}/{self.steps} {shown}")

    def say(self, text: str) -> None:
        """Print a line with the minutes used so far."""
        click.echo(f"[{self.name} {self.minutes:6.1f} min] {text}")

    def _curve(self) -> None:
        path = self.folder / f"{self.name}.csv"
        if not path.exists():
            return
        rows = [[float(cell) for cell in row] for row in csv.reader(path.open())]
        figure = Figure(figsize=(7, 4))
        axes = figure.subplots()
        for column in range(2, len(rows[0])):
            axes.plot([row[0] for row in rows], [row[column] for row in rows])
        axes.set(xlabel="step", ylabel="loss", yscale="log")
        figure.savefig(self.folder / f"{self.name}.png")
