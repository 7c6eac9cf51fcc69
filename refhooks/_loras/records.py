"""What is known of a LoRA on a model: its file, and its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FileRecord", "LoraState"]


@attrs.frozen
class FileRecord:
    """The file that an adapter came from.

    Attributes:
        path: Where it was.
        stamp: Its size and time when it was read.
        kind: ``LoRA``, ``LoKr``, ``LoHa`` or ``DoRA``.
        config: Peft's configuration of the adapter: another one is another adapter.
        glance: A few of its values, by layer: others are another file, hot-swapped.
        notes: Its metadata.
    """

    path: Path
    stamp: tuple[int, int]
    kind: str
    config: Any = attrs.field(repr=False, eq=False)
    glance: dict[str, tuple[float, ...]] = attrs.field(repr=False, eq=False)
    notes: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen
class LoraState:
    """A LoRA on a model, as it is now.

    Attributes:
        name: Of the adapter, which ``pipe.set_adapters`` takes.
        file: Name of the file that it came from; empty where something else than
            :meth:`LoadedModel.add_lora` loaded it, or put other weights in its place since.
        sha256: Of that file, 64 hexadecimal digits; empty likewise, or if the file has changed.
        kind: ``LoRA``, ``LoKr``, ``LoHa`` or ``DoRA``.
        scale: What it acts with beside its own alpha over rank; 1 is as it was trained. Where
            layers differ, the largest in size.
        factor: What the product of its factors is multiplied by there: scale times alpha over
            rank. Hot-swapping changes alpha behind the layer's back, and this alone is then true.
        uniform: Whether all layers have that scale.
        active: Whether it acts: by itself, or fused.
        fused: Whether it is part of the weights.
        layers: How many layers it changes.
    """

    name: str
    file: str
    sha256: str
    kind: str
    scale: float
    factor: float
    uniform: bool
    active: bool
    fused: bool
    layers: int
