"""Write the tables of families into docs/works-with.md, from the rows that the tests run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "works-with.md"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from families_table import ROWS, WAYS  # noqa: E402  beside the tests

BEGIN, END = "a test compares it -->\n", "<!-- end of families -->"
NO_CACHES = ("LongCat", "Flux3")  # models that diffusers 0.42.1 has no step cache for
METHODS = ("default", "inject", "concat", "cross_attn", "guidance")
HEAD = (
    "| family | methods | masks | K/V reuse | compiled blocks | offload, LoRA, float8 at rest |"
    " step caches | references |"
)
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
    """Those of some ways that the tests of a row run, and that it does not refuse."""
    ran = [name for name in names if name in WAYS and name not in row.refuses]
    return "all" if len(ran) == len(names) else ", ".join(ran) or "none"


def _caches(row: Any, *, known: bool) -> str:
    if "step cache" in row.refuses:
        return "refused: “the transformer has a step cache, …”"
    if row.cached is not None:
        return "yes"
    return "not tried" if known else "diffusers has none for it"


def _row(row: Any) -> str:
    family = row.editor().family
    model = type(family.pipe.transformer).__name__
    most = family.max_references
    one = "two references" in row.refuses
    name, comma, more = row.family.partition(",")
    cells = (
        f"`{name}`{comma}{more}",
        _tried(row, METHODS),
        _tried(row, ("content mask", "region mask")),
        "kept anyway" if family.reuse_exact else "yes",
        "yes" if row.compiled is None else f"yes (`{row.compiled}`)",
        "yes",
        _caches(row, known=not model.startswith(NO_CACHES)),
        "1; a second is refused" if one else f"1–{most}",
    )
    return f"| {' | '.join(cells)} |"


def tables() -> str:
    """Return the tables in Markdown."""
    lines = [HEAD, "| --- " * 8 + "|", *[_row(row) for row in ROWS.values()]]
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
