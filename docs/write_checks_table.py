"""Write the table of the kit's checks into docs/testing-plugins.md."""

from __future__ import annotations

import re
from pathlib import Path

from refhooks.testing._kit import CHECKS

PAGE = Path(__file__).parent / "testing-plugins.md"
HEAD = "| check | what is promised |\n| --- | --- |\n"
END = "<!-- checks -->"


def with_table(text: str) -> str:
    """Return the page with the table of today's checks."""
    rows: dict[str, str] = {}
    for check in CHECKS:
        rows.setdefault(check.name, check.promise)
    table = "".join(f"| `{name}` | {promise} |\n" for name, promise in rows.items())
    pattern = re.escape(HEAD) + r"(?:\|.*\n)*" + re.escape(END)
    return re.sub(pattern, lambda _: f"{HEAD}{table}{END}", text)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
