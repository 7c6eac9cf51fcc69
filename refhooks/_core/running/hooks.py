"""The typed façade over pluggy's run hooks."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._attending.combining import combine
from refhooks._base.closing import Closing
from refhooks._base.pluggies import arguments_of, with_marker
from refhooks._base.shown import note
from refhooks._core.plugins.attribution import calls_a_hook, naming, where
from refhooks._core.plugins.calls import caller, manager_of
from refhooks._core.plugins.traces import tracing
from refhooks._core.plugins.validation import MARK, check_implementations, hook_arguments
from refhooks._core.running import checks
from refhooks._core.running.check_adapters import adapters
from refhooks._core.running.check_attention import attention, check_below, load_once
from refhooks._parts.dtypes import all_in, as_it_was
from refhooks._parts.finite import check_predicted
from refhooks.errors import PluginError
from refhooks.hookspecs import Registration, RunHooks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from refhooks._core.contract.values import (
        AttentionEdit,
        Branch,
        Context,
        GroupEdit,
        Inputs,
        Layout,
        Row,
    )
    from refhooks._core.masks.compositing import MaskCompositor
    from refhooks._core.plugins.calls import Manager
    from refhooks._core.plugins.traces import Trace


@attrs.frozen(eq=False)
class BoundPlugin:
    """An object whose run hooks take part in a run.

    Attributes:
        implementation: The object with the ``@hookimpl`` methods.
        label: How errors name it, such as ``inject (reference 1, stage 1)``.
        reference: 0-based reference whose row gates it, or ``None``: called at every step.
        stage: 0-based stage of that reference in which it is called.
        compositor: What confines its returns to the reference's masks, if it has any.
        strengths: Of a run plugin at each step, where it has them: they gate it.
    """

    implementation: object
    label: str
    reference: int | None = None
    stage: int = 0
    compositor: MaskCompositor | None = None
    strengths: tuple[float, ...] = ()

    def check(self) -> None:
        """Refuse an object whose hooks are not those of a run.

        Raises:
            PluginError: As :func:`refhooks._core.plugins.validation.check_implementations` says.
        """
        check_implementations(self.implementation, self.label, RunHooks, Registration)

    def masks(self, ctx: Context) -> tuple[float, ...]:
        """Return how much of each mask of its reference holds at this step."""
        return () if self.reference is None else ctx.rows[self.reference].masks

    def confined(self, ctx: Context, old: Inputs, new: Inputs) -> Inputs:
        """Return what the plugin made of inputs, confined to the masks of its reference."""
        if self.compositor is None:
            return new
        return self.compositor.inputs(self.masks(ctx), old, new)

    def acts(self, ctx: Context) -> bool:
        """Return whether the plugin's hooks are called at this step."""
        if self.reference is not None and ctx.rows[self.reference].stage != self.stage:
            return False
        return self.strength(ctx) != 0.0

    def strength(self, ctx: Context) -> float | None:
        """Return its strength at this step; ``None``: it has none."""
        if self.reference is not None:
            return ctx.rows[self.reference].strength
        return self.strengths[ctx.step.index] if self.strengths else None


@attrs.frozen(eq=False)
class _Call:
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    hook: str
    plugin: BoundPlugin
    trace: Trace | None = None

    def place(self, ctx: Context) -> str:
        """How messages name the call at a step."""
        return where(self.plugin.label, self.hook, ctx)

    @calls_a_hook
    def __call__(self, ctx: Context, values: dict[str, Any]) -> Any:
        try:
            if self.trace is not None:
                return self._traced(self.trace, ctx, values)
            return self.function(*[values[name] for name in self.arguments])
        except BaseException as error:
            note(error, f"raised by {self.place(ctx)}")
            raise

    def _traced(self, trace: Trace, ctx: Context, values: dict[str, Any]) -> Any:
        start = time.perf_counter()
        returned = self.function(*[values[name] for name in self.arguments])
        seconds = time.perf_counter() - start
        strength = self.plugin.strength(ctx)
        branch = f" ({values['branch'].name})" if "branch" in values else ""
        trace(ctx.step, self.hook + branch, self.plugin.label, strength, returned, seconds)
        return returned


def close_all(plugins: Sequence[BoundPlugin], error: BaseException | None = None) -> None:
    """Close what methods have bound, in order, as :class:`refhooks._base.closing.Closing` does."""
    closing = Closing()
    for plugin in reversed(plugins):
        close = getattr(plugin.implementation, "close", None)
        if plugin.reference is not None and close is not None:
            closing.callback(functools.partial(_close, close, plugin.label))
    closing.close(error)


def _close(close: Callable[[], object], label: str) -> None:
    with naming(f"{label}, close"):
        close()


class Hooks:
    """Runs the chains of one edit: one method a hook, each checked and attributed.

    The plugin manager is a validator here: objects are registered, which checks their hooks, the
    implementations are read back and put in order, and they are unregistered again.

    Args:
        plugins: What takes part, in call order.
        contract: What the values of this run must fit.
        compositors: What confines the stages of the references that have masks, by reference and
            stage; it also keeps a filled slot of such a reference to its region.
        eager: Check every returned tensor for NaN and infinity, and name the plugin.

    Raises:
        PluginError: An object is not valid, or is registered twice.
    """

    def __init__(
        self,
        plugins: Sequence[BoundPlugin],
        contract: checks.Contract,
        compositors: Mapping[tuple[int, int], MaskCompositor],
        *,
        eager: bool = False,
    ) -> None:
        self._contract = contract
        self._compositors = compositors
        self._regions = sorted(
            {
                slot
                for (slot, _), compositor in compositors.items()
                if compositor.has_region and contract.tokens[slot] is not None
            }
        )
        self._eager = eager
        manager = manager_of(RunHooks)
        holders = _holders(plugins)
        for holder in holders:
            with naming(holder.plugin.label):  # a hook or an argument that goes out of use warns
                manager.register(holder)
        self._step = _chain(manager, "refhooks_step", holders)
        self._branches = _chain(manager, "refhooks_branches", holders)
        self._conditioning = _chain(manager, "refhooks_conditioning", holders)
        self._attention = _chain(manager, "refhooks_attention", holders)
        self._velocity = _chain(manager, "refhooks_velocity", holders)
        self._strengths = _chain(manager, "refhooks_strengths", holders)
        self._image = _chain(manager, "refhooks_image", holders)
        self._plugins = tuple(plugins)
        for holder in holders:  # a manager is a reference cycle: it would keep tensors for a while
            manager.unregister(holder)

    def close(self) -> None:
        """Close what methods have bound."""
        close_all(self._plugins)

    def check_weights(self) -> None:
        """Refuse weights of attention below 0, at the end of the run."""
        check_below(self._contract)

    def step(self, ctx: Context, latents: Tensor) -> Tensor:
        """Chain ``refhooks_step``."""
        start = shown = latents.to(self._contract.dtype)
        for call in self._step:
            if call.plugin.acts(ctx):
                new = call(ctx, {"ctx": ctx, "latents": shown})
                shown = self._tensor(call, ctx, new, shown, "latents")
        return as_it_was(latents, start, shown)

    def branches(self, ctx: Context, branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """Chain ``refhooks_branches``, from those of the family."""
        own = branches
        for call in self._branches:
            if call.plugin.acts(ctx):
                new = call(ctx, {"ctx": ctx, "branches": branches})
                if new is not None:
                    label = call.place(ctx)
                    branches = checks.branches(new, own, label)
        return branches

    def conditioning(self, ctx: Context, branch: Branch, inputs: Inputs) -> Inputs:
        """Chain ``refhooks_conditioning``."""
        target = inputs.target
        start = target.to(self._contract.dtype)
        if start is not target:
            inputs = attrs.evolve(inputs, target=start)
        for call in self._conditioning:
            if call.plugin.acts(ctx):
                new = call(ctx, {"ctx": ctx, "branch": branch, "inputs": inputs})
                if new is not None:
                    label = call.place(ctx)
                    new = checks.inputs(new, inputs, self._contract, label, eager=self._eager)
                    inputs = call.plugin.confined(ctx, inputs, new)
                    adapters(
                        inputs.adapters, inputs.target, self._contract, label, eager=self._eager
                    )
        if start is not target:
            inputs = attrs.evolve(inputs, target=as_it_was(target, start, inputs.target))
        return inputs

    @property
    def edits_attention(self) -> bool:
        """Whether a bound plugin implements ``refhooks_attention``, or a region needs it."""
        return bool(self._attention or self._regions)

    def attention(self, ctx: Context, branch: Branch, layout: Layout) -> tuple[GroupEdit, ...]:
        """Collect ``refhooks_attention``, and combine what concerns one group."""
        edits: list[AttentionEdit] = []
        loaded: dict[int | str, str] = {}
        for call in self._attention:
            if call.plugin.acts(ctx):
                new = call(ctx, {"ctx": ctx, "branch": branch, "layout": layout})
                if new is not None:
                    label = call.place(ctx)
                    checked = attention(
                        new, layout, ctx.blocks, self._contract, label, eager=self._eager
                    )
                    load_once(checked, loaded, label)
                    edits += checked
        for slot in self._regions:
            row = ctx.rows[slot]
            compositor = self._compositors[slot, row.stage]
            edit = compositor.attention(row.masks, layout, loaded=slot in loaded)
            edits += [] if edit is None else [edit]
        return combine(edits, layout) if edits else ()

    def velocity(
        self, ctx: Context, latents: Tensor, predictions: Mapping[str, Tensor], velocity: Tensor
    ) -> Tensor:
        """Chain ``refhooks_velocity``, from the family's guidance."""
        if self._eager:
            every = {**predictions, "all branches combined": velocity}
            check_predicted(every, ctx, self._contract.transformer)
        dtype = self._contract.dtype
        start = shown = velocity.to(dtype)
        for call in self._velocity:
            if call.plugin.acts(ctx):
                values = {
                    "ctx": ctx,
                    "latents": latents.to(dtype),
                    "predictions": all_in(predictions, dtype),
                    "velocity": shown,
                }
                new = call(ctx, values)
                shown = self._tensor(call, ctx, new, shown, "velocity")
        return as_it_was(velocity, start, shown)

    def strengths(
        self, ctx: Context, latents: Tensor, velocity: Tensor, rows: tuple[Row, ...]
    ) -> tuple[Row, ...]:
        """Chain ``refhooks_strengths``, from the next step's rows as they are planned."""
        if not self._strengths:
            return rows
        planned = strengths = tuple(row.strength for row in rows)
        for call in self._strengths:
            if call.plugin.acts(ctx):
                dtype = self._contract.dtype
                values = {
                    "ctx": ctx,
                    "latents": latents.to(dtype),
                    "velocity": velocity.to(dtype),
                    "strengths": strengths,
                }
                new = call(ctx, values)
                if new is not None:
                    own = call.plugin.reference
                    strengths = checks.strengths(new, strengths, planned, own, call.place(ctx))
        return tuple(
            attrs.evolve(row, strength=strength)
            for row, strength in zip(rows, strengths, strict=True)
        )

    @property
    def retouches(self) -> bool:
        """Whether any bound plugin implements ``refhooks_image``."""
        return bool(self._image)

    def image(self, ctx: Context, images: Tensor) -> Tensor:
        """Chain ``refhooks_image``; nothing after it would see NaN, so it is looked for at once."""
        for call in self._image:
            if call.plugin.acts(ctx):
                new = call(ctx, {"ctx": ctx, "images": images})
                if new is not None:
                    label = call.place(ctx)
                    new = checks.like(new, images, "images", label, eager=True)
                    compositor = call.plugin.compositor
                    if compositor is not None:
                        new = compositor.image(call.plugin.masks(ctx), images, new)
                    images = new
        return images

    def _tensor(
        self, call: _Call, ctx: Context, new: Tensor | None, old: Tensor, name: str
    ) -> Tensor:
        if new is None:
            return old
        label = call.place(ctx)
        new = checks.like(new, old, name, label, eager=self._eager)
        compositor = call.plugin.compositor
        if compositor is None:
            return new
        return compositor.tensor(call.plugin.masks(ctx), old, new)


class _Holder:
    """The hooks of a bound object; compared by identity, whatever the object's own equality is."""

    def __init__(self, plugin: BoundPlugin) -> None:
        self.plugin = plugin
        for hook in hook_arguments(RunHooks):
            if hasattr(plugin.implementation, hook):
                setattr(self, hook, with_marker(plugin.implementation, hook, MARK))


def _holders(plugins: Sequence[BoundPlugin]) -> list[_Holder]:
    """Check every object, and that none is there twice."""
    by_object: dict[int, BoundPlugin] = {}
    for plugin in plugins:
        first = by_object.get(id(plugin.implementation))
        if first is not None:
            again = "give it once" if plugin.reference is None else "bind() must return a new one"
            raise PluginError(
                f"{plugin.label}: the object is registered already, as {first.label}; {again}"
            )
        plugin.check()
        by_object[id(plugin.implementation)] = plugin
    return [_Holder(plugin) for plugin in plugins]


def _chain(manager: Manager, hook: str, holders: Sequence[_Holder]) -> tuple[_Call, ...]:
    """``tryfirst`` ones, then in the order of the holders, then ``trylast`` ones."""
    order = {id(holder): place for place, holder in enumerate(holders)}
    implementations = sorted(
        caller(manager, hook).get_hookimpls(),
        key=lambda one: (one.trylast - one.tryfirst, order[id(one.plugin)]),
    )
    trace = tracing()
    return tuple(
        _Call(one.function, arguments_of(one), hook, one.plugin.plugin, trace)
        for one in implementations
    )
