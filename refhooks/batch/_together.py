"""Many edits at once: pictures of one size, each with its own prompt and seed, by one strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import attrs

from refhooks._apps.editing.edit import edit_planned
from refhooks._attending.named_caches import with_step_cache
from refhooks._base.names import did_you_mean, listed
from refhooks._base.numbers import is_list
from refhooks._base.once import keeping
from refhooks._base.shown import shown
from refhooks._base.turns import exclusive, seconds_of
from refhooks._core.planning.bounds import MAX_SEED, read_seed
from refhooks._core.planning.input_pictures import InputPicture
from refhooks._core.planning.planner import make_plan, with_outlook
from refhooks._core.planning.request import make_request
from refhooks._core.planning.strategy import Reference
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image

    from refhooks._apps.editing.result import EditResult
    from refhooks._attending.named_caches import StepCache
    from refhooks._core.contract.family import Shown
    from refhooks._core.contract.inside import Inside
    from refhooks._core.contract.methods import Method
    from refhooks._core.contract.protocols import MaskForm, MaskShape
    from refhooks._core.masks.mask import Mask
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan, PlannedReference
    from refhooks._core.planning.request import Callback, Request
    from refhooks._core.planning.strategy import Stage, Strategy

__all__ = ["Job", "Options", "edit_batch", "edit_together"]


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


class Options(TypedDict, total=False):
    """The arguments of :meth:`refhooks.Editor.edit` that are the same for all jobs."""

    negative_prompt: str | Sequence[str]
    cfg: float | str | Sequence[float] | None
    steps: int | None
    height: int | None
    width: int | None
    resolution: int | Literal["native"] | None
    vision_resolution: int | None
    denoise: float
    edit_mask: Mask | MaskShape | MaskForm | None
    compute: Inside | Literal["all", "inside"]
    cache: str | StepCache | None
    align: bool
    plugins: Sequence[object]
    callback: Callback | None
    check: Literal["final", "eager"]
    record_attention: bool
    wait: bool | float


@keeping()
def edit_batch(
    editor: LoadedModel,
    jobs: Sequence[Job],
    *,
    strategy: Strategy | Stage | Method | str | None = None,
    others: Strategy | Stage | Method | str | None = None,
    **options: Unpack[Options],
) -> EditResult:
    """Run several edits in one pass through the steps: the results are those of single edits.

    They differ by rounding only, since a batch may use other kernels (at most 1e-5 of the latents
    in float32), and it is faster where single edits leave the device idle.

    Args:
        editor: It runs the batch; where its device is full, give fewer jobs at once.
        jobs: What to edit. Sources are of one size, and references of each place as well.
        strategy: How every job's source steers; ``None``: the family's native method at 1.
        others: How every job's other references steer; ``None`` likewise.
        **options: Arguments of :meth:`refhooks.Editor.edit`, as :class:`Options` lists them, for
            all jobs; ``negative_prompt`` is one for all, or one a job.

    Returns:
        One result with one picture a job, in their order.

    Raises:
        InputError: As for ``Editor.edit``, or the pictures of a job have another size or number.
        TypeError: An option that there is not.
    """
    _check_options(options)
    if not is_list(jobs) or not jobs or not all(isinstance(job, Job) for job in jobs):
        raise InputError(f"jobs must be a list of at least one Job, got {shown(jobs)}")
    seconds = seconds_of(options.pop("wait", False))
    requests = _requests(jobs, strategy, others, options)
    turn = exclusive(editor.family.transformer, seconds)
    with turn, with_step_cache(editor.family, requests[0].cache):
        plans = [_planned(editor, *numbered) for numbered in enumerate(requests, 1)]
        return edit_together(editor, requests, plans)


def edit_together(
    editor: LoadedModel, requests: Sequence[Request], plans: Sequence[Plan]
) -> EditResult:
    """Run planned edits in one pass, on a model that runs no other.

    Args:
        editor: It runs them.
        requests: Of one prompt and one seed each.
        plans: Of them, in their order.

    Raises:
        InputError: The pictures of one have another size or number than the first's.
        RefhooksError: As for :meth:`refhooks.Editor.edit`.
    """
    for number, plan in enumerate(plans[1:], 2):
        _check_same(plans[0], plan, number)
    joined, merged = _joined(requests), _merged(plans)
    return edit_planned(editor, joined, with_outlook(editor, joined, merged))


def _check_options(options: Options) -> None:
    known = Options.__optional_keys__
    for name in options:
        if name not in known:
            raise TypeError(
                f"edit_batch() has no option {name!r}.{did_you_mean(name, known)} There are"
                f" {listed(sorted(known))}; prompts, seeds and pictures are those of the jobs"
            )


def _requests(jobs: Sequence[Job], strategy: Any, others: Any, options: Options) -> list[Request]:
    negative: Any = options.get("negative_prompt", " ")
    negatives = list(negative) if is_list(negative) else [negative] * len(jobs)
    if len(negatives) != len(jobs):
        raise InputError(
            f"negative_prompt must be one string, or one for each of the {len(jobs)} jobs,"
            f" got {len(negatives)}"
        )
    shared: dict[str, Any] = {"steps": None, **_SIZE, **options}
    requests = []
    for number, (job, own) in enumerate(zip(jobs, negatives, strict=True), 1):
        shared["negative_prompt"] = own
        try:
            requests.append(_request(job, strategy, others, shared))
        except InputError as error:
            error.add_note(_note(number))
            raise
    return requests


_SIZE = {"height": None, "width": None, "resolution": None}


def _request(job: Job, strategy: Any, others: Any, shared: dict[str, Any]) -> Request:
    if not isinstance(job.prompt, str):
        raise InputError(f"a job's prompt must be a string, got {shown(job.prompt)}")
    if not is_list(job.references):
        raise InputError(f"a job's references must be a list, got {type(job.references).__name__}")
    for image in (job.image, *job.references):
        if image is None or isinstance(image, Reference):
            raise InputError(
                f"a job's pictures are paths or PIL pictures, got {shown(image)}; a batch is"
                " steered by its arguments strategy and others"
            )
    return make_request(
        job.image,
        job.prompt,
        strategy=strategy,
        references=[Reference(image, others) for image in job.references],
        seed=read_seed(job.seed, high=MAX_SEED - 1),
        **shared,
    )


def _planned(editor: LoadedModel, number: int, request: Request) -> Plan:
    try:
        return make_plan(editor, request)
    except InputError as error:
        error.add_note(_note(number))
        raise


def _note(number: int) -> str:
    return f"raised by job {number} of a batch"


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


def _stacked(opened: Sequence[InputPicture]) -> InputPicture:
    return InputPicture(
        tuple(entry.picture for entry in opened),
        tuple(entry.own[0] for entry in opened),
        canvas=opened[0].canvas,
        files=tuple(file for entry in opened for file in entry.files),
    )


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
