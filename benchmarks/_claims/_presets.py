"""Presets whose claim holds are measured; each says what was found of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from refhooks._base.files import write_whole
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _claims._rules import Finding, Verdict

FOLDER = Path(__file__).parents[2] / "plugins" / "refhooks_presets" / "presets"
SOURCE = re.compile(
    r'^source = "(?P<said>[^"\n]*?)(?:; (?:measured|does not hold) on toy: [^"\n]*)?"$',
    re.MULTILINE,
)
MEASURED = re.compile(r"^measured = (true|false)$", re.MULTILINE)


def findings_of(verdict: Verdict, about: str) -> list[Finding]:
    """Return the findings of a claim that are about one of its presets.

    Args:
        verdict: On the claim.
        about: A method that the findings name; empty: all findings. For a row of the quick
            reference only the first is about the preset: the second is without its denoise.
    """
    if verdict.claim.rule == "first":
        return list(verdict.findings[:1])
    return [it for it in verdict.findings if not about or f"`{about}`" in it.say]


def marked(text: str, verdict: Verdict, about: str) -> str:
    """Return a preset's file with what was measured: that its numbers hold, or why they do not.

    Raises:
        InputError: The file has no line ``measured`` or no line ``source``.
    """
    if not MEASURED.search(text) or not SOURCE.search(text):
        raise InputError(
            "a preset that is measured needs the lines 'measured = …' and 'source = …'"
        )
    found = findings_of(verdict, about)
    holds = bool(found) and all(it.outcome == "yes" for it in found)
    told = found if holds else [it for it in found if it.outcome != "yes"]
    said = "; ".join(_said(it) for it in told).replace("`", "").replace("*", "")
    word = "measured" if holds else "does not hold"
    more = f"; {word} on toy: {verdict.claim.id}, {said}" if found else ""
    text = MEASURED.sub(f"measured = {str(holds).lower()}", text)
    return SOURCE.sub(lambda match: f'source = "{match["said"]}{more}"', text)


def _said(it: Finding) -> str:
    return f"{it.say}: {it.value:+.3f} [{it.low:+.3f}, {it.high:+.3f}], {it.count} scenes"


def mark_presets(verdicts: Sequence[Verdict], folder: Path = FOLDER) -> list[tuple[str, bool]]:
    """Write what was measured into the files of presets.

    Returns:
        The name of each preset that a claim is about, and whether its numbers hold.

    Raises:
        InputError: A file is missing, or cannot be marked.
    """
    told = []
    for verdict in verdicts:
        for name, about in verdict.claim.presets.items():
            file = folder / f"{name}.toml"
            if not file.is_file():
                raise InputError(
                    f"claim {verdict.claim.id} is about a preset that is not there: {file}"
                )
            text = marked(file.read_text(encoding="utf-8"), verdict, about)
            write_whole(text.encode(), file)
            told.append((name, "\nmeasured = true\n" in text))
    return told
