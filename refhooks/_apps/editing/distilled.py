"""LoRAs that are distilled for few steps, and the noise levels that they need."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from refhooks._base.advice import warn_user
from refhooks._loras.places import uncompiled
from refhooks._loras.state import notes_of, states_of
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan

FEW: Final = 16
"""Steps up to which a run is one of few steps."""
MAX_SHIFT: Final = 100.0
_DISTILLED = re.compile(
    r"lightning|turbo|distill|(?<![a-z])(?:hyper(?:-?sd)?|lcm|dmd2?|tcd)(?![a-z])"
    r"|(?<!\d)(?:[1-9]|1[0-6])[ _-]?steps?(?![a-z])",
    re.IGNORECASE,
)
_TITLES = ("ss_output_name", "modelspec.title", "modelspec.description", "title", "name")
_SHIFTS = ("shift", "flow_shift")  # what a file's metadata may say


def shift_of(metadata: Mapping[str, str]) -> float | None:
    """Return the shift that a LoRA file's metadata says, above 0 and up to 100, if any."""
    for key in _SHIFTS:
        try:
            shift = float(metadata[key])
        except (KeyError, ValueError):
            continue
        if 0.0 < shift <= MAX_SHIFT:
            return shift
    return None


def set_shift(pipe: Any, shift: float) -> None:
    """Give a pipeline's scheduler one shift at every size, without a fixed last noise level.

    ``sigma' = shift·sigma / (1 + (shift − 1)·sigma)``, in the form in which the authors of
    Lightning write it.

    Raises:
        ModelError: The scheduler has no shift.
    """
    scheduler = pipe.scheduler
    if "max_shift" not in scheduler.config:
        raise ModelError(f"--shift: the scheduler {type(scheduler).__name__} has no shift")
    pipe.scheduler = type(scheduler).from_config(
        scheduler.config,
        base_shift=math.log(shift),
        max_shift=math.log(shift),
        shift_terminal=None,
        use_dynamic_shifting=True,
        time_shift_type="exponential",
    )


def warn_of_schedule(loaded: LoadedModel, plan: Plan) -> None:
    """Warn where a LoRA for few steps runs in few steps at noise levels that are not its own.

    A LoRA is one for few steps where its adapter's or file's name, or its metadata, says so:
    Lightning, Turbo, Hyper, LCM, DMD, TCD, distilled, or up to 16 steps. It needs one shift above 1
    at every size, and no fixed last noise level.
    """
    steps = len(plan.timetable.steps)
    if steps > FEW or _is_one_shift(plan.scheduler.config):
        return
    transformer = uncompiled(loaded.family.transformer)
    notes = notes_of(transformer)
    acting = [it.name for it in states_of(transformer, files=False) if it.active and it.factor]
    for adapter in acting:
        file, metadata = notes.get(adapter, (adapter, {}))
        text = "\n".join([file, *[metadata[key] for key in _TITLES if key in metadata]])
        if _DISTILLED.search(text):
            warn_user(
                f"the LoRA {text.splitlines()[0]!r:.80} is distilled for few steps, which need one"
                f" shift of the noise levels, mostly 3; the scheduler has another, so {steps} steps"
                " end short of a finished picture: --shift 3 on the command line, or a scheduler as"
                " docs/works-with.md shows"
            )


def _is_one_shift(config: Any) -> bool:
    if config.get("shift_terminal"):
        return False
    if not config.get("use_dynamic_shifting"):
        return float(config.get("shift", 1.0)) > 1.0
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    return bool(low == high and low > 0.0)
