"""What every command has: grouped help, ``--debug``, and errors as one line."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import attrs
import click

from refhooks._base.folders import no_empty_folders
from refhooks._base.shown import note, shown, told
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._completion import offer_completion
from refhooks.cli._signals import ended_by_sigterm
from refhooks.cli._terminal import say, warnings_as_lines
from refhooks.errors import InputError, PluginError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from refhooks._core.contract.entries import CommandEntry

GENERAL = "General"
INTERRUPTED = 130  # 128 + SIGINT, as shells count it
TERMINATED = 143  # 128 + SIGTERM
MAX_NOTES = 20


@attrs.define
class Settings:
    """What a command line switches on for all of its run.

    Attributes:
        debug: Show tracebacks and what the libraries log.
    """

    debug: bool = False


class Option(click.Option):
    """An option that stands under a heading of the help.

    Args:
        heading: Such as ``Sampling``.
    """

    def __init__(self, *args: Any, heading: str = GENERAL, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading

    def get_help_extra(self, ctx: click.Context) -> click.types.OptionHelpExtra:
        """Leave ``[x>=1]`` out: who oversteps a range is told of it."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class Command(click.Command):
    """A command with options under headings and examples at the end of its help."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_debug_option())
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, grouped by heading; what every command has comes last."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "heading", GENERAL), []).append(record)
        for heading, records in sorted(groups.items(), key=lambda group: group[0] == GENERAL):
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one a line, never wrapped: they are there to be copied."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")
        super().format_epilog(ctx, formatter)


class OnePicture(Command):
    """A command of one picture; who gives it several is told the command for that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read a command line.

        Raises:
            UsageError: It is none of this command.
        """
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            raise click.UsageError(
                f"{error.message}. {self.name} takes one picture and one prompt; several pictures"
                " are edited by refhooks batch FOLDER PROMPT -o OUT",
                ctx,
            ) from error


class PluginCommand(click.Command):
    """A command that a plugin brings: imported when it is called, not when it is listed."""

    def __init__(self, entry: CommandEntry) -> None:
        super().__init__(entry.name, short_help=entry.summary)
        self._entry = entry

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of the command itself, which click then invokes.

        Raises:
            PluginError: What the plugin gives is no command.
        """
        command = self._entry.load()
        if not isinstance(command, click.Command):
            raise PluginError(f"{_place(self._entry.name)}: {shown(command)} is no click.Command")
        if not any("--debug" in parameter.opts for parameter in command.params):
            command = copy.copy(command)
            command.params = [*command.params, _debug_option()]
        return command.make_context(info_name, args, parent, **extra)


def _place(command: str) -> str:
    """How messages name a command that a plugin brings."""
    registry = load_registry()
    owner = registry.owner("command", command)
    return f"plugin {owner!r}{registry.brought('command', command)}, command {command!r}"


class App(click.Group):
    """The group of all commands; it turns every error into one line and an exit status."""

    command_class = Command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of a command line.

        Raises:
            InputError: A program gave it a character that no file can be named by.
        """
        for word in args:
            if not _can_be_a_name(word):
                raise InputError(
                    f"{shown(word)} holds a character that no command line can have; leave it out"
                )
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whatever one of a plugin raises names the plugin.

        A folder that it made is not left empty where it ends in an error.
        """
        try:
            with no_empty_folders():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BaseException as error:
            name = ctx.invoked_subcommand
            if name is not None and name not in self.commands and not isinstance(error, SystemExit):
                note(error, f"raised by {_place(name)}")
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, those of plugins too."""
        return sorted([*super().list_commands(ctx), *load_registry().commands])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name; those of plugins come after one's own."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = load_registry().commands.get(cmd_name)
        return None if entry is None else PluginCommand(entry)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line.

        Args:
            args: By default those of the process.
            prog_name: How the help names the program.
            complete_var: As click takes it.
            standalone_mode: ``True`` exits: 0, 2 for what the user can put right, 1 for anything
                else, 130 after Ctrl-C, 143
                after SIGTERM. ``False`` lets exceptions through.
            **extra: As click takes them.
        """
        offer_completion()
        settings = Settings()
        run: Callable[..., Any] = super().main
        run = functools.partial(
            run, args, prog_name, complete_var, standalone_mode=False, obj=settings, **extra
        )
        if not standalone_mode:
            return run()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a character that it lacks must not end a run
                stream.reconfigure(errors="backslashreplace")
        with warnings_as_lines(), ended_by_sigterm() as asked:
            status = _status(run, settings, asked)
        sys.exit(status)


def _can_be_a_name(word: str) -> bool:
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


def _status(run: Callable[[], object], settings: Settings, terminated: Event) -> int:
    try:
        returned = run()
    except (click.Abort, KeyboardInterrupt):
        say("interrupted", "nothing half-written was left behind", "yellow")
        return TERMINATED if terminated.is_set() else INTERRUPTED
    except click.ClickException as error:
        return _usage(error)
    except BrokenPipeError:
        # Whoever read the output has left; the interpreter's last flush must not complain of it.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as error:
        if not getattr(error, "__notes__", ()):
            raise  # the program's own; a plugin's is an error of it
        return _failure(error, debug=settings.debug)
    except BaseException as error:  # noqa: BLE001  this is where every error ends
        return _failure(error, debug=settings.debug)
    return returned if isinstance(returned, int) else 0


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    say("error", error.format_message(), "red")
    context = getattr(error, "ctx", None)
    if context is not None:
        say("help", f"{context.command_path} --help", "dim")
    return error.exit_code


def _failure(error: BaseException, *, debug: bool) -> int:
    """A refhooks error speaks for itself; any other names its type and who raised it."""
    if debug:
        traceback.print_exception(error)
    expected, message = isinstance(error, RefhooksError), told(error)
    say("error", message if expected and message else f"{type(error).__name__}: {message}", "red")
    for line in _notes(error):
        say("note", line, "dim")
    if not expected and not debug:
        say("help", "the same command with --debug shows where it happened", "dim")
    return 2 if expected else 1


def _notes(error: BaseException) -> list[str]:
    """Its notes, and what a group of errors holds."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    lines = [f"one of them: {type(it).__name__}: {told(it)}" for it in inner[:MAX_NOTES]]
    return [*lines, *[str(note) for note in getattr(error, "__notes__", ())[:MAX_NOTES]]]


def debugging() -> bool:
    """Return whether the command that is running was given ``--debug``."""
    context = click.get_current_context(silent=True)
    return isinstance(settings := getattr(context, "obj", None), Settings) and settings.debug


def _debug_option() -> Option:
    return Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_set_debug,
        help="Show the traceback of an error, and what the libraries log.",
    )


def _set_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and isinstance(context.obj, Settings):
        context.obj.debug = True
