"""A small editor, pairs with known answers, and a scorecard that needed no model."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from PIL import Image

from refhooks.score import Pair, Scene, Score, Scorecard, Settings

SIDE = 32


def square(number):
    """A picture and the same with a square of it inverted."""
    source = tiny.picture(number, (SIDE, SIDE))
    values = np.array(source)
    values[8:20, 8:20] = 255 - values[8:20, 8:20]
    return source, Image.fromarray(values)


@pytest.fixture
def pairs():
    """Two pairs with something outside, one of the whole picture, one with a reference."""
    made = []
    for number, kind in enumerate(("local", "local", "whole")):
        source, right = square(number)
        mask = np.ones((SIDE, SIDE), bool) if kind == "whole" else None
        made.append(Pair(source, "make it blue", kind=kind, seed=number, right=right, mask=mask))
    source, right = square(3)
    others = [tiny.picture(9, (SIDE, SIDE))]
    made.append(Pair(source, "as in Picture 2", kind="two", right=right, references=others))
    return made


@pytest.fixture
def card():
    """Three cells of one method and one of another, on two scenes a kind."""
    scenes = [Scene("a", "local"), Scene("b", "local"), Scene("c", "whole"), Scene("d", "two", 1)]

    def cell(method, strength, done, kept, **labels):
        values = {
            "done": (done, done + 0.1, done, 0.0),
            "kept": (kept, kept, None, 0.5),
            "edges": (None, None, 0.9, None),
        }
        name = f"{method} {strength:g}" + "".join(f" {it}" for it in labels.values())
        given = {"schedule": "constant", "denoise": 1.0, **labels}
        return Score(
            name, method, strength, steps=4, cfg=2.0, seed=0, strategy=None, values=values, **given
        )

    cells = (
        cell("one", 0.0, 0.8, 0.0),
        cell("one", 1.0, 0.6, 0.5),
        cell("one", 2.0, 0.1, 0.9),
        cell("one", 1.0, 0.9, 0.9, denoise=0.5),
        cell("other", 1.0, 0.4, 0.4),
    )
    return Scorecard("tiny", Settings(4, 2.0), tuple(scenes), cells)
