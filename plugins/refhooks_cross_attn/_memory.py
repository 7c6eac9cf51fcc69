"""How much memory kept keys and values take, and whether it is there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from refhooks import InputError, OutOfMemoryError

if TYPE_CHECKING:
    import torch

    from refhooks import BoundReference, PlannedStage, RunInfo

GIB = 2**30
_ADVICE = (
    "lower the reference's resolution, cover less of it with a content mask, make fewer pictures at"
    " once, or take reuse='never'"
)


_KEPT: WeakKeyDictionary[RunInfo, dict[int, int]] = WeakKeyDictionary()
"""What each reference of a run will keep, before any of it is taken."""


def planned_bytes(planned: PlannedStage) -> int | None:
    """Return what one forward pass of a step keeps, in bytes; ``None``: not known yet."""
    token_bytes = None if planned.model is None else planned.model.token_bytes
    tokens = max((planned.rows[step].tokens or 0 for step in planned.acting), default=0)
    if token_bytes is None or not tokens:
        return None
    return tokens * token_bytes * (planned.batch or 1)


def said(size: int, passes: int) -> str:
    """Return a size in words, with what it is of."""
    each = _amount(size)
    if passes == 1:
        return each
    return f"{_amount(passes * size)} ({each} for each of {passes} passes of a step)"


def check_limit(size: int, passes: int, limit: float | None, label: str) -> None:
    """Refuse what needs more than the user allows.

    Args:
        size: Bytes that a pass keeps.
        passes: How many there are.
        limit: GiB; ``None``: no limit.
        label: Names the reference and its stage.

    Raises:
        InputError: It does.
    """
    if limit is not None and passes * size > limit * GIB:
        raise InputError(
            f"{label}: the keys and values to reuse take {said(size, passes)}, but memory_limit is"
            f" {limit:g} GiB; {_ADVICE}"
        )


def check_run(reference: BoundReference, run: RunInfo, limit: float | None) -> None:
    """Refuse, before the first step, what a run has no memory for.

    Raises:
        InputError: It takes more than ``limit``.
        OutOfMemoryError: It takes more than the device has left.
    """
    if reference.tokens is None:
        return
    shape = (run.blocks, run.noise.shape[0], reference.tokens, run.heads, run.head_size)
    size = 2 * math.prod(shape) * run.noise.dtype.itemsize
    passes = len(run.branches)
    label = f"cross_attn, reference {reference.index + 1}"
    check_limit(size, passes, limit, label)
    kept = _KEPT.setdefault(run, {})
    kept[reference.index] = max(passes * size, kept.get(reference.index, 0))
    free, others = free_bytes(run.noise.device), sum(kept.values()) - kept[reference.index]
    if free is not None and passes * size + others > free:
        beside = f" beside the {_amount(others)} of other references" if others else ""
        raise OutOfMemoryError(
            f"{label}: the keys and values to reuse take {said(size, passes)}{beside}, but"
            f" {run.noise.device} has {_amount(free)} left; {_ADVICE}"
        )


def free_bytes(device: torch.device) -> int | None:
    """Return the memory that a device has left, where it tells."""
    if device.type == "cuda":
        import torch  # noqa: PLC0415  takes a second, which commands without a model do not have

        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    if device.type != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    amounts = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(amounts[0]) * 1024 if amounts else None


def _amount(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 100 else f"{size / 2**20:.2f} MiB"
