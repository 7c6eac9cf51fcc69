"""The tiny models that checks run on, and the edits they make with them."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import torch

from refhooks._base.advice import silenced
from refhooks._core.contract.checkpoint import Checkpoint
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks._editor import Editor
from refhooks.errors import RefhooksWarning
from refhooks.hookspecs import hookimpl
from refhooks.testing._tiny import picture, tiny_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._apps.editing.result import EditResult
    from refhooks._base.size import Size
    from refhooks._core.contract.methods import RunInfo
    from refhooks._core.contract.values import Context
    from refhooks._core.masks.mask import Mask
    from refhooks.testing._subject import Subject

SIDE = 32
"""Pixels of every picture of the kit; 4x4 tokens."""
STEPS = 2
STRENGTH = 0.7


@functools.cache
def _pipeline(number: int, dtype: torch.dtype) -> Any:
    """A pipeline of the kit's own; the number tells several with the same weights apart."""
    del number
    return tiny_pipeline("plus", "middle", dtype=dtype)


def tiny_editor(pipe: Any = None) -> Editor:
    """Return an editor on a tiny random model, which edits 32x32 pixels in milliseconds.

    Args:
        pipe: Another pipeline to use; ``None``: one that all callers share.
    """
    pipeline = _pipeline(0, torch.float32) if pipe is None else pipe
    area = SIDE * SIDE
    return Editor(pipeline, checkpoint=Checkpoint(output=area, reference=area, vision=area))


def editor_of(subject: Subject, pipe: Any = None) -> Editor:
    """Return an editor on a pipeline, by default the shared one, to which a subject is known."""
    editor = tiny_editor(pipe)
    editor.registry = subject.registry
    return editor


@attrs.define(eq=False)
class Bench:
    """Edits with one subject on tiny models.

    Attributes:
        subject: A method or a run plugin.
    """

    subject: Subject
    _plain: EditResult | None = attrs.field(default=None, init=False)

    def editor(self, number: int = 0, dtype: torch.dtype = torch.float32) -> Editor:
        """Return an editor on the pipeline of a number, to which the subject is known."""
        return self.on(_pipeline(number, dtype))

    def on(self, pipe: Any) -> Editor:
        """Return an editor on a pipeline, to which the subject is known."""
        return editor_of(self.subject, pipe)

    @property
    def plain(self) -> Tensor:
        """Latents of the edit with nothing special; made once."""
        if self._plain is None:
            self._plain = self.edit()
        return self._plain.latents

    def edit(
        self,
        *,
        instance: Any = None,
        editor: Editor | None = None,
        pictures: Sequence[int | Image] = (0,),
        at: int = 0,
        strength: float | Sequence[float] = STRENGTH,
        others: float = 1.0,
        masks: Sequence[Mask] = (),
        vision: str = "auto",
        plugins: Sequence[object] = (),
        near: bool = False,
        **options: Any,
    ) -> EditResult:
        """Edit a random picture with the subject.

        Args:
            instance: The subject to use; ``None``: a new one.
            editor: ``None``: the first one.
            pictures: The references, or seeds of random ones, the source first.
            at: Which of them the subject steers with, if it is a method.
            strength: Its strength.
            others: Strength of the other references, in the model's own way.
            masks: Those of its reference.
            vision: Whether the text encoder sees its reference.
            plugins: More plugins.
            near: Whether the model predicts something near the source, as :class:`Near` does.
            **options: Those of ``Editor.edit``.
        """
        plugins = [Near(), *plugins] if near else plugins
        editor = editor or self.editor()
        instance = self.subject.made() if instance is None else instance
        native = Stage(editor.family.native, others)
        strategies = [Strategy([native]) for _ in pictures]
        if self.subject.kind == "method":
            stage = Stage(instance, strength if isinstance(strength, float) else tuple(strength))
            strategies[at] = Strategy([stage], masks=tuple(masks), vision=vision)  # type: ignore[arg-type]
        else:
            plugins = [instance, *plugins]
        references = [
            Reference(picture_of(one) if isinstance(one, int) else one, strategy)
            for one, strategy in zip(pictures, strategies, strict=True)
        ]
        call = {"steps": STEPS, "seed": 1, "cfg": 1.0, **options}
        with quiet():
            return editor.edit(
                references[0], "make it blue", references=references[1:], plugins=plugins, **call
            )


@functools.cache
def picture_of(seed: int) -> Image:
    """Return a random picture of the kit's size, always the same one."""
    return picture(seed, (SIDE, SIDE))


def left_alike() -> tuple[Image, Image]:
    """Return two pictures that differ in their right halves only."""
    first = picture_of(0)
    second = picture_of(1).copy()
    second.paste(first.crop((0, 0, SIDE // 2, SIDE)), (0, 0))
    return first, second


@attrs.frozen
class LeftHalf:
    """A mask shape: the left half of a picture."""

    name: ClassVar[str] = "left half"

    def cover(self, size: Size) -> Tensor:
        """Return 1 in the left half and 0 in the right one, ``[height,width]``."""
        half = torch.zeros(size.height, size.width)
        half[:, : size.width // 2] = 1.0
        return half


@attrs.frozen
class Near:
    """A run plugin: the model predicts the source at its first token, and another at its last.

    Between them the prediction goes away from the source by the square of the way, up to twice the
    starting noise. A random model predicts nothing near a reference, and nothing far from one for
    certain; a method that acts by how near the two are has something to act on here.
    """

    name: ClassVar[str] = "near the source"

    def bind_run(self, run: RunInfo) -> _Near:
        """Return what replaces the prediction, before any method sees it."""
        return _Near(run)


class _Near:
    def __init__(self, run: RunInfo) -> None:
        assert run.source is not None  # noqa: S101  the bench gives one
        away = torch.linspace(0, 1, run.noise.shape[1]).square()[:, None].to(run.noise)  # [T,1]
        self._x0 = run.source.latents + 2.0 * away * run.noise  # [B,T,C]

    @hookimpl(tryfirst=True)
    def refhooks_velocity(self, ctx: Context, latents: Tensor) -> Tensor:
        return (latents - self._x0) / ctx.step.sigma


class quiet(silenced):  # noqa: N801  it reads as a function
    """Leave out all that refhooks and plugins warn of: the kit asks for odd things on purpose."""

    def __enter__(self) -> None:
        super().__enter__()
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.simplefilter("ignore", RefhooksWarning)

    def __exit__(self, *raised: object) -> None:
        self._caught.__exit__(None, None, None)
        super().__exit__(*raised)
