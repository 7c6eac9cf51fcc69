"""Strict validation of plugin objects, beyond what pluggy checks itself.

pluggy reports an unknown hook only through ``check_pending``, and fails at call time on a
keyword-only argument. Here both are errors when the object is registered. What its versions do
differently is judged by the one that is installed.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from refhooks._base.names import did_you_mean, listed
from refhooks._base.pluggies import INSTALLED, finds_outer_markers, passes_to_defaults
from refhooks._base.registering import what_to_write
from refhooks._base.shown import shown
from refhooks.errors import PluginError
from refhooks.hookspecs import HOOKSPEC_VERSION

PREFIX = "refhooks_"
NEEDS = "REFHOOKS_HOOKSPEC"  # where a plugin module states which version of the contract it needs
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})")
MARK = "refhooks_impl"  # the attribute that pluggy's marker of this project sets


def hook_arguments(specs: type) -> dict[str, tuple[str, ...]]:
    """Return each hook of a spec class with its argument names."""
    return {
        name: tuple(inspect.signature(function).parameters)[1:]
        for name, function in vars(specs).items()
        if name.startswith(PREFIX)
    }


def check_version(plugin: object, label: str) -> None:
    """Check that the contract is the one that a plugin was written for.

    Raises:
        PluginError: It needs a newer contract, or one whose promises are gone, or states none.
    """
    needs = getattr(plugin, NEEDS, None)
    if needs is None:
        return
    match = _VERSION.fullmatch(needs) if isinstance(needs, str) else None
    if match is None:
        raise PluginError(f'{label}: {NEEDS} must be a text such as "1.0", got {shown(needs)}')
    wanted, here = (int(match[1]), int(match[2])), "{}.{}".format(*HOOKSPEC_VERSION)
    if wanted > HOOKSPEC_VERSION:
        raise PluginError(f"{label} needs hookspec {needs}; this refhooks has {here}: update it")
    if wanted[0] < HOOKSPEC_VERSION[0]:
        raise PluginError(
            f"{label} was written for hookspec {needs}; this refhooks has {here}: look for a"
            " newer version of the plugin"
        )


def check_implementations(plugin: object, label: str, specs: type, others: type) -> None:
    """Check every hook implementation of a plugin object.

    Args:
        plugin: A module or an object with marked functions.
        label: How messages name it.
        specs: The spec class whose hooks belong on such an object.
        others: The other spec class, for a message that says where a hook belongs.

    Raises:
        PluginError: No hook at all, an unknown or misplaced one, an unmarked one, a wrapper, an
            unknown argument, a default, or a keyword-only or variadic parameter; or a class.
    """
    if isinstance(plugin, type):
        hint = what_to_write(plugin) or "; give an object made from it"
        raise PluginError(f"{label}: {plugin.__name__} is a class{hint}")
    known, misplaced = hook_arguments(specs), hook_arguments(others)
    candidates = _candidates(plugin)
    if not candidates:
        raise PluginError(
            f"{label}: {type(plugin).__name__} has no {_kind(specs)}, so it would do nothing"
            + (what_to_write(plugin) or f"; put @refhooks.hookimpl above one of {listed(known)}")
        )
    for name, member in candidates:
        if name in misplaced:
            raise PluginError(
                f"{label}: {name} is a {_kind(others)}, not a {_kind(specs)}; it belongs"
                f" {_place(others)}"
            )
        if name not in known:
            raise PluginError(
                f"{label}: there is no hook {name}.{did_you_mean(name, known)}"
                f" {specs.__name__} hooks: {listed(known)}"
            )
        mark = getattr(member, MARK, None)
        outer = getattr(_static(plugin, name), MARK, None)
        if mark is None and outer is not None and not finds_outer_markers():
            raise PluginError(
                f"{label}: {name} is marked above @staticmethod or @classmethod, where {INSTALLED}"
                " does not look; put @refhooks.hookimpl below it, or update pluggy to 1.7"
            )
        if (mark := mark or outer) is None:
            raise PluginError(f"{label}: {name} is not marked; put @refhooks.hookimpl above it")
        if mark.get("wrapper") or mark.get("hookwrapper"):
            raise PluginError(
                f"{label}: {name} is a wrapper; hooks here form a chain, use tryfirst or trylast"
            )
        if mark.get("specname"):
            raise PluginError(f"{label}: {name} has a specname; name the function after its hook")
        _check_parameters(member, f"{label}: {name}", known[name])


def _candidates(plugin: object) -> list[tuple[str, Any]]:
    # Looked at without calling it: a property of a plugin is none of our business, and may raise.
    routines = [name for name in dir(plugin) if inspect.isroutine(_static(plugin, name))]
    members = [(name, getattr(plugin, name, None)) for name in routines]
    return [
        (name, member)
        for name, member in members
        if inspect.isroutine(member)
        and (
            name.startswith(PREFIX) or hasattr(member, MARK) or hasattr(_static(plugin, name), MARK)
        )
    ]


def _static(plugin: object, name: str) -> Any:
    return inspect.getattr_static(plugin, name, None)


def _check_parameters(function: Any, label: str, expected: tuple[str, ...]) -> None:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise PluginError(
                f"{label}: parameter {str(parameter)!r} must be a plain positional one;"
                f" the hook passes {listed(expected)}"
            )
        if parameter.default is not parameter.empty and not passes_to_defaults():
            raise PluginError(
                f"{label}: parameter {parameter.name!r} has a default, and {INSTALLED} passes"
                " nothing to those; remove the default, or update pluggy to 1.7"
            )
        if parameter.name not in expected:
            raise PluginError(
                f"{label}: the hook has no argument {parameter.name!r}."
                f"{did_you_mean(parameter.name, expected)} It passes {listed(expected)}"
            )


def _kind(specs: type) -> str:
    return "registration hook" if specs.__name__ == "Registration" else "run hook"


def _place(specs: type) -> str:
    registers = specs.__name__ == "Registration"
    return "in the plugin's module" if registers else "on the object that bind returns"
