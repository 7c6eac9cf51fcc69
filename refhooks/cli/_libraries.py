"""What diffusers and transformers print by themselves."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any

from refhooks.cli._command import debugging
from refhooks.errors import RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def quiet(*, bars: bool) -> Iterator[None]:
    """Let the libraries log errors only, and show loading bars only on a terminal.

    Args:
        bars: Whether there is anything to wait for.
    """
    diffusers, transformers, hub = _libraries()
    with contextlib.ExitStack() as stack:
        for library in () if debugging() else (diffusers, transformers, hub):
            stack.callback(library.set_verbosity, library.get_verbosity())
            library.set_verbosity(logging.ERROR)
        for library in () if bars and sys.stderr.isatty() else (diffusers, transformers):
            if library.is_progress_bar_enabled():
                stack.callback(library.enable_progress_bar)
                library.disable_progress_bar()
        yield


@contextlib.contextmanager
def logged_as_warnings() -> Iterator[None]:
    """Turn what diffusers logs as a warning into a warning of refhooks, which is shown."""
    diffusers, *_ = _libraries()
    logger = logging.getLogger("diffusers")
    handler = _Handler(logging.WARNING)
    before = diffusers.get_verbosity()
    logger.addHandler(handler)
    diffusers.set_verbosity(logging.WARNING)
    try:
        with _only(logger, handler):
            yield
    finally:
        diffusers.set_verbosity(before)
        logger.removeHandler(handler)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warnings.warn(record.getMessage(), RefhooksWarning, stacklevel=2)


@contextlib.contextmanager
def _only(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    others = [other for other in logger.handlers if other is not handler]
    for other in others:
        logger.removeHandler(other)
    try:
        yield
    finally:
        for other in others:
            logger.addHandler(other)


def _libraries() -> list[Any]:
    import diffusers.utils.logging  # noqa: PLC0415  takes seconds
    import huggingface_hub.utils.logging  # noqa: PLC0415
    import transformers.utils.logging  # noqa: PLC0415

    return [
        diffusers.utils.logging,
        transformers.utils.logging,
        huggingface_hub.utils.logging,
    ]
