"""Step caches of diffusers on a transformer: emptied as soon as what they hold no longer fits.

A step cache (First Block Cache, MagCache, TaylorSeer, Pyramid Attention Broadcast) leaves blocks
out of a step and puts in what they made at an earlier one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from refhooks._attending.layer_hooks import is_compiled
from refhooks.errors import BusyError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from refhooks._core.contract.values import Branch, Context, GroupEdit, Inputs, Layout

    Identity = tuple[list[object], list[Tensor | None]]

__all__ = ["StepCaches", "refuse_step_cache", "step_cache_of"]


def refuse_step_cache(transformer: Any, keeper: str) -> None:
    """Refuse a step cache on a model whose run keeps keys and values itself.

    Args:
        transformer: A diffusers model.
        keeper: Its name, for the message.

    Raises:
        InputError: It has one.
    """
    for hook in _stateful(transformer):
        raise InputError(
            f"the transformer has a step cache ({type(hook).__name__}), which knows nothing of the"
            f" keys and values that {keeper} keeps; take it off (transformer.disable_cache())"
        )


class StepCaches:
    """The step caches that the user has put on a transformer, over one run.

    They are emptied at once: a run that ended in an exception elsewhere leaves its state behind.
    The state is one for all who call the model, so while the run lasts another thread is refused.

    Args:
        transformer: A diffusers model.
    """

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        self._hooks = list(_stateful(transformer))
        self._seen: dict[str, Identity] = {}
        self._last: dict[str, int] = {}
        self._emptied_at = -1
        self._thread = threading.get_ident()
        self._guard: Any = None
        if self._hooks and not is_compiled(transformer):
            self._guard = transformer.register_forward_pre_hook(self._refuse_others)
        if self._hooks:
            from diffusers.hooks.hooks import HookRegistry  # noqa: PLC0415  plugins load without it

            # What was applied after an earlier run is not in the list that diffusers keeps.
            registry = HookRegistry.check_if_exists_or_initialize(transformer)
            registry.invalidate_child_registries_cache()
            self._empty()

    def check(self, branches: Sequence[Branch], *, record: bool) -> None:
        """Refuse what a step cache would make wrong without a word.

        Raises:
            InputError: Attention is recorded, or there are several passes a step and one of the
                caches keeps a single state for all of them.
        """
        if self._hooks and record:
            raise InputError(
                f"the transformer has a step cache ({type(self._hooks[0]).__name__}), and what it"
                " leaves out cannot be recorded; take it off (transformer.disable_cache()), or do"
                " not record attention"
            )
        self._check_passes([branch.name for branch in branches])

    def follow(
        self,
        ctx: Context,
        branch: Branch,
        layout: Layout,
        inputs: Inputs,
        edits: Sequence[GroupEdit],
    ) -> None:
        """Empty them where this pass is not like the last one of its branch; call it before it.

        That is where a stage begins, tokens come or go, a branch was left out in between, or keys
        and values are to be stored, which a block that is left out would not do.

        Raises:
            InputError: As :meth:`check`, for a branch that a plugin adds.
        """
        if not self._hooks:
            return
        now = _identity(ctx, layout, inputs, edits)
        before = self._seen.get(branch.name)
        self._seen[branch.name] = now
        if before is None:
            self._check_passes(list(self._seen))
        stores = any(edit.store for edit in edits)
        step, last = ctx.step.index, self._last.get(branch.name)
        self._last[branch.name] = step
        paused = last is not None and step > last + 1  # guidance that was off in between
        if stores or paused or (before is not None and not _same(before, now)):
            self._empty_once(step)

    def close(self) -> None:
        """Let other threads call the model again."""
        if self._guard is not None:
            self._guard.remove()

    def _refuse_others(self, _module: Any, _args: Any) -> None:
        if threading.get_ident() != self._thread:
            raise BusyError(
                f"an edit runs on this transformer in another thread, and its step cache"
                f" ({type(self._hooks[0]).__name__}) keeps one state for all; wait for the edit,"
                " take the cache off (transformer.disable_cache()), or load a second copy"
            )

    def _check_passes(self, names: Sequence[str]) -> None:
        shared = [hook for hook in self._hooks if not _keeps_passes_apart(hook)]
        if shared and len(names) > 1:
            raise InputError(
                f"the transformer has a step cache ({type(shared[0]).__name__}) that keeps one"
                f" state for all passes of a step, and this run has {len(names)}"
                f" ({', '.join(names)}): one would be given what another made; use cfg=1, or"
                " another cache (FirstBlockCacheConfig)"
            )

    def _empty_once(self, step: int) -> None:
        """Empty them for all branches; what an earlier pass of the step then put in is kept."""
        if step != self._emptied_at:
            self._emptied_at = step
            self._empty()

    def _empty(self) -> None:
        self._transformer._reset_stateful_cache()


def step_cache_of(transformer: Any) -> str | None:
    """Return the class name of a step cache's hook that a diffusers model has, or ``None``."""
    return next((type(hook).__name__ for hook in _stateful(transformer)), None)


def _stateful(transformer: Any) -> Iterator[Any]:
    """The hooks that keep something from one step to the next."""
    for module in transformer.modules():
        registry = getattr(module, "_diffusers_hook", None)
        for hook in () if registry is None else registry.hooks.values():
            if hook._is_stateful:
                yield hook


def _keeps_passes_apart(hook: Any) -> bool:
    """Whether it has a state for each name that ``cache_context`` gives it."""
    from diffusers.hooks.hooks import StateManager  # noqa: PLC0415  plugins load without it

    return any(isinstance(value, StateManager) for value in vars(hook).values())


def _identity(ctx: Context, layout: Layout, inputs: Inputs, edits: Sequence[GroupEdit]) -> Identity:
    """What has to stay for a cache to go on: values, and tensors that must be the same ones."""
    filled = [tokens for tokens in inputs.slots if tokens is not None]
    values: list[object] = [
        layout,
        [row.stage for row in ctx.rows],
        [(tokens.positions, tokens.modulate) for tokens in filled],
        (inputs.center, inputs.text_start),
        inputs.added is None,
        [adapter.name for adapter in inputs.adapters],
        [edit.group for edit in edits if edit.load is not None],
    ]
    return values, [tokens.keep for tokens in filled]


def _same(before: Identity, now: Identity) -> bool:
    same_tensors = all(old is new for old, new in zip(before[1], now[1], strict=False))
    return before[0] == now[0] and same_tensors
