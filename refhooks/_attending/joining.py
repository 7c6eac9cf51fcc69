"""Target and references as one sequence, which the passes of a step share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks._core.contract.values import Tokens

__all__ = ["Joiner"]


class Joiner:
    """Joins target and references once a step, as the stock pipelines do.

    The passes of a step are mostly given the same tensors: those of the last call are known by
    identity, and by their versions, which tell of changes in place.
    """

    def __init__(self) -> None:
        self._held: list[Tensor | None] = []
        self._versions: list[int] = []
        self._joined: Tensor | None = None

    def join(self, target: Tensor, slots: Sequence[Tokens]) -> Tensor:
        """Return ``[B,T+kept,C]``; the same tensor as before where nothing has changed."""
        parts = [target, *[tokens.latents for tokens in slots]]
        if any(part.is_inference() for part in parts):  # such tensors have no versions
            return _cat(target, slots)
        sources = [*parts, *[tokens.keep for tokens in slots]]
        versions = [part._version for part in parts]
        if self._joined is None or versions != self._versions or not _same(sources, self._held):
            self.clear()
            self._joined = _cat(target, slots)
            self._held, self._versions = sources, versions
        return self._joined

    def clear(self) -> None:
        """Forget the last sequence."""
        self._held, self._versions, self._joined = [], [], None


def _cat(target: Tensor, slots: Sequence[Tokens]) -> Tensor:
    import torch  # noqa: PLC0415  plugins load without it

    batch = target.shape[0]
    return torch.cat([target, *[_kept(tokens).expand(batch, -1, -1) for tokens in slots]], dim=1)


def _kept(tokens: Tokens) -> Tensor:
    return tokens.latents if tokens.keep is None else tokens.latents[:, tokens.keep]


def _same(one: Sequence[Tensor | None], other: Sequence[Tensor | None]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
