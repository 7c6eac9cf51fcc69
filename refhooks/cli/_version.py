"""``refhooks --version``, and what it stands on with ``--verbose``."""

from __future__ import annotations

import platform
from importlib import metadata

import click

_VERBOSE = "refhooks.verbose"
_BENEATH = ("torch", "diffusers", "transformers")


def remember_verbose(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Keep for ``--version`` whether ``--verbose`` was given."""
    context.meta[_VERBOSE] = value


def tell_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Print the version and exit, if asked to.

    Raises:
        UsageError: ``--verbose`` was given alone.
    """
    verbose = context.meta[_VERBOSE]
    if verbose and not value and not context.resilient_parsing:
        raise click.UsageError("--verbose goes with --version; commands have --debug")
    if not value or context.resilient_parsing:
        return
    told = [f"refhooks, version {metadata.version('refhooks')}"]
    if verbose:
        told.append(f"Python {platform.python_version()}")
        told += [f"{name} {_version(name)}" for name in _BENEATH]
    click.echo(", ".join(told))
    context.exit()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is not installed"
