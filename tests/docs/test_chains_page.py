"""What is generated in the page of chains is up to date."""

from __future__ import annotations

import json
import runpy

from places import BENCHMARKS, DOCS


def test_the_drift_is_generated():
    """Run benchmarks/drift.py; with ``--page-only`` if only its words have changed."""
    made = runpy.run_path(str(BENCHMARKS / "drift.py"))
    figures = json.loads((BENCHMARKS / "results" / "drift.json").read_text())
    text = (DOCS / "chains.md").read_text()

    assert made["with_drift"](text, figures) == text


def test_what_the_drift_says_follows_its_figures():
    """Better, worse, or not to be told: by the interval of the paired difference."""
    made = runpy.run_path(str(BENCHMARKS / "drift.py"))

    def said(latents, pixels):
        chains = [
            {"handover": name, "denoise": 1.0, "errors": [errors]}
            for name, errors in (("latents", latents), ("pixels", pixels))
        ]
        return made["_verdict"]({"edits": 1, "chains": chains}, 1.0)

    assert "drifts less than pixels" in said([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    assert "drifts *more* than pixels" in said([0.2, 0.3, 0.4], [0.1, 0.2, 0.3])
    assert "no difference" in said([0.1, 0.3, 0.2], [0.3, 0.1, 0.2])
