"""The frozen values that cross a hook.

Shape letters, here and everywhere: ``B`` batch, ``T`` target tokens, ``R`` reference tokens, ``S``
text tokens, ``L`` all tokens of a sequence, ``C`` latent channels of a token, ``H`` heads, ``D``
head size, ``N`` steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._base.strength_names import band

if TYPE_CHECKING:
    from torch import Tensor


__all__ = [
    "Adapter",
    "AttentionEdit",
    "Branch",
    "Context",
    "GroupEdit",
    "Inputs",
    "KeyValues",
    "Layout",
    "LowRank",
    "Planned",
    "Row",
    "Step",
    "Text",
    "Tokens",
]

BASE = "base"


@attrs.frozen
class Step:
    """Where a denoising step stands in its run.

    Attributes:
        index: 0 for the first step.
        total: Number of steps of the run, ``N``.
        sigma: Noise level before the step, 1 → 0: ``x_t = (1 − sigma)·x0 + sigma·noise``.
    """

    index: int
    total: int
    sigma: float

    @property
    def progress(self) -> float:
        """``index / total``: 0 at the first step, below 1 at the last."""
        return self.index / self.total


@attrs.frozen
class Row:
    """What one reference does at one step.

    Attributes:
        reference: 0-based position of the reference in the call; also its slot.
        stage: 0-based stage of its strategy that is in force.
        method: Name of the stage's method.
        strength: 0–2 at this step.
        masks: How much of each mask of its strategy holds, 0–1.
        area: Share of the picture in which the reference may act, 0–1; ``None`` without a region
            mask, and in a plan that knows no picture.
        tokens: Tokens of the reference that the model is given; ``None`` in a plan that knows no
            model or picture.
        reused: Whether the reference's keys and values are those of an earlier step; it then gives
            no tokens.
    """

    reference: int
    stage: int
    method: str
    strength: float
    masks: tuple[float, ...] = ()
    area: float | None = None
    tokens: int | None = None
    reused: bool = False

    @property
    def band(self) -> str:
        """The name of the strength, from ``none`` to ``overpowering``."""
        return band(self.strength)


@attrs.frozen(eq=False)
class Context:
    """Everything a hook may know of the step it runs in.

    Attributes:
        step: Where the step stands in the run.
        t: The scheduler's timestep, 0-d, on the device of the run.
        family: Name of the model family.
        blocks: Number of transformer blocks.
        rows: One row a reference, in the order of the call.
        t_next: The timestep of the next step, as ``t``; ``None`` at the last one.
    """

    step: Step
    t: Tensor
    family: str
    blocks: int
    rows: tuple[Row, ...]
    t_next: Tensor | None = None


@attrs.frozen
class Branch:
    """One forward pass of the transformer at a step.

    Attributes:
        name: Unique among the branches of a step, such as ``cond`` and ``uncond``.
        text: Which encoded prompt the pass reads: ``cond`` or ``uncond``.
    """

    name: str
    text: str = "cond"


@attrs.frozen(eq=False)
class Text:
    """An encoded prompt.

    Attributes:
        embeds: ``[B,S,E]``, as the text encoder returns them.
        mask: ``[B,S]``, 1 for a token and 0 for padding, or ``None`` where nothing is padded.
        ids: ``[S,A]`` or ``[B,S,A]``, positions on the model's axes, for families that state them.
        pooled: ``[B,P]``, a summary of the whole prompt, for families that take one.
        places: How many of the tokens stand before those of each reference, for families whose
            references stand inside the text; else empty.
    """

    embeds: Tensor
    mask: Tensor | None = None
    ids: Tensor | None = None
    pooled: Tensor | None = None
    places: tuple[int, ...] = ()


@attrs.frozen(eq=False)
class Tokens:
    """The tokens in a reference's slot.

    Attributes:
        latents: ``[1,R,C]`` or ``[B,R,C]``, on the grid of the reference picture.
        keep: Indices ``[K]`` (int64, rising) of the tokens that are passed on, at the positions
            they have in the whole picture; ``None`` passes all of them.
        positions: Where the model places the picture: ``native``, or a name that the family knows.
        fresh: Indices ``[F]`` (int64, rising, maybe none) among the passed-on tokens, of those that
            are computed in this pass; the keys and values of the others are read from the group's
            ``load``, which an attention edit then gives for all of them. ``None``: all are.
        modulate: The noise level by which the model modulates them: ``native``, or a name that the
            family knows, such as ``zero``, as clean pictures.
    """

    latents: Tensor
    keep: Tensor | None = None
    positions: str = "native"
    fresh: Tensor | None = None
    modulate: str = "native"


@attrs.frozen(eq=False)
class LowRank:
    """A change to one linear layer, as a LoRA makes it: ``y + up(down(x))``.

    Attributes:
        layer: Its dotted name inside the transformer.
        down: ``[rank,in]``.
        up: ``[out,rank]``; a scale is multiplied into it.
    """

    layer: str
    down: Tensor
    up: Tensor


@attrs.frozen(eq=False)
class Adapter:
    """Changes to linear layers that hold for one forward pass.

    Attributes:
        name: Unique in a pass: what brings an adapter of the same name need not add it again.
        layers: One entry a layer, or several, which add up.
    """

    name: str
    layers: tuple[LowRank, ...]


@attrs.frozen(eq=False)
class Inputs:
    """What the transformer is given in one branch.

    Attributes:
        target: The noisy latents ``[B,T,C]``, as the model will see them.
        slots: One entry a reference, in the order of the call, empty until a method fills it.
            The number of a slot is the reference's position on the frame axis, filled or not.
        text: The encoded prompt of the branch.
        added: ``[B,T,width]`` (``width`` of the transformer), joins after the input projection of
            the target, or ``None``.
        adapters: What changes linear layers of the transformer in this pass.
        keep: Indices ``[K]`` (int64, rising, at least one) of the target's tokens that are computed
            in this pass, at the positions they have in the whole; ``None``: all. The others are not
            there for anything to attend to, and are predicted to go straight to the source:
            ``v = (x_t − r) / sigma``. ``target`` and ``added`` hold all ``T`` all the same: the
            core takes their rows before the family sees them.
        center: Where the middle of a picture lies in its positions, the target's too: ``native``,
            or a name that the family knows.
        text_start: Where the prompt's positions begin, likewise.
    """

    target: Tensor
    slots: tuple[Tokens | None, ...]
    text: Text
    added: Tensor | None = None
    adapters: tuple[Adapter, ...] = ()
    keep: Tensor | None = None
    center: str = "native"
    text_start: str = "native"

    def fill(self, slot: int, tokens: Tokens | None) -> Inputs:
        """Return the same inputs with one slot filled, or emptied with ``None``."""
        slots = (*self.slots[:slot], tokens, *self.slots[slot + 1 :])
        return attrs.evolve(self, slots=slots)


@attrs.frozen
class Layout:
    """Where the tokens of a branch stand in the sequence that attention sees, in logical order.

    A family may hand them to its model in another order, and then permutes what edits say of them.
    Hooks see all tokens, also those that are not computed in this pass: of what edits say for each
    query, the core takes what concerns the others.

    Attributes:
        text: The prompt's tokens.
        target: The target's.
        slots: One entry a reference, ``None`` where its slot is empty.
        length: Of the whole sequence, ``L``.
        keep: Which of the target's tokens are computed, as ``Inputs.keep``; ``None``: all.
    """

    text: slice
    target: slice
    slots: tuple[slice | None, ...]
    length: int
    keep: Tensor | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen(eq=False)
class KeyValues:
    """Buffers for the keys and values of a group of keys, for every block.

    Attributes:
        keys: ``[blocks,B,R,H,D]``, as attention uses them (after norm and rotary embedding).
        values: ``[blocks,B,R,H,D]``.
        drift: ``[blocks,B,2]``, float32, or ``None``. Filled when the buffers are stored to: how
            far the new keys, and the new values, are from what was there, ``‖new − old‖ / ‖new‖``.
    """

    keys: Tensor
    values: Tensor
    drift: Tensor | None = None


@attrs.frozen(eq=False)
class AttentionEdit:
    """A change to how one group of keys is attended.

    Edits of several plugins to one group combine: weights, key scales and value scales multiply,
    ``separate`` holds if any asks for it.

    Attributes:
        group: A slot's number, or ``base``: the tokens of text and target together.
        weight: Factor on the group's attention before it is normalised, 0 and above; a weight ``w``
            is a bias of ``log w`` on the logits. 0-d, or ``[blocks]``: for every query outside the
            group, while the group's own queries keep 1. ``[1,L]`` or ``[blocks,L]``: for each query
            as given.
        key_scale: Factor on the group's keys, after QK norm: 0-d or ``[D]``; ``[blocks,1]`` or
            ``[blocks,D]`` for each block.
        separate: The group gets a softmax of its own, and what it attends to is added with
            ``weight`` as the factor.
        store: Buffers to fill with the group's keys and values.
        load: Buffers to read instead of the group's own keys and values; the group's slot may then
            be empty.
        value_scale: Factor on the group's values, as ``key_scale``: it changes what is read from
            the group, and not how much it is attended. Stored values are without it.
        prefix: Whether the edit also acts where text and references are computed, on a model that
            computes these once and keeps them (``sight = "prefix"``): they are computed anew unless
            ``weight`` and scales are the very tensors of a step before. Where tokens see each other
            it acts there anyway.
    """

    group: int | str
    weight: Tensor | None = None
    key_scale: Tensor | None = None
    separate: bool = False
    store: KeyValues | None = None
    load: KeyValues | None = None
    value_scale: Tensor | None = None
    prefix: bool = False


@attrs.frozen
class Planned:
    """One step of a timetable.

    Attributes:
        step: Where it stands in the run.
        rows: One row a reference, in the order of the call.
    """

    step: Step
    rows: tuple[Row, ...]


@attrs.frozen(eq=False)
class GroupEdit:
    """All edits of one group of keys at a step, combined.

    Attributes:
        group: A slot's number, or ``base``.
        weight: ``[1,L]`` or ``[blocks,L]``, or ``None``: 1.
        key_scale: ``[1 or blocks,1 or D]``, or ``None``: 1.
        separate: Whether the group has a softmax of its own.
        store: Buffers to fill.
        load: Buffers to read instead.
        value_scale: As ``key_scale``, for the values.
        prefix: What acts where text and references are computed once: the edits that say so,
            combined; ``None``: none does.
        sources: The tensors that it was combined of, by whose identity it is known again.
        rows: Where the group's own tokens stand in ``load``, ``[F]``: their keys and values are put
            there before it is read; ``None``: nothing is put there.
    """

    group: int | str
    weight: Tensor | None
    key_scale: Tensor | None
    separate: bool
    store: tuple[KeyValues, ...]
    load: KeyValues | None
    value_scale: Tensor | None = None
    prefix: GroupEdit | None = None
    sources: tuple[Tensor | None, ...] = ()
    rows: Tensor | None = None
