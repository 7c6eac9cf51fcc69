"""The state of one run of a family: what an adapter must do, and what it may leave as it is."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from refhooks._core.contract.values import Inputs, Layout
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.values import Branch, Context, GroupEdit, Text, Tokens

__all__ = ["FamilyRun"]


class FamilyRun(abc.ABC):
    """The state of one run of a family.

    Attributes:
        noise: The starting noise ``ε``, ``[B,T,C]``, from CPU generators.
        grid: Rows and columns of the target's tokens.
        grids: Rows and columns of each reference's tokens; ``None`` for one that gives none.
        texts: The encoded prompts, by what ``Branch.text`` calls them.
        positions: What ``Tokens.positions`` may be, beside the family's ``variants``.
        width: Of the transformer: ``H·D``.
        heads: ``H``.
        branches: The family's own forward passes, in order.
    """

    noise: Tensor
    grid: tuple[int, int]
    grids: tuple[tuple[int, int] | None, ...]
    texts: Mapping[str, Text]
    positions: tuple[str, ...] = ("native",)
    width: int
    heads: int
    branches: tuple[Branch, ...]

    @abc.abstractmethod
    def encode(self, picture: Image, size: Size) -> Tensor:
        """Return a picture's clean latents as tokens, ``[1,R,C]``, resized to ``size`` first."""

    def inputs(self, latents: Tensor, branch: Branch) -> Inputs:
        """Return the inputs of a branch, every slot empty."""
        return Inputs(target=latents, slots=(None,) * len(self.grids), text=self.texts[branch.text])

    def prepare(self, *, attention: bool, record: bool) -> None:
        """Make ready for what the run needs of attention; called once, before the first step.

        By default nothing can be done with attention.

        Args:
            attention: Whether a plugin of the run edits attention.
            record: Whether the attention share is recorded.

        Raises:
            InputError: The model, as it is loaded, cannot do that.
        """
        if attention or record:
            raise InputError(
                f"{type(self).__name__} neither edits nor records attention, which a method, a"
                " plugin, a region mask or record_attention of this call needs"
            )

    def layout(self, inputs: Inputs) -> Layout:
        """Return where the tokens of these inputs stand in the sequence.

        By default: text, target, then the filled slots in their order.
        """
        text, target = inputs.text.embeds.shape[1], inputs.target.shape[1]
        slots: list[slice | None] = []
        stop = text + target
        for tokens in inputs.slots:
            start, stop = stop, stop + _passed(tokens)
            slots.append(None if tokens is None else slice(start, stop))
        return Layout(slice(0, text), slice(text, text + target), tuple(slots), stop, inputs.keep)

    @abc.abstractmethod
    def predict(
        self, ctx: Context, branch: Branch, inputs: Inputs, edits: Sequence[GroupEdit]
    ) -> Tensor:
        """Return the transformer's velocity for the target, ``[B,T,C]``.

        ``inputs.adapters`` hold for this pass only, and leave what is loaded on the model alone.

        A family that says ``takes_keep`` may be given a part of the target: ``inputs.target`` and
        ``inputs.added`` then hold the ``K`` tokens that ``inputs.keep`` names, the edits' weights
        are of the queries that are there, and ``[B,K,C]`` is returned. Each token has the position
        that it has in the whole.
        """

    def recorded(self) -> Tensor | None:
        """Return the attention shares ``[N,blocks,1+references,B]`` of ``cond``, if recorded.

        Each is the mean over the target's queries and heads; the first is that of text and target
        together, then one a slot, 0 where it is empty. A family that cannot tell the pictures of a
        batch apart leaves ``B`` out.
        """
        return None

    def use_scale(self, scale: float) -> None:  # noqa: B027  one that does not take it is not asked
        """Guide the next step by this scale; where it is off, ``branches`` are those without it.

        Called before each step where the scales differ, if the family says ``takes_scales``.
        """

    @abc.abstractmethod
    def guide(self, predictions: Mapping[str, Tensor]) -> Tensor:
        """Combine the predictions of the family's own branches."""

    def close(self) -> None:  # noqa: B027  one that puts nothing on has nothing to do
        """Remove whatever the run put on the model; called always, also after an exception.

        It may be called again; a later ``predict`` puts on what it needs.
        """


def _passed(tokens: Tokens | None) -> int:
    """How many tokens of a slot are passed on."""
    if tokens is None:
        return 0
    return int(tokens.latents.shape[1] if tokens.keep is None else tokens.keep.shape[0])
