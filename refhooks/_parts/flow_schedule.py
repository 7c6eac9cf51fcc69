"""The schedule of flow-matching models, as the stock diffusers pipelines set theirs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_REFUSED_OPTIONS = {
    "invert_sigmas": "it turns the noise levels around, which no model here was trained with",
    "stochastic_sampling": "it draws from the global random state, so a seed is no picture",
}


def flow_schedule(
    pipe: Any,
    tokens: int,
    steps: int,
    total: int,
    *,
    mu: float | None = None,
    sigmas: Sequence[float] | None = None,
) -> tuple[Any, Sequence[float], Tensor]:
    """Return a copy of a pipeline's scheduler, as :func:`refhooks.families.flow_schedule` says."""
    scheduler = copy.deepcopy(pipe.scheduler)
    _check(scheduler)
    levels = np.linspace(1.0, 1 / total, total) if sigmas is None else list(sigmas)
    if len(levels) != total:
        raise InputError(
            f"this checkpoint has {len(levels)} fixed noise levels, which are its steps; got"
            f" {total} steps in all: run steps={len(levels)}, or with denoise that part of them"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        scheduler.set_timesteps(
            sigmas=levels,
            device=pipe._execution_device,  # noqa: SLF001  diffusers has no public name for it
            mu=_shift(scheduler.config, tokens) if mu is None else mu,
        )
    scheduler.set_begin_index(total - steps)
    sigmas = scheduler.sigmas[total - steps : -1].tolist()
    if not np.isfinite(sigmas).all():
        raise InputError(
            f"the scheduler has no noise levels for {total} step(s): with shift_terminal it needs"
            " at least 2"
        )
    return scheduler, sigmas, scheduler.timesteps[total - steps :]


def _shift(config: Any, tokens: int) -> float:
    """``mu``, linear in the number of tokens; in diffusers' order of operations, to the bit."""
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    base, most = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (most - base) / (high - low)
    return float(tokens * slope + (base - slope * low))


def _check(scheduler: Any) -> None:
    if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        raise InputError(
            f"the scheduler {type(scheduler).__name__} is not supported;"
            " use FlowMatchEulerDiscreteScheduler"
        )
    for option, reason in _REFUSED_OPTIONS.items():
        if scheduler.config.get(option):
            raise InputError(f"the scheduler's {option} is not supported: {reason}")
