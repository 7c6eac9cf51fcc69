"""pytest fixtures for those who write plugins.

Put ``pytest_plugins = ["refhooks.testing.fixtures"]`` into a test module, or into the
``conftest.py`` beside your ``pyproject.toml``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks import testing

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "refhooks.testing.fixtures needs pytest, which is not installed: pip install"
        " 'refhooks[testing]'",
        name="pytest",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

    from refhooks._core.contract.values import Context
    from refhooks._editor import Editor

__all__ = ["fake_steps", "random_picture", "tiny_editor"]


@pytest.fixture(scope="session")
def tiny_editor() -> Editor:
    """An editor on a tiny random model; an edit of 32x32 pixels takes milliseconds."""
    return testing.tiny_editor()


@pytest.fixture
def fake_steps() -> tuple[Context, ...]:
    """The contexts of 4 steps of one reference at strength 0.7, for calling hooks by hand."""
    return testing.fake_steps()


@pytest.fixture
def random_picture() -> Callable[..., Image]:
    """``random_picture(seed=0, size=(width, height))``."""
    return testing.picture
