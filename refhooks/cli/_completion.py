"""Completion in bash, zsh and fish: files, and the names of what plugins register.

The shell asks ``refhooks`` itself, by click's protocol (``_REFHOOKS_COMPLETE``). Nothing of a model
is imported for an answer, and where one cannot be given there is none: a shell has no place for an
error.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import attrs
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from refhooks._core.plugins.loading import load_registry
from refhooks.errors import RefhooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

    Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]

BREAKS = "=:"  # at which bash divides words, beside spaces


class _Bash(BashComplete):
    """Bash's completion; words that it divided at ``:`` and ``=`` are put together again."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", 'COMPREPLY+=("$value"); [[ $value == *= ]] && compopt -o nospace'
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one at the cursor, and that word."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        count = int(os.environ["COMP_CWORD"])
        words = [*words, *[""] * (count + 1 - len(words))][1 : count + 1]
        whole, open_ended = [""], True
        for word in words:
            breaks = bool(word) and not word.strip(BREAKS)
            if open_ended or breaks:
                whole[-1] += word
            else:
                whole.append(word)
            open_ended = breaks
        *before, self._last = whole
        return before, self._last

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return what takes the place of the last part of the word."""
        cut = max(self._last.rfind(letter) for letter in BREAKS) + 1
        head = self._last[:cut]
        if item.value.startswith(head):
            return f"{item.type},{item.value[cut:]}"
        return super().format_completion(item)


class _Zsh(ZshComplete):
    """Zsh's completion; no space after a name whose value comes next."""

    source_template = ZshComplete.source_template.replace(
        'completions+=("$key")',
        'if [[ "$key" == *= ]]; then compadd -U -S "" -- "$key"; else completions+=("$key"); fi',
    )


class _Fish(FishComplete):
    """Fish's completion; a value may hold commas."""

    source_template = FishComplete.source_template.replace(
        'string split ","', 'string split --max 1 ","'
    )


def offer_completion() -> None:
    """Let click answer shells with the classes of this module."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)


def files(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """Let the shell complete the name of a file."""
    return [CompletionItem(start, type="file")]


def folders(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """Let the shell complete the name of a folder."""
    return [CompletionItem(start, type="dir")]


def _quietly(complete: Complete) -> Complete:
    """Offer nothing where a plugin or a file of the user's cannot be read."""

    @functools.wraps(complete)
    def completed(
        context: click.Context, parameter: click.Parameter, start: str
    ) -> list[CompletionItem[str]]:
        try:
            return complete(context, parameter, start)
        except RefhooksError:
            return []

    return completed


def _named(names: Iterable[str], start: str, head: str = "", tail: str = "") -> list[Any]:
    return [
        CompletionItem(f"{head}{name}{tail}") for name in sorted(names) if name.startswith(start)
    ]


@_quietly
def methods(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """The names of methods; behind a comma one more."""
    head, comma, last = start.rpartition(",")
    return _named(load_registry().methods, last, head + comma)


@_quietly
def models(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """Embedded models, else folders."""
    return _named(load_registry().models, start) or [CompletionItem(start, type="dir")]


@_quietly
def presets(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """The names of presets, those of the user's own folder too, else files."""
    from refhooks._apps.files.presets import all_presets  # noqa: PLC0415  reads every preset

    return _named(all_presets()[0], start) or [CompletionItem(start, type="file")]


@_quietly
def plugins(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """The names of plugins."""
    return _named((record.name for record in load_registry().records), start)


@_quietly
def run_plugins(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """``NAME:OPTION=``, of a run plugin."""
    registry = load_registry()
    name, colon, rest = start.partition(":")
    if not colon:
        return _named(registry.plugins, start)
    head, comma, last = rest.rpartition(",")
    return _named(_options(registry.plugins.get(name)), last, f"{name}:{head}{comma}", "=")


@_quietly
def method_options(context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """``OPTION=``, of the method that the line names."""
    registry = load_registry()
    named = registry.methods.get(context.params.get("method") or "")
    return _named(_options(named), start, tail="=")


@_quietly
def references(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """A file, and behind its colon a method."""
    head, colon, last = start.rpartition(":")
    if not colon:
        return [CompletionItem(start, type="file")]
    return _named(load_registry().methods, last, head + colon)


@_quietly
def grid_fields(_context: click.Context, _parameter: click.Parameter, start: str) -> list[Any]:
    """``FIELD=``, and methods where the field is ``method``."""
    from refhooks._apps.grids.fields import FIELDS  # noqa: PLC0415

    registry = load_registry()
    field, equals, values = start.partition("=")
    if equals:
        head, comma, last = values.rpartition(",")
        known = registry.methods if field == "method" else ()
        return _named(known, last, f"{field}={head}{comma}")
    options = [
        f"{name}.{option}" for name, cls in registry.methods.items() for option in _options(cls)
    ]
    return _named([*FIELDS, *options], start, tail="=")


def _options(cls: type[Any] | None) -> list[str]:
    if cls is None or not attrs.has(cls):
        return []
    return [field.alias for field in attrs.fields(cls) if field.init]
