"""The graphs of compiled blocks, while a run lasts."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["of_any_length"]


def of_any_length() -> AbstractContextManager[object]:
    """Have the graphs that are compiled meanwhile hold for sequences of any length.

    By default ``torch.compile`` takes the lengths of a first run to be constants, and compiles
    again for the next mask; and it takes two lengths to be one where they happen to be equal. Who
    compiled the blocks with ``dynamic=False`` has it their way.
    """
    from torch.fx.experimental import _config as symbols  # noqa: PLC0415  of compiled blocks alone

    with ExitStack() as both:
        both.enter_context(torch._dynamo.config.patch(assume_static_by_default=False))  # noqa: SLF001
        both.enter_context(symbols.patch(use_duck_shape=False))  # type: ignore[attr-defined]
        return both.pop_all()
