"""Keys and values of text and references, computed once and kept for the steps that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from diffusers.models.transformers.transformer_qwenimage21 import (
    QwenImage21KVCache,
    QwenImage21KVLayerCache,
)

from refhooks import PluginError
from refhooks_qwen21._sequence import Sequence21, slot_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks import Inputs, Tokens
    from refhooks.attention import GroupEdit

KEPT = 2  # prefixes of a branch: the last one, and one that a strength may come back to


class RunLayerCache(QwenImage21KVLayerCache):  # type: ignore[misc]  # diffusers is untyped
    """Those of one block; its class tells the processor that a pass is the run's own."""


class RunCache(QwenImage21KVCache):  # type: ignore[misc]
    """The stock container, filled by a run of this family."""

    def __init__(self, blocks: int) -> None:
        self.layer_caches = [RunLayerCache() for _ in range(blocks)]


@attrs.define(eq=False)
class Prefix:
    """One prefix of a branch.

    Attributes:
        sequence: Of which it is.
        adapters: What changed linear layers when it was computed.
        edits: What changed how text and references see each other.
        cache: The stock container, filled by the first pass.
        computed: Whether it is.
    """

    sequence: Sequence21
    adapters: tuple[Any, ...]
    edits: tuple[GroupEdit, ...]
    cache: RunCache
    computed: bool = False

    def serves(
        self, sequence: Sequence21, adapters: tuple[Any, ...], edits: tuple[GroupEdit, ...]
    ) -> bool:
        """Whether it is what these would give: made of the same tensors, unchanged since."""
        same = [
            slot == other and _same(tokens, those)
            for (slot, tokens), (other, those) in zip(
                sequence.filled, self.sequence.filled, strict=False
            )
        ]
        return (
            sequence.text is self.sequence.text
            and adapters == self.adapters
            and list(map(_known_by, edits)) == list(map(_known_by, self.edits))
            and len(sequence.filled) == len(self.sequence.filled)
            and all(same)
        )


class Prefixes:
    """The prefixes of a run.

    Args:
        blocks: Of the transformer.
        grids: Rows and columns of each reference, ``None`` where it gives no tokens.

    Attributes:
        computed: How many were, of each branch.
    """

    def __init__(self, blocks: int, grids: tuple[tuple[int, int] | None, ...]) -> None:
        self._blocks = blocks
        self._grids = grids
        self._kept: dict[str, list[Prefix]] = {}
        self._last: dict[tuple[str, int], Tokens] = {}
        self.computed: dict[str, int] = {}

    def of(self, branch: str, inputs: Inputs, edits: Sequence[GroupEdit]) -> Prefix:
        """Return the prefix of a pass; one that is new has still to be computed.

        A slot whose keys are loaded has no tokens, but is in the prefix as it last was: what the
        text saw of it stays.

        Raises:
            PluginError: Keys are loaded where an edit acts on the prefix.
        """
        loaded = {edit.group for edit in edits if edit.load is not None}
        lasting = _lasting(edits)
        if loaded and lasting:
            raise PluginError(
                "keys and values of an earlier step cannot be loaded at a step at which an edit"
                " with prefix=True has text and references computed anew"
            )
        filled = dict(slot_keys(inputs))
        for slot, tokens in filled.items():
            self._last[branch, slot] = tokens
        for slot in range(len(inputs.slots)):
            if slot in loaded and slot not in filled and (branch, slot) in self._last:
                filled[slot] = self._last[branch, slot]
        sequence = Sequence21(inputs.text, tuple(sorted(filled.items())), self._grids)
        kept = self._kept.setdefault(branch, [])
        for prefix in kept:
            if prefix.serves(sequence, inputs.adapters, lasting):
                kept.remove(prefix)
                kept.append(prefix)
                return prefix
        del kept[: len(kept) - KEPT + 1]
        fresh = Prefix(sequence, inputs.adapters, lasting, RunCache(self._blocks))
        kept.append(fresh)
        self.computed[branch] = self.computed.get(branch, 0) + 1
        return fresh

    def clear(self) -> None:
        """Let go of all of them."""
        self._kept.clear()
        self._last.clear()


def _lasting(edits: Sequence[GroupEdit]) -> tuple[GroupEdit, ...]:
    """What changes how text and references see each other, by group."""
    parts = [edit.prefix for edit in edits if edit.prefix is not None]
    changing = [part for part in parts if any(it is not None for it in part.sources)]
    return tuple(sorted(changing, key=lambda part: str(part.group)))


def _known_by(edit: GroupEdit) -> tuple[Any, ...]:
    return edit.group, edit.separate, *map(id, edit.sources)  # kept with the edit, so ids last


def _same(one: Tokens, other: Tokens) -> bool:
    return one.latents is other.latents and one.keep is other.keep
