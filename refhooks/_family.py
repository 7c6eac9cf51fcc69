"""What a family adapter must do, and how a plugin registers one."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from attrs import validators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import torch
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._values import Branch, Context, Inputs, Layout
    from refhooks.attention import GroupEdit

__all__ = [
    "Checkpoint",
    "EmbeddedModel",
    "Family",
    "FamilyEntry",
    "FamilyRun",
    "Guidance",
    "Shown",
    "Size",
]


@attrs.frozen
class FamilyEntry:
    """A family as a plugin registers it, before anything of it is imported.

    Attributes:
        name: Unique name, such as ``qwen-image-edit-plus``.
        pipelines: Names of the diffusers pipeline classes it adapts.
        load: Imports and returns the adapter class.
    """

    name: str
    pipelines: tuple[str, ...]
    load: Callable[[], type[Family]]


@attrs.frozen
class Size:
    """Height and width in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


_COUNT = validators.optional(validators.and_(validators.instance_of(int), validators.ge(1)))


@attrs.frozen
class Checkpoint:
    """What a checkpoint prescribes where its stock pipeline's own defaults do not fit it.

    Attributes:
        output: Pixel area of the output where no size is given.
        reference: Pixel area to which references are resized before the VAE encodes them.
        vision: Pixel area to which pictures are resized for the text encoder.
        cfg: Default guidance scale.
        steps: Default number of steps.
        judge: Given the source picture, returns a warning if the model will not know what to make
            of it, else ``None``.
        base: What files made for this checkpoint name as their base; by default the repository it
            was loaded from, if it was.
        files: Files that it brings along, by the name of the method they are for.
    """

    output: int | None = attrs.field(default=None, validator=_COUNT)
    reference: int | None = attrs.field(default=None, validator=_COUNT)
    vision: int | None = attrs.field(default=None, validator=_COUNT)
    cfg: float | None = None
    steps: int | None = attrs.field(default=None, validator=_COUNT)
    judge: Callable[[Image], str | None] | None = None
    base: str | None = None
    files: Mapping[str, Path] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class EmbeddedModel:
    """A model that a plugin brings along, for ``Editor.from_pretrained(name)``.

    Attributes:
        name: Unique name, such as ``toy``.
        description: One line for listings.
        load: Loads and returns the pipeline, without a network.
        checkpoint: What it prescribes.
        samples: Returns the paths of pictures that it edits well, the best one first; none by
            default. ``refhooks demo`` edits the first.
        prompts: Prompts that it follows well on the first sample, the best one first.
    """

    name: str
    description: str
    load: Callable[[], Any]
    checkpoint: Checkpoint = Checkpoint()
    samples: Callable[[], Sequence[Path]] = tuple
    prompts: tuple[str, ...] = ()


@attrs.frozen
class Guidance:
    """Classifier-free guidance of a run.

    Attributes:
        scale: 1 and below: off.
        negative: The negative prompts, one a prompt.
    """

    scale: float
    negative: tuple[str, ...]


@attrs.frozen(eq=False)
class Shown:
    """A picture that the text encoder sees.

    Attributes:
        number: ``n`` of its ``Picture n``, from 1; the slot of the reference, plus 1.
        pictures: As loaded, RGB: one for all prompts, or one for each of them.
    """

    number: int
    pictures: tuple[Image, ...]


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
    """

    name: ClassVar[str]
    native: ClassVar[str]
    max_references: ClassVar[int]
    refuses: ClassVar[Mapping[str, str]] = {}
    input_projection: ClassVar[str | None] = None

    @classmethod
    def load(cls, pipeline: Any, name_or_path: str, **kwargs: Any) -> Any:
        """Load a pipeline of the family with diffusers' own ``from_pretrained``."""
        return pipeline.from_pretrained(name_or_path, **kwargs)

    @abc.abstractmethod
    def __init__(self, pipe: Any, checkpoint: Checkpoint) -> None: ...

    @property
    @abc.abstractmethod
    def default_steps(self) -> int:
        """Number of steps where a run names none."""

    @property
    @abc.abstractmethod
    def default_cfg(self) -> float:
        """Guidance scale where a run names none."""

    @property
    @abc.abstractmethod
    def transformer(self) -> torch.nn.Module:
        """The denoiser; one edit at a time runs on it."""

    @property
    @abc.abstractmethod
    def blocks(self) -> int:
        """Number of transformer blocks."""

    @abc.abstractmethod
    def output_size(
        self, picture: Image | None, height: int | None, width: int | None, resolution: int | None
    ) -> Size:
        """Return the output's size in pixels.

        Raises:
            InputError: The size is not a multiple of what the model works in, or not given.
        """

    @abc.abstractmethod
    def reference_size(self, picture: Image, resolution: int | str | None) -> Size:
        """Return the size at which the VAE encodes a reference.

        Args:
            picture: The reference.
            resolution: Pixel area, ``native`` (the picture's own size, rounded to what the model
                works in) or ``None`` (the checkpoint's own policy).
        """

    @abc.abstractmethod
    def grid(self, size: Size) -> tuple[int, int]:
        """Return the rows and columns of tokens of a picture of this size."""

    @abc.abstractmethod
    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that would break the family's template.

        Raises:
            InputError: It holds a control token.
        """

    @abc.abstractmethod
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
            InputError: The pipeline's scheduler is not supported.
        """

    @abc.abstractmethod
    def decode(self, latents: Tensor, size: Size) -> Tensor:
        """Return the pictures that clean latents ``[B,T,C]`` hold, ``[B,3,height,width]``, 0–1."""

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


class FamilyRun(abc.ABC):
    """The state of one run of a family.

    Attributes:
        noise: The starting noise ``ε``, ``[B,T,C]``, from CPU generators.
        grid: Rows and columns of the target's tokens.
        grids: Rows and columns of each reference's tokens; ``None`` for one that gives none.
        positions: What ``Tokens.positions`` may be.
        width: Of the transformer: ``H·D``.
        heads: ``H``.
        branches: The family's own forward passes, in order.
    """

    noise: Tensor
    grid: tuple[int, int]
    grids: tuple[tuple[int, int] | None, ...]
    positions: tuple[str, ...]
    width: int
    heads: int
    branches: tuple[Branch, ...]

    @abc.abstractmethod
    def encode(self, picture: Image, size: Size) -> Tensor:
        """Return a picture's clean latents as tokens, ``[1,R,C]``, resized to ``size`` first."""

    @abc.abstractmethod
    def inputs(self, latents: Tensor, branch: Branch) -> Inputs:
        """Return the inputs of a branch, every slot empty."""

    @abc.abstractmethod
    def prepare(self, *, attention: bool, record: bool) -> None:
        """Make ready for what the run needs of attention; called once, before the first step.

        Args:
            attention: Whether a plugin of the run edits attention.
            record: Whether the attention share is recorded.

        Raises:
            InputError: The model, as it is loaded, cannot do that.
        """

    @abc.abstractmethod
    def layout(self, inputs: Inputs) -> Layout:
        """Return where the tokens of these inputs stand in the sequence."""

    @abc.abstractmethod
    def predict(
        self, ctx: Context, branch: Branch, inputs: Inputs, edits: Sequence[GroupEdit]
    ) -> Tensor:
        """Return the transformer's velocity for the target, ``[B,T,C]``.

        ``inputs.adapters`` hold for this pass only, and leave what is loaded on the model alone.
        """

    @abc.abstractmethod
    def recorded(self) -> Tensor | None:
        """Return the attention shares ``[N,blocks,1+references]`` of ``cond``, if recorded.

        Each is the mean over the target's queries, heads and batch; the first is that of text and
        target together, then one a slot, 0 where it is empty.
        """

    @abc.abstractmethod
    def guide(self, predictions: Mapping[str, Tensor]) -> Tensor:
        """Combine the predictions of the family's own branches."""

    @abc.abstractmethod
    def close(self) -> None:
        """Remove whatever the run put on the model; called always, also after an exception.

        It may be called again; a later ``predict`` puts on what it needs.
        """
