"""The guidance of a run, and what a plan says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._base.advice import warn_user
from refhooks._base.scales import remark_on_scales, scales_over
from refhooks._core.contract.family import Guidance
from refhooks.errors import InputError

if TYPE_CHECKING:
    from refhooks._core.contract.family import Family
    from refhooks._core.planning.request import Request
    from refhooks._core.planning.timetable import Timetable

__all__ = ["guidance_of", "with_scales"]


def with_scales(timetable: Timetable, guidance: Guidance) -> Timetable:
    """Return a timetable that says where guidance differs over the steps."""
    if not guidance.scales:
        return timetable
    remarks = [*timetable.remarks, remark_on_scales(guidance.scales)]
    return attrs.evolve(timetable, remarks=tuple(dict.fromkeys(remarks)))


def guidance_of(family: Family, request: Request, steps: int) -> Guidance:
    """The guidance of a run, as far as the model has any.

    Raises:
        InputError: A negative prompt, or a scale, that would do nothing.
    """
    kind = family.guidance_kind
    cfg = family.default_cfg if request.cfg is None else request.cfg
    scales = scales_over(cfg, steps)
    scale = max(scales)
    varied = scales if len(set(scales)) > 1 else ()
    if varied and not (family.takes_scales and kind == "true"):
        raise InputError(
            f"cfg {request.cfg} differs over the steps, and this model of {family.name} has"
            f" {kind} guidance, of one scale and one pass a step; give one number, or leave cfg out"
        )
    if kind != "true" and any(text.strip() for text in request.negative):
        raise InputError(
            f"this model of {family.name} is distilled ({kind} guidance), so it takes no negative"
            " prompt; leave negative_prompt out"
        )
    if kind == "none" and request.cfg is not None and scale > 1.0:
        raise InputError(
            f"this model of {family.name} is distilled and runs without guidance, so"
            f" cfg={scale:g} would do nothing; leave cfg out"
        )
    if scale <= 1.0 and any(text.strip() for text in request.negative):
        unless = "" if request.cfg is not None else ", as this model does unless cfg is given"
        warn_user(
            f"at cfg {scale:g}{unless} there is no guidance, and no pass for a negative prompt, so"
            " negative_prompt does nothing; raise cfg above 1, or leave it out"
        )
    return Guidance(scale=scale, negative=request.negative, scales=varied)
