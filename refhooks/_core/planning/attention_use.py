"""What a plan needs of a model's attention; refused before anything is encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks._base.names import listed
from refhooks._core.contract.outlook import PlannedStage
from refhooks._core.contract.values import Row
from refhooks._core.planning.foresight import outlook_of
from refhooks.errors import InputError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan, PlannedReference
    from refhooks._core.planning.request import Request

_REACHES = {(1.0,): " at strength 1", (1.0, 0.6): " up to strength 1", (1.0, 0.6, 1.4): ""}


def check_attention(loaded: LoadedModel, uses: Sequence[str], *, dropped: bool = False) -> None:
    """Refuse a plan whose edits of attention the model, as it is loaded, cannot do.

    Args:
        loaded: The model.
        uses: What edits or records attention.
        dropped: Whether a content mask leaves out tokens of a reference.

    Raises:
        InputError: It cannot; the message names what does work.
    """
    if not uses and not dropped:
        return
    try:
        loaded.family.check_attention(edited=bool(uses), dropped=dropped)
    except InputError as error:
        needs = listed([*dict.fromkeys(uses), *(["a content mask"] if dropped else [])])
        without = "region masks and record_attention"
        if loaded.family.sight == "prefix":
            without = "masks and record_attention"
        raise InputError(
            f"this model cannot do {needs}: {error}. What works on it as it is:"
            f" {listed(_able(loaded))}, without {without}"
        ) from error


def needs_of(request: Request, plan: Plan) -> list[str]:
    """Return what a call needs of attention beside its methods: masks, recording, its plugins."""
    needs = [
        f"the region mask of reference {number}"
        for number, reference in enumerate(plan.references, 1)
        if reference.gives_tokens and any(it.mask.kind == "region" for it in reference.masks)
    ]
    needs += ["record_attention"] if request.record_attention else []
    return needs + [label for it, label in plan.plugins if hasattr(it, "refhooks_attention")]


def drops(loaded: LoadedModel, plan: Plan) -> bool:
    """Return whether a content mask leaves out tokens of a reference at any step."""

    def whole(reference: PlannedReference) -> int:
        assert reference.size is not None  # noqa: S101  it gives tokens
        rows, columns = loaded.family.grid(reference.size)
        return rows * columns

    return any(
        reference.gives_tokens
        and any(
            0 < (step.rows[slot].tokens or 0) < whole(reference) for step in plan.timetable.steps
        )
        for slot, reference in enumerate(plan.references)
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
    except RefhooksError:
        return False
    return outlook.attention is False
