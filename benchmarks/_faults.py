"""Places at which something can fail in an edit, and what makes it fail there."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import torch

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Setting = Callable[[Any, "Armed"], contextlib.AbstractContextManager[None]]

__all__ = ["EXCEPTIONS", "PLACES", "STEPS", "Armed", "Place", "options_of"]

STEPS = 3
EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("on purpose"),
    "StopIteration": lambda: StopIteration("on purpose"),
    "KeyboardInterrupt": lambda: KeyboardInterrupt("on purpose"),
    "SystemExit": lambda: SystemExit(3),
    "MemoryError": MemoryError,
    "device out of memory": lambda: torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB"
    ),
}
HOOKS = ("step", "branches", "conditioning", "attention", "velocity", "image")


@attrs.define
class Armed:
    """One fault: where, at which of ``STEPS`` steps, and what is raised; it goes off once.

    Attributes:
        spot: What fails, as the places below call it.
        at: 0-based step; of what is called a few times a run, the first, second or last call.
        error: What is raised.
        went_off: Whether it was.
        step: 0-based step in which the run is.
        passes: Of which text it makes a pass, ``cond`` or ``uncond``.
    """

    spot: str
    at: int
    error: BaseException
    went_off: bool = False
    step: int = 0
    passes: str = ""

    @property
    def in_turn(self) -> bool:
        """Whether this pass is the one to fail: at the second step the last, else the first."""
        return self.step != 1 or self.passes == "uncond"

    def reach(self, spot: str, at: int) -> None:
        """Raise, if this is it."""
        if not self.went_off and (self.spot, self.at) == (spot, at):
            self.went_off = True
            raise self.error


class Busy:
    """Hooks that have an edit put all that it can on the model, and fail where they should.

    Args:
        armed: The fault.
        slot: Of the reference that it steers as a method; ``None``: it takes part as a plugin.
        tokens: What fills the slot.
    """

    def __init__(self, armed: Armed, slot: int | None = None, tokens: Any = None) -> None:
        self._armed, self._slot, self._tokens = armed, slot, tokens
        self._adapters: tuple[rh.Adapter, ...] = ()

    def _reach(self, hook: str, ctx: rh.Context) -> None:
        at = 0 if hook == "image" else ctx.step.index
        self._armed.reach(f"{hook}, {'a plugin' if self._slot is None else 'a method'}", at)

    @rh.hookimpl
    def refhooks_step(self, ctx: rh.Context) -> None:
        """Fail, or do nothing."""
        self._armed.step = ctx.step.index
        self._reach("step", ctx)

    @rh.hookimpl
    def refhooks_branches(self, ctx: rh.Context) -> None:
        """Fail, or do nothing."""
        self._reach("branches", ctx)

    @rh.hookimpl
    def refhooks_conditioning(self, ctx: rh.Context, branch: rh.Branch, inputs: rh.Inputs) -> Any:
        """Fail in one of the passes; a method fills its slot, a plugin adapts a layer."""
        self._armed.passes = branch.name
        if self._armed.in_turn:
            self._reach("conditioning", ctx)
        if self._slot is not None:
            return inputs.fill(self._slot, rh.Tokens(self._tokens))
        if not self._adapters:
            width = inputs.target.shape[-1]
            low = rh.LowRank("img_in", torch.ones(1, width), torch.full((32, 1), 0.1))
            self._adapters = (rh.Adapter("own", (low,)),)
        return attrs.evolve(inputs, adapters=(*inputs.adapters, *self._adapters))

    @rh.hookimpl
    def refhooks_attention(self, ctx: rh.Context) -> Any:
        """Fail in one of the passes; a method weighs its slot."""
        if self._armed.in_turn:
            self._reach("attention", ctx)
        return None if self._slot is None else [rh.AttentionEdit(self._slot, torch.tensor(0.6))]

    @rh.hookimpl
    def refhooks_velocity(self, ctx: rh.Context) -> None:
        """Fail, or do nothing."""
        self._reach("velocity", ctx)

    @rh.hookimpl
    def refhooks_image(self, ctx: rh.Context) -> None:
        """Fail, or do nothing."""
        self._reach("image", ctx)

    def close(self) -> None:
        """Fail, or do nothing."""
        self._armed.reach("close, a method", 0)


@attrs.frozen
class Culprit:
    """A method that fails where it should."""

    name: ClassVar[str] = "culprit"
    armed: Armed

    def bind(self, reference: rh.BoundReference, _run: rh.RunInfo) -> Busy:
        """Return its hooks."""
        self.armed.reach("bind, a method", 0)
        return Busy(self.armed, reference.index, reference.latents)


@attrs.frozen
class CulpritPlugin:
    """A run plugin that fails where it should."""

    name: ClassVar[str] = "culprit"
    armed: Armed

    def bind_run(self, _run: rh.RunInfo) -> Busy:
        """Return its hooks."""
        self.armed.reach("bind, a plugin", 0)
        return Busy(self.armed)


@attrs.frozen
class CulpritSchedule:
    """A schedule that fails where it should."""

    name: ClassVar[str] = "culprit"
    armed: Armed

    def strength(self, step: rh.StageStep) -> float:
        """Return the strength."""
        self.armed.reach("schedule", step.run.index)
        return 0.9


@attrs.frozen
class CulpritSwitch:
    """A switch that fails where it should."""

    name: ClassVar[str] = "culprit"
    armed: Armed

    def ended(self, step: rh.StageStep) -> bool:
        """Return whether the stage has ended, as it has at the last step of the run."""
        self.armed.reach("switch", step.run.index)
        return step.run.index == STEPS - 1


@attrs.frozen
class CulpritShape:
    """The shape of a mask that fails where it should."""

    name: ClassVar[str] = "culprit"
    armed: Armed

    def cover(self, size: rh.Size) -> Any:
        """Return the left half."""
        self.armed.reach("mask", 0)
        cover = torch.zeros(size.height, size.width)
        cover[:, : size.width // 2] = 1
        return cover


def options_of(armed: Armed) -> dict[str, Any]:
    """Return the arguments of an edit in which everything that can fail takes part."""
    method, schedule = Culprit(armed), CulpritSchedule(armed)
    stages = [rh.Stage(method, schedule, until=CulpritSwitch(armed)), rh.Stage(method, schedule)]
    return {
        "strategy": rh.Strategy(stages, masks=[rh.mask(CulpritShape(armed), kind="region")]),
        "plugins": [CulpritPlugin(armed)],
        "callback": lambda step, *_: armed.reach("callback", step),
        "denoise": 0.5,
    }


@attrs.frozen
class Place:
    """A place that can fail.

    Attributes:
        spot: Its name.
        times: How many times in a run it is tried at: the first, middle and last of them.
        named: Words that the message or its notes hold; ``{step}`` and ``{stage}`` are numbers.
        ours: Whether it is a part of the model, where a full memory is told as such, and not a
            plugin or the user's own, whose ``MemoryError`` is theirs.
        setting: Puts the fault into the model, for a ``with``; ``None``: a plugin has it.
    """

    spot: str
    times: int
    named: tuple[str, ...]
    ours: bool = False
    setting: Setting | None = None

    def words(self, at: int) -> list[str]:
        """Return the words for a step; the last one is that of the second stage."""
        return [it.format(step=at + 1, stage=2 if at == STEPS - 1 else 1) for it in self.named]

    def expected(self, error: BaseException) -> type[BaseException]:
        """Return the type that arrives: refhooks' own where a device, or the machine, is full."""
        full = isinstance(error, torch.OutOfMemoryError)
        if full or (self.ours and isinstance(error, MemoryError)):
            return rh.OutOfMemoryError
        return type(error)


@contextlib.contextmanager
def _hook(module: Any, reached: Callable[[], object]) -> Iterator[None]:
    def before(*_: Any) -> None:
        reached()

    handle = module.register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


def _in_module(find: Callable[[Any], Any]) -> Setting:
    """A fault in a module of the pipeline, at the first or second time that it is called."""

    def setting(pipe: Any, armed: Armed) -> contextlib.AbstractContextManager[None]:
        calls = itertools.count()
        return _hook(find(pipe), lambda: armed.reach(armed.spot, next(calls)))

    return setting


def _in_pass(find: Callable[[Any], Any]) -> Setting:
    """A fault in a module of the transformer, at a step."""

    def setting(pipe: Any, armed: Armed) -> contextlib.AbstractContextManager[None]:
        return _hook(find(pipe), lambda: armed.in_turn and armed.reach(armed.spot, armed.step))

    return setting


def _in_method(find: Callable[[Any], type], method: str) -> Setting:
    """A fault in a method of a class: a run has copies of its own of some parts."""

    @contextlib.contextmanager
    def setting(pipe: Any, armed: Armed) -> Iterator[None]:
        kind = find(pipe)
        stock = getattr(kind, method)

        def failing(self: Any, *args: Any, **options: Any) -> Any:
            armed.reach(armed.spot, armed.step)
            return stock(self, *args, **options)

        own = method in vars(kind)
        setattr(kind, method, failing)
        try:
            yield
        finally:
            setattr(kind, method, stock) if own else delattr(kind, method)

    return setting


def _hook_places() -> Iterator[Place]:
    for who, label in (
        ("a plugin", "plugin culprit of the call"),
        ("a method", "culprit (reference 1, stage {stage})"),
    ):
        for hook in HOOKS:
            once = hook == "image"  # after the last step
            step = f"step {STEPS if once else '{step}'} of {STEPS}"
            who_is = label.replace("{stage}", "2") if once else label
            named = (f"raised by {who_is}, refhooks_{hook}, {step}",)
            yield Place(f"{hook}, {who}", 1 if once else STEPS, named)
        yield Place(f"bind, {who}", 1, (f"raised by {label}, bind",))
    yield Place("close, a method", 1, (f"raised by {label}, close",))


def _planned(kind: str) -> Place:
    return Place(kind, STEPS, (f"{kind} 'culprit'", f"at step {{step}} of {STEPS}"))


def _own(spot: str, times: int, setting: Any, *named: str) -> Place:
    blamed = () if named[0].startswith("raised by") else ("raised by family 'qwen",)
    return Place(spot, times, (*blamed, *named), ours=True, setting=setting)


def _last(module: Any, name: str) -> Any:
    """The last layer of a kind inside of a module, which runs amid its call."""
    return [it for it in module.modules() if name in type(it).__name__][-1]


def _scheduler(pipe: Any) -> type:
    return type(pipe.scheduler)


_STEP = f"step {{step}} of {STEPS}"
_MODULES: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "text encoder": (lambda pipe: pipe.text_encoder, (", open",)),
    "text encoder, amid": (lambda pipe: _last(pipe.text_encoder, "MLP"), (", open",)),
    "VAE, encoding": (lambda pipe: pipe.vae.encoder, (", encode",)),
    "VAE, amid encoding": (lambda pipe: _last(pipe.vae.encoder, "Conv"), (", encode",)),
    "VAE, decoding": (lambda pipe: pipe.vae.decoder, (", decode",)),
    "VAE, amid decoding": (lambda pipe: _last(pipe.vae.decoder, "Conv"), (", decode",)),
}
_PASSES: dict[str, Callable[[Any], Any]] = {
    "transformer": lambda pipe: pipe.transformer,
    "transformer, amid": lambda pipe: pipe.transformer.transformer_blocks[-1].attn.to_out[0],
}
PLACES = (
    *_hook_places(),
    _planned("schedule"),
    _planned("switch"),
    Place("mask", 1, ("'culprit'",)),
    Place("callback", STEPS, ()),
    *[
        _own(spot, 2 if "text" in spot else 1, _in_module(find), *named)
        for spot, (find, named) in _MODULES.items()
    ],
    *[
        _own(spot, STEPS, _in_pass(find), f", predict, {_STEP}")
        for spot, find in _PASSES.items()
    ],
    _own("processor", 1, _in_method(lambda pipe: type(pipe.processor), "__call__"), ", open"),
    _own("image processor", 1,
         _in_method(lambda pipe: type(pipe.image_processor), "preprocess"), ", encode"),
    _own("scheduler, set_timesteps", 1, _in_method(_scheduler, "set_timesteps"), ", schedule"),
    _own("scheduler, scale_noise", 1, _in_method(_scheduler, "scale_noise"),
         "raised by scheduler FlowMatchEulerDiscreteScheduler, scale_noise"),
    _own("scheduler, step", STEPS, _in_method(_scheduler, "step"),
         f"raised by scheduler FlowMatchEulerDiscreteScheduler, step, {_STEP}"),
)  # fmt: skip
