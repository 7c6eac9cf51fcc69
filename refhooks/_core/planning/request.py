"""The arguments of one edit, validated before anything is encoded."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._attending.named_caches import as_step_cache
from refhooks._base.names import listed
from refhooks._base.numbers import unwrapped, whole
from refhooks._base.scales import read_scales
from refhooks._base.shown import one_of, shown
from refhooks._core.contract.inside import as_inside
from refhooks._core.planning.bounds import MAX_CFG, MAX_SEED, read_denoise, read_seed, read_steps
from refhooks._core.planning.strategy import Reference
from refhooks.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._attending.named_caches import StepCache
    from refhooks._core.contract.inside import Inside

MAX_STEPS_IN_ALL = 10_000
CHECKS = ("final", "eager")
Callback = Callable[[int, "Tensor", "Tensor"], object]


@attrs.frozen(eq=False)
class Request:
    """One call of ``edit()``.

    Attributes:
        prompts: One or more.
        negative: As many.
        references: In the order of the call; the first is the source, if none is named.
        source: The picture being edited, where it is not the first reference.
        seeds: One a picture of each prompt.
        steps: ``None``: the checkpoint's own number.
        denoise: Above 0, up to 1.
        edit_mask: As it was given; ``None``: the whole picture may change.
        compute: How much of a local edit is computed; ``None``: all.
        cache: The step cache that is put on for it.
        cfg: ``None``: the checkpoint's own scale; a text: scales over the steps.
        height, width, resolution: The output's size, as it was given; ``native``: the source's.
        vision_resolution: Pixel area at which the text encoder sees pictures; ``None``: its own.
        align: Whether pictures are moved and scaled back onto the source.
        plugins: Objects whose run hooks take part.
        callback: Called after each prediction.
        eager: Check every value a hook returns.
        record_attention: Whether the attention share is recorded.
        paired: Whether each prompt has one of the seeds, instead of all of them.
    """

    prompts: tuple[str, ...]
    negative: tuple[str, ...]
    references: tuple[Reference, ...]
    source: Any
    seeds: tuple[int, ...]
    steps: int | None
    denoise: float
    edit_mask: Any
    cfg: float | str | None
    height: int | None
    width: int | None
    resolution: int | Literal["native"] | None
    vision_resolution: int | None
    align: bool
    plugins: tuple[object, ...]
    callback: Callback | None
    eager: bool
    record_attention: bool
    paired: bool = False
    compute: Inside | None = None
    cache: StepCache | None = None

    @property
    def batch_seeds(self) -> tuple[int, ...]:
        """The seed of each picture, prompts outermost."""
        return self.seeds if self.paired else self.seeds * len(self.prompts)


def make_request(
    image: Any,
    prompt: Any,
    *,
    strategy: Any = None,
    references: Any = (),
    negative_prompt: Any = " ",
    cfg: Any = None,
    steps: Any,
    seed: Any = None,
    height: Any,
    width: Any,
    resolution: Any,
    vision_resolution: Any = None,
    denoise: Any = 1.0,
    edit_mask: Any = None,
    compute: Any = "all",
    cache: Any = None,
    align: Any = False,
    plugins: Any = (),
    n: Any = 1,
    callback: Any = None,
    check: Literal["final", "eager"] = "final",
    record_attention: Any = False,
    source: Any = None,
) -> Request:
    """Return the validated request.

    Raises:
        InputError: An argument has the wrong type or range; the message names it.
    """
    prompts = _texts(prompt, "prompt")
    if not one_of(check, CHECKS):
        raise InputError(f"check must be one of {listed(CHECKS)}; got {shown(check)}")
    denoise = read_denoise(denoise)
    if resolution is not None and (height is not None or width is not None):
        raise InputError("give either resolution, or height and width")
    if image is None and resolution == "native":
        raise InputError("resolution='native' needs a source picture, but image is None")
    if not isinstance(align, bool):
        raise InputError(f"align must be True or False, got {align!r:.80}")
    if image is None and (edit_mask is not None or denoise != 1 or align):
        argument = "an edit_mask" if edit_mask is not None else "denoise below 1"
        argument = "align" if align else argument
        raise InputError(f"{argument} needs a source picture, but image is None")
    return Request(
        prompts=prompts,
        negative=_negatives(negative_prompt, len(prompts)),
        references=_references(image, strategy, references),
        source=source,
        seeds=_seeds(seed, whole(n, "n", 1, 4096)),
        steps=None if steps is None else read_steps(steps),
        denoise=denoise,
        edit_mask=edit_mask,
        cfg=None if cfg is None else read_scales(cfg, MAX_CFG),
        height=_optional(height, "height", 1, 2**16),
        width=_optional(width, "width", 1, 2**16),
        resolution=read_resolution(resolution),
        vision_resolution=_optional(vision_resolution, "vision_resolution", 1, 2**32),
        align=align,
        plugins=read_plugins(plugins),
        callback=_callback(callback),
        eager=check == "eager",
        record_attention=bool(record_attention),
        compute=_inside(compute, edit_mask),
        cache=read_cache(cache, compute, read_plugins(plugins), record=bool(record_attention)),
    )


def read_cache(
    value: Any, compute: Any, plugins: Sequence[Any], *, record: bool = False
) -> StepCache | None:
    """Return the step cache of a call.

    Raises:
        InputError: There is none of that name, or something beside it takes all tokens or blocks.
    """
    cache = as_step_cache(value)
    partial = ["compute='inside'"] if as_inside(compute) is not None else []
    partial += [it.name for it in plugins if getattr(it, "inside", None) is not None]
    if cache is not None and (record or partial):
        other = "record_attention" if record else partial[0]
        why = "leaves out what is recorded" if record else "takes every step to be of all tokens"
        raise InputError(f"cache={cache.name!r} {why}; leave out either it or {other}")
    return cache


def _inside(compute: Any, edit_mask: Any) -> Inside | None:
    inside = as_inside(compute)
    if inside is not None and edit_mask is None:
        raise InputError(
            "compute='inside' needs an edit mask, which says where the picture may change; give"
            " edit_mask, or leave compute out"
        )
    return inside


def _texts(value: Any, name: str) -> tuple[str, ...]:
    value = unwrapped(value)
    texts = (value,) if isinstance(value, str) else tuple(value) if _is_list(value) else ()
    if not texts or not all(isinstance(text, str) and _is_unicode(text) for text in texts):
        raise InputError(f"{name} must be a string, or a list of strings, got {shown(value)}")
    return texts


def _negatives(value: Any, count: int) -> tuple[str, ...]:
    texts = _texts(value, "negative_prompt")
    if len(texts) == 1:
        return texts * count
    if len(texts) != count:
        raise InputError(
            f"negative_prompt must be one string, or one for each of the {count} prompts,"
            f" got {len(texts)}"
        )
    return texts


def _references(image: Any, strategy: Any, references: Any) -> tuple[Reference, ...]:
    if not _is_list(references):
        raise InputError(f"references must be a list, as [...], got {type(references).__name__}")
    others = tuple(
        entry if isinstance(entry, Reference) else Reference(entry) for entry in references
    )
    if isinstance(image, Reference):
        if strategy is not None:
            raise InputError("image is a Reference, which has a strategy of its own; leave out one")
        return (image, *others)
    if image is not None:
        return (Reference(image, strategy), *others)
    if strategy is not None or others:
        raise InputError("a strategy or references need a source picture, but image is None")
    return ()


def _seeds(seed: Any, n: int) -> tuple[int, ...]:
    seed = unwrapped(seed)
    if _is_list(seed):
        seeds = tuple(read_seed(entry) for entry in seed)
        if not seeds or n not in (1, len(seeds)):
            raise InputError(f"seed lists {len(seeds)} numbers, but n is {n}; leave n out")
        return seeds
    first = secrets.randbelow(2**31) if seed is None else read_seed(seed, high=MAX_SEED - n)
    return tuple(range(first, first + n))


def steps_in_all(steps: int, denoise: float) -> int:
    """Return how many steps the full schedule has of which the last ``steps`` are run.

    Raises:
        InputError: ``denoise`` is out of its range, or so small that there would be too many.
    """
    total = round(steps / read_denoise(denoise))
    if total > MAX_STEPS_IN_ALL:
        least = steps / MAX_STEPS_IN_ALL
        raise InputError(f"denoise {denoise:g} is too small for {steps} steps; at least {least:g}")
    return total


def read_plugins(value: Any) -> tuple[object, ...]:
    """Return the plugins of a call.

    Raises:
        InputError: They are no list.
    """
    if not _is_list(value):
        raise InputError(f"plugins must be a list of objects, got {type(value).__name__}")
    return tuple(value)


def _callback(value: Any) -> Callback | None:
    if value is not None and not callable(value):
        raise InputError(f"callback must be callable as (step, latents, x0), got {shown(value)}")
    return value  # type: ignore[no-any-return]


def _optional(value: Any, name: str, low: int, high: int) -> int | None:
    return None if value is None else whole(value, name, low, high)


def read_resolution(value: Any, name: str = "resolution") -> int | Literal["native"] | None:
    """Return a pixel area, ``native`` or ``None``.

    Raises:
        InputError: It is none of these.
    """
    if isinstance(value, str) and value != "native":
        raise InputError(f"{name} must be a pixel area or 'native', got {value!r:.80}")
    return "native" if isinstance(value, str) else _optional(value, name, 1, 2**32)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_unicode(text: str) -> bool:
    """A lone surrogate is in no text; tokenizers cannot read it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
