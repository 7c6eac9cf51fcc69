"""The command ``refhooks``."""

from refhooks.cli._app import main

__all__ = ["main"]
