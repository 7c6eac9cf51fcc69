"""Write what docs/hooks.md says of each hook: its spec, who uses it, and the loop.

python docs/write_hooks_page.py
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import refhooks as rh
from refhooks import hookspecs, loop
from refhooks.testing._implementers import HookEntry, list_hooks

PAGE = Path(__file__).parent / "hooks.md"
SECTIONS = ("Fires", "Arguments", "May change", "Returns", "Combines", "Added")


def with_specs(text: str) -> str:
    """Return the page with today's specs, users and loop between its marks."""
    entries = {entry.name: entry for entry in list_hooks(rh.load_registry())}
    body = inspect.getsource(loop.denoise)
    shown = inspect.cleandoc(body[body.index("    family, hooks") :].rstrip())
    text = _between(text, "<!-- loop -->", "<!-- end of loop -->", f"```text\n{shown}\n```")
    for specs in (hookspecs.Registration, hookspecs.RunHooks):
        for name in vars(specs):
            if name.startswith("refhooks_"):
                spec = _spec(specs, entries[name])
                text = _between(text, f"<!-- spec {name} -->", "<!-- end of spec -->", spec)
    return text


def _between(text: str, start: str, end: str, new: str) -> str:
    pattern = re.escape(start) + r".*?" + re.escape(end)
    replaced, count = re.subn(pattern, lambda _: f"{start}\n{new}\n{end}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{PAGE.name} has {count} places marked {start}; it needs one")
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
    PAGE.write_text(with_specs(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
