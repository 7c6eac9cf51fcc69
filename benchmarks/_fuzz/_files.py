"""Strategy files, chains, presets, cells and manifests; recipes and scorecards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from PIL import Image

import refhooks as rh
from _fuzz._model import SIDE, editor
from _fuzz._odd import bytes_of, changed, damaged, tables, trees
from _fuzz._watch import LeftError
from refhooks._apps.files.presets import read_preset
from refhooks._apps.files.strategy_file import load_file
from refhooks._apps.recipes import metadata
from refhooks._apps.recipes.picture_files import ENDING, load_recipe
from refhooks._apps.recipes.recipe import parse_recipe
from refhooks._apps.replay.replay import check_replay
from refhooks._base.tables import read_table
from refhooks.score import Scene, Score, Scorecard, Settings, read_cells, read_manifest
from refhooks.testing._tiny import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = 4


def good_strategies(folder: Path) -> list[Any]:
    """Return strategies and references with methods, schedules, switches and mask shapes."""
    photo = folder / "photo.png"  # in the folder of the file, so that its path is not in it
    made = rh.schedule
    ends = [rh.switch("sigma", below=0.5), rh.switch("progress", at=0.75), None]
    stages = [rh.Stage("inject", 0.5, until=0.4), rh.Stage("default", "0.4:1.0")]
    masks = [
        rh.mask(folder / "mask.png", feather=3, kind="content"),
        rh.mask("1,2,50%,60%", text="area"),
        rh.mask(polygon=[(1, 1), ("90%", 2), (5, "80%")], invert=True, strength=[0.5, 1.0] * 2),
    ]  # fmt: skip
    strategies = [
        rh.Strategy(stages, masks=masks),
        rh.Strategy(rh.Stage(rh.method("inject", where="input", fit="cover"), [0.5, 1, 1.5, 2])),
        rh.Strategy(
            rh.Stage(rh.method("cross_attn", layers="0-1"), made("linear", start=0, end=2))
        ),
        rh.Strategy(rh.Stage("default", made("keyframes", frames=[(0, 0.5), (1, 1.5)]))),
        rh.Strategy(
            [rh.Stage("default", made("ease-out", start=1, end=0), until=end) for end in ends],
            vision="never",
        ),
        rh.Strategy(rh.Stage("guidance", made("window", value=1.2)), vision="always"),
    ]  # fmt: skip
    references = [
        rh.Reference(photo, strategies[0]),
        rh.Reference(photo, strategies[3], resolution=1024),
        rh.Reference(photo),
    ]
    return [*strategies, references, [rh.Reference(photo, it) for it in strategies[1:3]]]


def good_chain(folder: Path) -> rh.Chain:
    """Return a chain of two edits."""
    first = rh.Edit("make it blue", strategy=rh.Stage("inject", 0.5), steps=3, denoise=0.8)
    other = rh.Edit(
        "add a star", reference="original", edit_mask=rh.mask("0,0,50%,50%"), seed=3, cfg=1.5,
        references=[rh.Reference(folder / "photo.png")],
    )  # fmt: skip
    return rh.Chain([first, other])


class Strategies:
    """What ``--strategy``, ``--preset``, ``chain``, ``score --cells`` and ``--pairs`` read."""

    name = "strategies"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        save_pictures(folder)
        self.readers: dict[str, Callable[[Path], Any]] = {
            "strategy": load_file,
            "chain": rh.load_chain,
            "preset": lambda path: read_preset(path, rh.load_registry(), "a plugin"),
            "cells": read_cells,
            "pairs": read_manifest,
        }
        whole = [("strategy", self._table(it)) for it in good_strategies(folder)]
        whole += [("chain", self._table(good_chain(folder))), *self._others()]
        self.good = [(reader, end, it) for reader, it in whole for end in (".toml", ".json")]
        endings = st.sampled_from((".toml", ".json"))
        readers = st.sampled_from(sorted(self.readers))
        self.random = st.tuples(readers, endings, tables | trees | st.binary(max_size=200))
        self.near = _near_file(self.good)

    def _table(self, value: Any) -> dict[str, Any]:
        """A value as the project's own writer has it."""
        place = self._folder / "made.json"
        write = rh.dump_chain if isinstance(value, rh.Chain) else rh.dump_strategy
        table = read_table(write(value, place))
        place.unlink()
        return table

    def _others(self) -> list[tuple[str, dict[str, Any]]]:
        presets = rh.load_registry().presets
        stage = {"method": "inject", "strength": 0.5}
        cells = [
            {"name": "a", "stage": [stage], "denoise": 0.5, "steps": 4},
            {"name": "b", "stage": [stage], "kinds": ["edit"], "attention": True},
        ]
        pair = {"source": "photo.png", "prompt": "blue", "right": "other.png", "mask": "mask.png"}
        named = ("color-change", "style-transfer", "object-swap-tuned")
        return [
            *[("preset", read_table(presets[name])) for name in named],
            ("cells", {"cell": cells}),
            ("pairs", {**pair, "references": ["photo.png"], "seed": 3, "kind": "edit"}),
        ]

    def run(self, case: tuple[str, str, Any]) -> None:
        """Read a file; what is read is planned, and survives being written."""
        reader, ending, content = case
        data = content if isinstance(content, bytes) else _written(reader, ending, content)
        place, back = self._folder / f"case{ending}", self._folder / f"back{ending}"
        place.write_bytes(data)
        try:
            read = self.readers[reader](place)
            if reader == "strategy" and not read.plugins:
                rh.plan(read.what, steps=STEPS)
                rh.dump_strategy(read.what, back)
                if load_file(back).what != read.what:
                    raise LeftError("another strategy is read back than was written")
        finally:
            place.unlink()
            back.unlink(missing_ok=True)


def _written(reader: str, ending: str, tree: Any) -> bytes:
    if reader == "pairs":  # lines of JSON, whatever the file is called
        return bytes_of(tree, ".json").replace(b"\n", b"") + b"\n"
    return bytes_of(tree, ending)


@st.composite
def _near_file(draw: Any, good: list[Any]) -> Any:
    """A reader, an ending, and what it reads with one thing in it other than it was."""
    reader, ending, table = draw(st.sampled_from(good))
    if draw(st.booleans()):
        return reader, ending, changed(draw, table)
    return reader, ending, damaged(draw, _written(reader, ending, table))


@st.composite
def _near_recipe(draw: Any, good: list[Any]) -> Any:
    form, table = draw(st.sampled_from(good))
    if draw(st.booleans()):
        return form, changed(draw, table)
    return form, damaged(draw, json.dumps(table).encode())


def save_pictures(folder: Path) -> None:
    """Write what the files name."""
    picture(0, (SIDE, SIDE)).save(folder / "photo.png")
    picture(1, (SIDE, SIDE)).save(folder / "other.png")
    Image.radial_gradient("L").resize((SIDE, SIDE)).save(folder / "mask.png")


class Recipes:
    """Recipes in pictures and beside them, and scorecards."""

    name = "recipes"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        save_pictures(folder)
        self._base = (folder / "photo.png").read_bytes()
        mask = rh.mask("mask.png")
        strategy = rh.Strategy(rh.Stage("inject", "0.4:1.0"), masks=[mask])
        edits = [{"strategy": strategy, "references": [rh.Reference("other.png")]},
                 {"edit_mask": mask, "align": True, "n": 2, "seed": [1, 2]}]  # fmt: skip
        edits[1].pop("n")
        made = [
            editor().edit("photo.png", "make it blue", **{"steps": 2, "seed": 1, **options})
            for options in edits
        ]
        self.recipes = [result.recipe.as_dict() for result in made]
        card = good_card().save_json(folder / "card.json")
        self.card = json.loads(card.read_text(encoding="utf-8"))
        card.unlink()
        forms = st.sampled_from(("png", "sidecar", "card"))
        self.random = st.tuples(forms, tables | trees | st.binary(max_size=200))
        self.good = [(form, it) for form in ("png", "sidecar") for it in self.recipes]
        self.good += [("card", self.card)] * 2
        self.near = _near_recipe(self.good)

    def run(self, case: tuple[str, Any]) -> None:
        """Read it; a recipe is checked as a replay does, and survives being written."""
        form, content = case
        data = content if isinstance(content, bytes) else bytes_of(content, ".json")
        place = self._folder / ("case.png" if form == "png" else f"case.png{ENDING}")
        chunk = metadata.TEXT, metadata.KEY + b"\0\0\0\0\0" + data
        whole = {
            "png": lambda: metadata.with_chunks(self._base, [metadata.png_chunk(*chunk)]),
            "sidecar": lambda: b'{"recipe": ' + data + b', "embedded": {}}',
            "card": lambda: data,
        }[form]()
        place.write_bytes(whole)
        try:
            if form == "card":
                self._read_card(place)
            else:
                self._read_recipe(place)
        finally:
            place.unlink()

    def _read_card(self, place: Path) -> None:
        card = Scorecard.read_json(place)
        card.save_json(place)
        if Scorecard.read_json(place) != card:
            raise LeftError("another scorecard is read back than was written")

    def _read_recipe(self, place: Path) -> None:
        recipe = load_recipe(place)
        if parse_recipe(recipe.to_json().encode(), "again") != recipe:
            raise LeftError("another recipe is read back than was written")
        check_replay(recipe, [], {}, rh.load_registry())


def good_card() -> Scorecard:
    """Return a scorecard of two cells on three scenes."""
    scenes = tuple(Scene(f"{number}", "local", number % 2) for number in range(3))
    cells = tuple(
        Score(f"inject {strength}", "inject", strength, "constant", 1.0, 4, 2.0, 0,
              {"stage": [{"method": "inject"}]}, {"done": (0.1, None, 0.3)})
        for strength in (0.0, 1.0)
    )  # fmt: skip
    return Scorecard("tiny", Settings(4, 2.0), scenes, cells)
