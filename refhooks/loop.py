"""The denoising loop: the whole of it, with every hook point in its place."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._core.running.bound_run import Run

__all__ = ["denoise"]


def denoise(run: Run) -> tuple[Tensor, Tensor]:
    """Run every step of a bound run.

    Returns:
        The final latents ``[B,T,C]`` and the pictures they hold, ``[B,3 or 4,height,width]``, 0–1.

    What is planned is what runs: the steps are those of the run's timetable.
    """
    family, hooks, latents = run.family, run.hooks, run.start
    for ctx in run.contexts():
        latents = hooks.step(ctx, latents)
        predictions = {}
        for branch in hooks.branches(ctx, family.branches):
            inputs = hooks.conditioning(ctx, branch, family.inputs(latents, branch))
            edits = hooks.attention(ctx, branch, family.layout(inputs))
            predictions[branch.name] = run.predict(ctx, branch, latents, inputs, edits)
        guided = family.guide(predictions)
        velocity = hooks.velocity(ctx, latents, MappingProxyType(predictions), guided)
        run.steer(ctx, latents, velocity)
        run.report(ctx, latents, velocity)
        latents = run.scheduler.step(velocity, ctx.t, latents, return_dict=False)[0]
    return latents, hooks.image(ctx, run.decode(latents))
