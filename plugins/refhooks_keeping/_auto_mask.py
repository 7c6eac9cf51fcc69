"""A mask that finds itself: what the first steps leave as it is, follows the source from there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from refhooks import InputError, Inside, hookimpl, warn_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import AttentionEdit, Branch, Context, Inputs, Layout, RunInfo, Size

__all__ = ["AutoMask"]

LOG = logging.getLogger("refhooks")
WHOLE = 2 / 3  # of the threshold: nearer than that is nothing of a picture edited as a whole
MOST = 32  # tokens around what is changed, and as many around those
COMPUTED = 0.59  # of the output's tokens, as measured
EXACT = 1e-3  # of a noise level, which schedulers round


def _within(least: float, most: float, meaning: str) -> Any:
    def check(_: object, attribute: Any, value: Any) -> None:
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not least < value <= most:
            raise InputError(
                f"auto_mask: {attribute.name} must be a number above {least:g}, at most {most:g},"
                f" {meaning}; got {value!r}"
            )

    return check


def _tokens(_: object, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise InputError(
            f"auto_mask: {attribute.name} (tokens) must be a whole number from 0 to {MOST}; got"
            f" {value!r}"
        )


def _extent(_: object, attribute: Any, value: Any) -> None:
    if value not in ("all", "inside"):
        raise InputError(
            f"auto_mask: {attribute.name} must be 'inside' or 'all', what is computed once the mask"
            f" is found; got {value!r}"
        )


@attrs.frozen
class AutoMask:
    """Finds what an edit changes after its first steps; the rest follows the source from there.

    At the first step whose noise level is ``sigma`` or less, the predicted picture ``x0 = x_t −
    sigma·v`` is compared with the source ``r``, both as latents: a token is changed where the RMS
    of ``x0 − r`` over its channels is above ``threshold``. What is changed, closed by a token and
    with ``halo`` tokens around it, is the mask. From there on it is as with an edit mask: outside,
    latents follow the source, and the finished picture has the source's pixels, mixed in over the
    halo. With ``compute="inside"`` tokens that are further than ``context`` from the mask are not
    computed any more, as ``edit(compute="inside")`` has it.

    It is an estimate: what a later step would have changed outside of the mask stays the source.
    A picture of which less than a tenth is within 2/3 of the threshold is edited as a whole (a
    style, a light), and goes on as if the plugin were not there. In a batch each picture has a mask
    of its own, and what is computed is inside of any.

    Our own form, tried on the embedded model; SpotEdit and RegionE find regions likewise, each with
    a measure of its own.

    Attributes:
        sigma: Noise level at which the mask is found, above 0, at most 1.
        threshold: RMS difference of latents as the family's VAE normalises them, whose spread over
            pictures is about 1; above 0, at most 10.
        halo: Tokens around what is changed that may change too, 0–32.
        context: Tokens around the mask that are computed, and follow the source all the same, 0–32:
            what is inside sees them.
        compute: ``inside``: what is outside is not computed; ``all``: it is.
        reuse: As that of :class:`refhooks.Inside`: with ``inside``, the references' keys and values
            are computed anew every so many steps, 1–1000; 1: at every step.
    """

    name: ClassVar[str] = "auto_mask"
    needs_whole_target: ClassVar[bool] = True

    sigma: float = attrs.field(default=0.75, validator=_within(0.0, 1.0, "a noise level"))
    threshold: float = attrs.field(
        default=0.3, validator=_within(0.0, 10.0, "an RMS difference of latents")
    )
    halo: int = attrs.field(default=1, validator=_tokens)
    context: int = attrs.field(default=1, validator=_tokens)
    compute: Literal["inside", "all"] = attrs.field(default="inside", validator=_extent)
    reuse: int = 1

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be, and what would do nothing."""
        Inside(reuse=self.reuse)
        if self.compute == "all" and self.reuse != 1:
            raise InputError(
                f"auto_mask: reuse={self.reuse} does nothing with compute='all', which computes"
                " everything at every step; leave either out"
            )

    @property
    def inside(self) -> Inside | None:
        """How a part of the target is computed; ``None``: all of it is."""
        if self.compute == "all":
            return None
        return Inside(halo=self.halo + self.context, reuse=self.reuse)

    def computes(self, sigmas: Sequence[float]) -> list[float]:
        """Return the share of the output's tokens that is computed at each step, an estimate.

        Once the mask is there it is the mean over 140 local edits of the embedded model
        (``docs/auto-mask.md``), with the margins that are the defaults here.

        Args:
            sigmas: Noise level of each step.
        """
        found = next((it for it, sigma in enumerate(sigmas) if self.finds(sigma)), len(sigmas))
        share = 1.0 if self.inside is None else COMPUTED
        return [1.0 if step <= found else share for step in range(len(sigmas))]

    def finds(self, sigma: float) -> bool:
        """Return whether the mask is found at a step of that noise level, if not before."""
        return sigma <= self.sigma + EXACT

    @property
    def edits_attention(self) -> bool:
        """Whether keys and values of earlier steps are read."""
        return self.reuse > 1

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [
            {},
            {"compute": "all"},
            {"reuse": 4, "halo": 0, "context": 0},
            {"sigma": 0.9, "threshold": 1.0},
        ]

    def check(self, frame: Size | None) -> None:
        """Refuse where there is nothing to follow.

        Raises:
            InputError: There is no source picture.
        """
        if frame is None:
            raise InputError("auto_mask needs a source picture, but image is None")

    def bind_run(self, run: RunInfo) -> Any:
        """Return the object that finds the mask, and keeps to it."""
        if not any(map(self.finds, run.sigmas)):
            warn_user(
                f"auto_mask does nothing: the noise level of the last step is {run.sigmas[-1]:.2f},"
                f" above sigma={self.sigma:g}; give more steps, or a larger sigma"
            )
        return _Reusing(self, run) if self.reuse > 1 else _Following(self, run)


class _Following:
    def __init__(self, plugin: AutoMask, run: RunInfo) -> None:
        assert run.source is not None  # noqa: S101  check refuses that
        self._plugin, self._run, self._source = plugin, run, run.source
        self._found = False
        self._mask: Tensor | None = None  # [B,T,1], 0 or 1
        self._changed: Tensor | None = None  # [B,rows,columns], 0 or 1
        self._partial: Any = None

    @hookimpl
    def refhooks_step(self, ctx: Context, latents: Tensor) -> Tensor | None:
        if self._mask is None:
            return None
        sigma = ctx.step.sigma
        kept = (1.0 - sigma) * self._source.latents + sigma * self._run.noise
        return kept.lerp(latents, self._mask)

    @hookimpl(trylast=True)
    def refhooks_conditioning(self, ctx: Context, branch: Branch, inputs: Inputs) -> Inputs | None:
        if self._partial is None:
            return None
        hook = self._partial.refhooks_conditioning
        return hook(inputs) if self._plugin.reuse == 1 else hook(ctx, branch, inputs)  # type: ignore[no-any-return]

    @hookimpl(trylast=True)
    def refhooks_velocity(self, ctx: Context, latents: Tensor, velocity: Tensor) -> Tensor | None:
        sigma = ctx.step.sigma
        if not self._found and self._plugin.finds(sigma):
            self._found = True
            self._find(ctx, latents - sigma * velocity)
        if self._mask is None or ctx.step.index + 1 < ctx.step.total:
            return None  # the next step's latents are set before it
        return ((latents - self._source.latents) / sigma).lerp(velocity, self._mask)

    @hookimpl(trylast=True)
    def refhooks_image(self, images: Tensor) -> Tensor | None:
        if self._changed is None:
            return None
        from refhooks_keeping._nearness import softened  # noqa: PLC0415  loads without torch

        side = images.shape[-2] // self._changed.shape[-2]  # pixels of a token
        cover = softened(self._changed, self._plugin.halo, side)
        return self._source.put_back(images, cover.cpu())

    def _find(self, ctx: Context, predicted: Tensor) -> None:
        from refhooks_keeping._nearness import (  # noqa: PLC0415  plugins load without torch
            closed,
            whole_picture,
            widened,
        )

        plugin, grid = self._plugin, self._run.grid
        away = (predicted - self._source.latents).float().square().mean(dim=-1).sqrt()  # [B,T]
        away = away.unflatten(1, grid)  # [B,rows,columns]
        whole = whole_picture(away, away.new_tensor(WHOLE * plugin.threshold))
        changed = closed((away > plugin.threshold).float())
        changed[whole] = 1.0
        mask = widened(changed, plugin.halo)
        for number, cover in enumerate(mask.mean(dim=(1, 2)).tolist()):
            _tell(number, ctx, cover, whole=bool(whole[number]))
        if bool(whole.all()):
            return
        self._changed = changed
        self._mask = mask.flatten(1).unsqueeze(-1).to(predicted)  # [B,T,1]
        if plugin.inside is not None and ctx.step.index + 1 < ctx.step.total:
            self._partial = self._run.leave_out(changed.amax(dim=0), plugin.inside)


class _Reusing(_Following):
    """The same, where references are read from keys and values of an earlier step."""

    @hookimpl(trylast=True)
    def refhooks_attention(
        self, ctx: Context, branch: Branch, layout: Layout
    ) -> Sequence[AttentionEdit] | None:
        if self._partial is None:
            return None
        return self._partial.refhooks_attention(ctx, branch, layout)  # type: ignore[no-any-return]


def _tell(number: int, ctx: Context, cover: float, *, whole: bool) -> None:
    said = f"auto_mask: picture {number + 1}, estimated at step {ctx.step.index + 1}:"
    if whole:
        warn_user(f"{said} it is edited as a whole, and nothing is left out")
    else:
        LOG.info("%s %.1f%% of it may change, the rest follows the source", said, 100.0 * cover)
