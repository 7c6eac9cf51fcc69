"""Tensors of a run whose dtype torch.autocast may change on the way: hooks see one dtype."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

__all__ = ["all_in", "as_it_was"]


def as_it_was(own: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return what plugins made of a tensor, in its own dtype; itself where they left it.

    Args:
        own: As the model made it.
        start: The same in the run's dtype, as plugins were given it.
        end: What they made of it.
    """
    return own if end is start else end.to(own.dtype)


def all_in(values: Mapping[str, Tensor], dtype: torch.dtype) -> Mapping[str, Tensor]:
    """Return the same in one dtype."""
    if all(value.dtype == dtype for value in values.values()):
        return values
    return MappingProxyType({name: value.to(dtype) for name, value in values.items()})
