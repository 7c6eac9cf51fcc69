"""A new plugin's package: which files it has, and what is in them."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from refhooks._base.files import is_file, is_folder
from refhooks._base.folders import make_folder
from refhooks._base.names import listed
from refhooks._base.shown import shown
from refhooks._base.unfinished import beside, sweep
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HOOKS", "KINDS", "new_plugin"]

KINDS = ("method", "schedule", "switch", "mask", "plugin", "preset", "command", "family")
HOOKS = ("conditioning", "step", "attention")
USES = {
    "method": 'refhooks edit photo.png "make it night" --method $name --strength 0.7 -o night.png',
    "schedule": "python -c \"import refhooks; print(refhooks.schedule('$name'))\"",
    "switch": "python -c \"import refhooks; print(refhooks.switch('$name'))\"",
    "mask": "python -c \"import refhooks; print(refhooks.mask(shape='$name', share=0.5))\"",
    "plugin": 'refhooks edit photo.png "make it night" --plugin $name:amount=0.1 -o night.png',
    "preset": 'refhooks edit photo.png "make it night" --preset $name -o night.png',
    "command": "refhooks $name photo.png",
    "family": 'refhooks edit photo.png "make it night" --model OWNER/MODEL -o night.png',
}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def new_plugin(
    name: str, kind: str = "method", hook: str = "conditioning", *, folder: Path
) -> tuple[Path, ...]:
    """Write a complete package into a new folder of its name, and return its files.

    Args:
        name: Of the distribution, the plugin and what it registers: lower case, with hyphens.
        kind: ``method``, ``schedule``, ``switch``, ``mask``, ``plugin`` (a run plugin), ``preset``,
            ``command`` or ``family``.
        hook: For a method, the run hook that it steers by.
        folder: Where the new folder is made.

    Raises:
        InputError: The name cannot be used, the folder is there already or cannot be written, or
            the kind or hook is none of these.
    """
    _check(name, kind, hook)
    root = folder / name
    if is_folder(root) or is_file(root):
        raise InputError(f"{root} is there already; nothing was written")
    module = name.replace("-", "_")
    values = {
        "name": name,
        "kind": kind,
        "module": module,
        "cls": "".join(part.capitalize() for part in name.split("-")),
    }
    values["run"] = f"{values['cls']}Run"
    values["use"] = Template(USES[kind]).substitute(values)
    files = _files(kind, hook, name)
    modules = [path for path in files if path.endswith(".py") and "/" not in path]
    modules += [f"{name}.toml"] if kind == "preset" else []
    values["modules"] = ", ".join(f'"{path}"' for path in modules)
    sweep(folder)
    part = beside(folder / "new")
    try:
        for path, template in files.items():
            _write(part / path, template, values)
        part.rename(root)
    except OSError as error:
        raise InputError(f"{root} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return tuple(root / path for path in files)


def _files(kind: str, hook: str, name: str) -> dict[str, str]:
    """The template of each file."""
    family, module = kind == "family", name.replace("-", "_")
    return {
        "pyproject.toml": "pyproject",
        "README.md": "readme-family" if family else "readme",
        f"{module}.py": f"{kind}-{hook}" if kind == "method" else kind,
        f"tests/test_{module}.py": "family-test" if family else "test",
        **({f"{module}_tiny.py": "family-tiny"} if family else {}),
        **({f"{name}.toml": "preset-file"} if kind == "preset" else {}),
    }


def _check(name: str, kind: str, hook: str) -> None:
    if kind not in KINDS:
        raise InputError(f"kind must be one of {listed(KINDS)}; got {shown(kind)}")
    if hook not in HOOKS:
        raise InputError(f"hook must be one of {listed(HOOKS)}; got {shown(hook)}")
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > 60 or keyword.iskeyword(module):
        raise InputError(
            f"a plugin's name is lower case letters and digits with hyphens, such as my-method, and"
            f" no Python keyword; got {shown(name)}"
        )
    registry = load_registry()
    taken = {record.name for record in registry.records}
    if name in taken or registry.owner(kind, name) is not None:
        raise InputError(f"{name!r} is the name of an installed plugin, or of a {kind} of one")
    if importlib.util.find_spec(module) is not None:
        raise InputError(f"there is a Python module {module!r} already; choose another name")


def _write(path: Path, template: str, values: dict[str, str]) -> None:
    text = (resources.files("refhooks.cli.scaffold") / f"{template}.txt").read_text(
        encoding="utf-8"
    )
    make_folder(path.parent)
    with path.open("x", encoding="utf-8") as file:
        file.write(Template(text).substitute(values))
