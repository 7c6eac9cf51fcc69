"""Attention processors of a run: one a block, put on before the first step, off at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.models import attention_dispatch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.attention_processor import Attention

from refhooks._attending.blocks import (
    BlockGroup,
    block_groups,
    cut,
    extents,
    key_groups,
    target_shares,
)
from refhooks._attending.merging import merged_attention
from refhooks._base.advice import warn_user
from refhooks._base.names import listed
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from refhooks._attending.merging import KeyGroup
    from refhooks._core.contract.values import GroupEdit, Layout

    Stock = type[Any] | tuple[type[Any], ...]

__all__ = ["BlockProcessor", "Processors", "check_stock", "stock_modules"]

_SETTERS = (Attention.set_processor, AttentionModuleMixin.set_processor)
_OURS = ("native", "_native_flash")  # backends whose kernels merged attention uses too


class BlockProcessor:
    """Attention of one block; what it does is set from outside, as tensors and constants.

    A family's processor is a subclass with a ``__call__`` that names every parameter of the stock
    one: diffusers drops those that a signature does not show. It projects to queries, keys and
    values, has :meth:`attended` do the rest, and finishes from the joined result.

    Args:
        stock: The block's stock processor.
        record: Whether shares are computed.

    Attributes:
        stock: As given.
        record: As given.
        groups: Of the next pass.
        edited: Whether the next pass differs from what ``stock`` does.
        share: Of the last pass, ``[groups,B]``.
    """

    def __init__(self, stock: Any, *, record: bool) -> None:
        self.stock = stock
        self.record = record
        self._attention_backend = stock._attention_backend
        self._parallel_config = stock._parallel_config
        self.groups: tuple[BlockGroup, ...] = ()
        self.edited = False
        self.share = torch.zeros(0)

    def attended(
        self, query: Tensor, keys: Tensor, values: Tensor, text_mask: Tensor | None, text: int
    ) -> Tensor | None:
        """Attend within a sequence of text, target and filled slots, in this order.

        Args:
            query: ``[B,L,H,D]``, after norm and rotary embedding.
            keys: As ``query``.
            values: ``[B,L,H,D]``.
            text_mask: ``[B,S]``, 1 for a token and 0 for padding, or ``None``.
            text: ``S``.

        Returns:
            ``[B,L,H·D]``, or ``None`` where the pass is only recorded.
        """
        parts, own = cut(self.groups, keys, values)
        groups = key_groups(self.groups, parts, own, text_mask)
        return self.joined(query, groups, slice(text, self.groups[0].extent.shape[0]))

    def joined(
        self, query: Tensor, groups: Sequence[KeyGroup], target: slice = slice(None)
    ) -> Tensor | None:
        """Attend to groups of keys, and note the shares of the target's queries.

        Args:
            query: ``[B,L,H,D]``.
            groups: Text and target first.
            target: Where the target's queries stand; all by default.

        Returns:
            ``[B,L,H·D]``, or ``None`` where the pass is only recorded.
        """
        if self.record:
            self.share = target_shares(query, groups, target)
            if not self.edited:
                return None
        return self.attend(query, groups).flatten(2, 3)

    def attend(self, query: Tensor, groups: Sequence[KeyGroup]) -> Tensor:
        """Attend, ``[B,L,H,D]``: as the stock processor does where no group has a weight.

        Args:
            query: ``[B,L,H,D]``.
            groups: Only the first may have a mask.
        """
        if any(group.weight is not None for group in groups):
            return merged_attention(query, groups)
        mask = groups[0].mask  # of text and target; the other groups have none
        if mask is not None:
            others = sum(group.keys.shape[1] for group in groups[1:])
            mask = torch.nn.functional.pad(mask, (0, others), value=True)
            mask = mask[:, None, None] if mask.ndim == 2 else mask[:, None]
        attended: Tensor = dispatch_attention_fn(
            query,
            torch.cat([group.keys for group in groups], dim=1),
            torch.cat([group.values for group in groups], dim=1),
            attn_mask=mask,
            backend=self._attention_backend,
        )
        return attended.to(query.dtype)


class Processors:
    """The processors of a run.

    Args:
        modules: The attention module of each block.
        make: Returns a family's processor for a stock one; takes ``record`` by name.
        stock: The class of the stock processors, or several classes.
        record: Whether shares are computed.

    Attributes:
        each: One a block, in order.

    Raises:
        InputError: The model's attention is not the stock one, or runs in parallel.
    """

    def __init__(
        self, modules: Sequence[Any], make: Callable[..., Any], stock: Stock, *, record: bool
    ) -> None:
        self._stock = [(module, module.processor) for module in modules]
        found = [processor for _, processor in self._stock]
        check_stock(found, stock)
        if any(isinstance(processor, BlockProcessor) for processor in found):
            raise InputError(
                "the transformer has the attention processors of an edit on it, amid which it was"
                " copied; copy it between edits"
            )
        _warn_of_backend([processor for _, processor in self._stock])
        self.each: list[Any] = [make(processor, record=record) for _, processor in self._stock]

    def install(self) -> None:
        """Put them on."""
        for (module, _), ours in zip(self._stock, self.each, strict=True):
            module.set_processor(ours)

    def plan(
        self,
        layout: Layout,
        edits: Sequence[GroupEdit],
        device: torch.device,
        queries: slice = slice(None),
    ) -> None:
        """Set what every block does in the next forward pass.

        Args:
            layout: Of the pass, in logical order: text, target, slots.
            edits: One a group.
            device: Of the run.
            queries: Those of the sequence that ask, all by default.
        """
        lengths = extents(layout, device)
        for block, processor in enumerate(self.each):
            processor.edited = bool(edits)
            processor.groups = block_groups(lengths, edits, block, queries)

    def recorded(self, references: int) -> Tensor:
        """Return the shares of the last forward pass, ``[blocks,1+references,B]``."""
        place = self.each[0].share.device
        stacked = torch.stack([one.share.to(place) for one in self.each])  # [blocks,groups,B]
        table = stacked.new_zeros(stacked.shape[0], 1 + references, stacked.shape[2])
        table[:, [group.place for group in self.each[0].groups]] = stacked
        return table

    def remove(self) -> None:
        """Put the stock processors back."""
        for module, stock in self._stock:
            module.set_processor(stock)


def _own(processor: Any) -> Any:
    """What a block has when no edit runs: one may be planned while another does."""
    return processor.stock if isinstance(processor, BlockProcessor) else processor


def check_stock(
    processors: Sequence[Any],
    stock: Stock,
    modules: Sequence[Any] = (),
    parts: Sequence[str] = (),
) -> None:
    """Refuse attention that cannot be edited.

    Args:
        processors: Those of the model.
        stock: The class that they must be of, or several of which each must be of one.
        modules: The attention modules that they are of.
        parts: Names of what the family's processor uses of such a module.

    Raises:
        InputError: A module lacks a part, as fused and quantised ones of other libraries do, a
            processor is not of the class ``stock``, or it runs in parallel.
    """
    classes = stock if isinstance(stock, tuple) else (stock,)
    for module in modules:
        missing = [part for part in parts if getattr(module, part, None) is None]
        own: Any = type(getattr(module, "_orig_mod", module))  # under torch.compile
        if missing or getattr(own, "set_processor", None) not in _SETTERS:
            lacks = f" without {listed(missing)}" if missing else " with processors of their own"
            raise InputError(
                f"the transformer's attention modules are not diffusers' own but {own.__name__},"
                f"{lacks}, which can be neither edited nor recorded"
            )
    for processor in map(_own, processors):
        kind: Any = type(processor)
        if kind not in classes:
            raise InputError(
                f"the transformer has the attention processor {kind.__name__}; what"
                " edits or records attention needs the stock one"
                f" (transformer.set_attn_processor({classes[0].__name__}()))"
            )
        if processor._parallel_config is not None:
            raise InputError(
                "the transformer runs in parallel over several devices, where attention can be"
                " neither edited nor recorded"
            )


def stock_modules(blocks: Sequence[Any], stock: Stock, parts: Sequence[str]) -> list[Any]:
    """Return the attention modules ``attn`` of a model's blocks, which can be edited.

    Args:
        blocks: Those of the transformer.
        stock: As for :func:`check_stock`.
        parts: Likewise.

    Raises:
        InputError: As :func:`check_stock` does.
    """
    modules = [getattr(block, "attn", block) for block in blocks]
    check_stock([getattr(module, "processor", None) for module in modules], stock, modules, parts)
    return modules


def _warn_of_backend(processors: Sequence[Any]) -> None:
    """Warn where the backend that the user chose is not used."""
    for processor in processors:
        backend = (
            processor._attention_backend
            or attention_dispatch._AttentionBackendRegistry.get_active_backend()[0]
        )
    name = getattr(backend, "value", backend)
    if name not in _OURS:
        warn_user(
            f"the attention backend {name!r} is not used at steps that edit attention: they need a"
            " log-sum-exp, and take torch's own kernels for it"
        )
