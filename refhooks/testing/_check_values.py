"""Checks of schedules, switches, masks, families and models."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click
import torch
from click.testing import CliRunner

from refhooks._base.shown import shown
from refhooks._base.size import Size
from refhooks._core.masks.shape_cover import shape_cover
from refhooks._core.planning.compilation import compile_timetable
from refhooks._core.planning.strategy import Stage, Strategy
from refhooks._editor import Editor
from refhooks.errors import RefhooksError
from refhooks.testing._bench import quiet
from refhooks.testing._report import CheckFailed
from refhooks.testing._watch import check_same_state, process_state, same, seed_everything

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks._core.planning.timetable import Timetable
    from refhooks.testing._subject import Subject

SIZES = (Size(48, 64), Size(64, 48), Size(31, 7))
LENGTHS = (1, 2, 3, 4, 28)


def steps(subject: Subject) -> None:
    """It has an answer, the same each time, at every step of runs of 1 to 28 steps."""
    for total in LENGTHS:
        sigmas = [1.0 - step / total for step in range(total)]
        first, again = (_timetable(subject, sigmas) for _ in range(2))
        if first != again:
            raise CheckFailed(f"with {total} steps the same run is planned differently each time")


def _timetable(subject: Subject, sigmas: Sequence[float]) -> Timetable:
    instance = subject.made()
    stages = [Stage("any", instance)] if subject.kind == "schedule" else [
        Stage("any", until=instance), Stage("other"),
    ]  # fmt: skip
    with quiet():
        return compile_timetable([Strategy(stages)], sigmas, subject.registry)


def cover(subject: Subject) -> None:
    """It covers pictures of any size with values from 0 to 1, the same each time."""
    for size in SIZES:
        one, again = (_cover(subject, size) for _ in range(2))
        if not same(one, again):
            raise CheckFailed(f"it covers a picture of {size} differently each time")


def _cover(subject: Subject, size: Size) -> Tensor:
    with quiet():
        raw = subject.made().cover(size)
        shape_cover(subject.made(), size)
    if raw.dtype != torch.float32 or raw.device.type != "cpu":
        raise CheckFailed(f"cover must be float32 on the CPU, got {raw.dtype} on {raw.device}")
    return raw  # type: ignore[no-any-return]


def value_state(subject: Subject) -> None:
    """It neither reads nor changes what belongs to the process."""
    _use(subject)  # what it imports when it is first used is no change
    with torch.random.fork_rng(devices=[]):
        seed_everything(2)
        before = process_state()
        _use(subject)
        check_same_state(before, process_state())


def _use(subject: Subject) -> None:
    """Ask it for everything; whether the answers are right is the matter of other checks."""
    with contextlib.suppress(RefhooksError, CheckFailed):
        cover(subject) if subject.kind == "mask" else steps(subject)


def command(subject: Subject) -> None:
    """It can be imported, and its help can be read."""
    program = subject.registered.load()
    if not isinstance(program, click.Command):
        raise CheckFailed(f"load() returns no click.Command: {shown(program)}")
    help_run = CliRunner().invoke(program, ["--help"])
    if help_run.exit_code != 0:
        raise CheckFailed(
            f"--help ends with {help_run.exit_code}: {help_run.output.strip()[-200:]}"
        )


def model(subject: Subject) -> None:
    """It loads, and edits each of its samples; the first the same each time."""
    entry = subject.registered
    pipe = entry.load()
    pipe.set_progress_bar_config(disable=True)
    editor = Editor(pipe, checkpoint=entry.checkpoint)
    prompt = next(iter(entry.prompts), "make it blue")
    latents = []
    for sample in [*entry.samples()[:1], *entry.samples()]:
        with quiet():
            latents.append(editor.edit(sample, prompt, steps=2, seed=0).latents)
        if not torch.isfinite(latents[-1]).all():
            raise CheckFailed(f"{sample.name}: the latents hold NaN or infinity")
    if latents and not same(latents[0], latents[1]):
        raise CheckFailed(f"{entry.samples()[0].name}: its latents differ each time")
