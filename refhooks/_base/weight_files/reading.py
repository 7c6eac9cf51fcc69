"""Reading the weights of a file: one tensor at a time, in the dtype that is wanted.

Bytes are read, not mapped: a mapped file that is replaced or cut while its weights are used ends
the process. A weight of eight bits has 256 codes, so on the CPU, where torch converts 8-bit floats
one by one, what each one comes to is computed once, ``(code · scale)`` in float32 rounded to the
dtype, and looked up, two codes at a time. Another device is sent the codes and computes the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch

from refhooks._base.weight_files.entries import DTYPES

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from refhooks._base.weight_files.entries import Entry, WeightFile
    from refhooks._base.weight_files.scales import Scale

__all__ = ["Reader"]

CHUNK = 2**16  # codes that are looked up at once; what they are made of stays in the cache
ROWS = 2**18  # likewise, in float32, where rows differ: torch is called for each
PAIRED = 2**20  # codes from which on a table of all pairs of two codes pays


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
        data = _bytes(entry.size)
        self._fill(data, entry, 0)
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
        if DTYPES[kind].itemsize != 1 or self._device.type != "cpu":
            held = self.plain(entry, kind).to(self._device)
            return held.to(dtype) if scale is None else _scaled(held, dtype, scale)
        out = torch.empty(entry.shape, dtype=dtype, device="cpu")
        if scale is None or scale.values.ndim == 0:
            self._look_up(out, entry, _table(kind, dtype, scale))
        else:
            self._scaled_rows(out, entry, _table(kind, torch.float32, None), scale)
        return out

    def _look_up(self, out: torch.Tensor, entry: Entry, table: NDArray[Any]) -> None:
        numbers = out.view(-1).view(getattr(torch, f"int{8 * out.itemsize}")).numpy()
        paired = _paired(table, entry.size)
        buffer = _bytes(min(CHUNK, entry.size))
        for start in range(0, entry.size, CHUNK):
            codes = buffer[: min(CHUNK, entry.size - start)]
            self._fill(codes, entry, start)
            _take(paired, codes, numbers[start : start + len(codes)])

    def _scaled_rows(
        self, out: torch.Tensor, entry: Entry, table: NDArray[Any], scale: Scale
    ) -> None:
        """For scales that differ over a tensor: some rows at a time, in float32."""
        width = entry.size // len(out)
        together = 2 * max(1, ROWS // (2 * width))  # an even number of codes
        paired = _paired(table, entry.size)
        looked_up, buffer = np.empty(together * width, np.int32), _bytes(together * width)
        for first in range(0, len(out), together):
            last = min(len(out), first + together)
            codes = buffer[: (last - first) * width]
            self._fill(codes, entry, first * width)
            numbers = looked_up[: len(codes)]
            _take(paired, codes, numbers)
            rows = torch.from_numpy(numbers.view(np.float32)).reshape(out[first:last].shape)
            out[first:last].copy_(rows.mul_(scale.over(first, last)))

    def _fill(self, target: torch.Tensor, entry: Entry, start: int) -> None:
        self._file.seek(entry.start + start)
        room = memoryview(target.numpy())  # type: ignore[arg-type]  # before numpy 2.3 it is no Buffer
        done = 0
        while done < len(room):  # one read gives 2 GiB at most
            count = self._file.readinto(room[done:])  # type: ignore[attr-defined]  # unbuffered
            if not count:
                raise self._source.error("was cut off while it was read")
            done += count


def _bytes(count: int) -> torch.Tensor:
    return torch.empty(count, dtype=torch.uint8, device="cpu")


def _scaled(codes: torch.Tensor, dtype: torch.dtype, scale: Scale) -> torch.Tensor:
    values = codes.to(torch.float32)
    rows = len(values) if values.ndim else 1
    return values.mul_(scale.to(codes.device).over(0, rows)).to(dtype)


def _table(kind: str, dtype: torch.dtype, scale: Scale | None) -> NDArray[Any]:
    """What each code comes to, as integers of the same size: numpy has no bfloat16."""
    codes = torch.arange(256, dtype=torch.uint8, device="cpu").view(DTYPES[kind])
    values = codes.to(torch.float32)
    values = (values if scale is None else values * scale.values).to(dtype)
    table: NDArray[Any] = values.view(getattr(torch, f"int{8 * values.itemsize}")).numpy()
    return table


def _paired(table: NDArray[Any], count: int) -> NDArray[Any]:
    """For many codes, what two that follow each other come to: half as many to look up."""
    if count < PAIRED or count % 2:
        return table
    codes = np.arange(2**16, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    return table[codes].view(f"uint{16 * table.itemsize}").reshape(-1)


def _take(table: NDArray[Any], codes: torch.Tensor, out: NDArray[Any]) -> None:
    kind = np.uint8 if len(table) == 256 else np.uint16  # codes, or pairs
    np.take(table, codes.numpy().view(kind), out=out.view(table.dtype), mode="clip")
