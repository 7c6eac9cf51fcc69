"""How a loaded model with verbs is copied, sent and asked for what it does not have."""

from __future__ import annotations

import copy
from typing import Any, NoReturn, Self

from refhooks.errors import InputError

__all__ = ["Handled"]


class Handled:
    """What :class:`refhooks.Editor` is to Python; it has a ``pipe``."""

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, as to be sent to another process; copies within one are made."""
        raise InputError(
            "an editor holds a loaded model and is not sent to another process; have each process"
            " make its own (Editor.from_pretrained), and send it pictures and strategies"
        )

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = memo[id(self)] = object.__new__(type(self))
        vars(new).update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        return new

    def __getattr__(self, name: str) -> NoReturn:
        """Say where an attribute of the pipeline is, since that is not an attribute of this."""
        said = f"{type(self).__name__!r} object has no attribute {name!r}"
        if not name.startswith("_") and hasattr(vars(self).get("pipe"), name):
            said += f"; its pipeline has: editor.pipe.{name}"
        raise AttributeError(said, name=name, obj=self)
