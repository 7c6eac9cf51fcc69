"""What a family asks of the parts of its pipeline: schedule, tokenizer, VAE, configuration."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["check_words", "flow_schedule", "sizes", "with_own_vae"]


def flow_schedule(
    pipe: Any,
    tokens: int,
    steps: int,
    total: int | None = None,
    *,
    mu: float | None = None,
    sigmas: Sequence[float] | None = None,
) -> tuple[Any, Sequence[float], Tensor]:
    """Return a private copy of a pipeline's scheduler, ready to run.

    It is built for all steps and then cut: built for the last noise levels alone, it would shift
    those again.

    Args:
        pipe: The pipeline, left as it is.
        tokens: Of the output, ``T``.
        steps: How many are run, ``N``.
        total: Steps of the full schedule, of which the last ``N`` are run; ``None``: ``N``.
        mu: The dynamic shift; ``None``: linear in ``tokens``, by the scheduler's configuration.
        sigmas: Noise levels of the full schedule before the shift, 1 → 0, without the last 0, for
            a checkpoint with fixed ones; ``None``: from 1 to ``1 / total`` in equal steps.

    Returns:
        The scheduler at its first step of the run, the noise level before each step ``[N]``, and
        the timesteps ``[N]`` on the device of the run.

    Raises:
        InputError: The scheduler is none that is supported, has no noise levels for so few steps,
            or ``sigmas`` are not as many as ``total``.
    """
    from refhooks._parts import flow_schedule as built  # noqa: PLC0415  imports diffusers

    return built.flow_schedule(pipe, tokens, steps, total or steps, mu=mu, sigmas=sigmas)


def check_words(prompt: str, tokenizer: Any) -> None:
    """Refuse a prompt that holds a control token of a tokenizer, for ``Family.check_prompt``.

    Raises:
        InputError: It does.
    """
    for token in sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}):
        if token in prompt:
            raise InputError(
                f"a prompt holds {token!r}, a control token of the model; leave it out"
            )


def with_own_vae(pipe: Any) -> Any:
    """Return a view of a pipeline, with the same weights, for one call of its VAE.

    diffusers' VAEs for frames keep on themselves what they computed of the frame before, while they
    run: a call of another thread would be given it.
    """
    view = copy.copy(pipe)
    vars(view)["vae"] = copy.copy(pipe.vae)
    return view


def sizes(config: Mapping[str, Any] | None, full: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes that a transformer's configuration states, for a family's ``ModelShape``.

    Args:
        config: The configuration; ``None``: that of the released checkpoints.
        full: The sizes of those, which also stand for what ``config`` leaves out.
    """
    return {name: (config or {}).get(name) or size for name, size in full.items()}
