"""Checks of what is written to files: strategies, recipes and presets."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from refhooks._apps.files.loader import FileTable, Loader
from refhooks._apps.files.presets import read_preset
from refhooks._apps.files.structuring import as_table, write_table
from refhooks._apps.files.writer import Writer
from refhooks._apps.recipes.picture_files import load_recipe
from refhooks._base.tables import read_table
from refhooks._core.masks.mask import Mask
from refhooks._core.planning.compilation import compile_timetable
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks.errors import RefhooksError
from refhooks.testing._bench import (
    STEPS,
    STRENGTH,
    editor_of,
    picture_of,
    quiet,
)
from refhooks.testing._check_runs import equal
from refhooks.testing._report import CheckFailed

if TYPE_CHECKING:
    from refhooks._core.planning.timetable import Timetable
    from refhooks._editor import Editor
    from refhooks.testing._subject import Subject

ENDINGS = (".toml", ".json")


def recipe(subject: Subject) -> None:
    """Its options come back from TOML and JSON, and the recipe of an edit makes it again."""
    editor = editor_of(subject)
    options: dict[str, Any] = {"steps": STEPS, "seed": 1, "cfg": 1.0, **_given(subject)}
    strategy = _strategy(subject, editor.family.native)
    try:
        _planned(subject, strategy)
    except RefhooksError:  # other checks say what is wrong with it
        return
    if not strategy.masks:  # a picture in memory is in no strategy file; a recipe draws it
        _check_files(subject, strategy)
    with tempfile.TemporaryDirectory() as folder, quiet():
        source, output = Path(folder, "source.png"), Path(folder, "made.png")
        picture_of(0).save(source)
        result = editor.edit(Reference(source, strategy), "make it blue", **options)
        if result.recipe is None or result.recipe.lost:
            lost = "" if result.recipe is None else "; ".join(result.recipe.lost)
            raise CheckFailed(f"an edit with it cannot be made again from its recipe: {lost}")
        result.save(output, embed=True)
        again = editor.replay(load_recipe(output))
        equal(result.latents, again.latents, "its recipe makes something else")


def _given(subject: Subject) -> dict[str, Any]:
    """A run plugin, or the argument of ``edit()`` that it stands for."""
    if subject.kind != "plugin":
        return {}
    argument = getattr(subject.registered, "argument", None)
    if argument is None:
        return {"plugins": [subject.made()]}
    return {argument: subject.options["value"]}


def _strategy(subject: Subject, native: str) -> Strategy:
    instance = subject.made()
    if subject.kind == "method":
        return Strategy([Stage(instance, STRENGTH)])
    if subject.kind == "schedule":
        return Strategy([Stage(native, instance)])
    if subject.kind == "switch":
        return Strategy([Stage(native, STRENGTH, until=instance), Stage(native)])
    return Strategy([Stage(native)], masks=[Mask(instance)] if subject.kind == "mask" else [])


def _check_files(subject: Subject, strategy: Strategy) -> None:
    """A function, which no file can hold, is written as what it gave at each step."""
    planned = _planned(subject, strategy)
    for ending in ENDINGS:
        with tempfile.TemporaryDirectory() as folder, quiet():
            path = Path(folder, f"strategy{ending}")
            write_table(Writer(subject.registry, path, planned).file(strategy), path)
            table: FileTable = as_table(FileTable, read_table(path), str(path))
            again = Loader(subject.registry, path).strategy(table, "")
        what = f"written to a {ending[1:].upper()} file and read back"
        if _planned(subject, again) != planned:
            raise CheckFailed(f"{what}, it plans something else")
        method = again.stages[0].method
        if isinstance(method, str):
            method = subject.registry.method(method)
        if subject.kind == "method" and method != subject.made():
            raise CheckFailed(f"{what}, its options are others: {method}")


def _planned(subject: Subject, strategy: Strategy) -> Timetable:
    sigmas = [1.0 - step / STEPS for step in range(STEPS)]
    with quiet():
        return compile_timetable([strategy], sigmas, subject.registry)


def preset(subject: Subject) -> None:
    """Its file can be read and says what it is for; it edits, unless it needs something more."""
    loaded = read_preset(subject.registered, subject.registry, f"plugin {subject.plugin.name}")
    if not loaded.description:
        raise CheckFailed("its file has no description, one line on what it is for")
    if loaded.needs:
        return
    editor: Editor = editor_of(subject)
    with quiet():
        latents = editor.edit(
            picture_of(0), "make it blue", steps=4, seed=1, cfg=1.0, **loaded.arguments()
        ).latents
    if not torch.isfinite(latents).all():
        raise CheckFailed("with it, the latents hold NaN or infinity")
