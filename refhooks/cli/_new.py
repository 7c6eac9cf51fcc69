"""``refhooks new``: a plugin's package, to start from."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from refhooks.cli._scaffold import new_plugin
from refhooks.cli._terminal import tell

if TYPE_CHECKING:
    from pathlib import Path


def run_new(name: str, kind: str, hook: str, folder: Path) -> None:
    """Write the files and say what to do next.

    Raises:
        RefhooksError: The name cannot be used, or its folder is there already.
    """
    for path in new_plugin(name, kind, hook, folder=folder):
        tell(f"wrote {path}")
    package = shlex.quote(f"{folder / name}[test]")
    tell(f"next: pip install --editable {package} && refhooks check {name}")
