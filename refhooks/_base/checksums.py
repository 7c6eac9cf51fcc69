"""A checksum of all values of a tensor, made where it lies.

In the memory of the processor it is a SHA-256 of the bytes. A model on another device would have to
be fetched for that, so there it is two sums for each chunk, of which only the sums are fetched: of
the halves l_i and h_i of its 64-bit words, Σ r_i·l_i and Σ r_i·h_i modulo 2^64, where r_i are fixed
odd numbers. Such a factor has an inverse, so a single word that differs always changes a sum. The
sums tell models apart; they are no protection against somebody who wants two to have the same.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["checksum", "sums", "words"]

CHUNK: Final = 2**22  # words of 64 bits; one chunk and its products are 96 MiB
SEED: Final = 2027  # of the factors


def checksum(values: Tensor) -> bytes:
    """Return a checksum of the bytes of a tensor of any shape, dtype and device, 32 bytes."""
    flat = values.contiguous().flatten().view(torch.uint8)
    if flat.device.type == "cpu":
        return hashlib.sha256(flat.numpy().data).digest()
    return sums(flat)


def sums(flat: Tensor) -> bytes:
    """Return a hash of the sums of bytes ``[n]``, made on their device."""
    body, rest = words(flat)
    digest, parts = hashlib.sha256(rest.cpu().numpy().tobytes()), []
    for start in range(0, body.numel(), CHUNK):
        chunk = body[start : start + CHUNK]
        factors = _factors(str(body.device))[: chunk.numel()]
        halves = (chunk & 0xFFFFFFFF, chunk >> 32)
        parts.append(torch.stack([(half * factors).sum() for half in halves]))
    if parts:
        digest.update(torch.stack(parts).cpu().numpy().tobytes())
    return digest.digest()


def words(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Return bytes ``[n]`` as words of 64 bits, and those that are left over."""
    whole = flat.numel() // 8 * 8
    body = flat[:whole]
    if body.storage_offset() % 8:  # no view of words begins between two of them
        body = body.clone()
    return body.view(torch.int64), flat[whole:]


@functools.lru_cache(maxsize=4)
def _factors(device: str) -> Tensor:
    source = torch.Generator().manual_seed(SEED)
    return (torch.randint(2**62, (CHUNK,), generator=source) * 2 + 1).to(device)
