"""The edit that a recipe says, for whoever looks at it without running it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from refhooks._apps.replay.replay import _checked, _Finder, _Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from refhooks._apps.recipes.recipe import Recipe
    from refhooks._core.planning.request import Request
    from refhooks._core.plugins.registry import Registry


@contextlib.contextmanager
def recorded(
    recipe: Recipe, references: Sequence[str | Path], registry: Registry
) -> Iterator[Request]:
    """Yield the edit that a recipe says; the files that it names are there as long.

    Raises:
        RefhooksError: As :meth:`refhooks.Editor.replay` says.
    """
    found = _Finder(recipe, _Folder(), [Path(path) for path in references])
    yield _checked(recipe, found, {}, registry, None)
