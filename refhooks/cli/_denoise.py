"""What ``--denoise`` comes to: only whole steps can be run."""

from __future__ import annotations

from refhooks._core.planning.request import steps_in_all
from refhooks.cli._terminal import say


def check_denoise(denoise: float, steps: int | None) -> None:
    """Refuse what no model can run.

    Args:
        denoise: As it was given.
        steps: ``None``: the model's own number.

    Raises:
        InputError: It is not above 0 and up to 1, or too small for so many steps.
    """
    steps_in_all(1 if steps is None else steps, denoise)


def say_denoise(denoise: float, steps: int) -> None:
    """Say which steps are run, and how much that is, where they are not all."""
    if denoise == 1.0:
        return
    total = steps_in_all(steps, denoise)
    effective = f"{steps / total:.3g}"
    exactly = "" if effective == f"{denoise:.3g}" else f", which is {effective}"
    say("note", f"denoise {denoise:g}: the last {steps} of {total} steps{exactly}", "cyan")
