"""The kit as parameters of a pytest test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "parametrize_with_checks needs pytest, which is not installed: pip install"
        " 'refhooks[testing]'; check_plugin() and `refhooks check` do without it",
        name="pytest",
    ) from error

from refhooks.testing._kit import check_expected, tasks_of


def parametrized(plugin: str | object, expected: Mapping[str, str]) -> Callable[[Any], Any]:
    """Return the decorator, with one parameter a check."""
    check_expected(expected)
    parameters = [
        pytest.param(
            task,
            id=str(task),
            marks=[pytest.mark.xfail(reason=expected[task.check.name])]
            if task.check.name in expected
            else [],
        )
        for task in tasks_of(plugin)
    ]
    decorator: Callable[[Any], Any] = pytest.mark.parametrize("check", parameters)
    return decorator
