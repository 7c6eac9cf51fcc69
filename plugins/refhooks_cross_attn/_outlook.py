"""What a plan says of keys and values that will be reused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks import Outlook
from refhooks_cross_attn import _memory, _refresh

if TYPE_CHECKING:
    from refhooks import ModelInfo, PlannedStage

_EXACT = (
    "reuse is exact: this model's references neither see the target nor depend on the noise level"
)
_APPROXIMATE = (
    "reuse is approximate: this model's references see the target and the noise level, so their"
    " keys and values move from step to step"
)
_UNKNOWN = "reuse is approximate unless the model's references do not see the target"


def of(
    planned: PlannedStage, every: float, drift_limit: float | None, memory_limit: float | None
) -> Outlook:
    """Return what reuse means for a stage.

    Raises:
        InputError: What is kept takes more than ``memory_limit``.
    """
    if every == 0.0:
        return Outlook()
    reused = _refresh.reused(planned, every)
    refreshed = [step for step in planned.acting if step not in set(reused)]
    label = f"reference {planned.reference + 1}"
    remarks = [f"{label}: keys and values are {_times(refreshed, reused, drift_limit)}"]
    if reused:
        size, passes = _memory.planned_bytes(planned), planned.passes or 1
        if size is not None:
            _memory.check_limit(size, passes, memory_limit, f"cross_attn, {label}")
            remarks[0] += f"; they take {_memory.said(size, passes)}"
        remarks.append(_nature(planned.model))
    return Outlook(reused=reused, remarks=tuple(remarks))


def reaching(planned: PlannedStage, outlook: Outlook, *, anew: bool) -> Outlook:
    """Return an outlook with what the strength reaches where text and references are kept.

    Args:
        planned: The stage.
        outlook: What else is foreseen.
        anew: Whether they are computed anew for it.
    """
    if anew:
        usual = (1.0, (0.0,) * len(planned.rows[0].masks))
        rescaled = planned.changes(lambda row: (row.strength, row.masks), usual)
        outlook = attrs.evolve(outlook, rescaled=rescaled)
    strengths = {planned.rows[step].strength for step in planned.acting}
    if planned.model is None or planned.model.sight != "prefix" or strengths <= {1.0}:
        return outlook
    label = f"reference {planned.reference + 1}"
    remark = f"{label}: strength acts on what the target sees; what the text saw of it stays"
    if anew:
        times = 1 + sum(step in planned.acting[1:] for step in outlook.rescaled)
        remark = (
            f"{label}: strength acts on what the target, the text and later references see, so this"
            f" model computes text and references anew where it changes, {times} times a pass at"
            " most"
        )
    return attrs.evolve(outlook, remarks=(*outlook.remarks, remark))


def _times(refreshed: list[int], reused: tuple[int, ...], drift_limit: float | None) -> str:
    steps = ", ".join(str(step + 1) for step in refreshed)
    if not reused:
        return f"stored anew at every step it acts ({steps}), so nothing is reused"
    count = f"step{'s' if len(refreshed) > 1 else ''} {steps} and reused at {len(reused)} more"
    sooner = "" if drift_limit is None else f", sooner where they drift more than {drift_limit:g}"
    return f"stored at {count}{sooner}"


def _nature(model: ModelInfo | None) -> str:
    if model is None:
        return _UNKNOWN
    return _EXACT if model.reuse_exact else _APPROXIMATE
