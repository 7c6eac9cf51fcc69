"""The benchmarks are scripts: what tests import of them is found in their folder."""

from __future__ import annotations

import sys

from places import BENCHMARKS

sys.path.insert(0, str(BENCHMARKS))
