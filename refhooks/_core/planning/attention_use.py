"""What a plan needs of a model's attention; refused before anything is encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks._base.names import listed
from refhooks._core.contract.outlook import PlannedStage
from refhooks._core.contract.values import Row
from refhooks._core.planning.foresight import outlook_of
from refhooks._core.planning.inside import reuses
from refhooks._core.planning.run_plugins import implements
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.request import Request

_REACHES = {(1.0,): " at strength 1", (1.0, 0.6): " up to strength 1", (1.0, 0.6, 1.4): ""}


def check_attention(loaded: LoadedModel, uses: Sequence[str], *, dropped: bool = False) -> None:
    """Refuse a plan in which what uses attention cannot, as the model is loaded.

    Raises:
        InputError: It cannot; the message names what does work.
    """
    if not uses and not dropped:
        return
    try:
        loaded.family.check_attention(edited=bool(uses), dropped=dropped)
    except InputError as error:
        needs = listed([*dict.fromkeys(uses), *(["a content mask"] if dropped else [])])
        masks = "masks" if loaded.family.sight == "prefix" else "region masks"
        raise InputError(
            f"this model cannot do {needs}: {error}. What works on it as it is:"
            f" {listed(_able(loaded))}, without {masks} and record_attention"
        ) from error


def needs_of(request: Request, plan: Plan) -> list[str]:
    """Return what a call needs of attention beside its methods: masks, recording, its plugins."""
    needs = [
        f"the region mask of reference {number}"
        for number, reference in enumerate(plan.references, 1)
        if reference.gives_tokens and any(it.mask.kind == "region" for it in reference.masks)
    ]
    needs += ["record_attention"] if request.record_attention else []
    needs += ["compute='inside' with reuse"] if reuses(request.compute) else []
    return needs + [label for it, label in plan.plugins if _attends(it)]


def _attends(plugin: object) -> bool:
    """Whether an object of the call edits attention, or binds one that does."""
    said = getattr(plugin, "edits_attention", None)
    if said is not None:
        return bool(said)
    return implements(plugin, "refhooks_attention")


def drops(plan: Plan) -> bool:
    """Return whether a content mask leaves out tokens of a reference."""
    return any(
        reference.gives_tokens and it.mask.kind == "content" and not it.mask.soft
        for reference in plan.references
        for it in reference.masks
    )


def _able(loaded: LoadedModel) -> list[str]:
    """The methods that leave attention alone, and up to which strength."""
    able = []
    for name in sorted(set(loaded.registry.methods) - set(loaded.family.refuses)):
        strengths = tuple(it for it in (1.0, 0.6, 1.4) if _leaves_alone(loaded, name, it))
        if strengths in _REACHES:
            able.append(f"{name}{_REACHES[strengths]}")
    return able


def _leaves_alone(loaded: LoadedModel, name: str, strength: float) -> bool:
    """Whether a method says that it does, with its own options at a strength."""
    planned = PlannedStage(0, 0, (Row(0, 0, name, strength),), loaded.model)
    try:
        outlook = outlook_of(loaded.registry.method(name), planned, loaded.registry)
    except Exception:  # noqa: BLE001  a stranger's, whom nobody has asked for
        return False
    return outlook.attention is False
