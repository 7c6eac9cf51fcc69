"""Something fails: is the culprit named, is everything as it was, is the next edit as the first?

    python benchmarks/faults.py [--models edit,plus,21] [--only WORDS] [--seed 0] [--json FILE]

Every place of an edit that can fail (a plugin's hooks, bind and close, schedule, switch, mask,
callback, text encoder, VAE, transformer, scheduler) raises each of six exceptions at the first,
middle and last step, on tiny random models of the three pipelines. After each:

- the exception is the one that was raised, or refhooks' own for a full memory, made of it; message
  or notes name the culprit and the step;
- modules, parameters, processors, hooks, the pipeline's attributes, the scheduler, warning filters,
  random numbers and the number of living tensors are what they were;
- the next plain edit gives the same latents and the same picture as before, to the bit.

The order is drawn from the seed. With ``--json`` what is done is written, and a run that was
stopped goes on where it was; what was wrong is tried again. The status is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import collections
import gc
import json
import random
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from _faults import EXCEPTIONS, PLACES, STEPS, Armed, Place, options_of
from _left_behind import State, tensors_alive
from _timing import write_json

import refhooks as rh
from refhooks.testing._tiny import picture, tiny_pipeline
from refhooks_qwen21 import _tiny as tiny21

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SIDE = 32  # pixels
WHEN = ("first", "middle")
MODELS = {
    "edit": lambda: tiny_pipeline("edit", "middle"),
    "plus": lambda: tiny_pipeline("plus", "middle", zero_cond_t=True),  # as 2511
    "21": tiny21.tiny_pipeline,
}
EVERY = 50  # cells, after which they are written


class Cell(NamedTuple):
    """One fault on one model."""

    model: str
    place: Place
    at: int
    exception: str

    @property
    def key(self) -> str:
        """Its name in files."""
        last = self.at == self.place.times - 1
        when = "once" if self.place.times == 1 else "last" if last else WHEN[self.at]
        return f"{self.model}: {self.place.spot}, {when}: {self.exception}"


def cells(models: Iterable[str], seed: int = 0, only: str = "") -> list[Cell]:
    """Return the matrix in an order drawn from a seed, model by model."""
    found = []
    for model in models:
        own = [
            Cell(model, place, at, exception)
            for place in PLACES
            for at in range(place.times)
            for exception in EXCEPTIONS
        ]
        random.Random(seed).shuffle(own)  # noqa: S311
        found += own
    return [cell for cell in found if only in cell.key]


class Subject:
    """A tiny model, on which faults are tried.

    Args:
        model: One of ``MODELS``.
    """

    def __init__(self, model: str) -> None:
        self.pipe = MODELS[model]()
        area = SIDE**2
        checkpoint = rh.Checkpoint(output=area, reference=area, vision=area)
        self.editor = rh.Editor(self.pipe, checkpoint=checkpoint, encodings_mib=0)
        self._more = [
            rh.Reference(picture(2, (SIDE, SIDE)), rh.Stage("cross_attn", 0.6))
        ] * (self.editor.family.max_references > 1)  # fmt: skip
        never = Armed("nowhere", 0, ValueError())
        for _ in range(2):  # what is made once is there after the first
            self._edit(**options_of(never))
            self._clean = self._plain()
            self._before = State(self.pipe)
        gc.collect()
        gc.freeze()  # what is made from here on is counted
        self._edit(**options_of(never))
        self._plain()
        self._alive = tensors_alive()

    def _edit(self, **options: Any) -> rh.EditResult:
        call = {"steps": STEPS, "seed": 1, "cfg": 2.0, "height": SIDE, "width": SIDE, **options}
        return self.editor.edit(
            picture(0, (SIDE, SIDE)), "make it blue", references=self._more, **call
        )

    def _plain(self) -> tuple[torch.Tensor, bytes]:
        result = self._edit()
        return result.latents, result.image.tobytes()

    def attempt(self, cell: Cell) -> list[str]:
        """Have it fail; return what is wrong with how it did, and with what it left."""
        wrong = self._fail(cell)
        wrong += [f"{name} is not what it was" for name in self._before.changes(self.pipe)]
        latents, pixels = self._plain()
        if not torch.equal(latents, self._clean[0]) or pixels != self._clean[1]:
            wrong.append("the next edit gives another picture")
        del latents
        alive = tensors_alive()
        if alive != self._alive:
            wrong.append(f"{alive - self._alive} tensors more are alive")
        return wrong

    def _fail(self, cell: Cell) -> list[str]:
        armed = Armed(cell.place.spot, cell.at, EXCEPTIONS[cell.exception]())
        options = options_of(armed)
        setting = cell.place.setting
        try:
            if setting is None:
                self._edit(**options)
            else:
                with setting(self.pipe, armed):
                    self._edit(**options)
        except BaseException as error:
            if not armed.went_off:  # a fault of this script, or the user's Ctrl-C
                raise
            return faults_of(error, armed, cell)
        return ["the edit ended well" if armed.went_off else "the place was not reached"]


def faults_of(error: BaseException, armed: Armed, cell: Cell) -> list[str]:
    """Return what is wrong with an exception that arrived."""
    wrong = []
    expected = cell.place.expected(armed.error)
    if type(error) is not expected:
        wrong.append(f"came as {type(error).__name__}: {error}")
    if error is not armed.error and error.__cause__ is not armed.error:
        wrong.append("the exception that was raised is gone")
    said = [str(error), *getattr(error, "__notes__", ())]
    whole = " | ".join(said)
    missing = [words for words in cell.place.words(cell.at) if words not in whole]
    if missing:
        wrong.append(f"{missing} is not in {whole!r}")
    if not cell.place.named and "raised by" in whole:
        wrong.append(f"the user's own is blamed on somebody: {whole!r}")
    if any("generator raised" in line for line in said):
        wrong.append(f"a generator is named: {whole!r}")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix, print the table, and return the status."""
    options = _options().parse_args(arguments)
    models = options.models.split(",")
    done = _done(options)
    began, subject, last = time.monotonic(), None, ""
    todo = cells(models, options.seed, options.only)
    for number, cell in enumerate(todo):
        if done.get(cell.key) == []:
            continue
        if cell.model != last:
            gc.unfreeze()
            subject, last = Subject(cell.model), cell.model
        done[cell.key] = subject.attempt(cell)
        if options.json is not None and number % EVERY == 0:
            _write(options, done)
    if options.json is not None:
        _write(options, done)
    tried = {cell: done[cell.key] for cell in todo}
    print(table(tried))
    print(f"{len(tried)} faults, {time.monotonic() - began:.0f} s")
    return int(any(tried.values()))


def table(tried: dict[Cell, list[str]]) -> str:
    """Return how many cells of each model and place are right, and what is wrong with others."""
    models = list(dict.fromkeys(cell.model for cell in tried))
    right: collections.Counter[tuple[str, str]] = collections.Counter()
    count: collections.Counter[tuple[str, str]] = collections.Counter()
    for cell, wrong in tried.items():
        count[cell.place.spot, cell.model] += 1
        right[cell.place.spot, cell.model] += not wrong
    lines = [f"{'':28}" + "".join(f"{model:>10}" for model in models)]
    for spot in [place.spot for place in PLACES]:
        cells_of = [f"{right[spot, it]}/{count[spot, it]}" for it in models]
        if any(count[spot, it] for it in models):
            lines.append(f"{spot:28}" + "".join(f"{it:>10}" for it in cells_of))
    lines += [f"WRONG {cell.key}: {'; '.join(it)}" for cell, it in tried.items() if it]
    return "\n".join(lines)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", default=",".join(MODELS), help="separated by commas")
    parser.add_argument("--only", default="", help="words of the name of a fault")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--json", type=Path, help="where results are kept")
    return parser


def _done(options: argparse.Namespace) -> dict[str, list[str]]:
    if options.json is None or not options.json.exists():
        return {}
    kept = json.loads(options.json.read_text(encoding="utf-8"))
    if kept.get("seed") != options.seed:
        sys.exit(f"{options.json} is of a run with another seed; name another file")
    return dict(kept["faults"])


def _write(options: argparse.Namespace, done: dict[str, list[str]]) -> None:
    write_json({"seed": options.seed, "faults": done}, options.json)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
