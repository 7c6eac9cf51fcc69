"""What something came to, kept for whoever asks again, up to a number of bytes."""

from __future__ import annotations

import math
import numbers
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import torch

from refhooks._base.forks import ForkLock
from refhooks._base.shown import shown
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

__all__ = ["Encodings", "read_mib"]

_MIB: Final = 2**20


def read_mib(value: Any) -> float:
    """Return how many MiB of encodings an editor keeps.

    Raises:
        InputError: It is no number, or below 0.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 <= value < math.inf:
        raise InputError(
            "encodings_mib must be a number of MiB, 0 or above, 0 to encode everything anew in each"
            f" edit; got {shown(value)}"
        )
    return float(value)


class Encodings:
    """Encoded prompts and pictures, the last ones that were used, up to a number of bytes.

    What is given out is a copy, so nobody changes what is kept. What is kept of a kind goes when
    the parts that encode it have other weights, LoRAs, hooks or settings.

    Args:
        mib: How much is kept, in MiB; 0: nothing.

    Attributes:
        mib: As given.

    Raises:
        InputError: As :func:`read_mib`.
    """

    def __init__(self, mib: float) -> None:
        self.mib = read_mib(mib)
        self._lock = ForkLock()
        self._bytes = 0
        self._states: dict[str, str] = {}
        self._kept: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()

    @property
    def bytes(self) -> int:
        """How much is kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Let go of all that is kept."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def __deepcopy__(self, _memo: object) -> Encodings:
        return Encodings(self.mib)

    def use(self, kind: str, state: str) -> None:
        """Say what the parts are that encode a kind; where they were others, it is let go of.

        Args:
            kind: The first of each of its keys.
            state: Of the parts.
        """
        with self._lock:
            if self._states.get(kind) != state:
                self._states[kind] = state
                for key in [key for key in self._kept if key[0] == kind]:
                    self._bytes -= self._kept.pop(key)[1]

    def once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """Return what ``make()`` returns, or a copy of what it returned before for the key.

        Args:
            key: Its kind, and all that it depends on beside the parts.
            make: What it raises is raised, and nothing is kept.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                copy: T = _copied(self._kept[key][0])
                return copy
        value = make()
        tensors = _tensors(value).values()
        size = sum(each.numel() * each.element_size() for each in tensors)
        if size <= self.mib * _MIB and all(map(_keeps, tensors)):
            entry = _copied(value), size
            with self._lock:
                self._bytes += size - self._kept.pop(key, (None, 0))[1]
                self._kept[key] = entry
                while self._bytes > self.mib * _MIB:
                    self._bytes -= self._kept.popitem(last=False)[1][1]
        return value


def _tensors(value: Any) -> dict[str, torch.Tensor]:
    """A tensor, or those among the fields of a ``Text``, by their names."""
    if isinstance(value, torch.Tensor):
        return {"": value}
    own = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    return {name: part for name, part in own.items() if isinstance(part, torch.Tensor)}


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    return attrs.evolve(value, **{name: it.clone() for name, it in _tensors(value).items()})


def _keeps(values: torch.Tensor) -> bool:
    """Whether a tensor may be kept: what holds NaN is made anew, and blamed anew."""
    if values.requires_grad:
        return False
    return not values.is_floating_point() or bool(torch.isfinite(values).all())
