"""The hook specs answer a plugin author's questions, in one order."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import refhooks
from refhooks.hookspecs import Registration, RunHooks

ROOT = Path(refhooks.__file__).parent.parent
SECTIONS = ("Fires", "Arguments", "May change", "Returns", "Combines", "Added")
SPECS = [
    (specs, name)
    for specs in (Registration, RunHooks)
    for name in vars(specs)
    if not name.startswith("_")
]
every_spec = pytest.mark.parametrize(
    ("specs", "name"), SPECS, ids=[f"{specs.__name__}.{name}" for specs, name in SPECS]
)


def sections(doc):
    """Return the sections of a spec's docstring, in order."""
    parts = re.split(r"^(\w[\w ]*): ", doc, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


@every_spec
def test_the_docstring_has_every_section_in_order(specs, name):
    """When it fires, its arguments, what may change, what None means, how several combine."""
    found = sections(inspect.getdoc(getattr(specs, name)))

    assert tuple(found) == SECTIONS
    assert all(found.values())
    assert re.fullmatch(r"\d+\.\d+\.", found["Added"])


@every_spec
def test_every_argument_is_explained(specs, name):
    """Those of the signature, in its order, and no others."""
    arguments = list(inspect.signature(getattr(specs, name)).parameters)[1:]
    text = sections(inspect.getdoc(getattr(specs, name)))["Arguments"]

    assert (arguments or ["none."]) == (re.findall(r"``(\w+)``: ", text) or [text])


@every_spec
def test_a_run_hook_says_what_none_means(specs, name):
    """And is typed accordingly; a registration hook always returns a list."""
    returned = str(inspect.signature(getattr(specs, name)).return_annotation)
    text = sections(inspect.getdoc(getattr(specs, name)))["Returns"]

    assert (specs is RunHooks) == returned.endswith("| None")
    assert (specs is RunHooks) == ("``None``" in text)


@every_spec
def test_every_parameter_has_a_type(specs, name):
    """The contract is typed."""
    parameters = list(inspect.signature(getattr(specs, name)).parameters.values())[1:]

    assert [entry.name for entry in parameters if entry.annotation is entry.empty] == []


@every_spec
def test_names_have_the_prefix(specs, name):
    """What is not a hook does not belong in the file."""
    assert name.startswith("refhooks_")
    assert getattr(specs, name).refhooks_spec


@pytest.mark.parametrize("name", [name for specs, name in SPECS if specs is RunHooks])
def test_a_shipped_plugin_or_an_experiment_uses_every_run_hook(name):
    """A hook that nothing uses is a guess."""
    users = [
        path.parent.name
        for path in [*sorted((ROOT / "plugins").glob("*/*.py")), ROOT / "benchmarks" / "hold.py"]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]

    assert users
