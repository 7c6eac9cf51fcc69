"""Many edits at once: pictures of one size, each with its own prompt and seed, by one strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks._opened import Opened
from refhooks._plan import make_plan
from refhooks._request import make_request
from refhooks._run import exclusive, run_plan
from refhooks._strategy import Reference
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image

    from refhooks._bound import Method
    from refhooks._editor import Editor
    from refhooks._family import Shown
    from refhooks._plan import Plan, PlannedReference
    from refhooks._request import Request
    from refhooks._result import EditResult
    from refhooks._strategy import Stage, Strategy

__all__ = ["Job", "edit_batch"]


@attrs.frozen
class Job:
    """One edit of a batch.

    Attributes:
        image: The source.
        prompt: What to do.
        seed: 0 and above.
        references: More pictures, as many as the other jobs have.
    """

    image: str | Path | Image
    prompt: str
    seed: int = 0
    references: Sequence[str | Path | Image] = ()


def edit_batch(
    editor: Editor,
    jobs: Sequence[Job],
    *,
    strategy: Strategy | Stage | Method | str | None = None,
    others: Strategy | Stage | Method | str | None = None,
    **options: Any,
) -> EditResult:
    """Run several edits in one pass through the steps: the results are those of single edits.

    They differ by rounding only, since a batch may use other kernels (at most 1e-5 of the latents
    in float32), and it is faster where single edits leave the device idle.

    Args:
        editor: It runs the batch; where its device is full, give fewer jobs at once.
        jobs: What to edit. Sources are of one size, and references of each place as well.
        strategy: How every job's source steers; ``None``: the family's native method at 1.
        others: How every job's other references steer; ``None`` likewise.
        **options: Arguments of :meth:`refhooks.Editor.edit` that are the same for all jobs:
            ``negative_prompt``, ``cfg``, ``steps``, ``height``, ``width``, ``resolution``,
            ``denoise``, ``edit_mask``, ``plugins``, ``callback``, ``check``.

    Returns:
        One result with one picture a job, in their order.

    Raises:
        InputError: As for ``Editor.edit``, or the pictures of a job have another size or number.
    """
    if not jobs:
        raise InputError("a batch needs at least one job")
    with exclusive(editor.family):
        requests = [_request(job, strategy, others, options) for job in jobs]
        plans = [make_plan(editor, request) for request in requests]
        for number, plan in enumerate(plans[1:], 2):
            _check_same(plans[0], plan, number)
        return run_plan(editor, _joined(requests), _merged(plans))


def _request(job: Job, strategy: Any, others: Any, options: dict[str, Any]) -> Request:
    references = [Reference(image, others) for image in job.references]
    return make_request(
        job.image,
        job.prompt,
        strategy=strategy,
        references=references,
        seed=job.seed,
        **{"steps": None, "cfg": None, **_SIZE, **options},
    )


_SIZE = {"height": None, "width": None, "resolution": None}


def _joined(requests: Sequence[Request]) -> Request:
    return attrs.evolve(
        requests[0],
        prompts=tuple(prompt for request in requests for prompt in request.prompts),
        negative=tuple(prompt for request in requests for prompt in request.negative),
        seeds=tuple(seed for request in requests for seed in request.seeds),
        paired=True,
    )


def _merged(plans: Sequence[Plan]) -> Plan:
    first = plans[0]
    negative = tuple(prompt for plan in plans for prompt in plan.guidance.negative)
    shown = [[plan.shown[place] for plan in plans] for place in range(len(first.shown))]
    return attrs.evolve(
        first,
        references=tuple(
            attrs.evolve(
                reference,
                opened=_stacked([plan.references[place].opened for plan in plans]),
                used=_stacked([plan.references[place].used for plan in plans]),
            )
            for place, reference in enumerate(first.references)
        ),
        source=_stacked([plan.source for plan in plans if plan.source is not None]),
        guidance=attrs.evolve(first.guidance, negative=negative),
        shown=tuple(_shown(entries) for entries in shown),
    )


def _stacked(opened: Sequence[Opened]) -> Opened:
    return Opened(tuple(entry.picture for entry in opened))


def _shown(entries: Sequence[Shown]) -> Shown:
    pictures = tuple(picture for entry in entries for picture in entry.pictures)
    return attrs.evolve(entries[0], pictures=pictures)


def _check_same(first: Plan, plan: Plan, number: int) -> None:
    """Everything but the pictures, prompts and seeds must be equal."""
    counts = [len(first.references), len(plan.references)]
    if counts[0] != counts[1]:
        raise InputError(
            f"job {number} has {counts[1] - 1} references besides its source, the first has"
            f" {counts[0] - 1}; a batch needs as many in every job"
        )
    pairs = zip(first.references, plan.references, strict=True)
    for place, (one, other) in enumerate(pairs, 1):
        if _sizes(one) != _sizes(other):
            raise InputError(
                f"job {number}: picture {place} is {other.opened.size}, that of the first job"
                f" {one.opened.size}; a batch needs pictures of one size"
            )


def _sizes(reference: PlannedReference) -> tuple[Any, ...]:
    return reference.opened.size, reference.size, reference.gives_tokens
