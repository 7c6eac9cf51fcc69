"""The search of ``search.py``: generations of candidates, and the check of the best of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import _candidates
import attrs
import click
import numpy as np
from PIL import Image

import refhooks as rh
from refhooks.score import Cell, Pair, Settings, run_cells
from refhooks_toy import HELD_OUT, make_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from _candidates import Candidate

    from refhooks.score import Scorecard

    Array = npt.NDArray[np.float64]

PLAIN = "plain"
SEARCH_FROM, CHECK_FROM = 100_000, 200_000  # of the held-out scenes; other figures use the first
A_SEED = 1_000  # scenes that each seed of the search has for itself, of each kind
STEPS = 16
PRIOR = 0.1  # guess of the standard deviation over scenes, which counts as one more scene
TOLERANCE = 0.01
CHANCE = 0.05
RESAMPLINGS = 20_000
FIELDS = ("done", "kept")


@attrs.frozen
class Plan:
    """How much is looked at.

    Attributes:
        seed: Of the search.
        edits: All that may be run, those of the check included.
        first: Candidates of the first generation, the same for all kinds.
        children: Of each kind, in every later generation.
        few: Scenes of each kind that all of a generation edit.
        more: Scenes that its best edit besides.
        survivors: How many those are, of the first generation; of the later ones half of it.
        parents: How many of the best so far have children.
        finalists: Of each kind, at most.
        check: Scenes of each kind that they are checked on.
    """

    seed: int = 0
    edits: int = 8000
    first: int = 32
    children: int = 12
    few: int = 8
    more: int = 16
    survivors: int = 8
    parents: int = 4
    finalists: int = 2
    check: int = 60

    def kept_back(self, kinds: int) -> int:
        """Edits of the check, with the plain model and the runs without a reference."""
        return kinds * self.check * (self.finalists + 2)

    def generation(self, index: int, kinds: int) -> int:
        """Edits of a generation; the first one also has the plain model, and no reference."""
        if index == 0:
            plain = 2 * (self.few + self.more)
            return kinds * (self.first * self.few + self.survivors * self.more + plain)
        return kinds * (self.children * self.few + self.of_children * self.more)

    @property
    def of_children(self) -> int:
        """How many of a later generation edit more scenes."""
        return max(1, self.survivors // 2)

    def generations(self, kinds: int) -> int:
        """How many fit.

        Raises:
            InputError: Not even one does.
        """
        least = self.kept_back(kinds) + self.generation(0, kinds)
        if least > self.edits:
            raise rh.InputError(
                f"{self.edits} edits are too few: one generation and the check take {least}"
            )
        each = self.generation(1, kinds)
        return 1 + ((self.edits - least) // each if self.children else 0)


class Scorer(Protocol):
    """What runs cells on the scenes of a part: ``few``, ``more`` or ``check``."""

    def score(self, part: str, cells: Sequence[Cell]) -> Scorecard:
        """Return the scorecard of the cells."""
        ...


@attrs.define
class Bench:
    """Runs cells with an editor, and keeps what is finished.

    Attributes:
        editor: It runs the edits.
        kinds: Of edit.
        plan: For the number of scenes.
        steps: Of each edit.
        store: Folder of what is finished; ``None``: memory.
        context, progress: As for :func:`refhooks.score.run_cells`.
    """

    editor: rh.Editor
    kinds: Sequence[str]
    plan: Plan
    steps: int = STEPS
    store: Path | None = None
    context: Any = None
    progress: Any = None
    _pairs: dict[str, list[Pair]] = attrs.field(factory=dict, init=False)

    def score(self, part: str, cells: Sequence[Cell]) -> Scorecard:
        """Run what is not kept already."""
        if part not in self._pairs:
            self._pairs[part] = pairs_of(part, self.kinds, self.plan)
        return run_cells(
            self.editor, self._pairs[part], cells, Settings(steps=self.steps), store=self.store,
            context=self.context, progress=self.progress,
        )  # fmt: skip


def pairs_of(part: str, kinds: Sequence[str], plan: Plan) -> list[Pair]:
    """Draw the scenes of a part.

    No two parts share a scene or a seed of the noise, nor do two searches with other seeds: a check
    is used once.
    """
    first, count = {
        "few": (SEARCH_FROM, plan.few),
        "more": (SEARCH_FROM + plan.few, plan.more),
        "check": (CHECK_FROM, plan.check),
    }[part]
    first += A_SEED * plan.seed
    found = []
    for kind in kinds:
        drawn = make_pairs(kind, range(HELD_OUT + first, HELD_OUT + first + count))
        found += [
            Pair(
                Image.fromarray(drawn.source[place]), prompt, kind=kind, seed=first + place,
                right=Image.fromarray(drawn.right[place]), mask=drawn.mask[place],
            )
            for place, prompt in enumerate(drawn.prompts)
        ]  # fmt: skip
    return found


@attrs.frozen(eq=False)
class Lead:
    """What a candidate has over the plain model on a kind of edit, one value a scene.

    Attributes:
        done: Difference in edit done.
        kept: Difference in kept, or in edges where the whole picture should change.
    """

    done: Array
    kept: Array

    def joined(self, other: Lead) -> Lead:
        """Return that of both parts' scenes."""
        return Lead(*(np.concatenate([getattr(self, it), getattr(other, it)]) for it in FIELDS))

    @property
    def fitness(self) -> float:
        """How surely it beats the plain model: the lesser of its two t statistics.

        The variance has a prior (as in Tusher, Tibshirani and Chu, 2001), since few scenes may
        agree by chance.
        """
        return min(_statistic(self.done), _statistic(self.kept + TOLERANCE))

    @property
    def leads(self) -> bool:
        """Whether it is ahead in both, on average."""
        return bool(self.done.mean() > 0 and self.kept.mean() >= 0)


def _statistic(values: Array) -> float:
    count = len(values)
    variance = (values.var() * count + PRIOR**2) / (count + 1)
    return float(values.mean() / np.sqrt(variance / count))


def kept_measure(card: Scorecard, kind: str) -> str:
    """Return what says how much is kept: ``kept``, or ``edges`` where nothing lies outside."""
    return "edges" if np.isnan(card.values(PLAIN, "kept", kind)).all() else "kept"


def lead(card: Scorecard, name: str, kind: str) -> Lead:
    """Return what a cell has over the plain one."""
    differences = []
    for measure in ("done", kept_measure(card, kind)):
        values = card.values(name, measure, kind) - card.values(PLAIN, measure, kind)
        differences.append(values[~np.isnan(values)])
    return Lead(*differences)


def scored(
    bench: Scorer, part: str, wanted: Mapping[str, Sequence[Candidate]]
) -> dict[str, dict[Candidate, Lead]]:
    """Score candidates, each on the kinds that want it."""
    kinds_of: dict[Candidate, list[str]] = {}
    for kind, candidates in wanted.items():
        for candidate in candidates:
            kinds_of.setdefault(candidate, []).append(kind)
    cells = [
        Cell(str(candidate), candidate.strategy, denoise=candidate.denoise, kinds=kinds)
        for candidate, kinds in kinds_of.items()
    ]
    concerned = [kind for kind, candidates in wanted.items() if candidates]
    card = bench.score(part, [Cell(PLAIN, kinds=concerned), *cells])
    return {
        kind: {candidate: lead(card, str(candidate), kind) for candidate in candidates}
        for kind, candidates in wanted.items()
    }


def best(found: Mapping[Candidate, Lead], count: int) -> list[Candidate]:
    """Return the fittest."""
    return sorted(found, key=lambda it: found[it].fitness, reverse=True)[:count]


@attrs.define
class Search:
    """What was looked at so far.

    Attributes:
        kinds: Of edit, each with a search of its own.
        looked: All candidates, by kind.
        measured: Those that edited all scenes of the search, with their leads.
    """

    plan: Plan
    blocks: int
    kinds: Sequence[str]
    looked: dict[str, set[Candidate]] = attrs.field(init=False)
    measured: dict[str, dict[Candidate, Lead]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with nothing."""
        self.looked = {kind: set() for kind in self.kinds}
        self.measured = {kind: {} for kind in self.kinds}

    def run(self, bench: Scorer) -> None:
        """Look at as many generations as fit."""
        generations = self.plan.generations(len(self.kinds))
        for index in range(generations):
            self._generation(bench, self._proposed(index), index)
            heads = [best(self.measured[kind], 1)[0] for kind in self.kinds]
            click.echo(f"generation {index + 1} of {generations}")
            for kind, head in zip(self.kinds, heads, strict=True):
                held = self.measured[kind][head]
                click.echo(
                    f"  {kind:18} done {held.done.mean():+.3f} kept {held.kept.mean():+.3f}  {head}"
                )

    def _proposed(self, index: int) -> dict[str, list[Candidate]]:
        if index == 0:
            random = Random(self.plan.seed)  # noqa: S311
            first = _candidates.pool(random, self.plan.first, self.blocks)
            return {kind: list(first) for kind in self.kinds}
        return {kind: self._children(kind, index) for kind in self.kinds}

    def _children(self, kind: str, index: int) -> list[Candidate]:
        random = Random(f"{self.plan.seed} {kind} {index}")  # noqa: S311
        parents = best(self.measured[kind], self.plan.parents)
        found: dict[Candidate, None] = {}
        while len(found) < self.plan.children:
            fresh = random.random() < 0.15
            new = (
                _candidates.draw(random, self.blocks)
                if fresh
                else _candidates.child(random, parents, self.blocks)
            )
            if not new.is_plain and new not in self.looked[kind]:
                found[new] = None
        return list(found)

    def _generation(
        self, bench: Scorer, proposed: Mapping[str, list[Candidate]], index: int
    ) -> None:
        few = scored(bench, "few", proposed)
        count = self.plan.survivors if index == 0 else self.plan.of_children
        more = scored(bench, "more", {kind: best(few[kind], count) for kind in self.kinds})
        for kind in self.kinds:
            self.looked[kind].update(proposed[kind])
            for candidate, held in more[kind].items():
                self.measured[kind][candidate] = few[kind][candidate].joined(held)

    def finalists(self) -> dict[str, list[Candidate]]:
        """Return the best of each kind, of those that are ahead in both; maybe none."""
        return {
            kind: best({it: held for it, held in found.items() if held.leads}, self.plan.finalists)
            for kind, found in self.measured.items()
        }


def bounds(values: Array, chance: float) -> list[float]:
    """Return the mean and its bootstrap interval that misses with a given chance."""
    picks = np.random.default_rng(0).integers(0, len(values), (RESAMPLINGS, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), (chance / 2, 1 - chance / 2))
    return [round(float(it), 4) for it in (values.mean(), low, high)]


def beats(done: Sequence[float], kept: Sequence[float]) -> bool:
    """Say whether intervals of differences are those of a strategy that beats, by ``RULE``."""
    return done[1] > 0 and kept[0] >= 0 and kept[1] >= -TOLERANCE


def checked(bench: Scorer, search: Search) -> dict[str, list[dict[str, Any]]]:
    """Check the finalists, once, and return what was found of them by kind, the fittest first."""
    finalists = search.finalists()
    tests = sum(len(found) for found in finalists.values())
    if not tests:
        return {kind: [] for kind in search.kinds}
    leads = scored(bench, "check", finalists)
    return {
        kind: [
            {
                "strategy": str(candidate),
                "tables": tables_of(candidate),
                "denoise": candidate.denoise,
                "search": {
                    name: round(float(getattr(search.measured[kind][candidate], name).mean()), 4)
                    for name in FIELDS
                },
                **judged(leads[kind][candidate], tests),
            }
            for candidate in candidates
        ]
        for kind, candidates in finalists.items()
    }


def judged(held: Lead, tests: int) -> dict[str, Any]:
    """Return the intervals of a lead, alone and as one of so many, and whether it beats."""
    together = {name: bounds(getattr(held, name), CHANCE / tests) for name in FIELDS}
    return {
        "scenes": len(held.done),
        "alone": {name: bounds(getattr(held, name), CHANCE) for name in FIELDS},
        "together": together,
        "beats": beats(together["done"], together["kept"]),
    }


def tables_of(candidate: Candidate) -> dict[str, Any]:
    """Return the tables of the strategy's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = rh.dump_strategy(candidate.strategy, Path(folder) / "strategy.json")
        tables: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tables
