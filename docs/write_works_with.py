"""Write the tables of families into docs/works-with.md, from the rows that the tests run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "works-with.md"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from families_table import CACHES, HELD, ROWS, WAYS  # noqa: E402  beside the tests

BEGIN, END = "a test compares it -->\n", "<!-- end of families -->"
METHODS = ("default", "inject", "concat", "cross_attn", "guidance")
MASKS = ("content mask", "region mask")
# Their tests know no exception: a row on which one does not hold fails it.
EVERY = ("LoRA", "offload", "float8 at rest", "compiled blocks")
# What edits pictures in diffusers without a family: what one would have to do first.
WITHOUT = {
    "`QwenImageLayeredPipeline`": "it makes several layers at once: the target is no single"
    " picture, which masks, `denoise` and decoding take for granted",
    "`JoyImageEditPipeline`, `JoyImageEditPlusPipeline`": "references are further items of one"
    " padded stack of pictures, not slots beside a target",
    "`BriaFiboEditPipeline`": "its prompt is JSON that another model writes, and the layers of the"
    " transformer read layers of the text encoder",
    "`OmniGenPipeline`": "one language model reads text, pictures and noise in one sequence, with a"
    " cache of its own",
    "`GlmImagePipeline`": "an autoregressive model reads the references first; the denoiser keeps"
    " their keys and values in a cache of its own",
    "video: `ChronoEditPipeline`, `LucyEditPipeline`": "frames; LucyEdit puts the source into"
    " channels, where it is no reference token",
}
PLACES = {
    "Linux": "tried: x86-64, on the CPU, every test; on CUDA no test is run here",
    "Windows": "not tried",
    "macOS": "not tried",
    "`mps`": "not tried",
}


def _tried(row: Any, names: tuple[str, ...]) -> str:
    """Those of some ways that the contract finds to act on a row."""
    acting = [name for name in names if name in WAYS and name not in row.refuses]
    return "all" if len(acting) == len(names) else ", ".join(acting) or "none"


def _caches(row: Any) -> str:
    """Which step caches give the stock pipeline's result; the others, with the reason."""
    refused = [name for name in CACHES if name not in row.lacks and name in row.refuses]
    working = [name for name in CACHES if name not in (*row.lacks, *refused)]
    said = [", ".join(working)] if working else []
    if refused:
        said.append(f"refused: {', '.join(refused)}")
    if row.lacks:
        said.append(f"not in diffusers: {', '.join(row.lacks)}")
    return "; ".join(said)


def cells(row: Any, family: Any) -> dict[str, str]:
    """Return what the page says of a row in each column that a test holds."""
    most = family.max_references
    return {
        "methods": _tried(row, METHODS),
        "masks": _tried(row, MASKS),
        "K/V reuse": "kept anyway" if family.reuse_exact else "yes",
        "references": "1" if most == 1 else f"1–{most}",
        **dict.fromkeys(EVERY, "yes"),
        "step caches": _caches(row),
    }


def _row(row: Any) -> str:
    name, comma, more = row.family.partition(",")
    said = cells(row, row.editor().family)
    return f"| {' | '.join([f'`{name}`{comma}{more}', *[said[it] for it in HELD]])} |"


def tables() -> str:
    """Return the tables in Markdown."""
    lines = [f"| {' | '.join(['family', *HELD])} |", "| --- " * (1 + len(HELD)) + "|"]
    lines += [_row(row) for row in ROWS.values()]
    lines += ["", "| column | held by |", "| --- | --- |"]
    columns: dict[str, list[str]] = {}
    for column, test in HELD.items():
        columns.setdefault(test, []).append(column)
    lines += [f"| {', '.join(held)} | `{test}` |" for test, held in columns.items()]
    lines += ["", "| not supported | why |", "| --- | --- |"]
    lines += [f"| {name} | {why} |" for name, why in WITHOUT.items()]
    lines += ["", "| where | tried |", "| --- | --- |"]
    lines += [f"| {place} | {tried} |" for place, tried in PLACES.items()]
    return "\n".join(lines) + "\n"


def with_tables(text: str) -> str:
    """Return the page with its tables replaced."""
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:start]}{tables()}{text[stop:]}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
