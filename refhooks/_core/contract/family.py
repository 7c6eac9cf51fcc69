"""What a family adapter must do, and how a plugin registers one."""

from __future__ import annotations

import abc
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from refhooks._base.size import Size, nearest, upward
from refhooks._core.contract.family_run import FamilyRun
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.canvas import Cut
    from refhooks._base.encodings import Encodings
    from refhooks._core.contract.checkpoint import Checkpoint

__all__ = ["Family", "FamilyRun", "Guidance", "GuidanceKind", "Shown", "Sight", "prompted"]

GuidanceKind = Literal["true", "embedded", "none"]
"""``true``: a second pass with a negative prompt; ``embedded``: the scale is an input of the model,
which takes no negative prompt; ``none``: distilled away, so there is neither."""

Sight = Literal["joint", "prefix"]
"""``joint``: every token sees every other. ``prefix``: text and references see neither the target
nor the noise level, so they are computed once, and what edits attention reaches the queries of the
target alone; with ``AttentionEdit.prefix`` also theirs, and they are computed anew."""


@attrs.frozen
class Guidance:
    """Classifier-free guidance of a run.

    Attributes:
        scale: 1 and below: off. The largest one, where they differ over the steps.
        negative: The negative prompts, one a prompt.
        scales: One a step; empty: ``scale`` at each.
    """

    scale: float
    negative: tuple[str, ...]
    scales: tuple[float, ...] = ()


def prompted(
    kind: GuidanceKind, prompts: Sequence[str], guidance: Guidance
) -> dict[str, Sequence[str]]:
    """Return the prompts of each text that a run reads, by the name of its pass."""
    guided = kind == "true" and guidance.scale > 1
    return {"cond": prompts, **({"uncond": guidance.negative} if guided else {})}


@attrs.frozen(eq=False)
class Shown:
    """A picture that the text encoder sees.

    Attributes:
        number: ``n`` of its ``Picture n``, from 1; the slot of the reference, plus 1.
        pictures: As loaded, in the family's ``picture_mode``: one for all prompts, or one for each
            of them.
        area: Pixels to which the call wants it resized; ``None``: as the checkpoint says.
    """

    number: int
    pictures: tuple[Image, ...]
    area: int | None = None


class Family(abc.ABC):
    """Adapter to one model family, made for one loaded pipeline; it holds no state of a run.

    Args:
        pipe: The loaded pipeline, left as it is.
        checkpoint: What the checkpoint prescribes.

    Attributes:
        name: The family's registered name.
        native: Name of the method that a reference has without a strategy.
        max_references: How many references the model takes.
        refuses: Methods the family cannot do, with the reason that the error gives.
        input_projection: Name of the linear layer by which latent tokens enter the transformer,
            ``C`` to its width, and after which ``Inputs.added`` joins; ``None``: nothing can.
        takes_adapters: Whether ``predict`` minds ``Inputs.adapters``; where not, they are refused.
        takes_keep: Whether ``predict`` computes a part of the target alone (``Inputs.keep``) and,
            of references, a part of the tokens (``GroupEdit.rows``); where not, it is refused.
        reuse_exact: Whether references' keys and values depend neither on the step nor on the
            target, so that those of one step hold for all.
        sight: Who sees whom; see :data:`Sight`.
        picture_mode: How pictures are opened: ``RGB``, laid on white, or ``RGBA``.
        takes_vision_area: Whether it minds ``Shown.area``; where not, one is refused.
        variants: What a pass may ask for beside ``native``, by the field that asks: ``positions``
            and ``modulate`` of ``Tokens``, ``center`` and ``text_start`` of ``Inputs``.
        takes_scales: Whether its runs mind ``use_scale``; where not, ``cfg`` is one number.
        fixed_encodings: Whether prompts and pictures are encoded the same each time, so that an
            editor may keep what they came to; ``False`` where something is drawn.
        encodings: What the editor keeps of them; ``None``: nothing.
    """

    name: ClassVar[str]
    native: ClassVar[str]
    max_references: ClassVar[int]
    refuses: ClassVar[Mapping[str, str]] = {}
    input_projection: ClassVar[str | None] = None
    takes_adapters: ClassVar[bool] = False
    takes_keep: ClassVar[bool] = False
    reuse_exact: ClassVar[bool] = False
    sight: ClassVar[Sight] = "joint"
    picture_mode: ClassVar[Literal["RGB", "RGBA"]] = "RGB"
    takes_vision_area: ClassVar[bool] = False
    variants: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    takes_scales: ClassVar[bool] = False
    fixed_encodings: ClassVar[bool] = False
    encodings: Encodings | None = None

    @classmethod
    def load(cls, pipeline: Any, name_or_path: str, **kwargs: Any) -> Any:
        """Load a pipeline of the family with diffusers' own ``from_pretrained``."""
        return pipeline.from_pretrained(name_or_path, **kwargs)

    def __init__(self, pipe: Any, checkpoint: Checkpoint) -> None:
        self.pipe = pipe
        self.checkpoint = checkpoint

    def stock_default(self, argument: str) -> Any:
        """Return what the stock pipeline takes for an argument of its call that is not given."""
        return inspect.signature(type(self.pipe).__call__).parameters[argument].default

    @property
    def default_steps(self) -> int:
        """Number of steps where a run names none: the checkpoint's, else the stock pipeline's."""
        return self.checkpoint.steps or int(self.stock_default("num_inference_steps"))

    @property
    def default_cfg(self) -> float:
        """Guidance scale where a run names none: the checkpoint's, else the stock pipeline's."""
        if self.guidance_kind == "none":
            return 1.0
        if self.checkpoint.cfg is not None:
            return self.checkpoint.cfg
        arguments = inspect.signature(type(self.pipe).__call__).parameters
        true = self.guidance_kind == "true" and "true_cfg_scale" in arguments
        return float(self.stock_default("true_cfg_scale" if true else "guidance_scale") or 1.0)

    @property
    def guidance_kind(self) -> GuidanceKind:
        """How the model is guided, by default ``true``; see :data:`GuidanceKind`."""
        return "true"

    @property
    def transformer(self) -> torch.nn.Module:
        """The denoiser; one edit at a time runs on it. ``transformer`` of the pipeline."""
        return self.pipe.transformer  # type: ignore[no-any-return]

    @property
    def multiple(self) -> int:
        """Pixels along the side of a token; the sides of every picture are multiples of it.

        By default the VAE's factor, times the two latents along the side of a token.
        """
        return int(self.pipe.vae_scale_factor * 2)

    @property
    @abc.abstractmethod
    def blocks(self) -> int:
        """Number of transformer blocks."""

    @property
    def rope_axes(self) -> tuple[int, ...] | None:
        """Channels of a head for each axis of the rotary embedding; see ``ModelInfo.rope_axes``."""
        return None

    @property
    def token_bytes(self) -> int | None:
        """Bytes that the keys and values of one token take over all blocks, if it is known."""
        return None

    @property
    def area(self) -> int:
        """Pixels of the output, and of a reference, where nothing else says how many."""
        return 1024 * 1024

    def size_of(self, area: int, ratio: float) -> Size:
        """Return a size of about so many pixels, for a picture of ``ratio`` width to height."""
        width = (area * ratio) ** 0.5
        return Size(nearest(width / ratio, self.multiple), nearest(width, self.multiple))

    def output_size(
        self,
        picture: Image | None,
        height: int | None,
        width: int | None,
        resolution: int | str | None,
    ) -> Size:
        """Return the output's size: the one given, or of ``resolution`` pixels like the picture.

        With ``native`` it is the picture's own, each side up to what the model works in.

        Raises:
            InputError: The size is not a multiple of what the model works in.
        """
        if resolution == "native":
            return self._native(picture)
        ratio = 1.0 if picture is None else picture.width / picture.height
        for name, value in (("height", height), ("width", width)):
            if value is not None and value % self.multiple:
                raise InputError(
                    f"{name} must be a multiple of {self.multiple}, got {value}; try"
                    f" {nearest(value, self.multiple)}"
                )
        if height is not None and width is not None:
            return Size(height, width)
        if height is not None:
            return Size(height, nearest(height * ratio, self.multiple))
        if width is not None:
            return Size(nearest(width / ratio, self.multiple), width)
        area = resolution if isinstance(resolution, int) else self.checkpoint.output
        return self.size_of(area or self.area, ratio)

    def reference_size(self, picture: Image, resolution: int | str | None) -> Size:
        """Return the size at which the VAE encodes a reference.

        Args:
            picture: The reference.
            resolution: Pixel area, ``native`` (the picture's own size, each side up to what the
                model works in) or ``None`` (the checkpoint's own policy).
        """
        if resolution == "native":
            return self._native(picture)
        area = resolution if isinstance(resolution, int) else self.checkpoint.reference
        return self.size_of(area or self.area, picture.width / picture.height)

    def lone_reference_size(self, picture: Image, resolution: int | str | None) -> Size:
        """Return that of the only reference of a run; by default as of one among several."""
        return self.reference_size(picture, resolution)

    def cut(self, picture: Size, size: Size) -> Cut | None:  # noqa: ARG002
        """Return how a picture comes to a size by being cut; ``None``: it is resized."""
        return None

    def _native(self, picture: Image | None) -> Size:
        if picture is None:
            raise InputError(
                "resolution='native' is the size of the source picture, and there is none; give"
                " height and width"
            )
        return Size(upward(picture.height, self.multiple), upward(picture.width, self.multiple))

    def grid(self, size: Size) -> tuple[int, int]:
        """Return the rows and columns of tokens of a picture of this size."""
        return size.height // self.multiple, size.width // self.multiple

    def check_prompt(self, prompt: str) -> None:  # noqa: B027  most take any
        """Refuse a prompt that would break the family's template; by default none is.

        Raises:
            InputError: It holds a control token.
        """

    def check_attention(self, *, edited: bool, dropped: bool) -> None:  # noqa: B027
        """Refuse what cannot be done with the attention of the model as it is loaded.

        Asked when an edit is planned, before anything is encoded; by default nothing is refused.

        Args:
            edited: Whether attention is edited or recorded.
            dropped: Whether a content mask leaves out tokens of a reference.

        Raises:
            InputError: It cannot; the message says why, and what would help.
        """

    def check_texts(  # noqa: B027  most have no limit
        self,
        prompted: Mapping[str, Sequence[str]],
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> None:
        """Refuse prompts that do not fit the model, when an edit is planned; by default none.

        Args:
            prompted: The prompts of each text, such as ``cond`` and ``uncond``.
            size: Of the output.
            references: As for :meth:`open`.
            shown: Likewise.

        Raises:
            InputError: They do not fit.
        """

    def schedule(
        self, steps: int, size: Size, total: int | None = None
    ) -> tuple[Any, Sequence[float], Tensor]:
        """Return a private copy of the scheduler, ready to run, with its sigmas and timesteps.

        Args:
            steps: How many are run, ``N``.
            size: Of the output.
            total: Steps of the full schedule, of which the last ``N`` are run; ``None``: ``N``.

        Returns:
            The scheduler, at its first step of the run, the noise level before each step ``[N]``,
            and the timesteps ``[N]`` on the device of the run.

        Raises:
            InputError: The pipeline's scheduler is not supported; by default that is any but
                ``FlowMatchEulerDiscreteScheduler``.
        """
        from refhooks._parts.flow_schedule import flow_schedule  # noqa: PLC0415  imports diffusers

        rows, columns = self.grid(size)
        return flow_schedule(self.pipe, rows * columns, steps, total or steps)

    @abc.abstractmethod
    def decode(self, latents: Tensor, size: Size) -> Tensor:
        """Return the pictures that clean latents hold, 0–1.

        Args:
            latents: ``[B,T,C]``.
            size: Of the output.

        Returns:
            ``[B,3,height,width]``; with a fourth channel, how opaque, where the model has one.
        """

    @abc.abstractmethod
    def open(
        self,
        *,
        prompts: Sequence[str],
        guidance: Guidance,
        seeds: Sequence[int],
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> FamilyRun:
        """Encode the prompts, draw the noise and return the state of one run.

        Args:
            prompts: One or more.
            guidance: Its scale and the negative prompts.
            seeds: One for each picture of the batch ``B``, a multiple of the prompts; those of one
                prompt stand together.
            size: Of the output.
            references: Size at which the VAE encodes each reference; ``None`` for one that gives
                the model no tokens: its slot stays empty and nothing depends on its size.
            shown: The pictures that the text encoder sees.
        """
