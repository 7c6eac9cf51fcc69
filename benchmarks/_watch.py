"""What PyTorch is asked to do: operators, large copies, waits for the device, and live memory."""

from __future__ import annotations

import collections
import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

COPIES = {"aten::copy_", "aten::clone", "aten::_to_copy", "aten::cat", "aten::repeat"}
WAITS = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::is_nonzero",
    "aten::equal", "aten::unique_dim",
}  # fmt: skip


class Watch(TorchDispatchMode):
    """Counts operators and the bytes of the tensors that they make, while they live.

    What an operator needs inside itself is not seen; a view makes no memory.

    Args:
        large: Copies of tensors with at least so many numbers count as large.

    Attributes:
        operators: How often each was called.
        copies: How often a large tensor was copied, by operator.
        peak: Most bytes of live tensors that were made under it.
    """

    def __init__(self, large: int) -> None:
        super().__init__()
        self._large = large
        self._live: dict[int, int] = {}
        self.operators: collections.Counter[str] = collections.Counter()
        self.copies: collections.Counter[str] = collections.Counter()
        self.peak = 0

    @property
    def waits(self) -> int:
        """How often the host would have to wait for a device."""
        return sum(self.operators[name] for name in WAITS)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = func(*args, **(kwargs or {}))
        name = func._schema.name
        self.operators[name] += 1
        given = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
        for made in _tensors(returned):
            if name in COPIES and made.numel() >= self._large:
                self.copies[name] += 1
            if made.untyped_storage()._cdata not in given:
                self._hold(made.untyped_storage())
        return returned

    def _hold(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._live:
            return
        self._live[key] = storage.nbytes()
        weakref.finalize(storage, self._live.pop, key, None)
        self.peak = max(self.peak, sum(self._live.values()))


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
