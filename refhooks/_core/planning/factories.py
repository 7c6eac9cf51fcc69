"""Registered things by name, with their options, for use in strategies and edits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from refhooks._base.numbers import is_list
from refhooks._base.once import once
from refhooks._core.contract.protocols import MaskShape
from refhooks._core.masks.mask import Mask
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.methods import Method, RunPlugin
    from refhooks._core.contract.protocols import MaskForm, Schedule, Switch
    from refhooks._core.plugins.registry import Registry

__all__ = ["mask", "method", "plugin", "schedule", "switch"]


def method(name: str, **options: Any) -> Method:
    """Return a registered method with its options, for ``Stage(method=...)``.

    Raises:
        UnknownNameError: No live plugin registers the name.
        InputError: The method has no such option, or refuses its value.
    """
    return load_registry().method(name, options)


def schedule(name: str, /, **options: Any) -> Schedule:
    """Return a registered schedule with its options, for ``Stage(strength=...)``.

    Raises:
        UnknownNameError: No live plugin registers the name.
        InputError: The schedule has no such option, or refuses its value.
    """
    return load_registry().schedule(name, options)


def switch(name: str, /, **options: Any) -> Switch:
    """Return a registered switch with its options, for ``Stage(until=...)``.

    Raises:
        UnknownNameError: No live plugin registers the name.
        InputError: The switch has no such option, or refuses its value.
    """
    return load_registry().switch(name, options)


def plugin(name: str, /, **options: Any) -> RunPlugin:
    """Return a registered run plugin with its options, for ``edit(plugins=[...])``.

    Raises:
        UnknownNameError: No live plugin registers the name.
        InputError: The run plugin has no such option, or refuses its value.
    """
    return load_registry().plugin(name, options)


def mask(
    what: MaskShape | MaskForm | None = None,
    /,
    *,
    kind: Literal["region", "content"] = "region",
    shape: str | None = None,
    invert: bool = False,
    feather: float = 0.0,
    soft: bool = False,
    strength: float | Sequence[float] | Schedule | str = 1.0,
    text: Literal["full", "area", "none"] = "none",
    **options: Any,
) -> Mask:
    """Return a mask, for ``Strategy(masks=[...])`` and ``edit(edit_mask=...)``.

    Args:
        what: What is covered: a shape, or what a registered shape reads, such as the path of a
            black-and-white picture, ``"10%,10%,50%,50%"`` or an array.
        kind: ``region``: where in the output the reference may act. ``content``: which part of the
            reference is used.
        shape: A registered shape's name; only needed where its options do not say it.
        invert: What is not covered counts instead.
        feather: Pixels outside of the shape over which its cover falls from 1 to 0.
        soft: For ``content``: scale the reference's latents by the cover instead of leaving out
            what is not covered.
        strength: How much of the mask holds at each step, 0–1.
        text: For ``region``: how much the prompt attends to the reference: ``none``, ``area`` (the
            covered share of the picture) or ``full``.
        **options: Those of the shape, in place of ``what``: ``image=``, ``box=`` and so on.

    Raises:
        UnknownNameError: No live plugin registers the shape.
        InputError: Nothing says what is covered, or an option is unknown or refused.
    """
    registry = load_registry()
    return Mask(
        _shape(registry, what, shape, options),
        kind=kind,
        invert=invert,
        feather=feather,
        soft=soft,
        strength=tuple(strength) if is_list(strength) else strength,
        text=text,
    )


def _shape(registry: Registry, what: Any, name: str | None, options: dict[str, Any]) -> MaskShape:
    if what is None:
        return registry.shape(options, name)
    if options or name is not None:
        raise InputError("a mask is made from one value, or from a shape and its options; got both")
    return as_shape(registry, what)


def as_shape(registry: Registry, what: Any) -> MaskShape:
    """Return a mask shape from itself or from what a registered shape reads."""
    if isinstance(what, MaskShape) and not isinstance(what, type):
        return what
    return registry.shape_from(what)


def _once(registry: Registry, what: Any) -> Mask:
    """One mask of what is given, so that it is drawn, and warns, once in a call."""
    made = partial(Mask, as_shape(registry, what))
    return once(("mask of", id(what)), made, size=lambda _: 0, holding=what)


def as_mask(registry: Registry, what: Any, label: str) -> Mask:
    """Return a region mask from itself, a shape or what a registered shape reads.

    Raises:
        InputError: It is none, or a content mask.
    """
    candidate = what if isinstance(what, Mask) else _once(registry, what)
    if candidate.kind != "region":
        raise InputError(f"{label} must be a region mask, got a {candidate.kind} mask")
    return candidate
