"""The tiny random models of `refhooks.testing`, under the names that tests use."""

from __future__ import annotations

from refhooks.testing._tiny import DYNAMIC, PIPELINES, SHAPES, STATIC, picture
from refhooks.testing._tiny import tiny_pipeline as build

__all__ = ["AREA", "DYNAMIC", "PIPELINES", "SHAPES", "STATIC", "build", "picture"]

AREA = 64 * 64  # to which the tests shrink the stock pipelines
