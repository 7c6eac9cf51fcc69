"""Reading the weights of a file: one tensor at a time, in the dtype that is wanted.

Bytes are read, not mapped: a mapped file that is replaced or cut while its weights are used ends
the process. A weight of eight bits is ``code · scale`` in float32, rounded once to the dtype. On
the CPU, where torch converts 8-bit floats one by one, that is done by bits, some codes at a time,
so that what lies between the file and the weight stays in the cache. Another device is sent the
codes and computes the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, BinaryIO

import attrs
import torch

from refhooks._base.weight_files.entries import DTYPES, EIGHT_BITS
from refhooks._base.weight_files.scales import Scale

if TYPE_CHECKING:
    from refhooks._base.weight_files.entries import Entry, WeightFile

__all__ = ["Reader"]

# Codes that are read at once: what they are made of stays in the cache, and Python costs little.
CHUNK = 2**19


class Reader:
    """Reads tensors of a file that is open.

    Args:
        source: What its header says.
        file: It, opened for reading without a buffer.
        device: Where tensors are wanted; ``None``: on the CPU.
    """

    def __init__(
        self, source: WeightFile, file: BinaryIO, device: torch.device | None = None
    ) -> None:
        self._source, self._file = source, file
        self._device = torch.device("cpu") if device is None else device
        self._codes = _Codes()

    def raw(self, entry: Entry) -> torch.Tensor:
        """Return the bytes of a tensor, ``uint8 [size]``, on the CPU.

        Raises:
            ModelError: The file is shorter than when it was opened.
        """
        data = torch.empty(entry.size, dtype=torch.uint8, device="cpu")
        room = memoryview(data.numpy())  # type: ignore[arg-type]  # before numpy 2.3 it is no Buffer
        self._fill(room, entry, 0)
        return data

    def plain(self, entry: Entry, kind: str = "") -> torch.Tensor:
        """Return a tensor in the dtype of the file, or in ``kind`` of the same size, on the CPU.

        Raises:
            ModelError: As :meth:`raw`.
        """
        return self.raw(entry).view(DTYPES[kind or entry.kind]).reshape(entry.shape)

    def values(
        self, entry: Entry, kind: str, dtype: torch.dtype, scale: Scale | None
    ) -> torch.Tensor:
        """Return a tensor in a floating dtype, scaled.

        Args:
            entry: What is read.
            kind: What its bytes are, a key of ``DTYPES``.
            dtype: Of the result.
            scale: What it is multiplied by; ``None``: nothing.

        Raises:
            ModelError: As :meth:`raw`.
        """
        if kind not in EIGHT_BITS or self._device.type != "cpu":
            held = self.plain(entry, kind).to(self._device)
            return held.to(dtype) if scale is None else _scaled(held, dtype, scale)
        out = torch.empty(entry.shape, dtype=dtype, device="cpu")
        self._decode(out, entry, kind, scale)
        return out

    def _decode(self, out: torch.Tensor, entry: Entry, kind: str, scale: Scale | None) -> None:
        alike = scale is None or scale.values.ndim == 0
        rows = out.view(-1) if alike else out
        width = math.prod(rows.shape[1:])
        together = max(1, CHUNK // max(1, width))
        codes = self._codes
        in_place = alike and codes.fit(kind, out.dtype)
        factors = _factors(_unit(kind, out.dtype if in_place else torch.float16), scale)
        for first in range(0, len(rows), together):
            part = rows[first : first + together]
            self._fill(codes.room(part.numel()), entry, first * width)
            numbers = codes.written(part) if in_place else codes.numbers(kind).view(part.shape)
            for factor in factors:
                numbers.mul_(factor.over(first, first + len(part)))
            if kind == "F8_E4M3":
                codes.mark_nan(numbers)
            if not in_place:
                part.copy_(numbers)

    def _fill(self, room: memoryview, entry: Entry, start: int) -> None:
        self._file.seek(entry.start + start)
        done = 0
        while done < len(room):  # one read gives 2 GiB at most
            count = self._file.readinto(room[done:])  # type: ignore[attr-defined]  # unbuffered
            if not count:
                raise self._source.error("was cut off while it was read")
            done += count


class _Codes:
    """Codes of eight bits, with room for what they stand for.

    One for all tensors of a file: memory that is new costs more than decoding does.
    """

    def __init__(self) -> None:
        self._count = 0
        self._bytes = bytearray()
        self._all = torch.empty(0, dtype=torch.int8, device="cpu")
        self._halves = torch.empty(0, dtype=torch.int16, device="cpu")
        self._numbers = torch.empty(0, dtype=torch.float32, device="cpu")

    def room(self, count: int) -> memoryview:
        """Return where the next ``count`` codes are put."""
        self._count = count
        if count > len(self._bytes):
            self._bytes = bytearray(count)
            self._all = torch.frombuffer(self._bytes, dtype=torch.int8)
        return memoryview(self._bytes)[:count]

    @property
    def _codes(self) -> torch.Tensor:
        return self._all[: self._count]

    def fit(self, kind: str, dtype: torch.dtype) -> bool:
        """Return whether :meth:`written` has them in this dtype."""
        if dtype == torch.bfloat16:
            return kind == "F8_E4M3" and _keeps_subnormals()
        return kind == "F8_E4M3" and dtype == torch.float16

    def written(self, out: torch.Tensor) -> torch.Tensor:
        """Return ``out``, bfloat16 or float16, with what float8_e4m3fn codes stand for, in a unit.

        A product with one number is then computed in float32 and rounded once, as torch does it
        where the number has no axis: nothing else lies between the file and the weight.
        """
        shift, signs = (2**4, 0x7800) if out.dtype == torch.bfloat16 else (2**7, 0x4000)
        out.view(torch.int16).copy_(self._codes).mul_(shift).bitwise_and_(~signs)
        return out

    def numbers(self, kind: str) -> torch.Tensor:
        """Return what the codes stand for, in a unit, float32, until they are next asked.

        Each step is exact: bits are moved up to where a float16 has them. A float8_e5m2 is its
        upper byte.
        """
        if len(self._numbers) < self._count:
            self._halves = torch.empty(self._count, dtype=torch.int16, device="cpu")
            self._numbers = torch.empty(self._count, dtype=torch.float32, device="cpu")
        codes, numbers = self._codes, self._numbers[: self._count]
        if kind == "I8":
            return numbers.copy_(codes)
        halves = self._halves[: self._count].view(torch.float16)
        if kind == "F8_E5M2":
            halves.view(torch.int16).copy_(codes).mul_(2**8)
        else:
            self.written(halves)
        return numbers.copy_(halves)

    def mark_nan(self, numbers: torch.Tensor) -> None:
        """Write NaN for each float8_e4m3fn code that is none: the last of each sign."""
        if max(self._bytes.find(last, 0, self._count) for last in (0x7F, 0xFF)) >= 0:
            numbers[(self._codes.bitwise_and(0x7F) == 0x7F).view(numbers.shape)] = math.nan


def _unit(kind: str, dtype: torch.dtype) -> float:
    """Of numbers whose bits were moved up to where this dtype has them.

    A float8_e4m3fn counts exponents from 8 less than a float16, and from 120 less than a bfloat16.
    """
    if kind != "F8_E4M3":
        return 1.0
    return 2.0**120 if dtype == torch.bfloat16 else 2.0**8


def _keeps_subnormals() -> bool:
    """Whether the smallest float32 are no zeros here, as ``torch.set_flush_denormal`` makes them.

    The smallest codes are among them in a bfloat16.
    """
    smallest = torch.full((64,), 2.0**-129, device="cpu")
    return bool((smallest * 2.0**120 > 0).all())


def _factors(unit: float, scale: Scale | None) -> list[Scale]:
    """What numbers in a unit are multiplied by: at once, where that is no more than float32 has."""
    own = Scale(torch.tensor(unit, device="cpu"), (), ())
    if scale is None:
        return [own]
    both = attrs.evolve(scale, values=scale.values * unit)
    return [both] if bool(both.values.isfinite().all()) else [own, scale]


def _scaled(codes: torch.Tensor, dtype: torch.dtype, scale: Scale) -> torch.Tensor:
    values = codes.to(torch.float32)
    rows = len(values) if values.ndim else 1
    return values.mul_(scale.to(codes.device).over(0, rows)).to(dtype)
