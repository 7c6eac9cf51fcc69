"""Write the tables of docs/files.md, from what the tests load and what they see refused."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "files.md"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "loras")]

import lora_layouts  # noqa: E402  of the tests
import lora_refusals  # noqa: E402
from lora_kinds import KINDS  # noqa: E402
from lora_models import build  # noqa: E402
from lora_originals import ORIGINALS  # noqa: E402

import refhooks as rh  # noqa: E402

LAYER = "transformer_blocks.0.attn.to_q"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "| --- " * len(cells) + "|"]


def layouts() -> str:
    """Return the table of layouts."""
    rows = _head("written by", "key of a layer's first factor", "alpha")
    for layout in lora_layouts.LAYOUTS.values():
        alpha = "none: the rank"
        if layout.alpha is not None:
            alpha = f"`{layout.alpha(LAYER)}`"
        elif layout.notes:
            alpha = f"`{next(iter(layout.notes))}` in the header"
        rows.append(_row(layout.by, f"`{layout.down(LAYER)}`", alpha))
    return "\n".join(rows) + "\n"


def originals() -> str:
    """Return the table of names of FLUX.2's own code."""
    rows = _head("in the file", "in diffusers")
    for written, names in ORIGINALS.items():
        rows.append(_row(f"`{written}`", ", ".join(f"`{name}`" for name in names)))
    return "\n".join(rows) + "\n"


def kinds() -> str:
    """Return the table of what is applied how."""
    rows = _head("kind", "parts of a layer", "applied as")
    for kind, parts, formula in KINDS:
        rows.append(_row(kind, ", ".join(f"`{part}`" for part in parts), formula))
    return "\n".join(rows) + "\n"


def refusals() -> str:
    """Return the table of what is refused, with what is said."""
    rows = _head("what", "what you are told")
    editor = build("qwen")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "style.safetensors"
        for what, (tensors, _) in lora_refusals.BENT.items():
            save_file({key: value.contiguous().clone() for key, value in tensors.items()}, path)
            rows.append(_row(what, f"`{_told(editor, path)}`"))
        for what, write in lora_refusals.BROKEN.items():
            write(path)
            rows.append(_row(what, f"`{_told(editor, path)}`"))
    return "\n".join(rows) + "\n"


def _told(editor: Any, path: Path) -> str:
    try:
        editor.add_lora(path)
    except (rh.InputError, rh.ModelError) as error:
        return str(error).replace(str(path), path.name)
    raise AssertionError(path)


TABLES = {"layouts": layouts, "originals": originals, "kinds": kinds, "refusals": refusals}


def with_tables(text: str) -> str:
    """Return the page with its tables replaced."""
    for name, table in TABLES.items():
        begin, end = (
            f"<!-- {name}: docs/write_files_page.py writes this -->\n",
            f"<!-- end of {name} -->",
        )
        start, stop = text.index(begin) + len(begin), text.index(end)
        text = text[:start] + table() + text[stop:]
    return text


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
