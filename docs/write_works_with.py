"""Write the tables of families into docs/works-with.md, from the rows that the tests run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "works-with.md"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from families_table import ROWS, WAYS  # noqa: E402  beside the tests

import refhooks as rh  # noqa: E402

BEGIN, END = "a test compares it -->\n", "<!-- end of families -->"
METHODS = ("default", "inject", "concat", "cross_attn", "guidance")
HEAD = (
    "| family | methods | masks | K/V reuse | compiled blocks | offload, LoRA, float8 at rest |"
    " step caches | references |"
)
# What edits pictures in diffusers and has no family, and what stands in the way.
WITHOUT = {
    "`QwenImageLayeredPipeline`": "it makes several layers of one picture at once: the target is no"
    " single picture, which masks, `denoise` and decoding take for granted",
    "`JoyImageEditPipeline`, `JoyImageEditPlusPipeline`": "references are further items of one"
    " stack of pictures, padded together, not slots beside a target",
    "`BriaFiboEditPipeline` and its kin": "the prompt is structured JSON that another model"
    " writes, and every layer of the transformer reads another layer of the text encoder",
    "`OmniGenPipeline`": "one language model reads text and pictures and denoises; there is no"
    " sequence of target and references to weigh",
    "`GlmImagePipeline`": "another model first writes tokens of the whole picture from the"
    " references; what steers the denoiser afterwards is the smaller part",
    "video (`Kandinsky5`, `ChronoEdit`, `LucyEdit` and others)": "frames; several of them put the"
    " source into channels, where it is no reference token",
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


def _caches(row: Any, *, keeps: bool) -> str:
    if "step cache" in row.refuses:
        return "refused: “the transformer has a step cache, …”"
    if row.cached is not None:
        return "yes"
    return "not tried" if keeps else "diffusers has none for it"


def _row(row: Any) -> str:
    family = row.editor().family
    transformer = type(family.pipe.transformer).__name__
    most = family.max_references
    one = "two references" in row.refuses
    cells = (
        f"`{row.family.split(',')[0]}`{row.family.partition(',')[1]}{row.family.partition(',')[2]}",
        _tried(row, METHODS),
        _tried(row, ("content mask", "region mask")),
        "kept anyway" if family.reuse_exact else "yes",
        "yes" if row.compiled is None else f"yes (`{row.compiled}`)",
        "yes",
        _caches(row, keeps="LongCat" not in transformer),
        f"1; {'a second is refused'}" if one else f"1–{most}",
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


def adapted() -> set[str]:
    """Return the names of the families that are registered."""
    return set(rh.load_registry().families)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
