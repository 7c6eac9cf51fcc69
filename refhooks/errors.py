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


class RefhooksError(Exception):
    """Base of every error refhooks raises on purpose."""


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


class RefhooksWarning(UserWarning):
    """Something works, but probably not as the user expects."""
