"""Offloading taken off a pipeline while its layers are wrapped, and put back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@contextlib.contextmanager
def weights_in_place(pipe: Any, model: nn.Module) -> Iterator[None]:
    """Bring weights that accelerate hands out layer by layer back to their layers for a while.

    Offloading by whole models moves what is inside of them, so nothing is to be done; by groups,
    the groups are made anew, since they list the layers.
    """
    sequential = _is_sequential(model)
    device = getattr(pipe, "_offload_device", None) if sequential else None
    if sequential:
        device = device or getattr(pipe, "_execution_device", None)
        pipe.remove_all_hooks()
    try:
        yield
    finally:
        if sequential:
            pipe.enable_sequential_cpu_offload(device=device)
        elif hasattr(model, "_diffusers_hook"):
            from diffusers.hooks.group_offloading import (  # noqa: PLC0415  takes seconds
                _maybe_remove_and_reapply_group_offloading as regroup,
            )

            regroup(model)


def _is_sequential(model: nn.Module) -> bool:
    """Whether accelerate keeps the weights of single layers elsewhere."""
    if "accelerate" not in {type(hook).__module__.split(".")[0] for hook in _hooks(model)}:
        return False
    from accelerate.hooks import AlignDevicesHook  # noqa: PLC0415  takes seconds

    return any(isinstance(hook, AlignDevicesHook) and hook.offload for hook in _hooks(model))


def _hooks(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        hook = getattr(module, "_hf_hook", None)
        yield from getattr(hook, "hooks", () if hook is None else (hook,))
