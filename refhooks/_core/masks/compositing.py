"""What a reference's masks do to what its method returns, whoever wrote the method."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import attrs
import torch

from refhooks._core.contract.values import AttentionEdit, Inputs, Tokens
from refhooks.errors import HookReturnError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from refhooks._core.contract.values import Layout

KEPT_FROM = 0.5
"""A reference's token is left out where less of it is covered by a content mask."""

Strengths = tuple[float, ...]


@attrs.frozen(eq=False)
class GridMask:
    """A mask on the grids of a run.

    Attributes:
        place: Its place among the masks of its strategy.
        kind: ``region`` or ``content``.
        target: For ``region``: cover of the target's tokens ``[T]``.
        fitted: For ``content``: the same, of the reference as it is fitted to the target.
        own: For ``content``: cover of the reference's own tokens ``[R]``, ``None`` if it gives the
            model none.
        soft: Whether a content mask scales tokens.
        text: For ``region``: weight of the reference for the prompt's tokens, 0–1.
        pixels: For ``region``: cover of the output's pixels ``[height,width]``.
    """

    place: int
    kind: Literal["region", "content"]
    target: Tensor | None = None
    fitted: Callable[[str], Tensor] | None = None
    own: Tensor | None = None
    soft: bool = False
    text: float = 1.0
    pixels: Callable[[], Tensor] | None = None


class MaskCompositor:
    """Confines what the method of one stage returns to the masks of its reference.

    What is on no grid cannot be confined: changes to the prompt, to linear layers, to other
    references' slots and to how those are attended, and branches stay as they are. A content mask
    confines changes to the target only once the method has asked for the reference on the target's
    grid: what else a method does there, as image guidance, is not a part of the reference put in
    its place.

    Every method takes how much of each mask of the strategy holds at the step, as ``Row.masks``.

    Args:
        slot: The reference's.
        masks: Its masks that cover less than everything.
        prefix: Whether regions also confine what text and references see that are computed once.
    """

    def __init__(self, slot: int, masks: Sequence[GridMask], *, prefix: bool = False) -> None:
        self._slot = slot
        self._prefix = prefix
        self._masks = tuple(masks)
        self._regions = [mask for mask in masks if mask.kind == "region"]
        self._scaling = [mask for mask in masks if mask.own is not None and mask.soft]
        self._dropping = [mask for mask in masks if mask.own is not None and not mask.soft]
        self._targets = [mask.target for mask in masks if mask.target is not None]
        self._fit: str | None = None
        self._fitted: list[Tensor] = []
        self._cache: dict[tuple[str, Strengths], Any] = {}
        self._met: tuple[Tensor, Tensor, Tensor] | None = None
        self._softened: tuple[Tensor, Strengths, Tensor] | None = None

    def use_fit(self, fit: str) -> None:
        """Note how the method fits the reference to the target."""
        if fit == self._fit:
            return
        self._fit = fit
        contents = [mask for mask in self._masks if mask.fitted is not None]
        self._fitted = [mask.fitted(fit) for mask in contents if mask.fitted is not None]
        self._cache.clear()

    @property
    def has_region(self) -> bool:
        """Whether a filled slot needs an edit of attention."""
        return bool(self._regions)

    def target(self, strengths: Strengths) -> Tensor | None:
        """Return where the reference may act on the target, ``[1,T,1]``; ``None``: everywhere."""
        masks, covers = list(self._regions), list(self._targets)
        if self._fitted:
            masks += [mask for mask in self._masks if mask.kind == "content"]
            covers += self._fitted
        if not _hold(strengths, masks):
            return None
        cover: Tensor = self._cached(
            "target", strengths, lambda: _product(strengths, masks, covers)
        )
        return cover[None, :, None]

    def share_nothing(self, strengths: Strengths) -> bool:
        """Whether masks that each cover some of the target cover none of it together."""
        where = self.target(strengths)
        covers = [*self._targets, *self._fitted]
        return (
            where is not None
            and not bool((where > 0.0).any())
            and all(bool((cover > 0.0).any()) for cover in covers)
        )

    def region(self, strengths: Strengths) -> Tensor:
        """Return the cover of the region masks alone, ``[T]``."""
        cover: Tensor = self._cached(
            "region", strengths, lambda: _product(strengths, self._regions, self._targets)
        )
        return cover

    def tensor(self, strengths: Strengths, old: Tensor, new: Tensor) -> Tensor:
        """Return ``new`` where the masks cover, and ``old``, to the bit, where they do not."""
        where = None if new is old else self.target(strengths)
        return new if where is None else torch.lerp(old, new, where.to(old.dtype))

    def inputs(self, strengths: Strengths, old: Inputs, new: Inputs) -> Inputs:
        """Confine the target, what is added to it, and the tokens in the reference's slot."""
        target = self.tensor(strengths, old.target, new.target)
        added = new.added
        if added is not old.added and self.target(strengths) is not None:
            before, after = _alike(old.added, added)
            added = self.tensor(strengths, before, after)
        tokens = new.slots[self._slot]
        if tokens is not None and tokens is not old.slots[self._slot]:
            tokens = self._content(strengths, tokens)
        return attrs.evolve(new, target=target, added=added).fill(self._slot, tokens)

    def image(self, strengths: Strengths, old: Tensor, new: Tensor) -> Tensor:
        """Return pictures ``[B,3 or 4,height,width]``, ``new`` only within the region masks."""
        if new is old or not _hold(strengths, self._regions):
            return new
        covers = [mask.pixels() for mask in self._regions if mask.pixels is not None]
        return torch.lerp(old, new, _product(strengths, self._regions, covers).to(old))

    def attention(
        self, strengths: Strengths, layout: Layout, *, loaded: bool = False
    ) -> AttentionEdit | None:
        """Return how the other tokens attend to the reference's, if it has keys and a region.

        Args:
            strengths: How much of each mask holds.
            layout: Where tokens stand.
            loaded: Whether the keys come from elsewhere, also for an empty slot.
        """
        own = layout.slots[self._slot]
        if (own is None and not loaded) or not _hold(strengths, self._regions):
            return None

        def weight() -> Tensor:
            region = self.region(strengths)
            others = math.prod(1.0 - strengths[mask.place] for mask in self._regions)
            weights = torch.full((1, layout.length), others, device=region.device)
            weights[:, layout.text] = _text_weight(strengths, self._regions)
            weights[:, layout.target] = region
            if own is not None:
                weights[:, own] = 1.0
            return weights

        cached = self._cached(f"weight {layout}", strengths, weight)
        return AttentionEdit(self._slot, weight=cached, prefix=self._prefix)

    def keep(self, strengths: Strengths) -> Tensor | None:
        """Return the indices of the reference's tokens that are passed on; ``None``: all.

        Those of which at least half is covered; if there are none, those that are covered at all.
        """
        if not _hold(strengths, self._dropping):
            return None
        indices: Tensor | None = self._cached(
            "keep", strengths, lambda: _kept(self._own(strengths, self._dropping))
        )
        return indices

    def nothing(self, strengths: Strengths) -> bool:
        """Whether the masks leave the reference nothing: no place to act, or none of it to use."""
        contents = [*self._dropping, *self._scaling]
        groups = [(self._regions, self._targets), (contents, self._covers(contents))]
        return any(
            bool(kind) and not bool((_product(strengths, kind, covers) > 0.0).any())
            for kind, covers in groups
        )

    def _content(self, strengths: Strengths, tokens: Tokens) -> Tokens | None:
        if _hold(strengths, self._scaling):
            tokens = attrs.evolve(tokens, latents=self._soft(strengths, tokens.latents))
        keep = self.keep(strengths)
        if keep is None:
            return tokens
        if tokens.fresh is not None:
            raise HookReturnError(
                f"slot {self._slot}.fresh counts the tokens that a content mask leaves; a method"
                " cannot give it beside one"
            )
        if tokens.keep is not None:
            keep = self._both(tokens.keep, keep)
        return attrs.evolve(tokens, keep=keep) if len(keep) else None

    def _soft(self, strengths: Strengths, latents: Tensor) -> Tensor:
        """The latents as much as they are covered; the same tensor for those that come again."""
        last = self._softened
        if last is None or last[0] is not latents or last[1] != strengths:
            scale = self._cached("scale", strengths, lambda: self._own(strengths, self._scaling))
            last = (latents, strengths, latents * scale[None, :, None].to(latents.dtype))
            self._softened = last
        return last[2]

    def _both(self, indices: Tensor, keep: Tensor) -> Tensor:
        """The indices in both; found once for what a method gives again at the next step."""
        if self._met is None or self._met[0] is not indices or self._met[1] is not keep:
            self._met = (indices, keep, indices[torch.isin(indices, keep)])
        return self._met[2]

    def _own(self, strengths: Strengths, masks: Sequence[GridMask]) -> Tensor:
        return _product(strengths, masks, self._covers(masks))

    @staticmethod
    def _covers(masks: Sequence[GridMask]) -> list[Tensor]:
        return [mask.own for mask in masks if mask.own is not None]

    def _cached(self, name: str, strengths: Strengths, make: Callable[[], Any]) -> Any:
        key = (name, strengths)
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]


def _alike(old: Tensor | None, new: Tensor | None) -> tuple[Tensor, Tensor]:
    """Two tensors, of which one may be missing: nothing is added then."""
    present = old if new is None else new
    assert present is not None  # noqa: S101  they differ
    zero = torch.zeros_like(present)
    return zero if old is None else old, zero if new is None else new


def _hold(strengths: Strengths, masks: Sequence[GridMask]) -> bool:
    """Whether any of these masks holds at all at the step: else it is as if there were none."""
    return any(strengths[mask.place] > 0.0 for mask in masks)


def _product(strengths: Strengths, masks: Sequence[GridMask], covers: Sequence[Tensor]) -> Tensor:
    """Multiply covers, each as much as its mask holds; ``masks`` are those that they are of."""
    amounts = [strengths[mask.place] for mask in masks]
    result = torch.ones_like(covers[0])
    for strength, cover in zip(amounts, covers, strict=True):
        result = result * (1.0 - strength * (1.0 - cover))
    return result


def _text_weight(strengths: Strengths, regions: Sequence[GridMask]) -> float:
    result = 1.0
    for mask in regions:
        result *= 1.0 - strengths[mask.place] * (1.0 - mask.text)
    return result


def _kept(cover: Tensor) -> Tensor | None:
    enough = cover >= KEPT_FROM
    if bool(enough.all()):
        return None
    if not bool(enough.any()):
        enough = cover > 0.0
    return enough.nonzero()[:, 0]
