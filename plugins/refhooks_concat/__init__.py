"""The reference joined to the input channels, through a trained projection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs
from attrs import validators

from refhooks import (
    CommandEntry,
    Context,
    InputError,
    Inputs,
    Outlook,
    hookimpl,
    warn_user,
)

if TYPE_CHECKING:
    import click
    from torch import Tensor

    from refhooks import Adapter, BoundReference, Method, ModelInfo, PlannedStage, RunInfo
    from refhooks_concat._projection import Projection

__all__ = ["Concat"]

TRAIN = "refhooks train-concat MODEL PAIRS_DIR"


def _as_text(path: Any) -> Any:
    return str(path) if isinstance(path, Path) else path


@attrs.frozen
class Concat:
    """Joins the clean reference latents ``r`` to the input channels: ``W·x + P·(s·r)``.

    That is what an input projection widened to ``[W P]`` makes of ``cat([x, s·r], channels)``.
    Source: the source notes, section "concat": ``cat([x, ref * strength], dim=1)``; P is trained
    from zeros, as InstructPix2Pix does (arXiv 2211.09800, section 3.2).

    The model gets no reference tokens, so a step is as fast as one without a reference. It cannot
    do without a P that was trained: of itself no checkpoint has one, the embedded model brings one.

    Attributes:
        projection: A safetensors file with P and perhaps a LoRA, as ``refhooks train-concat``
            writes it, from the working folder if it is relative. ``None``: the one that the
            checkpoint brings along.
        tied: P = W, the model's own input projection, untrained: what it is shown is ``x + s·r``,
            whatever the noise level. For comparison only.
        fit: How the picture is fitted to the target's shape, in pixels and before it is encoded:
            ``cover``, ``contain`` or ``stretch``.

    ``s`` scales r alone. A LoRA was trained to go with P at ``s = 1``, and acts in full at every
    step where the strength is above 0, on the whole picture; references with one file share it.
    """

    name: ClassVar[str] = "concat"
    marks: ClassVar[Path] = Path(__file__).with_name("marks.json")
    dial_end: ClassVar[float] = 1.3
    gives_tokens: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("projection",)

    projection: str | None = attrs.field(default=None, converter=_as_text)
    tied: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    fit: Literal["cover", "contain", "stretch"] = attrs.field(
        default="cover", validator=validators.in_(("cover", "contain", "stretch"))
    )

    @projection.validator
    def _projection_is_a_path(self, _: Any, value: object) -> None:
        if value is not None and (not isinstance(value, str) or not value):
            raise ValueError(f"projection must be the path of a file, got {value!r:.80}")

    @tied.validator
    def _tied_has_no_file(self, _: Any, value: object) -> None:
        if value and self.projection is not None:
            raise ValueError("tied=true means P = W, so no projection goes with it")

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"tied": True}]

    def check(self, model: ModelInfo | None) -> None:
        """Refuse a model without a projection, and a file that does not fit the model."""
        from refhooks_concat import _projection  # noqa: PLC0415  imports torch, a second

        if model is None:
            self._check_alone()
        elif self.tied:
            _projection.input_layer(model)
        else:
            _projection.check_fit(_projection.read_header(self._file(model)), model)

    def outlook(self, planned: PlannedStage) -> Outlook:
        """Foresee that attention is left alone."""
        del planned
        return Outlook(attention=False)

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that adds the projected reference to the input."""
        from refhooks_concat import _projection  # noqa: PLC0415  imports torch, a second

        latents = reference.fitted(self.fit)  # [1,T,C]
        if self.tied:
            layer = _projection.input_layer(run.model)
            return _Bound(reference.index, _projection.without_bias(layer, latents), None)
        projection = _projection.load_projection(self._file(run.model), run.model, like=latents)
        return _Bound(reference.index, projection.project(latents), projection)

    def _file(self, model: ModelInfo) -> str:
        brought = model.files.get(self.name)
        if self.projection is None and brought is None:
            raise InputError(
                f"concat needs a projection for {model.base or model.family}, which brings none:"
                f" train one with `{TRAIN}` and give it as projection=FILE, or ask for tied=true"
                " (P = W, untrained)"
            )
        return self.projection or str(brought)

    def _check_alone(self) -> None:
        """What can be said without a model."""
        from refhooks_concat import _projection  # noqa: PLC0415  imports torch, a second

        if self.projection is not None:
            _projection.read_header(self.projection)
        elif not self.tied:
            warn_user(
                "concat needs a projection, and none is named: for a model that brings none, train"
                f" one with `{TRAIN}` and give it as projection=FILE"
            )


class _Bound:
    def __init__(self, slot: int, projected: Tensor, projection: Projection | None) -> None:
        self._slot = slot
        self._projected = projected  # [1,T,width]
        self._held = projection  # the next reference with this file finds it loaded

    @hookimpl
    def refhooks_conditioning(self, ctx: Context, inputs: Inputs) -> Inputs:
        added = self._projected * ctx.rows[self._slot].strength
        if inputs.added is None:
            added = added.expand(inputs.target.shape[0], -1, -1)  # [B,T,width]
        else:
            added = inputs.added + added
        return attrs.evolve(inputs, added=added, adapters=self._adapters(inputs))

    def _adapters(self, inputs: Inputs) -> tuple[Adapter, ...]:
        ours = None if self._held is None else self._held.adapter
        if ours is None or ours.name in {entry.name for entry in inputs.adapters}:
            return inputs.adapters
        return (*inputs.adapters, ours)


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [Concat]


def _train_command() -> click.Command:
    from refhooks_concat.train import main  # noqa: PLC0415  imports all that training needs

    return main


@hookimpl
def refhooks_commands() -> list[CommandEntry]:
    """Register the training of a projection."""
    summary = "Train the projection of the method concat for a checkpoint."
    return [CommandEntry("train-concat", summary, _train_command)]
