"""Running what the verdicts need, and nothing twice."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from typing import TYPE_CHECKING, Any

import attrs
import click

import refhooks as rh
from _claims._cells import on
from _claims._evidence import Evidence, as_card
from _claims._functions import Need, curve_cells, needs, rival
from _claims._own import CHAINS, measure_chains, watch_attention
from _claims._read import ALL, GROUPS, OWN
from _claims._rules import parts
from _claims._seen import needs_of_seen
from _claims._shots import measures
from refhooks.score import Scorecard, Settings, run_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from _claims._read import Claim, Monotone
    from refhooks.score import Pair, Progress

FORMAT, VERSION = "refhooks-claims", 1
STEP = 0.35 / 16  # seconds of a step of one edit with reference tokens, on two idle cores


@attrs.frozen
class Size:
    """How much is run.

    Attributes:
        main, more, few: Scenes a kind.
        steps: Of every edit whose cell says nothing else.
    """

    main: int = 25
    more: int = 100
    few: int = 6
    steps: int = 16

    @property
    def chains(self) -> int:
        """How many chains of edits."""
        return 2 * self.main

    @property
    def watched(self) -> int:
        """In how many scenes a kind the attention is recorded."""
        return min(4, self.main)


def all_needs(claims: Sequence[Claim], monotone: Monotone) -> list[Need]:
    """Return everything that verdicts and the table of monotone strength need, but the rivals."""
    found = [need for claim in claims for test in claim.tests for need in needs(test)]
    local = GROUPS["local"]
    for method in monotone.methods:
        named = ("done", "kept")
        cells = curve_cells(method, monotone.strengths)
        found += [Need(it, named, local, "main") for it in cells]
        for at in curve_cells(method, monotone.steps_at):
            found.append(Need(at, named, local, "main"))
            found += [Need(f"{at} steps {it}", named, local, "few") for it in monotone.steps]
    return [need for need in found if not set(need.kinds) & set(OWN)]


def grouped(
    given: Iterable[Need], evidence: Evidence, sizes: Mapping[str, int]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the kinds that each cell must be run on, by group of scenes.

    Args:
        given: What is needed.
        evidence: What is there already, and is not run again.
        sizes: Scenes a kind of each group.
    """
    found: dict[str, dict[str, set[str]]] = {group: {} for group in ("main", "more", "few")}
    for need in given:
        if need.cell.startswith("chain "):
            continue
        for kind in need.kinds:
            keys = evidence.kinds.get(kind, [])[: sizes[need.scenes]]
            there = len(keys) == sizes[need.scenes] and all(
                evidence.has(need.cell, name, keys) for name in need.measures
            )
            if not there:
                found[need.scenes].setdefault(need.cell, set()).add(kind)
    return {
        group: {name: tuple(kind for kind in ALL if kind in kinds) for name, kinds in cells.items()}
        for group, cells in found.items()
    }


def edits(groups: Mapping[str, Mapping[str, tuple[str, ...]]], size: Size) -> dict[str, int]:
    """Return how many steps of edits each group comes to, the runs without a reference aside."""
    scenes = attrs.asdict(size)
    return {
        group: sum(
            (cell.steps or size.steps) * scenes[group] * len(cell.kinds or ())
            for cell in (on(name, kinds) for name, kinds in cells.items())
        )
        for group, cells in groups.items()
    }


@attrs.define(slots=False)
class Runner:
    """One call of ``claims.py run``.

    Attributes:
        size: How much.
        store: Where finished batches are kept.
        score: The scorecard of ``refhooks score``, if there is one.
    """

    size: Size
    store: Path
    score: Scorecard | None
    _editor: rh.Editor = attrs.field(init=False)
    _model: rh.EmbeddedModel = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Load the embedded model."""
        self._model = rh.load_registry().models["toy"]
        self._editor = rh.Editor.from_pretrained("toy")
        self._editor.pipe.set_progress_bar_config(disable=True)

    def run(self, claims: Sequence[Claim], monotone: Monotone) -> dict[str, Any]:
        """Return what claims.json holds."""
        given = all_needs(claims, monotone)
        score = [] if self.score is None else [as_card(self.score, "score")]
        before = Evidence.of(score)
        groups = grouped(given, before, attrs.asdict(self.size))
        self._announce(groups, own=True)
        cards = [self._card("main", groups["main"])]
        known = Evidence.of([*score, *cards])
        rivals = [
            Need(rival(known, test), parts("balance", test.kinds), test.kinds, "more")
            for claim in claims for test in claim.tests if test.function == "beside_the_best"
        ]  # fmt: skip
        groups = grouped([*given, *rivals], before, attrs.asdict(self.size))
        cards += [self._card(group, groups[group]) for group in ("more", "few")]
        cards += self._own()
        cards += self._seen(claims, Evidence.of([*score, *cards]))
        Evidence.of([*score, *cards])  # that nothing contradicts anything
        return {
            "format": FORMAT,
            "version": VERSION,
            "command": "python benchmarks/claims.py run",
            "settings": attrs.asdict(self._settings),
            "scenes": {**attrs.asdict(self.size), "chains": self.size.chains},
            "cards": cards,
        }

    def seen(self, claims: Sequence[Claim], held: Mapping[str, Any]) -> dict[str, Any]:
        """Return what claims.json held, with other measures of the claims that hold."""
        score = [] if self.score is None else [as_card(self.score, "score")]
        known = Evidence.of([*score, *held["cards"]])
        return {**held, "cards": [*held["cards"], *self._seen(claims, known)]}

    def _seen(self, claims: Sequence[Claim], known: Evidence) -> list[dict[str, Any]]:
        groups = grouped(needs_of_seen(known, claims), known, attrs.asdict(self.size))
        click.echo("by CIEDE2000 and SSIM, what holds:")
        self._announce(groups)
        return [self._card(group, cells) for group, cells in groups.items() if cells]

    @property
    def _settings(self) -> Settings:
        cfg = self._editor.family.default_cfg
        return Settings(steps=self.size.steps, cfg=cfg, batch=25)

    def _pairs(self, count: int) -> list[Pair]:
        return [pair for pair in self._model.pairs(count) if pair.kind in ALL]

    def _card(self, group: str, cells: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
        if not cells:
            return {"group": group, "kinds": {}, "cells": []}
        chosen = [on(name, kinds) for name, kinds in cells.items()]
        kinds = {kind for cell in chosen for kind in cell.kinds or ()}
        pairs = [it for it in self._pairs(getattr(self.size, group)) if it.kind in kinds]
        # Measures know every scene that there is: a scene's stranger is the same in all groups.
        extra = measures(self._pairs(max(self.size.main, self.size.more)))
        click.echo(f"{group}: {len(chosen)} cells")
        scored = run_cells(
            self._editor, pairs, chosen, self._settings, store=self.store, measures=extra,
            context=self._model.faster, progress=Told(),
        )  # fmt: skip
        click.echo()
        return as_card(scored, group)

    def _own(self) -> list[dict[str, Any]]:
        click.echo(f"chains: {self.size.chains}, and the attention over the steps")
        faster = self._model.faster or contextlib.nullcontext
        with warnings.catch_warnings(), faster(self._editor.pipe):
            warnings.simplefilter("ignore", rh.errors.RefhooksWarning)
            own = [
                measure_chains(self._editor, self.size.chains, self._settings),
                watch_attention(self._editor, self._pairs(self.size.watched), self._settings),
            ]
        return [json.loads(json.dumps({"group": "own", **it})) for it in own]

    def _announce(
        self, groups: Mapping[str, Mapping[str, tuple[str, ...]]], *, own: bool = False
    ) -> None:
        steps = edits(groups, self.size)
        if own:
            steps["own"] = self.size.steps * (
                self.size.chains * (1 + 3 * len(CHAINS)) + self.size.watched * len(ALL)
            )
        for group, count in steps.items():
            cells = f"{len(groups[group])} cells, " if group in groups else ""
            click.echo(f"  {group:5} {cells}{count / self.size.steps:,.0f} edits' worth of steps")
        click.echo(
            f"about {sum(steps.values()) * STEP / 60:.0f} minutes on two idle cores, without what"
            f" {self.store} holds, and a few more for the best settings, which are not known yet"
        )


@attrs.define
class Told:
    """Prints how far a run is, and when it will be finished."""

    began: float = attrs.field(factory=time.monotonic)

    def __call__(self, progress: Progress) -> None:
        """Print it over the line before."""
        rest = (time.monotonic() - self.began) * (progress.total / max(progress.done, 1) - 1)
        share = progress.done / max(progress.total, 1)
        line = f"{share:4.0%}  {rest / 60:4.0f} min left  {progress.cell}"
        click.echo(f"\r{line:78.78}", nl=False)
