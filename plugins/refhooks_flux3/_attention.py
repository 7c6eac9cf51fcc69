"""The attention processors of a run: how FLUX.3's blocks project, and how they go on.

Text, target and references each have blocks of their own first, in which they see themselves
alone; then all are one sequence.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux3 import (
    Flux3AttnProcessor,
    _get_qkv_projections,
)

from refhooks import PluginError
from refhooks.attention import BlockProcessor, Processors, key_groups, stock_modules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import Layout
    from refhooks.attention import GroupEdit

    Rotary = tuple[Tensor, Tensor] | None

_PARTS = ("to_q", "to_k", "to_v", "norm_q", "norm_k", "to_out")
BASE = "base"


def check(transformer: Any) -> list[Any]:
    """Return the attention modules of a ``Flux3Transformer2DModel``, which can be edited.

    Returns:
        Those of the references' blocks, of the blocks of all, of the text's and of the target's.

    Raises:
        InputError: They are another library's, or not the stock ones, or run in parallel.
    """
    blocks = [
        *transformer.mode_blocks["image_cond"], *transformer.single_transformer_blocks,
        *transformer.txt_mode_blocks, *transformer.mode_blocks["image"],
    ]  # fmt: skip
    return stock_modules(blocks, Flux3AttnProcessor, _PARTS)


class Stream(BlockProcessor):
    """Attention of one block.

    The model hands its processors nothing of a call's arguments, so they are told when a pass of
    the run begins and ends, and in which thread: whoever else calls the model, in another thread or
    between two passes, has the stock attention.

    Attributes:
        running: Whether a pass of the run is under way.
        thread: In which thread; ``None``: in any, where gradients may have a block computed again.
        text: ``[S,0]``: a number in a shape may change without a new graph.
    """

    def __init__(self, stock: Any, *, record: bool) -> None:
        super().__init__(stock, record=record)
        self.running = False
        self.thread: int | None = None
        self.text = torch.zeros(0, 0)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotary = None,
    ) -> Tensor:
        """Attend, ``[B,L,E]``; every parameter is named, as the stock one has them."""
        if self._own() and (self.edited or self.record):
            joint = self.changed(*_projected(attn, hidden_states, image_rotary_emb))
            if joint is not None:
                return attn.to_out[1](attn.to_out[0](joint))  # type: ignore[no-any-return]
        return self.stock(attn, hidden_states, attention_mask, image_rotary_emb)  # type: ignore[no-any-return]

    def changed(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor | None:
        """Attend within text, target and references, ``[B,L,H·D]``; ``None``: as stock does."""
        return self.attended(query, keys, values, None, self.text.shape[0])

    def _own(self) -> bool:
        if torch.compiler.is_compiling():  # a graph cannot ask which thread runs it
            return self.running
        return self.running and self.thread in {None, threading.get_ident()}


class References(Stream):
    """Of a block of the references, which see one another: other slots by their weights."""

    def changed(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor | None:
        """Attend within the references; the target sees none of them here."""
        if self.record:
            self.share = self.none_seen(query.shape[0])
        if not self.edited:
            return None
        before = self.groups[0].extent.shape[0]
        groups = self.groups[1:]
        lengths = [group.extent.shape[0] for group in groups]
        parts = list(zip(keys.split(lengths, dim=1), values.split(lengths, dim=1), strict=True))
        own, start = [], 0
        for length in lengths:
            own.append(slice(start, start + length))
            start += length
        seen = [
            group._replace(weight=None if group.weight is None else group.weight[before:])
            for group in key_groups(groups, parts, own, None)
        ]
        return self.attend(query, seen).flatten(2, 3)

    def none_seen(self, batch: int) -> Tensor:
        """Return the shares of the target's queries: all of them its own, ``[groups,B]``."""
        share = torch.zeros(len(self.groups), batch, device=self.groups[0].extent.device)
        share[0] = 1.0
        return share


class Alone(Stream):
    """Of a block of the text or the target alone, where only scales of its keys and values act."""

    def changed(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor | None:
        """Attend within the stream."""
        base = self.groups[0]
        if base.key_scale is None and base.value_scale is None:
            return None
        if base.key_scale is not None:
            keys = keys * base.key_scale.to(keys)
        if base.value_scale is not None:
            values = values * base.value_scale.to(values)
        attended: Tensor = dispatch_attention_fn(
            query, keys, values, backend=self._attention_backend
        )
        return attended.flatten(2, 3)


class StreamProcessors(Processors):
    """Those of all blocks of a run.

    A block of the model, as edits and shares count them, is one of the references' and what stands
    beside it in the other streams, or one of all.

    Args:
        transformer: A ``Flux3Transformer2DModel``.
        record: Whether shares are computed.

    Raises:
        InputError: As :func:`check` does.
    """

    def __init__(self, transformer: Any, *, record: bool) -> None:
        modules = check(transformer)
        early = len(transformer.mode_blocks["image_cond"])
        joint = len(transformer.single_transformer_blocks)
        kinds: list[type[Stream]] = [References] * early
        kinds += [Stream] * joint
        kinds += [Alone] * (2 * early)
        each = iter(kinds)

        def make(stock: Any, *, record: bool) -> Stream:
            return next(each)(stock, record=record)

        super().__init__(modules, make, Flux3AttnProcessor, record=record)
        self._all: list[Any] = self.each
        ends = (0, early + joint, 2 * early + joint, 3 * early + joint)
        self._streams = [self._all[a:b] for a, b in itertools.pairwise(ends)]
        self._early = early

    def plan(
        self,
        layout: Layout,
        edits: Sequence[GroupEdit],
        device: torch.device,
        queries: slice = slice(None),
    ) -> None:
        """Set what every block does in the next pass, and let them do it.

        Raises:
            PluginError: Keys of text and target are to be stored or loaded.
        """
        if any(edit.group == BASE and (edit.store or edit.load is not None) for edit in edits):
            raise PluginError(
                "flux3 has text and target in streams of their own, where their keys and values"
                " cannot be stored or loaded together (group 'base'); those of references can"
            )
        thread = None if torch.is_grad_enabled() else threading.get_ident()
        text = torch.empty(layout.text.stop, 0, device=device)
        for stream in reversed(self._streams):  # each counts its blocks from the first one
            self.each = stream
            super().plan(layout, edits, device, queries)
        for processor in self._all:
            processor.running, processor.thread, processor.text = True, thread, text

    def rest(self) -> None:
        """Have the stock attention until the next :meth:`plan`: the run's pass is over."""
        if not torch.is_grad_enabled():
            for processor in self._all:
                processor.running = False

    def recorded(self, references: int) -> Tensor:
        """Return the shares of the last pass, ``[blocks,1+references,B]``."""
        batch = self.each[-1].share.shape[-1]
        for processor in self.each[: self._early]:  # without references they were not asked
            processor.share = processor.none_seen(batch)
        return super().recorded(references)


def _projected(attn: Any, hidden: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, ``[B,L,H,D]``; the first two are turned in float32."""
    query, keys, values = (
        part.unflatten(-1, (attn.heads, -1)) for part in _get_qkv_projections(attn, hidden)
    )
    query, keys = attn.norm_q(query.float()), attn.norm_k(keys.float())
    if rotary is not None:
        query, keys = (apply_rotary_emb(x, rotary, sequence_dim=1) for x in (query, keys))
    return query.to(values.dtype), keys.to(values.dtype), values
