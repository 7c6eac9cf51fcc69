"""A checksum of all values of a tensor, made where it lies.

A cryptographic hash would read a model of 40 GB through the processor; this is two sums a chunk, on
the device, and only the sums are fetched. Of the 64-bit words w_i of a chunk they are Σ w_i and
Σ (2i + 1)·w_i, modulo 2^64: an odd factor has an inverse, so a single word that differs always
changes the second one, and words that change places change it too. It tells models apart; it is no
protection against somebody who wants two to have the same.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["checksum"]

CHUNK: Final = 2**20  # words of 64 bits; one chunk and its products are 16 MiB


def checksum(values: Tensor) -> bytes:
    """Return a checksum of the bytes of a tensor of any shape and dtype, 32 bytes."""
    words, rest = _words(values)
    sums = []
    for start in range(0, words.numel(), CHUNK):
        chunk = words[start : start + CHUNK]
        factors = _factors(str(words.device))[: chunk.numel()]
        sums.append(torch.stack([chunk.sum(), (chunk * factors).sum()]))
    digest = hashlib.sha256(rest)
    if sums:
        digest.update(torch.stack(sums).cpu().numpy().tobytes())
    return digest.digest()


def _words(values: Tensor) -> tuple[Tensor, bytes]:
    """Its bytes as words of 64 bits, and the bytes that are left over."""
    flat = values.contiguous().flatten().view(torch.uint8)
    whole = flat.numel() // 8 * 8
    rest = flat[whole:].cpu().numpy().tobytes()
    body = flat[:whole]
    if body.storage_offset() % 8:  # no view of words begins between two of them
        body = body.clone()
    return body.view(torch.int64), rest


@functools.lru_cache(maxsize=4)
def _factors(device: str) -> Tensor:
    return torch.arange(CHUNK, dtype=torch.int64, device=device) * 2 + 1
