"""A kit that proves a plugin right, on a tiny model that it builds itself, in seconds.

In a test of your package, with pytest::

    from refhooks.testing import parametrize_with_checks

    @parametrize_with_checks("my-plugin")
    def test_it_keeps_the_contract(check):
        check()

Without pytest: ``check_plugin("my-plugin")``, or ``refhooks check my-plugin``. Fixtures are in
``refhooks.testing.fixtures``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks.testing._report import CheckFailed, Report, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL.Image import Image

    from refhooks._core.contract.values import Context
    from refhooks._editor import Editor

__all__ = [
    "CheckFailed",
    "Report",
    "Result",
    "byte_tokenizer",
    "check_names",
    "check_plugin",
    "fake_steps",
    "letter_tokenizer",
    "parametrize_with_checks",
    "picture",
    "qwen_text_encoder",
    "tiny_editor",
]


def check_plugin(
    plugin: str | object, expected_failures: Mapping[str, str] | None = None
) -> Report:
    """Check everything that a plugin registers.

    A class that needs options, or that has several forms worth checking, says so in a class method
    ``examples()``, which returns a list of dicts of options.

    Args:
        plugin: Its name, as ``refhooks plugins`` lists it, or a module or object with registration
            hooks that is not installed.
        expected_failures: Checks that it cannot pass, and why. One that passes after all is an
            error: take it out.

    Returns:
        The report, if nothing else failed.

    Raises:
        CheckFailed: With the report.
        UnknownNameError: No installed plugin has the name.
    """
    from refhooks.testing._kit import run_checks  # noqa: PLC0415  imports diffusers

    report = run_checks(plugin, expected_failures or {})
    if not report.ok:
        raise CheckFailed(f"\n{report}")
    return report


def check_names() -> tuple[str, ...]:
    """Return the name of every check."""
    from refhooks.testing._kit import CHECKS  # noqa: PLC0415  imports diffusers

    return tuple(dict.fromkeys(check.name for check in CHECKS))


def parametrize_with_checks(
    plugin: str | object, expected_failures: Mapping[str, str] | None = None
) -> Callable[[Any], Any]:
    """Make a test function run once for each check of a plugin.

    The function has one argument, ``check``; calling that runs the check. Takes what
    :func:`check_plugin` takes; an expected failure is an ``xfail`` with its reason.

    Raises:
        ModuleNotFoundError: pytest is not installed.
        UnknownNameError: No installed plugin has the name.
    """
    from refhooks.testing._pytest import parametrized  # noqa: PLC0415  imports diffusers

    return parametrized(plugin, expected_failures or {})


def tiny_editor(pipe: Any = None) -> Editor:
    """Return an editor on a tiny random Qwen-Image-Edit-Plus, which edits in milliseconds.

    Args:
        pipe: Another pipeline to use; ``None``: one that all callers share.
    """
    from refhooks.testing._bench import tiny_editor as make  # noqa: PLC0415  imports diffusers

    return make(pipe)


def picture(seed: int = 0, size: tuple[int, int] = (64, 48)) -> Image:
    """Return a random picture of a width and height."""
    from refhooks.testing._tiny import picture as make  # noqa: PLC0415  imports diffusers

    return make(seed, size)


def byte_tokenizer(marks: Sequence[str]) -> Any:
    """Return a Qwen tokenizer that makes a token of each byte, and of each mark.

    Args:
        marks: Special tokens of the template; the first pads.
    """
    from refhooks.testing._encoders import byte_tokenizer as make  # noqa: PLC0415  a second

    return make(marks)


def letter_tokenizer(length: int = 512, chat_template: str | None = None) -> Any:
    """Return a tokenizer that makes a token of each letter of ASCII; 0 pads, 1 ends.

    Args:
        length: The most tokens that its model reads.
        chat_template: In Jinja; ``None``: it has none.
    """
    from refhooks.testing._encoders import letter_tokenizer as make  # noqa: PLC0415  a second

    return make(length, chat_template)


def qwen_text_encoder(letters: Any, width: int = 32, layers: int = 1) -> Any:
    """Return a random Qwen2.5-VL text encoder with a vision tower of one layer.

    Args:
        letters: Its tokenizer, which knows the marks of Qwen's template.
        width: Of its hidden states.
        layers: Of the language model.
    """
    from refhooks.testing._encoders import qwen_text_encoder as make  # noqa: PLC0415  a second

    return make(letters, width, layers)


def fake_steps(total: int = 4, strengths: Sequence[float] = (0.7,)) -> tuple[Context, ...]:
    """Return the contexts of a run that is none, for calling hooks by hand.

    Args:
        total: Number of steps; sigma falls from 1 in equal steps.
        strengths: One a reference, the same at every step.
    """
    from refhooks.testing._fake import contexts  # noqa: PLC0415  imports torch

    return contexts(total, strengths)
