"""Reading the weights of a file: one tensor at a time, in the dtype that is wanted.

Bytes are read, not mapped: a mapped file that is replaced or cut while its weights are used ends
the process. A weight of eight bits is ``code · scale`` in float32, rounded once to the dtype. On
the CPU, where torch converts 8-bit floats one by one, that is done some codes at a time, so that
what lies between the file and the weight stays in the cache. Another device is sent the codes and
computes the same.
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
        codes = _Codes(kind, max(1, min(together, len(rows)) * width))
        factors = _factors(codes.unit, scale)
        for first in range(0, len(rows), together):
            part = rows[first : first + together]
            self._fill(codes.room[: part.numel()], entry, first * width)
            numbers = codes.numbers(part.numel()).view(part.shape)
            for factor in factors:
                numbers.mul_(factor.over(first, first + len(part)))
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
    """Codes of eight bits, and room for what they stand for.

    Args:
        kind: One of ``EIGHT_BITS``.
        most: Codes that there may be at once.

    Attributes:
        room: Where the codes are put.
        unit: Of the numbers that they stand for.
    """

    def __init__(self, kind: str, most: int) -> None:
        self._kind = kind
        self.unit = 2.0**8 if kind == "F8_E4M3" else 1.0
        self._bytes = bytearray(most)
        self.room = memoryview(self._bytes)
        self._codes = torch.frombuffer(self._bytes, dtype=torch.int8)
        self._halves = torch.empty(most, dtype=torch.int16, device="cpu")
        self._numbers = torch.empty(most, dtype=torch.float32, device="cpu")

    def numbers(self, count: int) -> torch.Tensor:
        """Return what the first codes stand for, ``float32 [count]``, until they are next asked.

        Each step is exact: bits are moved up to where a float16 has them. A float8_e5m2 is its
        upper byte. A float8_e4m3fn has one bit of exponent less, which counts from 8 less: hence
        its unit. Of its codes only the last of each sign is no number.
        """
        codes, numbers = self._codes[:count], self._numbers[:count]
        if self._kind == "I8":
            return numbers.copy_(codes)
        halves = self._halves[:count].copy_(codes)
        if self._kind == "F8_E5M2":
            return numbers.copy_(halves.mul_(2**8).view(torch.float16))
        halves.mul_(2**7).bitwise_and_(~0x4000)  # the sign came twice
        numbers.copy_(halves.view(torch.float16))
        if 0x7F in self._bytes or 0xFF in self._bytes:
            numbers[codes.bitwise_and(0x7F) == 0x7F] = math.nan
        return numbers


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
