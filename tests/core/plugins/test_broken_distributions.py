"""One broken distribution is one broken plugin, and a borrowed name takes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PLUGIN = """
import refhooks
class Mine:
    name = "{name}"
    def bind(self, reference, run):
        return None
@refhooks.hookimpl
def refhooks_methods():
    return [Mine]
"""
ASK = """
import json, refhooks
registry = refhooks.load_registry()
print(json.dumps({
    "states": {it.name: [it.state, it.distribution, it.reason] for it in registry.records},
    "methods": {name: cls.__module__ for name, cls in registry.methods.items()},
}))
"""
OURS = ("default", "inject", "concat", "cross_attn")


def as_bytes(content):
    """What a file holds."""
    return content if isinstance(content, bytes) else content.encode()


def distribution(folder, name, points, metadata=None, module=None, code=""):
    """Put the metadata of a distribution, and a module, where Python looks for them."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    if metadata:
        (info / "METADATA").write_bytes(
            metadata if isinstance(metadata, bytes) else metadata.encode()
        )
    (info / "entry_points.txt").write_bytes(
        points if isinstance(points, bytes) else points.encode()
    )
    if module is not None:
        (folder / f"{module}.py").write_text(code)


def asked(folder):
    """What another process, that has this folder first on its path, knows of plugins."""
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        check=False, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


BROKEN = {
    "no line": b"[refhooks]\nnothing\n",
    "no text": b"[refhooks]\n\xff\xfe = a\n",
    "no module": b"[refhooks]\nmine = not a module!!\n",
    "no such module": b"[refhooks]\nmine = not_there_at_all\n",
    "empty": b"[refhooks]\nmine =\n",
}


@pytest.mark.parametrize("points", BROKEN.values(), ids=BROKEN)
def test_a_broken_distribution_is_one_broken_plugin(tmp_path, points):
    """All others are live, and why this one is not is told."""
    distribution(tmp_path, "broken", points)

    told = asked(tmp_path)

    off = {name: entry for name, entry in told["states"].items() if entry[0] != "live"}
    assert len(off) == 1
    assert next(iter(off.values()))[0] == "broken"
    assert next(iter(off.values()))[2]
    assert set(OURS) <= set(told["methods"])


def test_a_broken_distribution_that_has_no_plugin_is_none_of_ours(tmp_path):
    """It is not told of."""
    distribution(tmp_path, "stranger", b"[console_scripts]\nnothing\n\xff\n")

    assert {"live"} == {entry[0] for entry in asked(tmp_path)["states"].values()}


@pytest.mark.parametrize("metadata", ["", b"\xff\xfe\x00", "Metadata-Version: 2.1\n"])
def test_a_plugin_without_good_metadata_is_live(tmp_path, metadata):
    """Its name and version are not known; what it registers is."""
    code = PLUGIN.format(name="mine")
    distribution(tmp_path, "odd", "[refhooks]\nmine = my_module\n", metadata, "my_module", code)

    told = asked(tmp_path)

    assert told["methods"].get("mine") == "my_module", told["states"]


RAISED = {
    "BaseException": "class Beyond(BaseException): pass\nraise Beyond",
    "exit": "raise SystemExit(3)",
    "StopIteration": "next(iter(()))",
    "unprintable": (
        "class Odd(Exception):\n    def __str__(self): raise RuntimeError\n    __repr__ = __str__\n"
        "raise Odd"
    ),
    "generator exit": "raise GeneratorExit",
    "long": "raise ValueError('\\x1b' * 100000)",
}


@pytest.mark.parametrize("code", RAISED.values(), ids=RAISED)
def test_whatever_a_module_raises_it_is_one_broken_plugin(tmp_path, code):
    """The reason is short and can be printed."""
    distribution(
        tmp_path, "raising", "[refhooks]\nmine = my_module\n", module="my_module", code=code
    )

    told = asked(tmp_path)

    state, _, reason = told["states"]["mine"]
    assert state == "broken"
    assert reason.isprintable()
    assert len(reason) <= 4000
    assert set(OURS) <= set(told["methods"])


@pytest.mark.parametrize("name", ["refhooks", "Refhooks", "REFHOOKS"])
@pytest.mark.parametrize("folder", ["refhooks", "somebody_else"])
def test_a_borrowed_distribution_name_takes_nothing(tmp_path, name, folder):
    """What ships is loaded first, and is not hidden by another distribution of its name."""
    distribution(
        tmp_path, folder, "[refhooks]\n000 = my_inject\n",
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.0\n",
        "my_inject", PLUGIN.format(name="inject"),
    )  # fmt: skip

    told = asked(tmp_path)

    assert told["methods"]["inject"] == "refhooks_inject"
    assert told["states"]["000"][0] == "broken"


def test_a_borrowed_plugin_name_is_refused(tmp_path):
    """Two plugins of one name could not be told apart in messages, recipes and settings."""
    code = PLUGIN.format(name="other")
    distribution(
        tmp_path, "third", "[refhooks]\ninject = my_module\n", module="my_module", code=code
    )

    told = asked(tmp_path)

    assert "other" not in told["methods"]
    assert told["methods"]["inject"] == "refhooks_inject"
