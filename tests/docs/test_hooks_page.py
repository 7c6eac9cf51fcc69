"""The pages of hooks have a diagram, and an example of each; what is generated is in test_docs."""

from __future__ import annotations

import re

import pytest
from places import DOCS

from refhooks._core.plugins.validation import hook_arguments
from refhooks.hookspecs import Registration, RunHooks

PAGE = (DOCS / "hooks.md").read_text()
SPECS = {"registration-hooks.md": Registration, "hooks.md": RunHooks}
HOOKS = [(name, hook) for name, specs in SPECS.items() for hook in hook_arguments(specs)]


def test_the_diagram_has_every_hook_in_the_order_of_the_contract():
    """Each once; the specs stand in the order in which a run calls them."""
    diagram = PAGE.partition("<!-- diagram -->")[2].partition("<!-- end of diagram -->")[0]

    assert re.findall(r"refhooks_\w+", diagram) == [hook for _, hook in HOOKS]


@pytest.mark.parametrize(("page", "hook"), HOOKS)
def test_every_hook_has_an_example_that_implements_it(page, hook):
    """In its own section; test_docs runs it."""
    level = "##" if page == "registration-hooks.md" else "###"
    text = (DOCS / page).read_text()
    section = text.partition(f"\n{level} `{hook}`")[2].partition(f"\n{level} ")[0]
    (example,) = re.findall(r"^```python\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)

    assert f"def {hook}(" in example
    assert "@rh.hookimpl" in example
