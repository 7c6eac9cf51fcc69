"""Masks: as tables of files, as texts of a command line, and as values of a call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

import refhooks as rh
from _fuzz._model import SIDE
from _fuzz._odd import changed, numbers, scalars, tables, texts, trees
from _fuzz._watch import LeftError
from refhooks._apps.files.loader import Loader

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (rh.Size(SIDE, SIDE), rh.Size(1, 1), rh.Size(1, 40), rh.Size(37, 23))
DTYPES = ("bool", "uint8", "int64", "uint16", "float16", "float32", "float64", "complex64",
          "object", "U3", "datetime64[s]")  # fmt: skip
OPTIONS = ("invert", "feather", "soft", "kind", "strength", "text", "shape")
BOX = "1,2,50%,60%"
TABLES = (
    {"image": "mask.png", "kind": "content", "soft": True, "feather": 3.5},
    {"alpha": "alpha.png", "invert": True},
    {"box": "10%,10%,50%,50%", "text": "area", "strength": "0:1"},
    {"box": [1, 2, "50%", 8.5], "strength": [0.5, 1.0]},
    {"polygon": [[1, 1], ["90%", 2], [5, "80%"]], "feather": 2, "text": "none"},
    {"shape": "box", "box": "0,0,5,5", "strength": {"schedule": "linear", "start": 0, "end": 1}},
    {"shape": "picture", "image": "mask.png", "kind": "region"},
)


@st.composite
def arrays(draw: Any) -> Any:
    """An array of a mask: of the right form, or not."""
    shape = draw(
        st.sampled_from(((8, 8), (1, 1), (SIDE, SIDE), (0, 4), (8,), (), (1, 8, 8), (8, 8, 3)))
    )
    dtype = draw(st.sampled_from(DTYPES))
    values = draw(
        st.lists(st.sampled_from((0, 1, 0.5, 255, -1, math.nan, math.inf)), min_size=4, max_size=4)
    )
    with np.errstate(all="ignore"):
        return np.resize(np.array(values, dtype=np.float64), shape).astype(dtype, copy=False)


@st.composite
def _near_table(draw: Any) -> Any:
    return changed(draw, draw(st.sampled_from(TABLES)))


class Masks:
    """What ``[[mask]]``, ``--mask-region`` and :func:`refhooks.mask` take."""

    name = "masks"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loader = Loader(rh.load_registry(), folder / "case.toml")
        grey = Image.radial_gradient("L").resize((SIDE, SIDE))
        grey.save(folder / "mask.png")
        Image.merge("LA", (grey, grey)).save(folder / "alpha.png")
        lengths = numbers | texts | st.integers(1, 99).map("{}%".format)
        quads = st.lists(lengths, max_size=5)
        points = st.lists(st.lists(lengths, min_size=1, max_size=3), max_size=6)
        lines = quads.map(lambda parts: ",".join(map(str, parts)))
        options = st.fixed_dictionaries({}, optional=dict.fromkeys(OPTIONS, scalars | trees))
        one = st.tuples(st.sampled_from(OPTIONS), scalars | trees).map(lambda it: dict([it]))
        text = st.tuples(st.integers(0, 10), texts).map(
            lambda it: BOX[: it[0]] + it[1] + BOX[it[0] + 1 :]
        )
        values = arrays() | quads | points | lines | trees
        files = st.sampled_from(("mask.png", "alpha.png"))
        good = st.sampled_from((
            {"box": (1, 2, "50%", 8)}, {"polygon": ((1, 1), ("90%", 2), (5, "80%"))},
            {"array": np.full((8, 8), 0.5)}, {"image": "mask.png"}, {"alpha": "alpha.png"},
        ))  # fmt: skip
        whole = [("table", it) for it in TABLES]
        self.good = [(it, size) for it in whole for size in SIZES]
        self.random = (
            st.tuples(st.just("table"), tables)
            | st.tuples(st.just("call"), values, options)
            | st.tuples(st.just("text"), lines | texts)
        )
        self.near = (
            st.tuples(st.just("table"), _near_table())
            | st.tuples(st.just("named"), good, one)
            | st.tuples(st.just("call"), arrays() | files, one)
            | st.tuples(st.just("text"), text)
        )  # fmt: skip
        self.near = st.tuples(self.near, st.sampled_from(SIZES))
        self.random = st.tuples(self.random, st.sampled_from(SIZES))

    def run(self, case: tuple[Any, rh.Size]) -> None:
        """Make the mask, and lay it on a picture."""
        (form, *given), size = case
        made = getattr(self, f"_{form}")(*given)
        cover = made.cover(size)
        if tuple(cover.shape) != (size.height, size.width) or not bool((cover.abs() <= 1).all()):
            raise LeftError(
                f"covers {tuple(cover.shape)} of {size}, {cover.min()} to {cover.max()}"
            )

    def _table(self, table: Any) -> rh.Mask:
        return self._loader.mask(table, "mask 1")

    def _call(self, value: Any, options: dict[str, Any]) -> rh.Mask:
        return rh.mask(value, **options)

    def _named(self, shape: dict[str, Any], options: dict[str, Any]) -> rh.Mask:
        return rh.mask(**shape, **options)

    def _text(self, text: str) -> rh.Mask:
        return rh.Mask(rh.load_registry().shape_from(text))
