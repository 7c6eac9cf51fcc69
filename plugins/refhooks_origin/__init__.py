"""Where positions are counted from: the middle of an odd grid, and the start of the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs
from attrs import validators

from refhooks import InputError, hookimpl

if TYPE_CHECKING:
    from refhooks import Inputs, ModelInfo, RunInfo, RunPlugin

__all__ = ["Origin"]


@attrs.frozen
class Origin:
    """Counts positions of pictures and of the prompt as ComfyUI does, where diffusers differs.

    ComfyUI's Qwen model and diffusers' place pictures and prompt alike, but for two cases: a grid
    of tokens with an odd side, and a reference larger than the output. What comes out then differs
    a little; which is better is not known. It holds for the whole run, with and without references.

    Attributes:
        center: Which row and column of an odd grid is 0, of the target and of every reference.
            ``native``: that behind the middle, as diffusers has it. ``floor``: the middle one, as
            ComfyUI. Even grids are the same.
        text_start: Where the prompt's positions begin. ``native``: at half the longest side of all
            pictures. ``target``: at half that of the output alone, as ComfyUI.
    """

    name: ClassVar[str] = "origin"
    edits_attention: ClassVar[bool] = False

    center: Literal["native", "floor"] = attrs.field(
        default="native", validator=validators.in_(("native", "floor"))
    )
    text_start: Literal["native", "target"] = attrs.field(
        default="native", validator=validators.in_(("native", "target"))
    )

    def __attrs_post_init__(self) -> None:
        """Refuse to do nothing."""
        if self.center == self.text_start == "native":
            raise InputError("origin does nothing; give center='floor' or text_start='target'")

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"center": "floor"}, {"text_start": "target"}]

    def check_model(self, model: ModelInfo) -> None:
        """Refuse a model whose adapter does not know it.

        Raises:
            InputError: It does not.
        """
        for field, value in (("center", self.center), ("text_start", self.text_start)):
            if value not in ("native", *model.variants.get(field, ())):
                raise InputError(
                    f"origin: {field}={value!r} is not for {model.family}, whose adapter does not"
                    " know it; leave it out"
                )

    def bind_run(self, run: RunInfo) -> Any:  # noqa: ARG002  the same in every run
        """Return the object that says it in every pass."""
        return _Counted(self)


class _Counted:
    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    @hookimpl
    def refhooks_conditioning(self, inputs: Inputs) -> Inputs:
        own = self._origin
        return attrs.evolve(inputs, center=own.center, text_start=own.text_start)


@hookimpl
def refhooks_plugins() -> list[type[RunPlugin]]:
    """Register the run plugin."""
    return [Origin]
