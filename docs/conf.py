"""The documentation site: `make docs` writes it to build/site.

The source folder is the repository, so that a link between pages is the same on GitHub and here.
"""

from __future__ import annotations

import html
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
HOME = "README"
SHORT = 18  # letters of a word of code that a line never breaks, as the hyphens of an option
NAVIGATION = {
    "Getting started": [
        "coming-from", "coming-from-invokeai", "import-workflow", "cookbook", "gallery",
    ],
    "Guide": [
        "methods", "strategies", "reuse", "schedules", "masks", "keep-pixels", "auto-mask",
        "chains", "presets", "command-line", "recipes", "grid-and-advice", "batches",
        "sizes", "colours", "serving", "models", "files", "works-with", "refused", "reliability",
        "speed", "cheaper", "speed-tables", "local-tables",
    ],
    "Reference": ["api/index"],
    "For plugin authors": [
        "writing-plugins", "other-plugins", "testing-plugins", "hooks", "registration-hooks",
        "example-plugin/README", "compatibility",
    ],
    "For contributors": ["layout"],
    "Evidence": [
        "evidence", "evidence-methods", "evidence-strengths", "evidence-above-one",
        "evidence-monotone", "dial", "evidence-advice", "evidence-tips", "evidence-presets",
        "evidence-search",
        "evidence-peers", "score", "forms",
        "denoise", "leaks",
    ],
}  # fmt: skip
TITLES = {
    "docs/compatibility": "Compatibility",
    "docs/denoise": "Denoise, measured",
    "docs/example-plugin/README": "A complete package",
}
ELSEWHERE = {
    "For contributors": ["findings/README"],
    "Evidence": ["plugins/refhooks_toy/weights/MODEL_CARD", "CHANGELOG"],
}

project = "refhooks"
copyright = "the authors of refhooks"  # noqa: A001  the name that Sphinx reads
version = release = metadata.version("refhooks")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = HOME
include_patterns = [
    "README.md", "CHANGELOG.md", "docs/*.md", "docs/api/*.rst", "docs/example-plugin/README.md",
    "plugins/refhooks_toy/weights/MODEL_CARD.md", "findings/README.md",
]  # fmt: skip
exclude_patterns = [".*", "build", "dist", "demo"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4

html_theme = "furo"  # nothing of it comes from the network
html_static_path = html_css_files = ["site.css"]
html_title = "refhooks"
html_show_copyright = False
html_copy_source = False

autodoc_member_order = "alphabetical"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_use_ivar = True  # attributes belong to their class's own text


def pages() -> dict[str, list[str]]:
    """Return the pages of each part; one that nobody has sorted in yet is a page of the guide."""
    sorted_in = {name for names in NAVIGATION.values() for name in names}
    new = sorted(path.stem for path in DOCS.glob("*.md") if path.stem not in sorted_in)
    parts = {
        part: [f"docs/{name}" for name in names if any(DOCS.glob(f"{name}.*"))]
        for part, names in NAVIGATION.items()
    }
    parts["Guide"] += [f"docs/{name}" for name in new]
    return {part: names + ELSEWHERE.get(part, []) for part, names in parts.items()}


def with_navigation(_app: Sphinx, name: str, source: list[str]) -> None:
    """Put the navigation at the end of the first page, where GitHub does not show it."""
    if name == HOME:
        trees = (
            f"\n```{{toctree}}\n:hidden:\n:caption: {part}\n\n{_entries(part, names)}\n```\n"
            for part, names in pages().items()
        )
        source[0] += "".join(trees)


def _entries(part: str, names: list[str]) -> str:
    first = ["Start <self>"] if part == "Getting started" else []
    titled = (f"{TITLES[name]} <{name}>" if name in TITLES else name for name in names)
    return "\n".join([*first, *titled])


def with_index(app: Sphinx, failure: Exception | None) -> None:
    """Make the first page the one that a server shows."""
    if failure is None and app.builder.name == "html":
        out = Path(app.outdir)
        shutil.copyfile(out / f"{HOME}.html", out / "index.html")


def with_short_words(
    _app: Sphinx, _name: str, _template: str, context: dict[str, str], _doctree: object
) -> None:
    """Mark the short words of code, for site.css."""
    if "body" in context:
        words = r'<span class="pre">([^<]+)</span>'
        context["body"] = re.sub(words, _short, context["body"])


def _short(word: re.Match[str]) -> str:
    short = len(html.unescape(word[1])) <= SHORT
    return word[0].replace('"pre"', '"pre short"') if short else word[0]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect all three to what Sphinx does."""
    app.connect("source-read", with_navigation)
    app.connect("html-page-context", with_short_words)
    app.connect("build-finished", with_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
