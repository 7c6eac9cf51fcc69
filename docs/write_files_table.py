"""Write the table of transformer files into docs/coming-from.md, from what the tests load."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "coming-from.md"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from weight_layouts import LAYOUTS, REFUSED  # noqa: E402  beside the tests

HEAD = "| file | recognised by | what is done |\n| --- | --- | --- |\n"
END = "<!-- /files -->"


def with_table(text: str) -> str:
    """Return the page with the table of today's layouts."""
    rows = [(it.file, it.keys, it.gives) for it in LAYOUTS.values()]
    rows += [(it.file, it.keys, f"refused: \u201c{it.says}\u201d") for it in REFUSED.values()]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    pattern = re.escape(HEAD) + r"(?:\|.*\n)*" + re.escape(END)
    return re.sub(pattern, lambda _: f"{HEAD}{table}{END}", text)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
