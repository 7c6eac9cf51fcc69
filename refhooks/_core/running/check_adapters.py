"""Checks of the adapters that hook implementations add; each is looked at once a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks._core.contract.values import Adapter, LowRank
from refhooks._core.running.checks import finite, kind, same_kind, tensor
from refhooks.errors import HookReturnError, InputError

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._core.running.checks import Contract


def adapters(new: Any, target: Tensor, contract: Contract, label: str, *, eager: bool) -> None:
    """Check the adapters of a pass.

    Raises:
        HookReturnError: No tuple of adapters, a name twice, a layer that is not there or is
            compiled, or another shape, dtype or device.
        NotFiniteError: ``eager`` and a tensor holds NaN or infinity.
    """
    if not isinstance(new, tuple) or not all(isinstance(entry, Adapter) for entry in new):
        raise HookReturnError(f"{label}: adapters must be a tuple of refhooks.Adapter")
    names = [entry.name for entry in new]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise HookReturnError(f"{label}: the adapter {twice!r} is there twice; add it once")
    for adapter in new:
        if adapter not in contract.adapters_seen:
            for entry in adapter.layers:
                named = f"{label}: adapter {adapter.name!r}"
                _low_rank(entry, target, contract, named, eager=eager)
            contract.adapters_seen.add(adapter)


def _low_rank(entry: Any, target: Tensor, contract: Contract, label: str, *, eager: bool) -> None:
    if not isinstance(entry, LowRank):
        raise HookReturnError(f"{label}: layers must hold refhooks.LowRank, got {kind(entry)}")
    try:
        layer = contract.layer(entry.layer)
    except InputError as error:
        raise HookReturnError(f"{label}: {error}") from error
    down = tensor(entry.down, f"{entry.layer}, down", label)
    up = tensor(entry.up, f"{entry.layer}, up", label)
    rank = down.shape[0] if down.ndim else 0
    expected = ([rank, layer.in_features], [layer.out_features, rank])
    if (list(down.shape), list(up.shape)) != expected:
        raise HookReturnError(
            f"{label}: {entry.layer} needs down [rank,{layer.in_features}] and up"
            f" [{layer.out_features},rank], got {list(down.shape)} and {list(up.shape)}"
        )
    for name, factor in (("down", down), ("up", up)):
        same_kind(factor, target, f"{entry.layer}, {name}", label)
        if eager:
            finite(factor, f"{entry.layer}, {name}", label)
