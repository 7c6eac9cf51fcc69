"""An edit, resolved: what is known before anything is encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.family import Guidance, Shown
    from refhooks._core.contract.inside import Inside
    from refhooks._core.contract.methods import Method, RunInfo
    from refhooks._core.masks.layout import MaskCover
    from refhooks._core.planning.input_pictures import InputPicture
    from refhooks._core.planning.strategy import Strategy
    from refhooks._core.planning.timetable import Timetable


@attrs.frozen(eq=False)
class PlannedReference:
    """A reference of the call, resolved.

    Attributes:
        opened: Its picture.
        used: The same with what its content masks hide in grey: what the model is given.
        strategy: What it does over the run.
        methods: The method of each of the strategy's stages.
        size: At which the VAE encodes it; ``None`` if its strength is 0 at every step.
        gives_tokens: Whether any of its methods that act gives the model tokens.
        masks: Those that cover less than everything, at any step.
    """

    opened: InputPicture
    used: InputPicture
    strategy: Strategy
    methods: tuple[Method, ...]
    size: Size | None = None
    gives_tokens: bool = False
    masks: tuple[MaskCover, ...] = ()


@attrs.frozen(eq=False)
class PlannedInside:
    """What is computed of a local edit: a run plugin, beside those of the call.

    Attributes:
        inside: As it was asked for.
        keep: The target's tokens that are computed, ``[K]``; ``None``: all.
        tokens: Of the target, ``T``.
        near: Tokens of each reference that are computed at every step, ``[F]``, maybe none.
    """

    name: ClassVar[str] = "compute='inside'"

    inside: Inside
    keep: Tensor | None
    tokens: int
    near: tuple[Tensor, ...] = ()

    @property
    def computed(self) -> int:
        """How many of the target's tokens are computed, ``K``."""
        return self.tokens if self.keep is None else len(self.keep)

    def bind_run(self, run: RunInfo) -> object:
        """Return the object whose hooks leave tokens out."""
        from refhooks._core.masks.inside import ComputedInside, ReusedOutside  # noqa: PLC0415  torch

        if self.inside.reuse == 1:
            return ComputedInside(self.keep, run)
        return ReusedOutside(self.keep, self.near, self.inside.reuse, run)


@attrs.frozen(eq=False)
class Plan:
    """An edit, resolved.

    Attributes:
        references: In the order of the call.
        source: The picture being edited; ``None`` where there is none.
        size: Of the output, as the model makes it.
        exact: What of it is kept, from the top left: all, or as much as the source has.
        guidance: Scale and negative prompts.
        from_noise: Whether the run starts from noise alone, not from the source.
        scheduler: A private copy, ready to run.
        timesteps: Its timesteps ``[N]``, on the device of the run.
        timetable: What every reference does at every step.
        shown: The pictures that the text encoder sees.
        plugins: Those of the call, valid, and how messages name them.
        inside: What is computed of a local edit; ``None``: all of it.
    """

    references: tuple[PlannedReference, ...]
    source: InputPicture | None
    size: Size
    exact: Size
    guidance: Guidance
    from_noise: bool
    scheduler: Any
    timesteps: Tensor
    timetable: Timetable
    shown: tuple[Shown, ...]
    plugins: tuple[tuple[Any, str], ...]
    inside: PlannedInside | None = None

    @property
    def leaves_out(self) -> bool:
        """Whether some passes are of a part of the target alone."""
        return any(getattr(plugin, "inside", None) is not None for plugin, _ in self.plugins)

    @property
    def token_sizes(self) -> tuple[Size | None, ...]:
        """Size of each reference that gives the model tokens; ``None`` for one that does not."""
        return tuple(it.size if it.gives_tokens else None for it in self.references)

    def steered_beside(self, native: str) -> bool:
        """Return whether any method steers but the model's own."""
        return any(method.name != native for it in self.references for method in it.methods)
