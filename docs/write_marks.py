"""Write the page of marks: what each method and form is worth, by what was measured.

    python docs/write_marks.py

The figures are those of `refhooks methods`, which `python benchmarks/marks.py` writes.
"""

from __future__ import annotations

from pathlib import Path

import refhooks as rh
from refhooks._apps.forecast.marks import all_marks, rule
from refhooks.cli._methods import HEADS, cells_of

PAGE = Path(__file__).parent / "marks.md"
HEAD = """\
<!-- Written by `python docs/write_marks.py`; not by hand. -->
# What each method is worth

`refhooks methods` lists every method that is installed, with each form that was measured:

```
refhooks methods
```

{rule}

*Done* and *kept* are those of [the scorecard](score.md#what-is-measured), as differences to the
model's own way; all of it was measured on the embedded model's world, which is small: trust the
order more than the numbers. *A step* is its floating-point operations over those of the model's own
way, by `refhooks.cost`, at 1 MP with one reference. A form with other options than these was not
measured, and neither was a method of somebody else's: both count as *not measured*. `refhooks plan`
says so in a line where a strategy uses a form that is *not shown useful*.

"""


def page() -> str:
    """Return the page in Markdown."""
    told = [mark for mark in all_marks(rh.load_registry()) if _ships(mark.method)]
    lines = [HEADS, tuple("---" for _ in HEADS)]
    lines += [(f"`{name}`", *rest) for name, *rest in map(cells_of, told)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return HEAD.format(rule=rule()) + table + "\n"


def _ships(method: str) -> bool:
    registry = rh.load_registry()
    record = registry.record(registry.owner("method", method))
    return record is not None and record.distribution == "refhooks"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
