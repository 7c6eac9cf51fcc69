"""Write what the pages of hooks say of each: its spec, who uses it, and the loop.

    python docs/write_hooks_page.py

Run hooks are in docs/hooks.md, those of registration in docs/registration-hooks.md.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import refhooks as rh
from refhooks import hookspecs, loop
from refhooks.testing._implementers import HookEntry, list_hooks

DOCS = Path(__file__).parent
PAGES = {"hooks.md": hookspecs.RunHooks, "registration-hooks.md": hookspecs.Registration}
SECTIONS = ("Fires", "Arguments", "May change", "Returns", "Combines", "Added")


def with_specs(name: str, text: str) -> str:
    """Return the page of this name with today's specs, users and loop between its marks."""
    entries = {entry.name: entry for entry in list_hooks(rh.load_registry())}
    specs = PAGES[name]
    if specs is hookspecs.RunHooks:
        text = _between(text, "<!-- loop -->", "<!-- end of loop -->", _loop())
    for hook in vars(specs):
        if hook.startswith("refhooks_"):
            spec = _spec(specs, entries[hook])
            text = _between(text, f"<!-- spec {hook} -->", "<!-- end of spec -->", spec)
    return text


def _loop() -> str:
    body = inspect.getsource(loop.denoise)
    shown = inspect.cleandoc(body[body.index("    family, hooks") :].rstrip())
    return f"```text\n{shown}\n```"


def _between(text: str, start: str, end: str, new: str) -> str:
    pattern = re.escape(start) + r".*?" + re.escape(end)
    replaced, count = re.subn(pattern, lambda _: f"{start}\n{new}\n{end}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"the page has {count} places marked {start}; it needs one")
    return replaced


def _spec(specs: type, entry: HookEntry) -> str:
    doc = inspect.getdoc(getattr(specs, entry.name)) or ""
    sections = _sections(doc)
    rows = "".join(f"- **{name}**: {sections[name]}\n" for name in SECTIONS)
    users = ", ".join(f"`{name}`" for name in entry.implementers)
    title = doc.partition("\n")[0]
    return f"{title}\n\n```text\n{entry.signature}\n```\n\n{rows}- **Users**: {users}"


def _sections(doc: str) -> dict[str, str]:
    pieces = re.split(rf"^({'|'.join(SECTIONS)}): ", doc, flags=re.MULTILINE)[1:]
    return {
        name: re.sub(r":\w+:`", "`", " ".join(text.split()).replace("``", "`"))
        for name, text in zip(pieces[::2], pieces[1::2], strict=True)
    }


if __name__ == "__main__":
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        (DOCS / page).write_text(with_specs(page, text), encoding="utf-8")
