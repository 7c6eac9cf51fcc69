"""Forward hooks that a run has on layers of a transformer."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

from refhooks.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._core.contract.values import Adapter, Inputs, LowRank

__all__ = ["LayerHooks", "in_one_graph", "is_compiled"]


_NOBODY = 0  # no thread's number


class LayerHooks:
    """Forward hooks that a run has on layers of a transformer: put on when first needed.

    They act in the passes of the run alone: what another thread, or a callback between two passes,
    calls the transformer for finds it as if nothing were there. Where gradients are recorded, as in
    training, they act whoever calls: a block may be computed again while gradients are, in a thread
    of torch's own.

    Args:
        transformer: The model.
        projection: Name of the linear layer by which latent tokens enter it.
        tail: Whether the target's tokens are the last that pass it; else they are the first.
    """

    def __init__(self, transformer: Any, projection: str, *, tail: bool = False) -> None:
        self._transformer = transformer
        self._projection = projection
        self._tail = tail
        self._handles: dict[tuple[str, str], Any] = {}
        self._added: Tensor | None = None
        self._adapters: tuple[Adapter, ...] = ()
        self._low_rank: dict[str, list[LowRank]] = {}
        self._thread: int | None = threading.get_ident()

    def use(self, inputs: Inputs) -> None:
        """Have the passes that follow mind ``inputs.added`` and ``inputs.adapters``."""
        import torch  # noqa: PLC0415  plugins load without it

        self._thread = None if torch.is_grad_enabled() else threading.get_ident()
        self._added = inputs.added
        if inputs.added is not None:
            self.install(self._projection, self._add)
        if inputs.adapters == self._adapters:  # they are compared by identity
            return
        self._adapters = inputs.adapters
        self._low_rank = {}
        for entry in (entry for adapter in inputs.adapters for entry in adapter.layers):
            self._low_rank.setdefault(entry.layer, []).append(entry)
        for layer in self._low_rank:
            self.install(layer, functools.partial(self._adapt, layer), "adapter")

    def pause_added(self) -> None:
        """Have the next pass add nothing to the target, as one that computes a prefix alone."""
        self._added = None

    def rest(self) -> None:
        """Have no pass minded until the next :meth:`use`: the run's own is over."""
        self._thread = None if self._thread is None else _NOBODY

    def install(self, name: str, hook: Any, purpose: str = "") -> None:
        """Put a forward hook on a module, once for each purpose; it acts in the run's passes.

        Args:
            name: Its dotted name inside the transformer.
            hook: As for ``torch.nn.Module.register_forward_hook``.
            purpose: Tells several hooks on one module apart.

        Raises:
            InputError: The transformer is compiled as a whole, and would not see it.
        """
        if is_compiled(self._transformer):
            raise InputError(
                "the transformer is compiled as a whole, which hides from it what is added to its"
                " inputs; compile its blocks instead (transformer.compile_repeated_blocks())"
            )
        if (purpose, name) not in self._handles:
            module = self._transformer.get_submodule(name)
            self._handles[purpose, name] = module.register_forward_hook(self._own(hook))

    def install_before(self, name: str, hook: Any, purpose: str) -> None:
        """Put a hook on a module's arguments, as ``register_forward_pre_hook(with_kwargs=True)``.

        For the rest, as :meth:`install`.
        """
        if (purpose, name) not in self._handles:
            module = self._transformer.get_submodule(name)
            self._handles[purpose, name] = module.register_forward_pre_hook(
                self._own(hook), with_kwargs=True
            )

    def remove(self) -> None:
        """Take everything off."""
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()
        self._added, self._adapters, self._low_rank = None, (), {}

    def _own(self, hook: Any) -> Any:
        def acting(module: Any, args: Any, output: Any) -> Any:
            own = self._thread is None or threading.get_ident() == self._thread
            return hook(module, args, output) if own else None

        return acting

    def _adapt(self, layer: str, _module: Any, args: Any, output: Tensor) -> Tensor | None:
        from torch.nn.functional import linear  # noqa: PLC0415  plugins load without it

        if layer not in self._low_rank:
            return None
        for entry in self._low_rank[layer]:
            down, up = entry.down.to(output.device), entry.up.to(output.device)
            low = linear(args[0].to(down.dtype), down)  # [...,rank]
            output = output + linear(low, up).to(output.dtype)
        return output

    def _add(self, _module: Any, _args: Any, output: Tensor) -> Tensor | None:
        import torch  # noqa: PLC0415  plugins load without it

        if self._added is None:
            return None
        added = self._added.to(output.device)
        tokens = added.shape[1]
        if self._tail:
            return torch.cat([output[:, :-tokens], output[:, -tokens:] + added], dim=1)
        return torch.cat([output[:, :tokens] + added, output[:, tokens:]], dim=1)


def is_compiled(module: Any) -> bool:
    """Return whether a module is compiled as a whole."""
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None


def in_one_graph(module: Any) -> bool:
    """Return whether a module is compiled with ``fullgraph=True``, as far as torch tells."""
    context = getattr(module, "dynamo_ctx", None)  # of torch.compile(module)
    compiled = getattr(module, "_compiled_call_impl", None)  # of module.compile()
    if compiled is not None:
        names = getattr(getattr(compiled, "__code__", None), "co_freevars", ())
        cells = dict(zip(names, getattr(compiled, "__closure__", None) or (), strict=False))
        context = cells["self"].cell_contents if "self" in cells else None
    return getattr(context, "fullgraph", False) is True
