"""Attention over weighted groups of keys, without leaving the fast kernels.

Each group is attended on its own, and the results are merged by their log-sum-exp::

    out = Σ w_g·Z_g·o_g / Σ w_g·Z_g,    Z_g = exp(lse_g)

which equals a bias of ``log w_g`` on the logits, needs no mask as large as the attention matrix, is
exact at ``w = 0``, and lets the weight differ for each query.

Shapes: ``B`` batch, ``L`` queries, ``K`` keys of a group, ``H`` heads, ``D`` head size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

AT_ONCE = 2**23  # bytes of the output of a group, on a CPU

__all__ = ["KeyGroup", "attend", "merged_attention", "shares"]


class KeyGroup(NamedTuple):
    """One group of keys as attention uses it.

    A named tuple, because ``torch.compile`` cannot trace the making of a frozen attrs value.

    Attributes:
        keys: ``[B,K,H,D]``.
        values: ``[B,K,H,D]``.
        weight: ``[L]``, one a query, or ``None``: 1.
        mask: ``[B,K]``, or ``[B,L,K]`` for each query: true for a key that counts; or ``None``.
        separate: Whether the group has a softmax of its own.
        own: The group's own queries, which attend to it in the common softmax also where it is
            separate; none by default. Not ``None``: to ask a slice of symbolic numbers whether it
            is that makes a graph hold for those numbers alone.
    """

    keys: Tensor
    values: Tensor
    weight: Tensor | None = None
    mask: Tensor | None = None
    separate: bool = False
    own: slice = slice(0, 0)


def merged_attention(query: Tensor, groups: Sequence[KeyGroup]) -> Tensor:
    """Attend to weighted groups of keys.

    Args:
        query: ``[B,L,H,D]``.
        groups: Those without a softmax of their own share one.

    Returns:
        ``[B,L,H,D]``, in the dtype of ``query``.
    """
    if torch.compiler.is_compiling() and query.device.type == "cpu" and not torch.is_grad_enabled():
        merged: Tensor = _as_one_node(query, *_columns(groups))
        return merged
    return _in_parts(query, groups)


def _in_parts(query: Tensor, groups: Sequence[KeyGroup]) -> Tensor:
    heads, size = query.shape[2], _heads_at_once(query)
    if size == heads:
        return _merged(query, groups)
    out = torch.empty_like(query)
    for start in range(0, heads, size):
        some = slice(start, start + size)
        out[:, :, some] = _merged(*_cut(query, groups, some))
    return out


def _heads_at_once(query: Tensor) -> int:
    """How many heads are attended at a time.

    A CPU's allocator hands large tensors back at once, and memory that is new costs more than the
    mixing: for four references, all heads at once take up to 1.2 times as long as a few.
    """
    heads = query.shape[2]
    if query.device.type != "cpu" or torch.is_grad_enabled():
        return heads
    return -(-heads // min(heads, -(-query.nbytes // AT_ONCE)))


@torch.library.custom_op(
    "refhooks::merged_attention",
    mutates_args=(),
    schema="(Tensor query, Tensor[] keys, Tensor[] values, Tensor?[] weights, Tensor?[] masks,"
    " bool[] separate, SymInt[] starts, SymInt[] stops) -> Tensor",
)
def _as_one_node(query: Tensor, *columns: Sequence[Any]) -> Tensor:
    """Merge as one node of a compiled graph; the columns are the groups' fields, of each a list.

    A graph that asked how many heads to attend at a time would hold for one length alone, and one
    that attends all at once takes up to 1.3 times as long on a CPU.
    """
    rows = zip(*columns, strict=True)
    groups = [KeyGroup._make((*fields, slice(start, stop))) for *fields, start, stop in rows]
    return _in_parts(query, groups).contiguous()


@_as_one_node.register_fake
def _(query: Tensor, *_columns: Sequence[Any]) -> Tensor:
    return query.new_empty(query.shape)


def _columns(groups: Sequence[KeyGroup]) -> list[list[Any]]:
    """The fields of all groups, of each a list."""
    rows = [(*fields, own.start, own.stop) for *fields, own in groups]
    return [list(column) for column in zip(*rows, strict=True)]


def _cut(
    query: Tensor, groups: Sequence[KeyGroup], heads: slice
) -> tuple[Tensor, Sequence[KeyGroup]]:
    """Some of the heads of all tensors."""
    some = [
        group._replace(keys=group.keys[:, :, heads], values=group.values[:, :, heads])
        for group in groups
    ]
    return query[:, :, heads], some


def _merged(query: Tensor, groups: Sequence[KeyGroup]) -> Tensor:
    """Merge all heads at once; as :func:`merged_attention`."""
    query = query.transpose(1, 2)  # [B,H,L,D]
    parts = [(_log_weight(group), attend(query, group)) for group in groups]
    logits = torch.stack([lse + log_weight for log_weight, (_, lse) in parts])  # [G,B,H,L]
    added = [  # before the mixing, which may be done in place of one of them
        _factor(group, query) * part
        for group, (_, (part, _)) in zip(groups, parts, strict=True)
        if group.separate
    ]
    out = _mixed(_normalised(logits), [part for _, (part, _) in parts])
    for part in added:
        out = out + part
    return out.transpose(1, 2)


def _mixed(fractions: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """``Σ fraction·part``: one pass over memory for each part after the first.

    It is done in the first part's place: on a CPU, memory that is new costs more than the mixing.

    Args:
        fractions: ``[G,B,H,L]``; they sum to 1.
        parts: ``[B,H,L,D]`` each; the first is written over unless it needs a gradient.
    """
    out, so_far = parts[0], fractions[0]
    mix = torch.lerp if out.requires_grad else torch.Tensor.lerp_
    least = torch.finfo(fractions.dtype).tiny
    for fraction, part in zip(fractions[1:], parts[1:], strict=True):
        so_far = so_far + fraction
        weight = fraction / so_far.clamp_min(least)  # not 0 / 0 where no group so far is attended
        out = mix(out, part, weight.unsqueeze(-1).to(out.dtype))
    return out


def shares(query: Tensor, groups: Sequence[KeyGroup], *, each: bool = False) -> Tensor:
    """Return how much of the attention each group gets, ``[G]``: means over queries, heads, batch.

    Separate groups count by their weight times their ``Z``, as if they shared the softmax.

    Args:
        query: ``[B,L,H,D]``.
        groups: As for :func:`merged_attention`.
        each: Whether every sample of the batch is told apart, ``[G,B]``.
    """
    query = query.transpose(1, 2)  # [B,H,L,D]
    logits = torch.stack(
        [attend(query, group)[1] + _log_weight(group._replace(separate=False)) for group in groups]
    )
    return _normalised(logits).mean(dim=(2, 3) if each else (1, 2, 3))


def _normalised(logits: Tensor) -> Tensor:
    """Softmax over the groups; the maximum is taken over ``lse_g + log w_g``."""
    return torch.softmax(logits, dim=0)


def _log_weight(group: KeyGroup) -> Tensor:
    """``log w`` for each query, ``[L]`` or 0-d; −∞ keeps a group out of the common softmax."""
    if group.separate:
        assert group.weight is not None  # noqa: S101  a separate group always has one
        kept = torch.full_like(group.weight, float("-inf"))
        kept[group.own] = 0.0
        return kept
    if group.weight is None:
        return torch.zeros((), device=group.keys.device)
    return group.weight.float().log()


def _factor(group: KeyGroup, query: Tensor) -> Tensor:
    """What a separate group's part is multiplied by; its own queries have it already."""
    assert group.weight is not None  # noqa: S101  a separate group always has one
    factor = group.weight.clone()
    factor[group.own] = 0.0
    return factor.unsqueeze(-1).to(query.dtype)  # [L,1]


def attend(query: Tensor, group: KeyGroup) -> tuple[Tensor, Tensor]:
    """Attend to one group.

    Args:
        query: ``[B,H,L,D]``.
        group: Its keys, values and mask.

    Returns:
        The output ``[B,H,L,D]`` and the log-sum-exp of the scaled logits ``[B,H,L]``, in float32
        (float64 for float64).
    """
    # Under autocast they come in several types, and the kernels take one.
    keys, values = (it.transpose(1, 2).to(query.dtype) for it in (group.keys, group.values))
    bias = None if group.mask is None else _bias(group.mask, query.dtype)
    if torch.is_grad_enabled() and any(x.requires_grad for x in (query, keys, values)):
        return _attend_plain(query, keys, values, bias)  # the kernels' log-sum-exp has no gradient
    if query.device.type == "cpu":
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(  # noqa: SLF001
            query, keys, values, attn_mask=bias
        )
        return out, lse
    if query.device.type == "cuda":
        return _attend_cuda(query, keys, values, bias)
    return _attend_plain(query, keys, values, bias)


def _attend_cuda(
    query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    half = query.dtype in (torch.float16, torch.bfloat16)
    # Not every torch can ask in a graph; where one is compiled, the GPU is taken for an Ampere.
    asks = not torch.compiler.is_compiling()
    old = asks and torch.cuda.get_device_capability(query.device) < (8, 0)
    fits = bias is None and query.shape[-1] % 8 == 0 and query.shape[-1] <= 256
    if half and fits and not old:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention(  # noqa: SLF001
            query, keys, values
        )[:2]
        return out, lse
    if query.dtype == torch.float64 or (query.dtype == torch.bfloat16 and old):
        return _attend_plain(query, keys, values, bias)
    if bias is not None:
        bias = _aligned(bias).expand(*query.shape[:3], keys.shape[2])
    out, lse = torch.ops.aten._scaled_dot_product_efficient_attention(  # noqa: SLF001
        query, keys, values, bias, compute_log_sumexp=True
    )[:2]
    return out, lse[:, :, : query.shape[2]]  # the kernel pads the queries


def _aligned(bias: Tensor) -> Tensor:
    """The same values, in rows whose length in memory is a multiple of 8 as the kernel needs it."""
    keys = bias.shape[-1]
    return torch.nn.functional.pad(bias, (0, -keys % 8))[..., :keys]


def _attend_plain(
    query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """For devices and masks without a kernel that gives the log-sum-exp."""
    exact = torch.promote_types(query.dtype, torch.float32)
    scaled = query * query.shape[-1] ** -0.5  # before the product, which could overflow in float16
    logits = (scaled @ keys.transpose(-1, -2)).to(exact)  # [B,H,L,K]
    if bias is not None:
        logits = logits + bias
    lse = logits.logsumexp(-1)
    return (logits - lse.unsqueeze(-1)).exp().to(query.dtype) @ values, lse


def _bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 for a key that counts and −∞ for one that does not, ``[B,1,1 or L,K]``."""
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    bias = bias.masked_fill(~mask, float("-inf"))
    return bias[:, None, None] if mask.ndim == 2 else bias[:, None]
