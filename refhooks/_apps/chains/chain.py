"""Chains: several edits, one after the other, each on what the one before made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._base.names import listed
from refhooks._base.notebooks import html_pictures
from refhooks._base.numbers import is_list
from refhooks._base.scales import read_scales
from refhooks._base.shown import one_of, shown
from refhooks._core.contract.inside import Inside, as_inside
from refhooks._core.contract.protocols import strengths
from refhooks._core.planning.bounds import (
    MAX_CFG,
    MAX_DENOISE,
    MAX_STRENGTH,
    read_denoise,
    read_seed,
    read_steps,
)
from refhooks._core.planning.request import read_resolution
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks.errors import InputError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image

    from refhooks._apps.editing.result import EditResult
    from refhooks._core.contract.methods import Method
    from refhooks._core.contract.protocols import Schedule

__all__ = ["Chain", "ChainResult", "Edit"]

TAKEN = ("previous", "original", "both")
HANDOVERS = ("latents", "pixels")


def _steps(value: Any) -> int | None:
    return None if value is None else read_steps(value, "an edit's")


def _seed(value: Any) -> int | None:
    return None if value is None else read_seed(value, "an edit's")


def _denoise(value: Any) -> float | None:
    return None if value is None else read_denoise(value, "an edit's")


def _cfg(value: Any) -> float | str | None:
    try:
        return None if value is None else read_scales(value, MAX_CFG, "an edit's cfg")
    except InputError as error:
        raise StrategyError(str(error)) from error


def _steering(value: Strategy | Stage | Method | str | None) -> Strategy | Method | str | None:
    """A stage is a strategy of one stage, and equal to it."""
    return Strategy(value) if isinstance(value, Stage) else value


def _compute(value: Any) -> Inside | str:
    try:
        return as_inside(value, "an edit's compute") or "all"
    except InputError as error:
        raise StrategyError(str(error)) from error


def _references(value: Any) -> tuple[Reference, ...]:
    if not is_list(value):
        raise StrategyError(f"an edit's references must be a list, got {shown(value)}")
    listed = [entry if isinstance(entry, Reference) else Reference(entry) for entry in value]
    return tuple(attrs.evolve(entry, strategy=_steering(entry.strategy)) for entry in listed)


@attrs.frozen
class Edit:
    """One edit of a chain.

    Attributes:
        prompt: What to do.
        strategy: How the reference that ``reference`` names steers: a strategy, stage, method or
            its name; ``None``: the family's native method, at 1 or at the chain's strength.
        reference: What the edit has as its first reference: what the edit before made
            (``previous``), the chain's own picture (``original``), or ``both``: what the edit
            before made, and the original as a second one. Whichever it is, the edit starts from
            what the edit before made where ``denoise`` is below 1, and keeps that outside of its
            edit mask.
        original: With ``both``: how the original steers.
        references: More pictures, each with its own strategy.
        negative_prompt: What guidance moves away from.
        cfg: Guidance scale, or scales over the steps, as for ``Editor.edit``; ``None``: that of the
            chain.
        steps: Likewise.
        seed: ``None``: that of the chain, plus the number of edits before.
        denoise: Above 0, up to 1; ``None``: that of the chain.
        edit_mask: Where the picture may change, as for ``Editor.edit``.
        compute: How much of a local edit is computed, likewise.

    Raises:
        StrategyError: A field is out of its range.
    """

    prompt: str = attrs.field()
    strategy: Strategy | Method | str | None = attrs.field(default=None, converter=_steering)
    reference: Literal["previous", "original", "both"] = attrs.field(
        default="previous", kw_only=True
    )
    original: Strategy | Method | str | None = attrs.field(
        default=None, kw_only=True, converter=_steering
    )
    references: tuple[Reference, ...] = attrs.field(default=(), kw_only=True, converter=_references)
    negative_prompt: str = attrs.field(default=" ", kw_only=True)
    cfg: float | str | None = attrs.field(default=None, kw_only=True, converter=_cfg)
    steps: int | None = attrs.field(default=None, kw_only=True, converter=_steps)
    seed: int | None = attrs.field(default=None, kw_only=True, converter=_seed)
    denoise: float | None = attrs.field(default=None, kw_only=True, converter=_denoise)
    edit_mask: Any = attrs.field(default=None, kw_only=True)
    compute: Inside | Literal["all", "inside"] = attrs.field(
        default="all", kw_only=True, converter=_compute
    )

    @prompt.validator
    @negative_prompt.validator
    def _is_text(self, field: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, str):
            raise StrategyError(f"an edit's {field.name} must be a string, got {shown(value)}")

    @reference.validator
    def _is_known(self, _: object, value: object) -> None:
        if not one_of(value, TAKEN):
            raise StrategyError(
                f"an edit's reference must be one of {listed(TAKEN)}; got {shown(value)}"
            )

    @original.validator
    def _is_used(self, _: object, value: object) -> None:
        if value is not None and self.reference != "both":
            raise StrategyError(
                "an edit's original says how the original steers beside the previous picture; it"
                f" goes with reference='both', got {self.reference!r}"
            )


def _edits(value: Any) -> tuple[Edit, ...]:
    edits = tuple(value) if is_list(value) else (value,)
    for entry in edits:
        if not isinstance(entry, Edit):
            raise StrategyError(f"a chain is a list of refhooks.Edit, got {shown(entry)}")
    if not edits:
        raise StrategyError("a chain needs at least one edit")
    return edits


def _chain_strength(value: Any) -> float | tuple[float, ...] | Schedule | str | None:
    return None if value is None else strengths(value, "a chain's strength", MAX_STRENGTH)


def _chain_denoise(value: Any) -> float | tuple[float, ...] | Schedule | str | None:
    return None if value is None else strengths(value, "a chain's denoise", MAX_DENOISE)


def _chain_resolution(value: Any) -> int | Literal["native"] | None:
    try:
        return read_resolution(value, "a chain's resolution")
    except InputError as error:
        raise StrategyError(str(error)) from error


@attrs.frozen
class Chain:
    """Several edits, one after the other.

    Attributes:
        edits: One or more.
        strength: 0–2, for the edits that say none themselves: a number, one an edit, a schedule
            over the edits (its progress is 0 at the first and 1 at the last) or its short form: the
            a strength that rises or falls over the edits.
        denoise: Likewise, above 0 and up to 1.
        resolution: Of every output, as for ``Editor.edit``: a pixel area in the shape of the
            picture, ``native`` for its own size, or ``None``: what the call says.

    Raises:
        StrategyError: What is no edit, or a number out of its range.
    """

    edits: tuple[Edit, ...] = attrs.field(converter=_edits)
    strength: float | tuple[float, ...] | Schedule | str | None = attrs.field(
        default=None, kw_only=True, converter=_chain_strength
    )
    denoise: float | tuple[float, ...] | Schedule | str | None = attrs.field(
        default=None, kw_only=True, converter=_chain_denoise
    )
    resolution: int | Literal["native"] | None = attrs.field(
        default=None, kw_only=True, converter=_chain_resolution
    )


def as_chain(edits: Chain | Sequence[Edit], strength: Any = None, denoise: Any = None) -> Chain:
    """Return the chain of a call.

    Raises:
        StrategyError: As :class:`Chain` says, or it says its strength or denoise already.
    """
    if not isinstance(edits, Chain):
        return Chain(edits, strength=strength, denoise=denoise)
    for name, override in (("strength", strength), ("denoise", denoise)):
        if override is not None and getattr(edits, name) is not None:
            raise StrategyError(f"the chain has a {name} of its own; leave out one")
    changes = {"strength": strength, "denoise": denoise}
    return attrs.evolve(edits, **{key: v for key, v in changes.items() if v is not None})


@attrs.frozen(eq=False)
class ChainResult:
    """What a chain made.

    Attributes:
        results: The result of each edit, in order; where ``pipe._interrupt`` ended one, it is the
            last.
    """

    results: tuple[EditResult, ...]

    @property
    def image(self) -> Image:
        """The last picture."""
        return self.results[-1].image

    @property
    def images(self) -> tuple[Image, ...]:
        """The picture that each edit made."""
        return tuple(result.image for result in self.results)

    def show(self) -> None:
        """Open each picture in the system's own viewer; a notebook shows a chain by itself."""
        for picture in self.images:
            picture.show()

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture of each edit with its prompt and seed."""
        prompts = ["" if it.recipe is None else f": {it.recipe.prompt}" for it in self.results]
        captions = [
            f"edit {number}{prompt}, seed {result.seed}"
            for number, (prompt, result) in enumerate(zip(prompts, self.results, strict=True), 1)
        ]
        return html_pictures(self.images, captions)

    def save(
        self,
        path: str | Path,
        *,
        every: bool = True,
        metadata: Literal["drop", "keep"] = "drop",
    ) -> tuple[Path, ...]:
        """Save the last picture at ``path`` and, if asked, those before at ``path-1`` and so on.

        Args:
            path: Ends in .png, .jpg, .jpeg or .webp.
            every: Whether those before are saved as well.
            metadata: As for :meth:`EditResult.save`: ``keep`` is what the file of the picture that
                the chain started from says.

        Returns:
            The paths written, in the order of the edits.

        Raises:
            InputError: Another ending, or a folder that is missing or cannot be written.
        """
        places = places_of(path, len(self.results))
        placed = list(zip(self.results, places, strict=True))
        names = {it.recipe.pixels: at.name for it, at in placed if it.recipe is not None}
        kept = placed if every else placed[-1:]
        return tuple(
            place
            for result, at in kept
            for place in renamed(result, names).save(at, metadata=metadata)
        )


def renamed(result: EditResult, names: dict[str, str]) -> EditResult:
    """Return a result whose recipes name the pictures of edits before by the files they go to."""
    return attrs.evolve(result, recipes=tuple(it.naming(names) for it in result.recipes))


def places_of(path: str | Path, count: int) -> tuple[Path, ...]:
    """Return where the pictures of a chain go: the last one at ``path``.

    Raises:
        InputError: Another ending, or a folder that is missing or cannot be written.
    """
    from refhooks._base.outputs import check_output  # noqa: PLC0415  imports PIL

    target = check_output(path)
    before = [target.with_stem(f"{target.stem}-{number}") for number in range(1, count)]
    return (*before, target)
