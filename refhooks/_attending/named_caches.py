"""Step caches of diffusers by name: put on for an edit, and taken off after it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import attrs

from refhooks._attending.layer_hooks import in_one_graph
from refhooks._attending.step_caches import step_cache_of
from refhooks._base.names import did_you_mean, listed
from refhooks._base.numbers import number, whole
from refhooks._base.shown import shown
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["StepCache", "as_step_cache", "lasting_cache_of", "with_step_cache"]

# The options of each cache, with what reads them and what diffusers' documentation sets.
_OPTIONS: Mapping[str, Mapping[str, tuple[Callable[[Any, str], float], float]]] = {
    "fbcache": {"threshold": (lambda value, label: number(value, label, 0.0, 1e9), 0.2)},
    "taylorseer": {
        "interval": (lambda value, label: whole(value, label, 2, 1000), 5),
        "order": (lambda value, label: whole(value, label, 0, 8), 1),
        "start": (lambda value, label: whole(value, label, 1, 1000), 3),
    },
}
_FOR_ONE: WeakSet[Any] = WeakSet()  # transformers with a cache by name
FORMS = "fbcache, fbcache:threshold=0.2, taylorseer, taylorseer:interval=5,order=1,start=3"


@attrs.frozen
class StepCache:
    """A step cache of diffusers.

    Attributes:
        name: ``fbcache`` (First Block Cache) or ``taylorseer``.
        options: All of them: ``threshold``, how much the first block may differ from the last step
            for the others to be left out; ``interval``, steps from one that is computed to the
            next, ``order`` of the series, and ``start``, steps that are computed first.
    """

    name: str
    options: tuple[tuple[str, float], ...]

    @property
    def text(self) -> str:
        """How it is written."""
        return f"{self.name}:{','.join(f'{name}={value!r}' for name, value in self.options)}"

    def computes(self, step: int) -> bool | None:
        """Return whether a step goes through the blocks; ``None``: that depends on the picture.

        Args:
            step: Counted from 0, since the cache was last emptied. As diffusers' TaylorSeer has it.
        """
        if self.name != "taylorseer":
            return None
        options = dict(self.options)
        start = options["start"]
        return step < start or (step - start - 1) % options["interval"] == 0

    def config(self) -> Any:
        """Return diffusers' configuration of it."""
        import torch  # noqa: PLC0415  edits are checked without it
        from diffusers import hooks  # noqa: PLC0415

        options: dict[str, Any] = dict(self.options)
        if self.name == "fbcache":
            return hooks.FirstBlockCacheConfig(threshold=options["threshold"])
        return hooks.TaylorSeerCacheConfig(
            cache_interval=options["interval"],
            max_order=options["order"],
            disable_cache_before_step=options["start"],
            taylor_factors_dtype=torch.float32,
        )


def as_step_cache(value: Any) -> StepCache | None:
    """Return the step cache that a value names.

    Args:
        value: Its name, the short form with options, one, or ``None``.

    Raises:
        InputError: There is no such cache, or an option is unknown or out of its range.
    """
    if value is None or isinstance(value, StepCache):
        return value
    if not isinstance(value, str):
        raise InputError(f"cache must be one of {FORMS}; got {shown(value)}")
    name, colon, rest = value.strip().partition(":")
    if name not in _OPTIONS:
        raise InputError(
            f"there is no step cache {shown(name)}.{did_you_mean(name, _OPTIONS)} cache takes"
            f" {FORMS}; others are put on the transformer (transformer.enable_cache(...))"
        )
    known = _OPTIONS[name]
    options = {option: default for option, (_, default) in known.items()}
    for part in rest.split(",") if colon else ():
        option, equals, text = part.partition("=")
        if option not in known or not equals:
            raise InputError(
                f"cache {shown(value)}: {name} has no option {shown(option)}."
                f"{did_you_mean(option, known)} It has {listed(sorted(known))}, as {FORMS}"
            )
        options[option] = known[option][0](_number(text), f"cache {name}: {option}")
    return StepCache(name, tuple(options.items()))


def _number(text: str) -> Any:
    """A number where it is one; whole ones as such."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


@contextlib.contextmanager
def with_step_cache(family: Any, cache: StepCache | None) -> Iterator[None]:
    """Have a step cache on a family's transformer, which is taken off at the end, however it ends.

    Raises:
        InputError: The transformer has one, or the family or diffusers cannot have this one.
    """
    if cache is None:
        yield
        return
    transformer, name = family.transformer, f"cache={cache.name!r}"
    other = step_cache_of(transformer)
    if other is not None:
        raise InputError(
            f"{name}: the transformer has a step cache already ({other}); take it off"
            " (transformer.disable_cache()), or leave cache out"
        )
    if not hasattr(transformer, "enable_cache"):
        raise InputError(
            f"{name}: diffusers has no step caches for {type(transformer).__name__}; leave cache"
            " out"
        )
    if any(map(in_one_graph, transformer.modules())):
        raise InputError(
            f"{name}: blocks of the transformer are compiled with fullgraph=True, and diffusers'"
            " step caches cannot be traced in one graph; compile them without it"
            " (transformer.compile_repeated_blocks()), or leave cache out"
        )
    config = cache.config()
    _FOR_ONE.add(transformer)
    try:
        try:
            transformer.enable_cache(config)
        except (ValueError, KeyError, AttributeError) as error:
            transformer._cache_config = config  # noqa: SLF001  to take off what is on in part
            raise InputError(
                f"{name}: diffusers cannot put it on {type(transformer).__name__}; leave cache out"
            ) from error
        getattr(family, "check_model", lambda: None)()
        yield
    finally:
        transformer.disable_cache()
        _FOR_ONE.discard(transformer)


def lasting_cache_of(transformer: Any) -> str | None:
    """Return what ``step_cache_of`` does, but for a cache that is on for one edit alone.

    Another edit, which is planned while that one runs, will not find it.
    """
    return None if transformer in _FOR_ONE else step_cache_of(transformer)
