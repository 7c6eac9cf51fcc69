"""Every error refhooks raises on purpose.

RefhooksError
├── InputError (ValueError)          an argument of edit(), a picture or a prompt
│   └── StrategyError                a strategy, a stage, a strength
├── UnknownNameError (LookupError)   a method, model or plugin that nothing registers
├── ModelError                       a model that cannot be loaded or is not supported
├── PluginError                      a plugin that cannot be loaded, validated or bound
│   └── HookReturnError (TypeError)  what an implementation of a run hook returned
├── NotFiniteError (ArithmeticError) NaN or infinity in latents, texts or pixels
├── BusyError (RuntimeError)         the transformer already runs another edit
└── OutOfMemoryError (MemoryError)   the device is full; the message says what to lower

An exception raised inside a plugin is none of these: it keeps its type and traceback, and carries a
note that names the plugin, its distribution, the hook, the step and the reference.
"""

from __future__ import annotations

import re
from typing import Final

MAX_MESSAGE: Final = 4000  # characters


def printable(text: str) -> str:
    """Return a text as one line without control characters.

    Names and values of strangers' files may hold escape sequences, which a terminal obeys.
    """
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def readable(text: str) -> str:
    """Return the same of at most 4,000 characters: what is left out is in the middle."""
    if len(text) > MAX_MESSAGE:
        text = re.sub(r"(\S{300})\S{300,}(\S{100})", r"\1 … \2", text)  # names, not the words
    if len(text) > MAX_MESSAGE:
        text = f"{text[: MAX_MESSAGE - 1000]} … {text[-900:]}"
    line = printable(text)
    return line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 2]} …"


def _escaped(letter: str) -> str:
    return " " if letter.isspace() else letter.encode("unicode_escape").decode("ascii")


class _Readable(Exception):  # noqa: N818  no error of its own
    def __str__(self) -> str:
        return readable(super().__str__())


class RefhooksError(_Readable):
    """Base of every error refhooks raises on purpose; its message is :func:`readable`."""


class InputError(RefhooksError, ValueError):
    """An argument of ``edit()``, a picture or a prompt cannot be used."""


class StrategyError(InputError):
    """A strategy, a stage or a strength cannot be used; the message names the stage and field."""


class UnknownNameError(RefhooksError, LookupError):
    """Nothing registers a method, model or plugin of that name."""


class ModelError(RefhooksError):
    """A model cannot be loaded, or no family plugin supports it."""


class PluginError(RefhooksError):
    """A plugin cannot be loaded, validated or bound; the message names it."""


class HookReturnError(PluginError, TypeError):
    """An implementation of a run hook returned something other than its contract allows."""


class NotFiniteError(RefhooksError, ArithmeticError):
    """Latents, encoded prompts or pixels hold NaN or infinity; the message says what helps."""


class BusyError(RefhooksError, RuntimeError):
    """The transformer already runs another edit."""


class OutOfMemoryError(RefhooksError, MemoryError):
    """The device ran out of memory; the message says what to lower."""


class RefhooksWarning(_Readable, UserWarning):
    """Something works, but probably not as the user expects."""
