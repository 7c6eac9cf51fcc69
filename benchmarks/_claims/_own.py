"""What no scorecard measures: chains of edits, and the attention share over the steps."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from PIL import Image

import refhooks as rh
from refhooks.batch import Job, edit_batch
from refhooks.score import Cell, Pair, changed_region, edit_done, edit_pairs, kept
from refhooks_toy import HELD_OUT, Scene, random_scene
from refhooks_toy import _prompts as prompts
from refhooks_toy._draw import draw
from refhooks_toy._scenes import COLOURS, GROUNDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from refhooks.score import Settings

CHAINS = ((0.6, 0.9, 1.2), (0.9, 0.9, 0.9))
WATCHED = "default 1 watched"
THIRDS = ("first third", "middle third", "last third")
APART = 16  # seeds of chains: no kind of edit draws from them


@attrs.frozen
class Chain:
    """Three edits of one scene: what is drawn first and at the end, and the prompts."""

    source: Scene
    right: Scene
    prompts: tuple[str, str, str]


def chains(count: int) -> list[Chain]:
    """Draw chains: another colour of a shape, another expression, another ground."""
    return [_chain(Random((HELD_OUT + number) * APART + APART - 1)) for number in range(count)]  # noqa: S311  scenes are no secrets


def _chain(random: Random) -> Chain:
    source = random_scene(random, face=1, plain=1)
    old, face = source.shapes[0], source.face
    assert face is not None  # noqa: S101  asked for just above
    colour = random.choice([it for it in COLOURS if it not in {it.colour for it in source.shapes}])
    ground = random.choice([it for it in GROUNDS if it != source.ground])
    mood = "sad" if face.mood == "happy" else "happy"
    asked = (
        prompts.colour(source, old, colour, random),
        prompts.expression(mood, random),
        prompts.background("ground", ground, source.sky, random),
    )
    shapes = (attrs.evolve(old, colour=colour), *source.shapes[1:])
    face = attrs.evolve(face, mood=mood)
    return Chain(source, attrs.evolve(source, shapes=shapes, face=face, ground=ground), asked)


def measure_chains(editor: rh.Editor, count: int, settings: Settings) -> dict[str, Any]:
    """Return a card of what is done and kept after three edits, a cell for each of ``CHAINS``."""
    drawn = chains(count)
    source = draw([it.source for it in drawn])
    right = draw([it.right for it in drawn])
    region = changed_region(source, right)
    without = _run(editor, _pairs(source, drawn, 2), Cell("default 0"), settings, without=True)
    cells = []
    for strengths in CHAINS:
        made = source
        for link, strength in enumerate(strengths):
            cell = Cell("link", rh.Stage("default", strength))
            made = _run(editor, _pairs(made, drawn, link), cell, settings)
        cells.append(
            _cell(
                "chain " + " ".join(f"{it:g}" for it in strengths),
                settings,
                done=edit_done(made, source, right, region),
                kept=kept(made, without, source, region),
            )
        )
    return {"kinds": {"chain": [f"chain {number}" for number in range(count)]}, "cells": cells}


def _pairs(pictures: npt.NDArray[np.uint8], drawn: Sequence[Chain], link: int) -> list[Pair]:
    return [
        Pair(Image.fromarray(picture), chain.prompts[link], seed=3 * number + link)
        for number, (picture, chain) in enumerate(zip(pictures, drawn, strict=True))
    ]


def _run(
    editor: rh.Editor, pairs: Sequence[Pair], cell: Cell, settings: Settings, *,
    without: bool = False,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    made = edit_pairs(editor, pairs, cell, settings, without=without)
    return np.stack([np.asarray(picture) for picture in made])


def _cell(name: str, settings: Settings, **values: npt.NDArray[np.float64]) -> dict[str, Any]:
    kind = name.split(maxsplit=1)[0] if name != WATCHED else "attention"
    rows = {
        measure.replace("_", " "): {
            kind: [None if np.isnan(it) else round(float(it), 5) for it in row]
        }
        for measure, row in values.items()
    }
    return {
        "name": name, "denoise": 1.0, "steps": settings.steps, "cfg": settings.cfg, "seed": 0,
        "strategy": None, "values": rows,
    }  # fmt: skip


def watch_attention(
    editor: rh.Editor, pairs: Sequence[Pair], settings: Settings
) -> dict[str, Any]:  # fmt: skip
    """Return a card of the share of attention that `default` at 1 gets in each third of a run."""
    shares = []
    for start in range(0, len(pairs), settings.batch):
        group = pairs[start : start + settings.batch]
        result = edit_batch(
            editor,
            [Job(pair.source, pair.prompt, seed=pair.seed) for pair in group],
            strategy=rh.Stage("default", 1.0),
            steps=settings.steps,
            cfg=settings.cfg,
            record_attention=True,
        )
        assert result.attention_shares is not None  # noqa: S101  this family tells them apart
        recorded = result.attention_shares[:, :, 1].mean(dim=1)  # [steps,B]: the source is group 1
        shares.append(recorded.double().numpy())
    by_step = np.concatenate(shares, axis=1)
    thirds = [part.mean(axis=0) for part in np.array_split(by_step, len(THIRDS))]
    values = {name.replace(" ", "_"): row for name, row in zip(THIRDS, thirds, strict=True)}
    keys = [pair.key for pair in pairs]
    return {"kinds": {"attention": keys}, "cells": [_cell(WATCHED, settings, **values)]}
