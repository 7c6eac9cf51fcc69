"""What ``refhooks edit`` says of keys and values that are reused, and of what that changes."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from typing import TYPE_CHECKING, Any

from refhooks._apps.editing.exact import exactly
from refhooks._core.planning.strategy import Reference
from refhooks.cli._terminal import say, tell
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from refhooks._apps.editing.result import EditResult
    from refhooks._core.contract.drift import Drift
    from refhooks._core.plugins.registry import Registry


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say("note", record.getMessage(), "cyan")


@contextlib.contextmanager
def remarks_as_notes() -> Iterator[None]:
    """Show what methods remark of a plan, before its first step."""
    logger, handler = logging.getLogger("refhooks"), _Notes(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def say_drift(drift: Sequence[Drift]) -> None:
    """Say how far each reference's keys and values had moved at its refreshes."""
    for number, group in itertools.groupby(
        sorted(drift, key=lambda entry: entry.reference), key=lambda entry: entry.reference
    ):
        entries = list(group)
        means = [entry.mean for entry in entries]
        steps = sorted({entry.step + 1 for entry in entries})
        block, worst = max((entry.worst_block for entry in entries), key=lambda pair: pair[1])
        amount = (
            f"{min(means):.3g}"
            if min(means) == max(means)
            else (f"{min(means):.3g} to {max(means):.3g}")
        )
        say(
            "note",
            f"reference {number + 1}: keys and values had moved by {amount} (relative L2, mean of"
            f" the blocks; at most {worst:.3g}, in block {block}) when stored anew at"
            f" step{'s' if len(steps) > 1 else ''} {', '.join(map(str, steps))}",
            "cyan",
        )


def exact_arguments(
    image: Any, strategy: Any, references: Sequence[Reference], registry: Registry
) -> dict[str, Any]:
    """Return the arguments of the same edit in which nothing is reused.

    Raises:
        InputError: Nothing is reused anyway.
    """
    first = image if isinstance(image, Reference) else Reference(image, strategy)
    originals = [first, *references]
    exact = [exactly(reference, registry) for reference in originals]
    if all(one is other for one, other in zip(exact, originals, strict=True)):
        raise InputError(
            "--measure-drift runs the edit a second time without reuse to compare the two, but no"
            " method of this edit reuses anything; leave it out"
        )
    return {"image": exact[0], "strategy": None, "references": exact[1:]}


def tell_changes(result: EditResult, exact: EditResult) -> None:
    """Print how close each picture is to the one that was made without reuse."""
    from refhooks._base.measures import peak_signal_to_noise, similarity  # noqa: PLC0415  imports torch

    for seed, one, other in zip(result.seeds, result.images, exact.images, strict=True):
        noise = peak_signal_to_noise(other, one)
        decibels = "equal to the bit" if math.isinf(noise) else f"PSNR {noise:.1f} dB"
        tell(f"seed {seed}, against no reuse: {decibels}, SSIM {similarity(other, one):.4f}")
